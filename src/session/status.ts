/** What `status` says of a running session: numbers as numbers, addresses as text, what is not known as null. */
import type { EventFields } from "../control/events.ts";
import type { PolicyLists } from "../control/live-policy.ts";
import { MOST_FLOWS } from "../guard/flow-table.ts";
import type { Guard } from "../guard/guard.ts";
import type { BoundIPv4Address } from "../guard/types.ts";
import type { Network } from "../networks/network.ts";
import type { Snapshot } from "../relay/counters.ts";
import { version } from "../version.ts";
import { formatIPv4 } from "../wire/address.ts";

export interface State {
  readonly guard: Guard;
  readonly network: Network;
  readonly mac: string;
  readonly file: string | null;
  readonly lists: PolicyLists;
  /** What the express lane says of itself. */
  readonly lane: object;
  readonly counters: Snapshot | undefined;
  /** Microseconds on the guard's clock. */
  readonly time: number;
  /** Seconds. */
  readonly uptime: number;
}

export function describeState(state: State): object {
  const { guard, network, lists, time } = state;
  const { ipv4 } = guard.binding;
  return {
    version: version(),
    uptime: state.uptime,
    network: network.label,
    isolated: network.isolated,
    mac: state.mac,
    gateway: addressText(guard.gateway),
    binding: ipv4 === undefined ? null : describeAddress(ipv4, guard, time),
    policy: {
      ruleCount: lists.allow.length + lists.block.length,
      stateful: guard.stateful,
      file: state.file,
    },
    host: { notices: network.host?.notices ?? [] },
    flows: { inUse: guard.flows, limit: MOST_FLOWS },
    lane: state.lane,
    counters: state.counters ?? null,
  };
}

/** The key `binding` of `status` and the event of the same name: one address. */
export function describeAddress(bound: BoundIPv4Address, guard: Guard, time: number): EventFields {
  const seconds = Math.round((bound.expiry - time) / 1e6);
  return {
    address: formatIPv4(bound.address),
    origin: bound.origin,
    server: addressText(bound.server),
    gateway: addressText(guard.gateway),
    dns: bound.dnsServers.map(formatIPv4),
    seconds: Number.isFinite(seconds) ? Math.max(0, seconds) : null,
  };
}

/** 0 is no address. */
export function addressText(address: number): string | null {
  return address === 0 ? null : formatIPv4(address);
}
