/** Whether a descriptor accepts bytes now, checked without waiting. */
import { type DarwinLibc, POLLFD, POLLOUT } from "./libc.ts";

/** Returns a function to call before each write. */
export function writableNow(libc: DarwinLibc, fd: number): () => boolean {
  const asked = Buffer.alloc(POLLFD.size);
  asked.writeInt32LE(fd);
  asked.writeInt16LE(POLLOUT, POLLFD.events);
  return () => libc.poll(asked, 1, 0) === 1 && (asked.readInt16LE(POLLFD.found) & POLLOUT) !== 0;
}
