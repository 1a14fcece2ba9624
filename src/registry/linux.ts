/** The registry's operating system on Linux. */
import { readFileSync, statSync } from "node:fs";
import { bootClock } from "../native/linux/clock.ts";
import { describeError, EACCES, EAGAIN } from "../native/linux/errno.ts";
import {
  AF_UNIX,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_RDLCK,
  F_UNLCK,
  F_WRLCK,
  FLOCK,
  type LinuxLibc,
  SO_NETNS_COOKIE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
} from "../native/linux/libc.ts";
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

/** An inode's number is given out again as soon as its namespace is gone, so the kernel's cookie stands beside it. */
function networkNamespace(libc: LinuxLibc): string {
  const inode = statSync("/proc/self/ns/net").ino;
  const cookie = namespaceCookie(libc);
  return `network namespace ${inode}${cookie === undefined ? "" : ` (${cookie})`}`;
}

/** undefined before Linux 5.14. */
function namespaceCookie(libc: LinuxLibc): bigint | undefined {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error(`cannot make a socket: ${describeError(libc.errno())}`);
  const value = Buffer.alloc(8);
  const known = libc.getsockoptBytes(fd, SOL_SOCKET, SO_NETNS_COOKIE, value, [value.length]) === 0;
  libc.close(fd);
  return known ? value.readBigUInt64LE() : undefined;
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
