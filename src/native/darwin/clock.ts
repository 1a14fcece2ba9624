/** The time since boot, which goes on while the machine sleeps, as a DHCP server's lease times do. */
import type { DarwinLibc } from "./libc.ts";

/** A clock that returns whole microseconds since boot. It never goes back. */
export function continuousClock(libc: DarwinLibc): () => number {
  const ratio = new Uint32Array(2);
  libc.mach_timebase_info(ratio);
  const [numerator, denominator] = ratio;
  if (!numerator || !denominator) throw new Error("mach_timebase_info tells no ratio");
  const { mach_continuous_time } = libc;
  // A tick is 125/3 ns on Apple silicon and 1 ns on Intel. Multiplied first, ticks would leave the exact numbers.
  const perTick = numerator / denominator / 1000;
  return () => Math.floor(Number(mach_continuous_time()) * perTick);
}
