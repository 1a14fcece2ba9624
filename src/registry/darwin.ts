/** The registry's operating system on macOS. There is one network of a name: vmnet knows no namespaces. */
import { continuousClock } from "../native/darwin/clock.ts";
import { describeError, EACCES, EAGAIN } from "../native/darwin/errno.ts";
import type { DarwinLibc } from "../native/darwin/libc.ts";
import {
  BOOT_ID,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_RDLCK,
  F_UNLCK,
  F_WRLCK,
  FLOCK,
  type RegistryCalls,
} from "../native/darwin/registry.ts";
import type { RegistrySystem } from "./system.ts";

const DIRECTORY = "/var/run/softnet";
const ROOT = 0;
const LONGEST_ID = 64;

export function darwinRegistry(libc: DarwinLibc, calls: RegistryCalls): RegistrySystem {
  return {
    directory: DIRECTORY,
    owner: ROOT,
    bootId: () => bootId(calls),
    networkScope: () => "",
    lock: (fd) => lock(calls, fd),
    isLocked: (fd) => isLocked(calls, fd),
    now: Date.now,
    sinceBoot: continuousClock(libc),
  };
}

function bootId(calls: RegistryCalls): string {
  const value = Buffer.alloc(LONGEST_ID);
  const size: [number | bigint] = [value.length];
  if (calls.sysctlbyname(BOOT_ID, value, size) !== 0) {
    throw new Error(`${BOOT_ID} cannot be read: ${describeError(calls.errno())}`);
  }
  return value.toString("latin1", 0, value.indexOf(0));
}

/** The whole file. */
function flockOf(type: number): Buffer {
  const lock = Buffer.alloc(FLOCK.size);
  lock.writeInt16LE(type, FLOCK.type);
  return lock;
}

function lock(calls: RegistryCalls, fd: number): boolean {
  if (calls.fcntlLock(fd, F_OFD_SETLK, flockOf(F_WRLCK)) === 0) return true;
  const errno = calls.errno();
  if (errno === EAGAIN || errno === EACCES) return false;
  throw new Error(`a record cannot be locked: ${describeError(errno)}`);
}

/** Asks for whom a read lock would have to wait: for a writer only. */
function isLocked(calls: RegistryCalls, fd: number): boolean {
  const lock = flockOf(F_RDLCK);
  if (calls.fcntlLock(fd, F_OFD_GETLK, lock) === 0) return lock.readInt16LE(FLOCK.type) !== F_UNLCK;
  throw new Error(`a record's lock cannot be read: ${describeError(calls.errno())}`);
}
