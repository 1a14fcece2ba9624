/** Programs of the system that softnet runs as root: by absolute path from the system's own directories, never from PATH. */
import { accessSync, constants } from "node:fs";
import { UserError } from "./user-error.ts";

/** Milliseconds after which such a program is given up. */
export const PROGRAM_TIMEOUT = 10_000;

const PLACES = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/** Where a program is; `source` is the package that brings it. Throws UserError when it is not installed. */
export function findProgram(name: string, source: string): string {
  const found = lookForProgram(name);
  if (found === undefined) throw new UserError(`${name} is not in ${PLACES.join(", ")}; install ${source}`);
  return found;
}

/** Where a program is; undefined when it is not installed. */
export function lookForProgram(name: string): string | undefined {
  return PLACES.map((place) => `${place}/${name}`).find(isExecutable);
}

/** Whether this process may execute the file. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
