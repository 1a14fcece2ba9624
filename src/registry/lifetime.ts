/**
 * How long a stored binding is valid. A lease's end is stored as time since boot, which cannot be set and goes on while
 * the machine sleeps; within one boot of the host only this time is compared. The time of day is stored for display: it
 * may be set at any moment, for example by NTP after the start.
 */
import type { Entry, KeptAddress } from "./record.ts";
import type { KeptIPv6Address } from "./record-ipv6.ts";
import type { RegistrySystem } from "./system.ts";

/** Microseconds until a SLAAC address ends whose softnet has ended in order: as if it were not used (RFC 6620, DEFAULT_LT). */
export const SLAAC_LIFETIME = 300_000_000;

/** Microseconds for which a claimed IPv6 address counts. After 500 ms it is the VM's, or was never to be (docs/guard-ipv6.md). */
const CLAIM_LIFETIME = 10_000_000;

/** An address of either family. */
export type Kept = KeptAddress | KeptIPv6Address;

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
 * Whether an address can be restored after its softnet has ended: one learned from the network, or given by softnet's own
 * DHCP server with an end (without an end the record would stay for ever).
 */
export function outlives(kept: Kept | undefined): boolean {
  if (kept === undefined || kept.origin === "static") return false;
  return kept.origin !== "served" || Number.isFinite(kept.expiresSinceBoot);
}

/** Of a softnet that has ended: the addresses that can be restored still, the IPv4 one first. */
export function restorable(entry: Entry, moment: Moment): Kept[] {
  const { binding, ipv6 = [] } = entry;
  const all: Kept[] = binding === undefined ? [...ipv6] : [binding, ...ipv6];
  return all.filter((kept) => outlives(kept) && whyOver(entry, kept, moment) === undefined);
}

/** Whether a claim for an IPv6 address counts at that time, microseconds since boot. */
export function isClaim({ sinceBoot }: { readonly sinceBoot: number }, time: number): boolean {
  return time - sinceBoot < CLAIM_LIFETIME;
}

/** Whether the IPv4 binding's lease has expired or is of an earlier boot: its record may be removed. */
export function isOver(entry: Entry, moment: Moment): boolean {
  return entry.binding === undefined || whyOver(entry, entry.binding, moment) !== undefined;
}

/** Why a binding has ended; undefined while it is valid. */
export function whyOver({ boot }: Entry, kept: Pick<Kept, "expiresSinceBoot">, moment: Moment): string | undefined {
  if (boot !== moment.boot) return "it is of before the host's last start";
  return kept.expiresSinceBoot <= moment.sinceBoot ? "its lease is over" : undefined;
}

/** Why a stored binding must not be restored; undefined when it may, until its `expiresSinceBoot`. */
export function whyNotRestorable(entry: Entry, kept: Kept, moment: Moment): string | undefined {
  const over = whyOver(entry, kept, moment);
  if (over !== undefined) return over;
  return entry.writtenSinceBoot > moment.sinceBoot ? "it was written later than now, since boot" : undefined;
}

/** A binding's end as the time of day, milliseconds since 1970 by the present clock; Infinity = no end. */
export function expiresAt(kept: Kept, moment: Moment): number {
  const left = kept.expiresSinceBoot - moment.sinceBoot;
  return Number.isFinite(left) ? Math.floor(moment.now + left / 1000) : left;
}

/** A time on the guard's clock (microseconds since boot) as milliseconds since 1970, not negative; Infinity stays. */
export function timeOfDay(system: Pick<RegistrySystem, "now" | "sinceBoot">, sinceBoot: number): number {
  const left = sinceBoot - system.sinceBoot();
  return Number.isFinite(left) ? Math.max(0, Math.floor(system.now() + left / 1000)) : left;
}
