/** What the process is called (proc(5), comm): `pgrep softnet` and `killall softnet` find it, and argv stays as it was. */
import { allocate } from "../memory.ts";
import { type LinuxLibc, PR_SET_NAME } from "./libc.ts";

/** To be called from the main thread: the kernel names threads, and the process is called as its first one. */
export function nameProcess(libc: LinuxLibc, name: string): void {
  const text = Buffer.from(`${name}\0`);
  const memory = allocate(text.length);
  memory.bytes.set(text);
  libc.prctl(PR_SET_NAME, memory.address, 0, 0, 0);
  memory.free();
}
