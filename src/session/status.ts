/** What `status` says of a running session: numbers as numbers, addresses as text, what is not known as null. */
import type { EventFields } from "../control/events.ts";
import type { PolicyLists } from "../control/live-policy.ts";
import { MOST_FLOWS } from "../guard/flow-table.ts";
import type { Guard } from "../guard/guard.ts";
import type { Binding } from "../guard/types.ts";
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
  readonly counters: Snapshot | undefined;
  /** Microseconds on the guard's clock. */
  readonly time: number;
  /** Seconds. */
  readonly uptime: number;
}

export function describeState(state: State): object {
  const { guard, network, lists, time } = state;
  const { binding } = guard;
  return {
    version: version(),
    uptime: state.uptime,
    network: network.label,
    isolated: network.isolated,
    mac: state.mac,
    gateway: addressText(guard.gateway),
    binding: binding === undefined ? null : describeBinding(binding, guard, time),
    policy: {
      ruleCount: lists.allow.length + lists.block.length,
      stateful: guard.stateful,
      file: state.file,
    },
    host: { notices: network.host?.notices ?? [] },
    flows: { inUse: guard.flows, limit: MOST_FLOWS },
    counters: state.counters ?? null,
  };
}

export function describeBinding(binding: Binding, guard: Guard, time: number): EventFields {
  const seconds = Math.round((binding.expiry - time) / 1e6);
  return {
    address: formatIPv4(binding.address),
    origin: binding.origin,
    server: addressText(binding.server),
    gateway: addressText(guard.gateway),
    dns: binding.dnsServers.map(formatIPv4),
    seconds: Number.isFinite(seconds) ? Math.max(0, seconds) : null,
  };
}

/** 0 is no address. */
export function addressText(address: number): string | null {
  return address === 0 ? null : formatIPv4(address);
}
