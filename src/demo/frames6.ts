/** IPv6 frames that the demo's programs send by themselves, made of the parts in wire/; and reading the UDP in one. */

import { putMac } from "../wire/address.ts";
import { put16 } from "../wire/bytes.ts";
import { ETHERNET_HEADER, etherType, sourceMac, TYPE_IPV6 } from "../wire/ethernet.ts";
import { type Endpoint6, emitFrame6 } from "../wire/frame-6.ts";
import { ICMPV6, ND_NEIGHBOR_ADVERTISEMENT } from "../wire/icmpv6.ts";
import { PROTOCOL_UDP } from "../wire/ipv4.ts";
import { IPV6_HEADER, NEXT_DESTINATION, nextHeader, PROTOCOL_ICMPV6, payloadLength, sourceAt6 } from "../wire/ipv6.ts";
import { getIPv6, putIPv6 } from "../wire/ipv6-address.ts";
import { ALL_NODES, emitRouterAdvertisement } from "../wire/router-advertisement.ts";
import { UDP_HEADER, udpDestinationPort, udpLength, udpSourcePort } from "../wire/udp.ts";

const NEXT_HEADER = 6;
const PAYLOAD_LENGTH = 4;
/** RFC 4861 7.1: neighbour discovery never went through a router. */
const ND_HOPS = 255;
const ICMPV6_CHECKSUM = 2;

/** 33:33:00:00:00:01, all nodes of the link. */
const ALL_NODES_MAC = 0x333300000001;
const MTU = 1500;

/** A neighbour advertisement to `target`: the router's address `claimed` is at the sender's card, and counts from now on. */
export function neighbourClaim(sender: number, claimed: bigint, target: Endpoint6): Uint8Array {
  const message = new Uint8Array(32);
  message[0] = ND_NEIGHBOR_ADVERTISEMENT - ICMPV6;
  message[4] = 0xa0; // router, override (RFC 4861 4.4)
  putIPv6(message, 8, claimed);
  message.set([2, 1], 24);
  putMac(message, 26, sender);
  return emitFrame6({ mac: sender, address: claimed }, target, PROTOCOL_ICMPV6, ND_HOPS, message, ICMPV6_CHECKSUM);
}

/** A router advertisement to all nodes. `lifetime`: seconds, 0 = no router any more. `prefix`: with it, for addresses. */
export function routerClaim({ mac, address }: Endpoint6, lifetime: number, prefix?: bigint): Uint8Array {
  return emitRouterAdvertisement({
    sourceMac: mac,
    destinationMac: ALL_NODES_MAC,
    source: address,
    destination: ALL_NODES,
    hopLimit: 64,
    routerLifetime: lifetime,
    mtu: MTU,
    dns: [],
    ...(prefix !== undefined && { prefix: { address: prefix, validLifetime: 3600, preferredLifetime: 3600 } }),
  });
}

/** Puts a destination options header with padding in front of what a frame carries (RFC 8200 4.6). */
export function behindOptions(frame: Uint8Array): Uint8Array {
  const at = ETHERNET_HEADER + IPV6_HEADER;
  const hidden = new Uint8Array(frame.length + 8);
  hidden.set(frame.subarray(0, at));
  hidden.set([nextHeader(frame, ETHERNET_HEADER), 0, 1, 4], at);
  hidden.set(frame.subarray(at), at + 8);
  hidden[ETHERNET_HEADER + NEXT_HEADER] = NEXT_DESTINATION;
  put16(hidden, ETHERNET_HEADER + PAYLOAD_LENGTH, payloadLength(frame, ETHERNET_HEADER) + 8);
  return hidden;
}

export interface ReceivedUdp6 {
  readonly source: Endpoint6;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Where in the frame the payload begins, and how long it is. */
  readonly at: number;
  readonly length: number;
}

/** The UDP datagram in a frame; undefined when there is none that is whole and directly behind the IPv6 header. */
export function readUdp6(frame: Uint8Array): ReceivedUdp6 | undefined {
  const packet = ETHERNET_HEADER;
  const datagram = packet + IPV6_HEADER;
  if (frame.length < datagram + UDP_HEADER || etherType(frame, 0) !== TYPE_IPV6) return undefined;
  if (nextHeader(frame, packet) !== PROTOCOL_UDP || frame.length < datagram + udpLength(frame, datagram)) {
    return undefined;
  }
  return {
    source: { mac: sourceMac(frame, 0), address: getIPv6(frame, sourceAt6(packet)) },
    sourcePort: udpSourcePort(frame, datagram),
    destinationPort: udpDestinationPort(frame, datagram),
    at: datagram + UDP_HEADER,
    length: udpLength(frame, datagram) - UDP_HEADER,
  };
}
