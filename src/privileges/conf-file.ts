/** Reads /etc/softnet.conf, if only root can have written it. */

import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { UserError } from "../user-error.ts";

export const CONF = "/etc/softnet.conf";
const LARGEST = 65_536;

/** Its text; empty when there is no such file. Throws UserError when it cannot be trusted. */
export function readConf(path: string = CONF): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "";
    throw new UserError(`${path} cannot be read (${code}): let root correct its mode`);
  }
  try {
    const { uid, mode, size } = fstatSync(fd);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw new UserError(`${path} is not a file: make it one`);
    if (uid !== 0) throw new UserError(`${path} belongs to user ${uid}, not to root: run "chown root ${path}" as root`);
    if ((mode & OTHERS_MAY_WRITE) !== 0) {
      throw new UserError(`${path} can be written by others than root: run "chmod go-w ${path}" as root`);
    }
    if (size > LARGEST) throw new UserError(`${path} has ${size} bytes: it may have at most ${LARGEST}`);
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}
