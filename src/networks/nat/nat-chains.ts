/**
 * Which TCP ports a host's NAT rules take away from the host itself: what both nftables and iptables come down to here,
 * and the walk through it. Whatever a rule asks besides protocol and port (where a packet comes from, its address, a mark)
 * is taken as given: a port counts as published as soon as some packet to it may be translated.
 */
import { EVERY_PORT, intersect, type PortRange } from "./port-ranges.ts";

export interface NatRule {
  /** The TCP ports whose packets the rule may apply to; empty: none, it is for another protocol. */
  readonly ports: readonly PortRange[];
  /** Translates them, or leads to another chain. */
  readonly target: { readonly kind: "publish" } | { readonly kind: "jump"; readonly chain: string };
}

/** By the name of the chain. */
export type NatChains = ReadonlyMap<string, readonly NatRule[]>;

/** The ports that are published by the chain `start`, and by those that it leads to. */
export function publishedFrom(chains: NatChains, start: string): PortRange[] {
  const found: PortRange[] = [];
  const been = new Set<string>();
  const waiting: [string, readonly PortRange[]][] = [[start, EVERY_PORT]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [name, among] = next;
    const visit = `${name} ${among.join(" ")}`;
    if (been.has(visit)) continue;
    been.add(visit);
    for (const { ports, target } of chains.get(name) ?? []) {
      const common = intersect(among, ports);
      if (common.length === 0) continue;
      if (target.kind === "publish") found.push(...common);
      else waiting.push([target.chain, common]);
    }
  }
  return found;
}
