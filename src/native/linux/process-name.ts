/**
 * Sets the process's name (proc(5), comm), so that `pgrep softnet` and `killall softnet` find it; argv is unchanged.
 */
import { allocate } from "../memory.ts";
import { type LinuxLibc, PR_SET_NAME } from "./libc.ts";

/** To be called from the main thread: the kernel names threads, and a process has its first thread's name. */
export function nameProcess(libc: LinuxLibc, name: string): void {
  const text = Buffer.from(`${name}\0`);
  const memory = allocate(text.length);
  memory.bytes.set(text);
  libc.prctl(PR_SET_NAME, memory.address, 0, 0, 0);
  memory.free();
}
