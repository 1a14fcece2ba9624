/**
 * The control sockets that `softnet ctl` connects to: one path, several, or all sockets of a folder whose names end
 * with `.ctl`. One command can ask many softnets.
 *
 * Other sockets of a folder are not used, because connecting to them may do harm: for example, softnet's `--vm-socket`
 * takes the first program that connects for its VM.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../user-error.ts";

const SUFFIX = ".ctl";

export interface Targets {
  readonly paths: readonly string[];
  /** Whether to print the path with each answer. */
  readonly many: boolean;
}

/** Splits the arguments of `ctl` at the first command: paths before it, the command's arguments after it. */
export function splitAtCommand(
  words: readonly string[],
  commands: readonly string[],
): { readonly paths: readonly string[]; readonly name: string; readonly rest: readonly string[] } {
  // The first argument is a path, even if it is also a command's name.
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
    return false; // the error of connecting describes it better
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
