/** What IPv6's verdicts ask of the policy (docs/guard-ipv6.md, Policy). */
import type { Rule } from "../../policy/rule.ts";
import type { Way } from "../../policy/rule-tree.ts";

/** A prefix; host bits are zero. */
export interface Cidr6 {
  readonly address: bigint;
  readonly length: number;
}

/** What IPv6's verdicts depend on besides the rules; the router and DHCPv6 say it, or the network. */
export interface KnownNetwork6 {
  /** The router's addresses, `hostAddresses6` among them. */
  readonly routers: readonly bigint[];
  readonly dnsServers: readonly bigint[];
  /** Prefixes that the router advertised as on-link, and the one that the network gave. */
  readonly onLink: readonly Cidr6[];
  /** NAT64 prefixes that the router advertised, of 96, 64, 56, 48, 40 or 32 bits. */
  readonly nat64: readonly Cidr6[];
}

/** Nothing is known of the network. */
export const NO_NETWORK_6: KnownNetwork6 = Object.freeze({
  routers: Object.freeze([]),
  dnsServers: Object.freeze([]),
  onLink: Object.freeze([]),
  nat64: Object.freeze([]),
});

export interface PolicyQuestions6 {
  /** The policy judges both directions and tracks flows. */
  readonly stateful: boolean;
  /**
   * What holds for a packet on a way, whose remote address are the four signed words at `at`, with a port or NO_PORT: a kind
   * of policy/default-layer.ts.
   */
  ask(way: Way, words: Int32Array, at: number, port: number): number;
  /** The IPv4 address that a remote address embeds, host order; -1 = none. */
  embeddedIPv4(words: Int32Array, at: number): number;
  /** The rule that decides; undefined where the default policy does. For people. */
  decidingRule(way: Way, address: bigint, port: number): Rule | undefined;
}
