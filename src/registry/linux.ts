/** The registry's system calls on Linux. */
import { readFileSync } from "node:fs";
import { bootClock } from "../native/linux/clock.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { networkNamespace } from "../native/linux/network-namespace.ts";
import { linuxRecordLock } from "../native/linux/record-lock.ts";
import type { RegistrySystem } from "./system.ts";

/** Only root may write here, and the host's next boot empties it. */
export const DIRECTORY = "/run/softnet";
const ROOT = 0;

export function linuxRegistry(libc: LinuxLibc): RegistrySystem {
  const locks = linuxRecordLock(libc);
  return {
    directory: DIRECTORY,
    owner: ROOT,
    bootId: () => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    networkScope: () => networkNamespace(libc),
    lock: (fd) => locks.take(fd),
    isLocked: (fd) => locks.isTaken(fd),
    now: Date.now,
    sinceBoot: bootClock(libc),
  };
}
