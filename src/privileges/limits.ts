/**
 * The caller's limits (setrlimit(2)) are softnet's too. Those that make it fail somewhere in the middle, with an error
 * that names something else, are refused first. The limit on the size of files is worse: the kernel ends softnet in the
 * middle of a file that belongs to root.
 *
 * With still less Node does not come as far as this: it ends with a signal or an assertion of its own, before softnet's
 * first statement, so with nothing done.
 */
import { readFileSync } from "node:fs";
import { UserError } from "../user-error.ts";

interface Limit {
  /** As /proc/PID/limits has it. */
  readonly name: string;
  /** What is limited, for people. */
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

/** Throws UserError where softnet has less than it needs. Only Linux tells without a foreign function. */
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

/** Pure: what is too tight in the text of /proc/PID/limits, in one line; undefined where nothing is. */
export function tightLimit(text: string): string | undefined {
  for (const { name, what, least, option } of LIMITS) {
    const soft = new RegExp(`^${name}\\s+(\\d+)`, "m").exec(text)?.[1];
    if (soft === undefined || Number(soft) >= least) continue;
    return `${what.replace("N", soft)} (ulimit ${option}): softnet needs ${least}, raise the limit`;
  }
  return undefined;
}
