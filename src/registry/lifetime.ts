/**
 * How long a kept binding counts. A lease's end is kept in time since boot, which nobody can set and which goes on while the
 * machine sleeps; within one boot of the host nothing else is asked. The time of day beside it is for people and other
 * programs: it may be set at any moment, by NTP after a start for example.
 */
import type { Entry, KeptBinding } from "./record.ts";
import type { RegistrySystem } from "./system.ts";

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

/**
 * Whether a binding can be gone on with when its softnet has ended: one of the network's server, or of softnet's own for a
 * time (without an end it would keep its place for ever).
 */
export function outlives(binding: KeptBinding | undefined): boolean {
  if (binding === undefined || binding.origin === "static") return false;
  return binding.origin === "snooped" || Number.isFinite(binding.expiresSinceBoot);
}

/** Whether the binding's lease is over, or of another boot: it is nobody's any more, and its record may be removed. */
export function isOver(entry: Entry, moment: Moment): boolean {
  return entry.binding === undefined || whyOver(entry, entry.binding, moment) !== undefined;
}

/** Why a binding is nobody's any more; undefined while it is somebody's. */
export function whyOver({ boot }: Entry, binding: KeptBinding, moment: Moment): string | undefined {
  if (boot !== moment.boot) return "it is of before the host's last start";
  return binding.expiresSinceBoot <= moment.sinceBoot ? "its lease is over" : undefined;
}

/** Why a binding of before must not be gone on with; undefined when it may, until its `expiresSinceBoot`. */
export function whyNotRestorable(entry: Entry, binding: KeptBinding, moment: Moment): string | undefined {
  const over = whyOver(entry, binding, moment);
  if (over !== undefined) return over;
  return entry.writtenSinceBoot > moment.sinceBoot ? "it was written later than now, since boot" : undefined;
}

/** A binding's end as the time of day, milliseconds since 1970 by the clock of now; Infinity = never. */
export function expiresAt(binding: KeptBinding, moment: Moment): number {
  const left = binding.expiresSinceBoot - moment.sinceBoot;
  return Number.isFinite(left) ? Math.floor(moment.now + left / 1000) : left;
}
