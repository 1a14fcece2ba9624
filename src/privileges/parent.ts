/**
 * Through sudo, the process that the user knows is sudo's. It passes signals on, but not SIGKILL: so the kernel is told to
 * end softnet in order when sudo is gone (PR_SET_PDEATHSIG). To be called after the drop, which clears the setting.
 */
import { readFileSync } from "node:fs";
import { type LinuxLibc, PR_SET_PDEATHSIG } from "../native/linux/libc.ts";

const SIGTERM = 15;

/** Does nothing where sudo has become softnet itself, as it does where it has nothing to do afterwards. */
export function endWithSudo(libc: LinuxLibc): void {
  const parent = process.ppid;
  if (nameOf(parent) !== "sudo") return;
  libc.prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  if (process.ppid !== parent) process.kill(process.pid, SIGTERM); // it went just before
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
