/**
 * The caller's limits (setrlimit(2)) are softnet's too. Most of them only make it fail, which is closed; the limit on the
 * size of files makes the kernel kill it in the middle of a file that belongs to root.
 */
import { readFileSync } from "node:fs";
import { UserError } from "../user-error.ts";

/** Bytes: more than anything that softnet writes before the drop. */
const LARGEST_FILE = 4 << 20;

/** Throws UserError where files are limited to less than softnet needs. Only Linux tells without a foreign function. */
export function refuseTightLimits(): void {
  if (process.platform !== "linux") return;
  const limit = fileSizeLimit(readFileSync("/proc/self/limits", "latin1"));
  if (limit >= LARGEST_FILE) return;
  throw new UserError(
    `files are limited to ${limit} bytes (ulimit -f): softnet needs ${LARGEST_FILE}, raise the limit`,
  );
}

/** Bytes, from the text of /proc/PID/limits. */
export function fileSizeLimit(text: string): number {
  const soft = /^Max file size\s+(\S+)/m.exec(text)?.[1];
  return soft === undefined || soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}
