/** The time since boot, which goes on while the machine sleeps, as a DHCP server's lease times do. */
import type { DarwinLibc } from "./libc.ts";

/** A monotonic clock in whole microseconds since boot. */
export function continuousClock(libc: DarwinLibc): () => number {
  const ratio = new Uint32Array(2);
  libc.mach_timebase_info(ratio);
  const [numerator, denominator] = ratio;
  if (!numerator || !denominator) throw new Error("mach_timebase_info returns no ratio");
  const { mach_continuous_time } = libc;
  // A tick is 125/3 ns on Apple silicon and 1 ns on Intel. The ratio comes first, since ticks × 125 may exceed 2^53.
  const perTick = numerator / denominator / 1000;
  return () => Math.floor(Number(mach_continuous_time()) * perTick);
}
