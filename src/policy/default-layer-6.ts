/** What holds for an IPv6 address without rules: default-layer.ts for the other family. */
import { IPV6_SPACE } from "./address-space.ts";
import { type Cidr6, cidr6Of } from "./cidr-6.ts";
import {
  CLASS_GLOBAL,
  CLASS_METADATA,
  CLASS_OTHER,
  CLASS_PRIVATE,
  classOf,
  DNS_SERVER,
  GATEWAY,
  GLOBAL,
  kindOf,
  LOOPBACK,
  layerValue,
  METADATA,
  MULTICAST_GROUP,
  NOT_GLOBAL,
  ON_LINK,
} from "./default-layer.ts";
import { flatten, type IntervalsOf, overlay, type ValuedPrefix, valueAt } from "./intervals.ts";
import {
  GLOBAL_UNICAST,
  LOOPBACK_PREFIXES_6,
  METADATA_ADDRESSES_6,
  MULTICAST_6,
  PRIVATE_6,
  SPECIAL_PURPOSE_6,
} from "./special-purpose-6.ts";

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

const valued = (kind: number, addressClass: number) => (cidr: Cidr6) => ({
  cidr,
  value: layerValue(kind, addressClass),
});

/** The same in every network. */
const EVERYWHERE = flatten(IPV6_SPACE, [
  valued(NOT_GLOBAL, CLASS_OTHER)(cidr6Of(0n, 0)),
  valued(GLOBAL, CLASS_GLOBAL)(GLOBAL_UNICAST),
  ...SPECIAL_PURPOSE_6.map(
    ({ cidr, global }): ValuedPrefix<bigint> =>
      global ? valued(GLOBAL, CLASS_GLOBAL)(cidr) : valued(NOT_GLOBAL, CLASS_OTHER)(cidr),
  ),
  valued(NOT_GLOBAL, CLASS_PRIVATE)(PRIVATE_6),
  valued(MULTICAST_GROUP, CLASS_OTHER)(MULTICAST_6),
  ...METADATA_ADDRESSES_6.map(valued(METADATA, CLASS_METADATA)),
  ...LOOPBACK_PREFIXES_6.map(valued(LOOPBACK, CLASS_OTHER)),
]);

/** The layer without what is known of the network. */
export const LAYER_6_EVERYWHERE: IntervalsOf<bigint> = EVERYWHERE;

export function defaultLayer6({ routers, dnsServers, onLink, nat64 }: KnownNetwork6): IntervalsOf<bigint> {
  // What the router says of whole prefixes opens and closes unicast addresses only. On-link comes before NAT64.
  const ofNetwork = [
    overlay(IPV6_SPACE, EVERYWHERE, prefixes(nat64, GLOBAL), unlessSpecial),
    prefixes(onLink, ON_LINK),
  ] as const;
  const layer = overlay(IPV6_SPACE, ...ofNetwork, unlessSpecial);
  const hosts = new Map<bigint, number>();
  const at = (of: bigint): number => hosts.get(of) ?? valueAt(layer, of);
  const set = (of: bigint, value: number): void => {
    // The host's own addresses stay so.
    if (kindOf(at(of)) !== LOOPBACK) hosts.set(of, value);
  };
  for (const server of dnsServers) set(server, at(server) | DNS_SERVER);
  for (const router of routers) set(router, layerValue(GATEWAY, classOf(at(router))));
  const known = [...hosts].map(([of, value]) => ({ cidr: cidr6Of(of, 128), value }));
  return overlay(IPV6_SPACE, layer, flatten(IPV6_SPACE, known));
}

function prefixes(cidrs: readonly Cidr6[], kind: number): IntervalsOf<bigint> {
  return flatten(
    IPV6_SPACE,
    cidrs.map((cidr) => ({ cidr, value: kind })),
  );
}

/** A prefix's kind in place of an address's own; the class stays. */
function unlessSpecial(below: number, kind: number): number {
  const own = kindOf(below);
  return own === GLOBAL || own === NOT_GLOBAL ? layerValue(kind, classOf(below)) : below;
}
