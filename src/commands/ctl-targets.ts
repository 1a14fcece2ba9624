/**
 * Whom `softnet ctl` asks: one path, several, or all sockets of a folder whose names end with `.ctl`. One start of the
 * program asks many.
 *
 * In a folder only those: to connect to another program's socket may do harm, softnet's own `--vm-socket` takes the first
 * one that connects for its VM.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../user-error.ts";

const SUFFIX = ".ctl";

export interface Targets {
  readonly paths: readonly string[];
  /** Answers must say whose they are. */
  readonly many: boolean;
}

/** Splits what stands behind `ctl` at the first of the commands: paths before it, its words behind it. */
export function splitAtCommand(
  words: readonly string[],
  commands: readonly string[],
): { readonly paths: readonly string[]; readonly name: string; readonly rest: readonly string[] } {
  // What stands first is a path, whatever it is called.
  const at = words.findIndex((word, index) => index > 0 && commands.includes(word));
  if (at < 0) return { paths: words.slice(0, 1), name: words[1] ?? "", rest: words.slice(2) };
  return { paths: words.slice(0, at), name: words[at]!, rest: words.slice(at + 1) };
}

/** Throws UserError for a folder that cannot be read, or has no such sockets. */
export function findTargets(given: readonly string[]): Targets {
  const found = given.map((path) => (isFolder(path) ? socketsOf(path) : [path]));
  return { paths: [...new Set(found.flat())], many: given.length > 1 || given.some(isFolder) };
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // connecting has the better words for it
  }
}

function socketsOf(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw new UserError(`${folder}: the folder cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const paths = names
    .filter((name) => name.endsWith(SUFFIX))
    .sort()
    .map((name) => join(folder, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isSocket());
  if (paths.length > 0) return paths;
  throw new UserError(`${folder}: no socket in it has a name that ends with ${SUFFIX}; name the sockets themselves`);
}
