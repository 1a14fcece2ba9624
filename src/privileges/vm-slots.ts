/**
 * Limits how many softnets with root's rights a user runs at once. Each takes one of the user's slots: a lock on one
 * byte of a file that only root can open, so that no other process can take or keep a slot. The kernel releases the
 * lock when the process ends, also when it is killed (F_OFD_SETLK, fcntl(2)). One empty file serves all users.
 */
import { chownSync, constants, fstatSync, openSync } from "node:fs";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { linuxRecordLock } from "../native/linux/record-lock.ts";
import { DIRECTORY } from "../registry/linux.ts";
import { ensureDirectory } from "../registry/sweep.ts";
import { UserError } from "../user-error.ts";
import { MOST_VMS } from "./conf.ts";

const NAME = "places";
const OPEN_TO_OTHERS = 0o077;

/** Takes one of the user's `most` slots until this process ends; false when all are taken. Throws UserError. */
export function takeSlot(libc: LinuxLibc, uid: number, most: number): boolean {
  const fd = openFile();
  for (let slot = 0; slot < most; slot++) {
    const start = BigInt(uid) * BigInt(MOST_VMS) + BigInt(slot);
    if (takeLock(libc, fd, start)) return true;
  }
  libc.close(fd);
  return false;
}

/** Returns false when the lock is taken. Throws UserError for any other error. */
function takeLock(libc: LinuxLibc, fd: number, start: bigint): boolean {
  try {
    return linuxRecordLock(libc).take(fd, { start, length: 1n });
  } catch (error) {
    throw new UserError(`${DIRECTORY}/${NAME}: ${(error as Error).message}`);
  }
}

function openFile(): number {
  const path = `${DIRECTORY}/${NAME}`;
  try {
    ensureDirectory({ directory: DIRECTORY, owner: 0 });
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const { uid, gid, mode } = fstatSync(fd);
    if (uid !== 0 || (mode & OPEN_TO_OTHERS) !== 0) throw new Error("it is not root's alone: remove it");
    if (gid !== 0) chownSync(path, 0, 0); // through SUID its group would be the caller's
    return fd;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const remedy = code === "EROFS" ? "mount a writable file system (a tmpfs) on /run" : "let root be able to write it";
    throw new UserError(`${path} cannot be used (${message}): softnet counts each user's VMs there; ${remedy}`);
  }
}
