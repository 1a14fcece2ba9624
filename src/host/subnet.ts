/**
 * Chooses a VM's own /30 out of the private address space (RFC 1918). Nothing here touches the system.
 *
 * - Taken is what an interface has as its address or its connected network, what a route of its own leads to (a route
 *   as narrow as a /30), and addresses that the VM must reach elsewhere (its DNS servers).
 * - Spoken for is what a wider route covers, such as a VPN's 10.0.0.0/8: there may be machines behind it. Only when
 *   nothing else is left. A route wider than /8 says nothing about private addresses: it is a default route, or one of
 *   the halves of one.
 * - The choice is random, so that networks of machines that know nothing of each other rarely meet; from there on it
 *   goes through all that is free, so that a nearly full space is still used.
 */
import { type Cidr, formatCidr, lastOf, parseCidr } from "../policy/rule.ts";

/** What the host knows already. */
export interface HostState {
  /** Addresses with their networks, as prefixes of interfaces. */
  readonly networks: readonly Cidr[];
  readonly routes: readonly Cidr[];
}

export interface Candidate {
  readonly subnet: Cidr;
  /** The wider route that covers it. */
  readonly inside?: Cidr;
}

export const SUBNET_LENGTH = 30;
const SUBNET_SIZE = 4;

/** RFC 1918. */
export const PRIVATE: readonly Cidr[] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(
  (text) => parseCidr(text)!,
);

/** Candidates that are looked at, each time: more than there can be softnets on one host. */
const MOST_CANDIDATES = 4096;

/** First and last address of what is taken or free. */
type Range = readonly [first: number, last: number];

/** Parses what `--subnet` takes: `A.B.C.D/30` with A.B.C.D the first of the four addresses, each fit for a host. */
export function parseSubnet(text: string): Cidr | undefined {
  const subnet = parseCidr(text);
  if (subnet === undefined || subnet.length !== SUBNET_LENGTH || formatCidr(subnet) !== text) return undefined;
  const firstByte = subnet.address >>> 24;
  return firstByte === 0 || firstByte === 127 || firstByte >= 224 ? undefined : subnet;
}

/** What speaks against a subnet that the user chose: the network, address or route that it overlaps. */
export function overlapOf(subnet: Cidr, state: HostState): Cidr | undefined {
  return taken(state).find((cidr) => cidr.address <= lastOf(subnet) && lastOf(cidr) >= subnet.address);
}

/** The narrowest wider route that covers a subnet, if any. */
export function widerRoute(subnet: Cidr, state: HostState): Cidr | undefined {
  return wide(state)
    .filter((route) => route.address <= subnet.address && lastOf(route) >= lastOf(subnet))
    .toSorted((a, b) => b.length - a.length)[0];
}

/** Subnets to try, in this order. `avoid`: addresses of others; `random` returns 0 … 1. */
export function* candidates(
  state: HostState,
  avoid: readonly number[],
  random: () => number,
): Generator<Candidate, void, undefined> {
  const never = [...taken(state), ...avoid.map((address) => ({ address, length: 32 }))];
  const unspoken = freeRanges([...never, ...wide(state)]);
  for (const subnet of walk(unspoken, random)) yield { subnet };
  for (const subnet of walk(freeRanges(never), random)) {
    const inside = widerRoute(subnet, state);
    if (inside !== undefined) yield { subnet, inside };
  }
}

function taken(state: HostState): Cidr[] {
  return [...state.networks, ...state.routes.filter((route) => route.length >= SUBNET_LENGTH)];
}

function wide(state: HostState): Cidr[] {
  return state.routes.filter((route) => route.length >= 8 && route.length < SUBNET_LENGTH);
}

/** The private address space without some prefixes, in whole subnets. */
function freeRanges(without: readonly Cidr[]): Range[] {
  const blocks = without
    .map((cidr): Range => [cidr.address - (cidr.address % SUBNET_SIZE), lastOf(cidr)])
    .toSorted((a, b) => a[0] - b[0]);
  const free: Range[] = [];
  for (const space of PRIVATE) {
    let next = space.address;
    for (const [first, last] of blocks) {
      if (last < next || first > lastOf(space)) continue;
      if (first > next) free.push([next, first - 1]);
      next = Math.max(next, last + 1 + ((SUBNET_SIZE - ((last + 1) % SUBNET_SIZE)) % SUBNET_SIZE));
    }
    if (next < lastOf(space)) free.push([next, lastOf(space)]);
  }
  return free;
}

function* walk(ranges: readonly Range[], random: () => number): Generator<Cidr, void, undefined> {
  const counts = ranges.map(([first, last]) => (last - first + 1) / SUBNET_SIZE);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const start = Math.floor(random() * total);
  for (let step = 0; step < Math.min(total, MOST_CANDIDATES); step++) {
    let index = (start + step) % total;
    let range = 0;
    while (index >= counts[range]!) index -= counts[range++]!;
    yield { address: ranges[range]![0] + index * SUBNET_SIZE, length: SUBNET_LENGTH };
  }
}
