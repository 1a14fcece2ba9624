/**
 * Router advertisements (RFC 4861 4.2), written as whole Ethernet frames. Addresses are bigints of 128 bits
 * (ipv6-address.ts), times are whole seconds of 32 bits (0xffffffff: for ever), the router lifetime of 16.
 */

import { putMac } from "./address.ts";
import { put16, put32 } from "./bytes.ts";
import { addToSum, checksumOf } from "./checksum.ts";
import { ETHERNET_HEADER, putEthernet, TYPE_IPV6 } from "./ethernet.ts";
import { ICMPV6, ND_ROUTER_ADVERTISEMENT, ND_ROUTER_SOLICITATION } from "./icmpv6.ts";
import { IPV6_HEADER, nextHeader, PROTOCOL_ICMPV6, pseudoHeader6Sum, putIPv6Header } from "./ipv6.ts";
import { getIPv6, putIPv6 } from "./ipv6-address.ts";

/** RFC 4861 6.1.2: a router's neighbour discovery never went through another router. */
const HOP_LIMIT = 255;

/** Fields of the message, from its first byte. */
const FIELDS = { type: 0, code: 1, checksum: 2, hopLimit: 4, flags: 5, routerLifetime: 6, size: 16 } as const;
/** Options: type, length in units of 8 bytes. */
const SOURCE_LINK_LAYER = 1;
const PREFIX_INFORMATION = 3;
const MTU = 5;
/** RFC 8106 5.1. */
const RECURSIVE_DNS_SERVER = 25;
/** What hosts make addresses of (RFC 4291 2.5.1). */
const PREFIX_LENGTH = 64;
/** Flags of prefix information: on-link, and for addresses (RFC 4861 4.6.2). */
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;

/** ff02::1, all nodes of the link. */
export const ALL_NODES = 0xff020000000000000000000000000001n;

export interface RouterAdvertisement {
  readonly sourceMac: number;
  readonly destinationMac: number;
  /** The router's link-local address (RFC 4861 6.1.2). */
  readonly source: bigint;
  readonly destination: bigint;
  /** What hosts put into the hop limit of their packets. */
  readonly hopLimit: number;
  /** 0: it is no default router (any more). */
  readonly routerLifetime: number;
  /** Bytes of the largest packet on the link, 1,280 or more. */
  readonly mtu: number;
  readonly prefix?: {
    /** The first address of a /64. */
    readonly address: bigint;
    readonly validLifetime: number;
    readonly preferredLifetime: number;
  };
  readonly dns: readonly DnsServers[];
}

/** Recursive DNS servers, in the order of preference. `lifetime` 0: they are to be forgotten. */
export interface DnsServers {
  /** At most 127; none, no option. */
  readonly servers: readonly bigint[];
  readonly lifetime: number;
}

/** The frame. Managed and other configuration (M, O) are off: there is no DHCPv6. */
export function emitRouterAdvertisement(advertisement: RouterAdvertisement): Uint8Array {
  const { sourceMac, destinationMac, source, destination } = advertisement;
  const options = optionsOf(advertisement);
  const length = options.reduce<number>((sum, each) => sum + each.length, FIELDS.size);
  const message = ETHERNET_HEADER + IPV6_HEADER;
  const frame = new Uint8Array(message + length);
  putEthernet(frame, 0, destinationMac, sourceMac, TYPE_IPV6);
  putIPv6Header(frame, ETHERNET_HEADER, length, PROTOCOL_ICMPV6, HOP_LIMIT, source, destination);
  frame[message + FIELDS.type] = ND_ROUTER_ADVERTISEMENT - ICMPV6;
  frame[message + FIELDS.hopLimit] = advertisement.hopLimit;
  put16(frame, message + FIELDS.routerLifetime, advertisement.routerLifetime);
  let at: number = message + FIELDS.size;
  for (const option of options) {
    frame.set(option, at);
    at += option.length;
  }
  const pseudoHeader = pseudoHeader6Sum(frame, ETHERNET_HEADER, PROTOCOL_ICMPV6, length);
  put16(frame, message + FIELDS.checksum, checksumOf(addToSum(pseudoHeader, frame, message, length)));
  return frame;
}

/**
 * The source of a router solicitation (RFC 4861 4.1); undefined for any other frame. Only what tells it apart is looked at:
 * who calls has checked its form.
 */
export function solicitingSource(bytes: Uint8Array, frame: number, length: number): bigint | undefined {
  return isNeighbourDiscovery(bytes, frame, length, ND_ROUTER_SOLICITATION)
    ? getIPv6(bytes, frame + ETHERNET_HEADER + 8)
    : undefined;
}

/** Whether a frame is a router advertisement, without extension headers, which the kernel's own hosts would take. */
export function isRouterAdvertisement(bytes: Uint8Array, frame: number, length: number): boolean {
  return isNeighbourDiscovery(bytes, frame, length, ND_ROUTER_ADVERTISEMENT);
}

function isNeighbourDiscovery(bytes: Uint8Array, frame: number, length: number, type: number): boolean {
  const packet = frame + ETHERNET_HEADER;
  return (
    length >= ETHERNET_HEADER + IPV6_HEADER + 8 &&
    bytes[frame + 12] === TYPE_IPV6 >>> 8 &&
    bytes[frame + 13] === (TYPE_IPV6 & 0xff) &&
    nextHeader(bytes, packet) === PROTOCOL_ICMPV6 &&
    bytes[packet + IPV6_HEADER] === type - ICMPV6
  );
}

function optionsOf({ sourceMac, mtu, prefix, dns }: RouterAdvertisement): Uint8Array[] {
  const linkLayer = option(SOURCE_LINK_LAYER, 1);
  putMac(linkLayer, 2, sourceMac);
  const largest = option(MTU, 1);
  put32(largest, 4, mtu);
  const options = [linkLayer, largest];
  if (prefix !== undefined) {
    const information = option(PREFIX_INFORMATION, 4);
    information[2] = PREFIX_LENGTH;
    information[3] = ON_LINK | AUTONOMOUS;
    put32(information, 4, prefix.validLifetime);
    put32(information, 8, prefix.preferredLifetime);
    putIPv6(information, 16, prefix.address);
    options.push(information);
  }
  for (const { servers, lifetime } of dns) {
    if (servers.length === 0) continue;
    const resolvers = option(RECURSIVE_DNS_SERVER, 1 + 2 * servers.length);
    put32(resolvers, 4, lifetime);
    for (const [index, server] of servers.entries()) putIPv6(resolvers, 8 + 16 * index, server);
    options.push(resolvers);
  }
  return options;
}

/** `length` in units of 8 bytes. */
function option(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(8 * length);
  bytes[0] = type;
  bytes[1] = length;
  return bytes;
}
