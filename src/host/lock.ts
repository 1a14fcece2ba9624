/**
 * A lock that is a file, held for as long as a descriptor is open (flock(2)). Who removes the file holds the lock; so who
 * takes one looks whether it still has that name.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type LinuxLibc, LOCK_EX, LOCK_NB } from "../native/linux/libc.ts";

/** Milliseconds between two tries. */
const INTERVAL = 10;

/** Waits for the lock, at most `patience` milliseconds. Returns its descriptor, or undefined. Throws what the system says. */
export async function takeLock(libc: LinuxLibc, path: string, patience: number): Promise<number | undefined> {
  const deadline = performance.now() + patience;
  for (;;) {
    const fd = tryLock(libc, path);
    if (fd !== undefined) return fd;
    if (performance.now() > deadline) return undefined;
    await sleep(INTERVAL);
  }
}

/** Takes the lock, and returns its descriptor; undefined where another process has it. */
export function tryLock(libc: LinuxLibc, path: string): number | undefined {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0 && hasName(fd, path)) return fd;
  closeSync(fd);
  return undefined;
}

function hasName(fd: number, path: string): boolean {
  const named = statSync(path, { throwIfNoEntry: false });
  const { dev, ino } = fstatSync(fd);
  return named?.ino === ino && named.dev === dev;
}
