/**
 * How long a stored binding is valid. A lease's end is stored as time since boot, which cannot be set and goes on while
 * the machine sleeps; within one boot of the host only this time is compared. The time of day is stored for display: it
 * may be set at any moment, for example by NTP after the start.
 */
import type { Entry, KeptAddress } from "./record.ts";
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
 * Whether a binding can be restored after its softnet has ended: one learned by DHCP from the network's server, or
 * given by softnet's own with an end (without an end the record would stay for ever).
 */
export function outlives(binding: KeptAddress | undefined): boolean {
  if (binding === undefined || binding.origin === "static") return false;
  return binding.origin === "snooped" || Number.isFinite(binding.expiresSinceBoot);
}

/** Whether the binding's lease has expired or is of an earlier boot: its record may be removed. */
export function isOver(entry: Entry, moment: Moment): boolean {
  return entry.binding === undefined || whyOver(entry, entry.binding, moment) !== undefined;
}

/** Why a binding has ended; undefined while it is valid. */
export function whyOver({ boot }: Entry, binding: KeptAddress, moment: Moment): string | undefined {
  if (boot !== moment.boot) return "it is of before the host's last start";
  return binding.expiresSinceBoot <= moment.sinceBoot ? "its lease is over" : undefined;
}

/** Why a stored binding must not be restored; undefined when it may, until its `expiresSinceBoot`. */
export function whyNotRestorable(entry: Entry, binding: KeptAddress, moment: Moment): string | undefined {
  const over = whyOver(entry, binding, moment);
  if (over !== undefined) return over;
  return entry.writtenSinceBoot > moment.sinceBoot ? "it was written later than now, since boot" : undefined;
}

/** A binding's end as the time of day, milliseconds since 1970 by the present clock; Infinity = no end. */
export function expiresAt(binding: KeptAddress, moment: Moment): number {
  const left = binding.expiresSinceBoot - moment.sinceBoot;
  return Number.isFinite(left) ? Math.floor(moment.now + left / 1000) : left;
}
