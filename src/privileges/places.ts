/**
 * How many softnets a user runs that have been root for him. Each holds one of the user's places: a lock on one byte of
 * a file that only root can open, so that nobody else can take a place, or keep one. The kernel gives it back with the
 * process, however that ends (F_OFD_SETLK, fcntl(2)). The file is empty, and one for all users.
 */
import { chownSync, constants, fstatSync, openSync } from "node:fs";
import { describeError, EACCES, EAGAIN } from "../native/linux/errno.ts";
import { F_OFD_SETLK, F_WRLCK, FLOCK, type LinuxLibc } from "../native/linux/libc.ts";
import { ensureDirectory } from "../registry/sweep.ts";
import { UserError } from "../user-error.ts";
import { MOST_VMS } from "./conf.ts";

export const FOLDER = "/run/softnet";
const NAME = "places";
const OPEN_TO_OTHERS = 0o077;

/** Takes a place of the user's for the rest of this process; false when he has as many as that. Throws UserError. */
export function takePlace(libc: LinuxLibc, uid: number, most: number): boolean {
  const fd = openFile();
  for (let place = 0; place < most; place++) {
    const lock = Buffer.alloc(FLOCK.size);
    lock.writeInt16LE(F_WRLCK, FLOCK.type);
    lock.writeBigInt64LE(BigInt(uid) * BigInt(MOST_VMS) + BigInt(place), FLOCK.start);
    lock.writeBigInt64LE(1n, FLOCK.length);
    if (libc.fcntlLock(fd, F_OFD_SETLK, lock) === 0) return true;
    const errno = libc.errno();
    if (errno !== EAGAIN && errno !== EACCES)
      throw new UserError(`${FOLDER}/${NAME}: no lock: ${describeError(errno)}`);
  }
  libc.close(fd);
  return false;
}

function openFile(): number {
  const path = `${FOLDER}/${NAME}`;
  try {
    ensureDirectory({ directory: FOLDER, owner: 0 });
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
