/** The path of a unix socket that a killed process has left behind. */
import { lstatSync, unlinkSync } from "node:fs";
import { UserError } from "../../user-error.ts";

/** Removes it where it is a socket of this user's. Throws UserError for all else. */
export function removeLeftover(path: string, option: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket() || found.uid !== process.geteuid!()) {
    throw new UserError(`${option} unix:${path}: exists already, and is no socket of this user's; choose another path`);
  }
  unlinkSync(path);
}
