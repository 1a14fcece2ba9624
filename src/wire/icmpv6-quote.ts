/** The packet that an ICMPv6 error quotes (RFC 4443 2.4 (c)), as far as it must be known to tell whose packet it was. */
import { get16 } from "./bytes.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "./ipv4.ts";
import { IPV6_HEADER, NEXT_FRAGMENT, nextHeader, PROTOCOL_ICMPV6 } from "./ipv6.ts";

const FRAGMENT_HEADER = 8;
/** Of the upper layer: ports, or an echo's type and identifier, lie within. */
const UPPER_LAYER = 8;

/**
 * Bytes between the beginning of the packet quoted at `quoted` and its upper layer: TCP, UDP or ICMPv6, directly behind the
 * IPv6 header or behind one fragment header with offset 0, and 8 bytes of that within `room` bytes. 0 where it is not so.
 */
export function quotedHeaderLength(bytes: Uint8Array, quoted: number, room: number): number {
  if (room < IPV6_HEADER + UPPER_LAYER || bytes[quoted]! >>> 4 !== 6) return 0;
  const next = nextHeader(bytes, quoted);
  if (isUpperLayer(next)) return IPV6_HEADER;
  if (next !== NEXT_FRAGMENT || room < IPV6_HEADER + FRAGMENT_HEADER + UPPER_LAYER) return 0;
  const fragment = quoted + IPV6_HEADER;
  // Behind another offset no upper layer's header stands.
  return get16(bytes, fragment + 2) >>> 3 === 0 && isUpperLayer(bytes[fragment]!) ? IPV6_HEADER + FRAGMENT_HEADER : 0;
}

/** The upper layer's protocol of a packet that has this many bytes before it. */
export function quotedNextHeader(bytes: Uint8Array, quoted: number, headerLength: number): number {
  return headerLength === IPV6_HEADER ? nextHeader(bytes, quoted) : bytes[quoted + IPV6_HEADER]!;
}

function isUpperLayer(protocol: number): boolean {
  return protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP || protocol === PROTOCOL_ICMPV6;
}
