/** What `status` says of a running session: numbers as numbers, addresses as text, what is not known as null. */
import type { EventFields } from "../control/events.ts";
import type { PolicyLists } from "../control/live-policy.ts";
import { MOST_FLOWS } from "../guard/flow-table.ts";
import type { Guard } from "../guard/guard.ts";
import type { LearnedNetwork6 } from "../guard/known-network-6.ts";
import type { BoundAddress, BoundIPv6Address } from "../guard/types.ts";
import type { Network } from "../networks/network.ts";
import { formatCidr6 } from "../policy/cidr-6.ts";
import type { Snapshot } from "../relay/counters.ts";
import { version } from "../version.ts";
import { formatIPv4, formatMac, UNKNOWN_MAC } from "../wire/address.ts";
import { formatIPv6 } from "../wire/ipv6-address.ts";

/** Of a policy: the command line alone, the policy file with it, or a controller. */
export type PolicySource = "options" | "file" | "control";

export interface State {
  readonly guard: Guard;
  readonly network: Network;
  readonly mac: string;
  readonly name: string | null;
  readonly labels: readonly string[];
  /** The VM's TAP, or the interface that softnet is attached to. */
  readonly interface: string | null;
  /** Whether IPv6 is on. */
  readonly ipv6: boolean;
  readonly file: string | null;
  /** Where the policy in force is from. */
  readonly source: PolicySource;
  /** Milliseconds since 1970, of the last change of the rules or their source. */
  readonly since: number;
  readonly lists: PolicyLists;
  /** What the express lane says of itself. */
  readonly lane: object;
  readonly limits: object;
  readonly counters: Snapshot | undefined;
  /** Microseconds on the guard's clock. */
  readonly time: number;
  /** Seconds. */
  readonly uptime: number;
}

export function describeState(state: State): object {
  const { guard, network, lists, time } = state;
  const { ipv4, ipv6 } = guard.binding;
  return {
    version: version(),
    name: state.name,
    labels: state.labels,
    uptime: state.uptime,
    network: network.label,
    isolated: network.isolated,
    mac: state.mac,
    interface: state.interface,
    gateway: addressText(guard.gateway),
    binding: ipv4 === undefined ? null : describeAddress(ipv4, guard, time),
    ...(state.ipv6 && { ipv6: ipv6.map((bound) => describeIPv6Address(bound, time)) }),
    ...(guard.learnedNetwork6 && { network6: describeNetwork6(guard.learnedNetwork6, time) }),
    policy: {
      ruleCount: lists.allow.length + lists.block.length,
      stateful: guard.stateful,
      file: state.file,
      source: state.source,
      since: new Date(state.since).toISOString(),
    },
    host: { notices: network.host?.notices ?? [] },
    flows: { inUse: guard.flows, limit: MOST_FLOWS },
    lane: state.lane,
    limits: state.limits,
    counters: state.counters ?? null,
  };
}

/** The key `binding` of `status` and the event of the same name: one address. */
export function describeAddress(bound: BoundAddress, guard: Guard, time: number): EventFields {
  if (bound.family === "ipv6") return describeIPv6Address(bound, time);
  return {
    address: formatIPv4(bound.address),
    origin: bound.origin,
    server: addressText(bound.server),
    gateway: addressText(guard.gateway),
    dns: bound.dnsServers.map(formatIPv4),
    seconds: secondsLeft(bound, time),
  };
}

/** An item of the key `ipv6` of `status`, and the event `binding` of such an address. */
export function describeIPv6Address(bound: BoundIPv6Address, time: number): EventFields {
  return { address: formatIPv6(bound.address), origin: bound.origin, seconds: secondsLeft(bound, time) };
}

/** The key `network6` of `status`: the router, and what it and DHCPv6 announced. */
function describeNetwork6({ router, prefixes, nat64, dnsServers }: LearnedNetwork6, time: number): object {
  return {
    router:
      router === undefined
        ? null
        : {
            address: formatIPv6(router.address),
            mac: router.mac === UNKNOWN_MAC ? null : formatMac(router.mac),
            seconds: secondsUntil(router.end, time),
          },
    prefixes: prefixes.map(({ onLink, autonomous, end, ...prefix }) => {
      return { prefix: formatCidr6(prefix), onLink, autonomous, seconds: secondsUntil(end, time) };
    }),
    nat64: nat64.map(({ end, ...prefix }) => ({ prefix: formatCidr6(prefix), seconds: secondsUntil(end, time) })),
    dns: dnsServers.map(({ address, from, end }) => {
      return { address: formatIPv6(address), from, seconds: secondsUntil(end, time) };
    }),
  };
}

function secondsLeft({ expiry }: BoundAddress, time: number): number | null {
  return secondsUntil(expiry, time);
}

function secondsUntil(end: number, time: number): number | null {
  const seconds = Math.round((end - time) / 1e6);
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

/** 0 is no address. */
export function addressText(address: number): string | null {
  return address === 0 ? null : formatIPv4(address);
}
