/**
 * The helper serves every VM of the host, and is started by whichever softnet comes first, which may be a hostile user's:
 * with his limits (setrlimit(2)) he would decide how many others it can serve, and when the kernel ends it. So, while it is
 * root, it puts off what a caller can make worse: limits, priority, and the kernel's choice whom to end when memory is
 * short. In a container whose root may not raise limits (no CAP_SYS_RESOURCE), a helper with too low ones does not start.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { type LinuxLibc, RLIM_INFINITY, RLIMIT } from "../native/linux/libc.ts";

const OOM = "/proc/self/oom_score_adj";

interface Limit {
  readonly resource: number;
  /** As /proc/PID/limits has it. */
  readonly name: string;
  readonly wanted: bigint;
  /** What serves as well where it cannot be raised. */
  readonly enough: bigint;
  /** The shell's option that raises it. */
  readonly option: string;
}

const ALL = RLIM_INFINITY;
/** Open files: a connection and some more for each VM. Not more than fs.nr_open ever is. */
const FILES = 65_536n;

const LIMITS: readonly Limit[] = [
  { resource: RLIMIT.cpu, name: "Max cpu time", wanted: ALL, enough: ALL, option: "-t" },
  { resource: RLIMIT.fileSize, name: "Max file size", wanted: ALL, enough: 1n << 32n, option: "-f" },
  { resource: RLIMIT.data, name: "Max data size", wanted: ALL, enough: 1n << 36n, option: "-d" },
  { resource: RLIMIT.processes, name: "Max processes", wanted: ALL, enough: 1024n, option: "-u" },
  { resource: RLIMIT.files, name: "Max open files", wanted: FILES, enough: 1024n, option: "-n" },
  { resource: RLIMIT.addressSpace, name: "Max address space", wanted: ALL, enough: 1n << 40n, option: "-v" },
  { resource: RLIMIT.pendingSignals, name: "Max pending signals", wanted: ALL, enough: 1024n, option: "-i" },
];

/** To be called as root, with all of its capabilities. Throws Error when a limit stays too low. */
export function putOffCallerLimits(libc: LinuxLibc): void {
  const now = readFileSync("/proc/self/limits", "latin1");
  for (const { resource, name, wanted, enough, option } of LIMITS) {
    if (libc.setrlimit(resource, BigUint64Array.of(wanted, wanted)) === 0) continue;
    const hard = hardLimit(now, name);
    if (hard < enough) {
      const what = name.slice("Max ".length);
      throw new Error(
        `the host's helper serves all VMs, and its limit of ${what} is ${hard} (ulimit ${option}), raise it or start softnet as root`,
      );
    }
    libc.setrlimit(resource, BigUint64Array.of(hard, hard));
  }
  try {
    if (getPriority() > 0) setPriority(0);
    if (Number(readFileSync(OOM, "latin1")) > 0) writeFileSync(OOM, "0");
  } catch {
    // Not allowed here.
  }
}

/** Pure: a hard limit from the text of /proc/PID/limits. */
export function hardLimit(text: string, name: string): bigint {
  const hard = new RegExp(`^${name} +\\S+ +(\\d+)`, "m").exec(text)?.[1];
  return hard === undefined ? RLIM_INFINITY : BigInt(hard);
}
