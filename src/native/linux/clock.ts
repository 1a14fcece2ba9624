/** The time since boot, which goes on while the machine sleeps, as a DHCP server's lease times do. */
import { allocate } from "../memory.ts";
import { CLOCK_BOOTTIME, type LinuxLibc, TIMESPEC } from "./libc.ts";

/** A monotonic clock in whole microseconds since boot; it does not allocate. */
export function bootClock(libc: LinuxLibc): () => number {
  const memory = allocate(TIMESPEC.size);
  // The upper half of the seconds stays 0 for the first 136 years after boot.
  const words = new Uint32Array(memory.bytes.buffer, memory.bytes.byteOffset, TIMESPEC.size / 4);
  const { clock_gettime } = libc;
  return () => {
    clock_gettime(CLOCK_BOOTTIME, memory.address);
    return words[TIMESPEC.seconds / 4] * 1_000_000 + Math.floor(words[TIMESPEC.nanoseconds / 4] / 1000);
  };
}
