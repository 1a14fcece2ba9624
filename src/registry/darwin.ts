/** The registry's system calls on macOS. macOS has no network namespaces, so the network scope is empty. */
import { continuousClock } from "../native/darwin/clock.ts";
import { describeError } from "../native/darwin/errno.ts";
import type { DarwinLibc } from "../native/darwin/libc.ts";
import { darwinRecordLock } from "../native/darwin/record-lock.ts";
import { BOOT_ID, type RegistryCalls } from "../native/darwin/registry-calls.ts";
import type { RegistrySystem } from "./system.ts";

const DIRECTORY = "/var/run/softnet";
const ROOT = 0;
const LONGEST_ID = 64;

export function darwinRegistry(libc: DarwinLibc, calls: RegistryCalls): RegistrySystem {
  const locks = darwinRecordLock(calls);
  return {
    directory: DIRECTORY,
    owner: ROOT,
    bootId: () => bootId(calls),
    networkScope: () => "",
    lock: (fd) => locks.take(fd),
    isLocked: (fd) => locks.isTaken(fd),
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
