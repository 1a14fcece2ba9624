/**
 * Looks at the folders in which softnet will make what the caller names, before the VM is registered: only root could
 * take the registration's file away again, and what the caller names is made after root's rights are dropped.
 *
 * Only looks, and opens and makes nothing. What is refused here would be refused then for sure; who comes through may
 * still be refused.
 */

import { lstatSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { systemError } from "../capture/errors.ts";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { unixAddress } from "../ports/unix-path.ts";
import { UserError } from "../user-error.ts";
import type { SessionArguments } from "./options.ts";

const LINUX = process.platform === "linux";
const OWNER_MAY_WRITE = 0o200;

/** Those that are not yet made. */
export type CallerPaths = Pick<SessionArguments, "vmSocket" | "controlSocket" | "capture" | "logFile" | "learn">;

/**
 * To be called with the rights of `uid`, whom softnet will become. Throws UserError or CaptureError, in the words with
 * which the making would fail.
 */
export function refuseHopelessPaths(
  { vmSocket, controlSocket, capture, logFile, learn }: CallerPaths,
  uid: number,
): void {
  if (vmSocket !== undefined) refuseForSocket("--vm-socket", vmSocket, uid);
  if (controlSocket !== undefined) refuseForSocket("--control-socket", controlSocket, uid);
  if (capture !== undefined) refuseForCapture(capture);
  if (learn !== undefined && look(statSync, dirname(learn)) === "ENOENT") {
    throw new UserError(`--learn ${learn}: the folder does not exist; create it first`);
  }
  if (logFile !== undefined && look(statSync, dirname(logFile)) === "ENOENT") {
    throw new UserError(`--log-file ${logFile}: the folder does not exist; create it first`);
  }
}

function refuseForSocket(option: string, path: string, uid: number): void {
  if (LINUX) unixAddress(`${option} ${path}`, path); // refuses one that is no path at all
  const folder = dirname(path);
  const refusal = (words: string): UserError => new UserError(`${option} ${path}: ${words}`);
  const found = look(statSync, folder);
  if (found === "ENOENT") throw refusal(`the folder ${folder} does not exist; make it, or choose another path`);
  const isFolder = typeof found === "object" && found.isDirectory();
  if (found === "ENOTDIR" || (typeof found === "object" && !isFolder)) {
    throw refusal(`${folder} is not a folder; choose another path`);
  }
  // What is there already has messages of its own.
  if (!isFolder || look(lstatSync, path) !== "ENOENT" || mayWrite(found, uid)) return;
  const own = LINUX ? "$XDG_RUNTIME_DIR" : "$TMPDIR";
  throw refusal(`no permission to make a socket in ${folder}; choose a folder of your own, such as ${own}`);
}

function refuseForCapture(path: string): void {
  try {
    statSync(dirname(path));
  } catch (error) {
    throw systemError("CAPTURE_UNWRITABLE", path, error);
  }
}

/** False: surely not. */
function mayWrite({ uid: owner, mode }: Stats, uid: number): boolean {
  if (uid === 0) return true;
  return (mode & (owner === uid ? OWNER_MAY_WRITE : OTHERS_MAY_WRITE)) !== 0;
}

/** What is there, or the name of the error. */
function look(how: (path: string) => Stats, path: string): Stats | string {
  try {
    return how(path);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "";
  }
}
