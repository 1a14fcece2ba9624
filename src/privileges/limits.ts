/**
 * softnet inherits the caller's limits (setrlimit(2)). Limits that would make it fail later, with a misleading error,
 * are refused at the start. The limit on the size of files is worse: the kernel would kill softnet while it writes a
 * file that belongs to root.
 *
 * With even lower limits Node itself ends with a signal or an assertion before softnet's first statement, so nothing
 * has been done.
 */
import { readFileSync } from "node:fs";
import { UserError } from "../user-error.ts";

interface Limit {
  /** The name in /proc/PID/limits. */
  readonly name: string;
  /** For the message; N is replaced by the limit. */
  readonly what: string;
  readonly least: number;
  /** The shell's option that raises it. */
  readonly option: string;
}

export const LEAST_FILES = 96;

const LIMITS: readonly Limit[] = [
  // Bytes: more than anything that softnet writes before the drop.
  { name: "Max file size", what: "files are limited to N bytes", least: 4 << 20, option: "-f" },
  { name: "Max open files", what: "open files are limited to N", least: LEAST_FILES, option: "-n" },
  // libc changes the ids of every thread by a signal to each (nptl(7)).
  { name: "Max pending signals", what: "pending signals are limited to N", least: 64, option: "-i" },
];

/** Throws UserError when a limit is too low. Checked on Linux only, where /proc has the limits. */
export function refuseTightLimits(): void {
  if (process.platform !== "linux") return;
  let text: string;
  try {
    text = readFileSync("/proc/self/limits", "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EMFILE") throw error;
    throw new UserError(`no file can be opened (ulimit -n): softnet needs ${LEAST_FILES}, raise the limit`);
  }
  const why = tightLimit(text);
  if (why !== undefined) throw new UserError(why);
}

/** Returns a message for a limit that is too low in the text of /proc/PID/limits; undefined when there is none. */
export function tightLimit(text: string): string | undefined {
  for (const { name, what, least, option } of LIMITS) {
    const soft = new RegExp(`^${name}\\s+(\\d+)`, "m").exec(text)?.[1];
    if (soft === undefined || Number(soft) >= least) continue;
    return `${what.replace("N", soft)} (ulimit ${option}): softnet needs ${least}, raise the limit`;
  }
  return undefined;
}
