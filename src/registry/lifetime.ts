/**
 * How long a kept binding counts. A lease's end is kept on two clocks: the time of day, which people and other programs
 * understand but which can be set, and the time since boot, which cannot but starts anew. A binding of before is only
 * gone on with where both say so.
 */
import type { Entry, KeptBinding } from "./record.ts";
import type { RegistrySystem } from "./system.ts";

/** Milliseconds that the two clocks may have moved apart since a record was written. */
const MOST_DRIFT = 60_000;

export interface Moment {
  readonly boot: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Microseconds. */
  readonly sinceBoot: number;
}

export function momentOf(system: RegistrySystem): Moment {
  return { boot: system.bootId(), now: system.now(), sinceBoot: system.sinceBoot() };
}

/** Whether a binding can be gone on with when its softnet has ended: a DHCP server gave it, for a time. */
export function outlives(binding: KeptBinding | undefined): boolean {
  return binding !== undefined && binding.origin !== "static" && Number.isFinite(binding.expiresSinceBoot);
}

/** Whether the binding's lease is over, or of another boot: it is nobody's any more, and its record may be removed. */
export function isOver({ boot, binding }: Entry, moment: Moment): boolean {
  return binding === undefined || boot !== moment.boot || binding.expiresSinceBoot <= moment.sinceBoot;
}

/** When the binding ends, in microseconds since boot; undefined when it must not be gone on with. */
export function restorableUntil(entry: Entry, binding: KeptBinding, moment: Moment): number | undefined {
  if (isOver(entry, moment)) return undefined;
  const age = (moment.sinceBoot - entry.writtenSinceBoot) / 1000;
  if (age < 0 || Math.abs(moment.now - entry.written - age) > MOST_DRIFT) return undefined;
  const left = Math.min((binding.expires - moment.now) * 1000, binding.expiresSinceBoot - moment.sinceBoot);
  return left > 0 ? moment.sinceBoot + left : undefined;
}
