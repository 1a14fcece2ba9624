/**
 * The destination table: for each IPv4 address one small number that says what policy makes of it. Three layers are laid
 * flat over each other, the last on top: what holds without rules (the IANA registry, multicast, metadata, broadcast, the
 * gateway), the user's rules, and what never passes. Looking up is one step through the upper 16 bits and a short binary
 * search within them.
 */
import { LIMITED_BROADCAST } from "../wire/address.ts";
import { flatten, type Intervals, overlay, type Valued } from "./intervals.ts";
import { type Cidr, lastOf, type Rule, subnetOf } from "./rule.ts";
import { METADATA_ADDRESSES, MULTICAST, NEVER, SPECIAL_PURPOSE } from "./special-purpose.ts";

/** Globally routable, and no rule says otherwise. */
export const GLOBAL = 0;
/** A rule allows it. */
export const ALLOWED = 1;
/** A rule blocks it. */
export const BLOCKED = 2;
/** The gateway, and no rule covers it. */
export const GATEWAY = 3;
/** Not globally routable. */
export const NOT_GLOBAL = 4;
export const MULTICAST_GROUP = 5;
/** The limited broadcast address, or the directed one of the VM's subnet. */
export const BROADCAST = 6;
export const METADATA = 7;
/** 0.0.0.0/8 and 127.0.0.0/8. */
export const LOOPBACK = 8;
/** Added to one of the above (but ALLOWED, BLOCKED, GATEWAY and LOOPBACK): a DNS server that DHCP announced. */
export const DNS_SERVER = 16;

/** What the table depends on beside the rules; it comes with the binding. Addresses in host order, 0 = none. */
export interface Surroundings {
  readonly gateway: number;
  /** The bound address and its netmask: they give the directed broadcast address. */
  readonly address: number;
  readonly netmask: number;
  readonly dnsServers: readonly number[];
}

const host = (address: number): Cidr => ({ address, length: 32 });

function withoutRules(surroundings: Surroundings): Intervals {
  const prefixes: Valued[] = [{ cidr: { address: 0, length: 0 }, value: GLOBAL }];
  for (const { cidr, global } of SPECIAL_PURPOSE) prefixes.push({ cidr, value: global ? GLOBAL : NOT_GLOBAL });
  prefixes.push({ cidr: MULTICAST, value: MULTICAST_GROUP });
  for (const cidr of METADATA_ADDRESSES) prefixes.push({ cidr, value: METADATA });
  prefixes.push({ cidr: host(LIMITED_BROADCAST), value: BROADCAST });
  const subnet = subnetOf(surroundings.address, surroundings.netmask);
  // RFC 3021: a /31 has no broadcast address, and neither has a /32.
  if (subnet && subnet.length <= 30) prefixes.push({ cidr: host(lastOf(subnet)), value: BROADCAST });
  const flat = flatten(prefixes);
  const servers = surroundings.dnsServers.map((address) => ({
    cidr: host(address),
    value: valueAt(flat, address) | DNS_SERVER,
  }));
  const gateway = surroundings.gateway === 0 ? [] : [{ cidr: host(surroundings.gateway), value: GATEWAY }];
  return overlay(flat, flatten([...servers, ...gateway]));
}

function byRules(rules: readonly Rule[], gateway: number): Intervals {
  const prefixes: Valued[] = [];
  // Blocks last: of equal prefixes the last one wins.
  for (const action of ["allow", "block"] as const) {
    for (const rule of rules) {
      if (rule.action !== action) continue;
      const value = action === "allow" ? ALLOWED : BLOCKED;
      if (rule.target.kind === "cidr") prefixes.push({ cidr: rule.target.cidr, value });
      else if (gateway !== 0) prefixes.push({ cidr: host(gateway), value });
    }
  }
  return flatten(prefixes);
}

function valueAt(intervals: Intervals, address: number): number {
  const next = intervals.starts.findIndex((start) => start > address);
  return intervals.values.at(next < 0 ? -1 : next - 1)!;
}

export class DestinationTable {
  readonly #starts: Uint32Array;
  readonly #values: Uint8Array;
  /** For each upper half of an address the interval in which its first address lies. */
  readonly #first = new Uint32Array(65537);

  constructor(rules: readonly Rule[], surroundings: Surroundings) {
    const never = flatten(NEVER.map((cidr) => ({ cidr, value: LOOPBACK })));
    const all = overlay(overlay(withoutRules(surroundings), byRules(rules, surroundings.gateway)), never);
    this.#starts = Uint32Array.from(all.starts);
    this.#values = Uint8Array.from(all.values);
    let interval = 0;
    for (let upper = 0; upper < 65536; upper++) {
      while (interval + 1 < this.#starts.length && this.#starts[interval + 1]! <= upper * 65536) interval++;
      this.#first[upper] = interval;
    }
    this.#first[65536] = this.#starts.length - 1;
  }

  /** Neighbouring addresses whose value is one that is wanted, as first and last of each range, ascending. */
  ranges(wanted: (value: number) => boolean): (readonly [first: number, last: number])[] {
    const found: [number, number][] = [];
    for (const [index, first] of this.#starts.entries()) {
      if (!wanted(this.#values[index]!)) continue;
      const last = (this.#starts[index + 1] ?? 2 ** 32) - 1;
      const before = found.at(-1);
      if (before !== undefined && before[1] + 1 === first) before[1] = last;
      else found.push([first, last]);
    }
    return found;
  }

  /** The value of an address in host order. */
  lookup(address: number): number {
    const upper = address >>> 16;
    let low = this.#first[upper]!;
    let high = this.#first[upper + 1]!;
    // The interval with the largest start that is not above the address.
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= address) low = middle;
      else high = middle - 1;
    }
    return this.#values[low]!;
  }
}
