/** The registry's operating system on Linux. */
import { readFileSync } from "node:fs";
import { bootClock } from "../native/linux/clock.ts";
import { describeError, EACCES, EAGAIN } from "../native/linux/errno.ts";
import { F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, FLOCK, type LinuxLibc } from "../native/linux/libc.ts";
import { networkNamespace } from "../native/linux/network-namespace.ts";
import type { RegistrySystem } from "./system.ts";

const DIRECTORY = "/run/softnet";
const ROOT = 0;

export function linuxRegistry(libc: LinuxLibc): RegistrySystem {
  return {
    directory: DIRECTORY,
    owner: ROOT,
    bootId: () => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    networkScope: () => networkNamespace(libc),
    lock: (fd) => lock(libc, fd),
    isLocked: (fd) => isLocked(libc, fd),
    now: Date.now,
    sinceBoot: bootClock(libc),
  };
}

/** The whole file. */
function flockOf(type: number): Buffer {
  const lock = Buffer.alloc(FLOCK.size);
  lock.writeInt16LE(type, FLOCK.type);
  return lock;
}

function lock(libc: LinuxLibc, fd: number): boolean {
  if (libc.fcntlLock(fd, F_OFD_SETLK, flockOf(F_WRLCK)) === 0) return true;
  const errno = libc.errno();
  if (errno === EAGAIN || errno === EACCES) return false;
  throw new Error(`a record cannot be locked: ${describeError(errno)}`);
}

/** Asks for whom a read lock would have to wait: for a writer only. */
function isLocked(libc: LinuxLibc, fd: number): boolean {
  const lock = flockOf(F_RDLCK);
  if (libc.fcntlLock(fd, F_OFD_GETLK, lock) === 0) return lock.readInt16LE(FLOCK.type) !== F_UNLCK;
  throw new Error(`a record's lock cannot be read: ${describeError(libc.errno())}`);
}
