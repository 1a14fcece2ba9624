/**
 * What holds for an address without rules: its kind, by which the default policy decides (the IANA registry, multicast,
 * metadata, broadcast, the gateway, DNS servers), and its class: which of `@private`, `@global` and `@metadata` covers it.
 */
import { LIMITED_BROADCAST } from "../wire/address.ts";
import { IPV4_SPACE } from "./address-space.ts";
import { type Cidr, directedBroadcastOf } from "./cidr.ts";
import { flatten, type Intervals, overlay, type Valued, valueAt } from "./intervals.ts";
import { isLoopback, METADATA_ADDRESSES, MULTICAST, PRIVATE, SPECIAL_PURPOSE } from "./special-purpose.ts";

/** Globally routable. */
export const GLOBAL = 0;
/** A rule allows it. */
export const ALLOWED = 1;
/** A rule blocks it. */
export const BLOCKED = 2;
export const GATEWAY = 3;
/** Not globally routable. */
export const NOT_GLOBAL = 4;
export const MULTICAST_GROUP = 5;
/** The limited broadcast address, or the directed one of the VM's subnet. */
export const BROADCAST = 6;
export const METADATA = 7;
/** 0.0.0.0/8 and 127.0.0.0/8. */
export const LOOPBACK = 8;
/** To the VM, and no rule covers it. */
export const INBOUND = 9;
/** IPv6 only: in a prefix that the router advertised as on-link. */
export const ON_LINK = 10;
/** Added to a kind (but ALLOWED, BLOCKED, GATEWAY and LOOPBACK): a DNS server that DHCP announced. */
export const DNS_SERVER = 16;

/** A value of the layer is a kind and a class. */
const KIND_BITS = 5;
export const kindOf = (value: number): number => value & ((1 << KIND_BITS) - 1);
export const classOf = (value: number): number => value >>> KIND_BITS;
/** A value of the layer. */
export const layerValue = (kind: number, addressClass: number): number => kind | (addressClass << KIND_BITS);

/** None of `@private`, `@global` and `@metadata`. */
export const CLASS_OTHER = 0;
/** Covered by `@private`. */
export const CLASS_PRIVATE = 1;
/** Covered by `@global`. */
export const CLASS_GLOBAL = 2;
/** Covered by `@metadata`. */
export const CLASS_METADATA = 3;
export const CLASSES = 4;
export const ALL_CLASSES: readonly number[] = Object.freeze([CLASS_OTHER, CLASS_PRIVATE, CLASS_GLOBAL, CLASS_METADATA]);

/** What verdicts depend on besides the rules; it comes with the binding. Addresses in host order, 0 = none. */
export interface KnownNetwork {
  readonly gateway: number;
  /** The bound address and its netmask: they give the directed broadcast address. */
  readonly address: number;
  readonly netmask: number;
  readonly dnsServers: readonly number[];
}

/** Nothing is known of the network. */
export const NO_NETWORK: KnownNetwork = Object.freeze({
  gateway: 0,
  address: 0,
  netmask: 0,
  dnsServers: Object.freeze([]),
});

const host = (address: number): Cidr => ({ address, length: 32 });
const isPrivate = (cidr: Cidr): boolean =>
  PRIVATE.some(({ address, length }) => address === cidr.address && length === cidr.length);

function registered(cidr: Cidr, global: boolean): number {
  if (isLoopback(cidr.address)) return layerValue(LOOPBACK, CLASS_OTHER);
  if (global) return layerValue(GLOBAL, CLASS_GLOBAL);
  return layerValue(NOT_GLOBAL, isPrivate(cidr) ? CLASS_PRIVATE : CLASS_OTHER);
}

/** The same in every network. */
const EVERYWHERE: Intervals = flatten(IPV4_SPACE, [
  { cidr: { address: 0, length: 0 }, value: layerValue(GLOBAL, CLASS_GLOBAL) },
  ...SPECIAL_PURPOSE.map(({ cidr, global }): Valued => ({ cidr, value: registered(cidr, global) })),
  { cidr: MULTICAST, value: layerValue(MULTICAST_GROUP, CLASS_OTHER) },
  ...METADATA_ADDRESSES.map((cidr): Valued => ({ cidr, value: layerValue(METADATA, CLASS_METADATA) })),
  { cidr: host(LIMITED_BROADCAST), value: layerValue(BROADCAST, CLASS_OTHER) },
]);

export function defaultLayer({ gateway, address, netmask, dnsServers }: KnownNetwork): Intervals {
  const hosts = new Map<number, number>();
  const at = (of: number): number => hosts.get(of) ?? valueAt(EVERYWHERE, of);
  const broadcast = directedBroadcastOf(address, netmask);
  const set = (of: number, value: number): void => {
    // The host's own addresses stay so.
    if (!isLoopback(of)) hosts.set(of, value);
  };
  set(broadcast, layerValue(BROADCAST, classOf(at(broadcast))));
  for (const server of dnsServers) set(server, at(server) | DNS_SERVER);
  set(gateway, layerValue(GATEWAY, classOf(at(gateway))));
  const known = flatten(
    IPV4_SPACE,
    [...hosts].map(([of, value]) => ({ cidr: host(of), value })),
  );
  return overlay(IPV4_SPACE, EVERYWHERE, known);
}
