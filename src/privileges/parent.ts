/**
 * Under sudo, the process that the user sees and signals is sudo's. It passes signals on, but cannot pass SIGKILL. So
 * the kernel sends softnet SIGTERM when sudo has ended (PR_SET_PDEATHSIG). To be called after the drop, which clears
 * the setting.
 */
import { readFileSync } from "node:fs";
import { type LinuxLibc, PR_SET_PDEATHSIG } from "../native/linux/libc.ts";

const SIGTERM = 15;

/** Does nothing when sudo has replaced itself by softnet, as it does when it has nothing to do afterwards. */
export function endWithSudo(libc: LinuxLibc): void {
  const parent = process.ppid;
  if (nameOf(parent) !== "sudo") return;
  libc.prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  if (process.ppid !== parent) process.kill(process.pid, SIGTERM); // sudo ended before the call
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
