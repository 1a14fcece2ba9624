/**
 * ICMPv6 (RFC 4443) and what is part of it: neighbour discovery (RFC 4861), MLD (RFC 2710, RFC 3810). A view has their types
 * with ICMPV6 added, so that none is mistaken for one of IPv4's.
 */
import { get32, put16 } from "./bytes.ts";
import { addToSum, checksumOf } from "./checksum.ts";
import { IPV6_HEADER, PROTOCOL_ICMPV6, pseudoHeader6Sum } from "./ipv6.ts";

const CHECKSUM = 2;

/** Added to a type in a view's `icmpType`. */
export const ICMPV6 = 256;

export const ICMPV6_HEADER = 8;

export const ICMPV6_UNREACHABLE = ICMPV6 + 1;
export const ICMPV6_TOO_BIG = ICMPV6 + 2;
export const ICMPV6_TIME_EXCEEDED = ICMPV6 + 3;
export const ICMPV6_PARAMETER_PROBLEM = ICMPV6 + 4;
export const ICMPV6_ECHO_REQUEST = ICMPV6 + 128;
export const ICMPV6_ECHO_REPLY = ICMPV6 + 129;
export const MLD_QUERY = ICMPV6 + 130;
export const MLD_REPORT = ICMPV6 + 131;
export const MLD_DONE = ICMPV6 + 132;
export const ND_ROUTER_SOLICITATION = ICMPV6 + 133;
export const ND_ROUTER_ADVERTISEMENT = ICMPV6 + 134;
export const ND_NEIGHBOR_SOLICITATION = ICMPV6 + 135;
export const ND_NEIGHBOR_ADVERTISEMENT = ICMPV6 + 136;
export const ND_REDIRECT = ICMPV6 + 137;
export const MLD2_REPORT = ICMPV6 + 143;

/** Code of ICMPV6_UNREACHABLE: communication administratively prohibited (RFC 4443 3.1). */
export const ICMPV6_PROHIBITED = 1;
/** The same: port unreachable (RFC 4443 3.1). */
export const ICMPV6_PORT_UNREACHABLE = 4;

/** Of a Packet Too Big message: the MTU of the next link, in bytes. */
export const icmpv6Mtu = (bytes: Uint8Array, message: number): number => get32(bytes, message + 4);

/** Whether a view's type is that of an error about a packet which the message quotes. */
export function isIcmpv6Error(type: number): boolean {
  return type >= ICMPV6_UNREACHABLE && type <= ICMPV6_PARAMETER_PROBLEM;
}

/** Whether a view's type is one of neighbour discovery. */
export function isNeighborDiscovery(type: number): boolean {
  return type >= ND_ROUTER_SOLICITATION && type <= ND_REDIRECT;
}

/** Whether a view's type is one of MLD. */
export function isMld(type: number): boolean {
  return (type >= MLD_QUERY && type <= MLD_DONE) || type === MLD2_REPORT;
}

/** Whether a view's type is that of an echo request or its answer. */
export function isEcho6(type: number): boolean {
  return type === ICMPV6_ECHO_REQUEST || type === ICMPV6_ECHO_REPLY;
}

/**
 * Writes an error message behind an IPv6 header without extension headers that is already there: it quotes `length` bytes at
 * `quoted` in `source`. `type`: as views have it.
 */
export function putIcmpv6Error(
  bytes: Uint8Array,
  packet: number,
  type: number,
  code: number,
  source: Uint8Array,
  quoted: number,
  length: number,
): void {
  const message = packet + IPV6_HEADER;
  bytes.fill(0, message, message + ICMPV6_HEADER);
  bytes[message] = type - ICMPV6;
  bytes[message + 1] = code;
  for (let index = 0; index < length; index++) bytes[message + ICMPV6_HEADER + index] = source[quoted + index]!;
  const total = ICMPV6_HEADER + length;
  const sum = addToSum(pseudoHeader6Sum(bytes, packet, PROTOCOL_ICMPV6, total), bytes, message, total);
  put16(bytes, message + CHECKSUM, checksumOf(sum));
}
