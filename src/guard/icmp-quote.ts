/**
 * What an ICMP error quotes must be a packet that its receiver has sent (docs/guard.md, IPv4; threat row I14): hosts believe
 * quotations of others, too.
 */
import { ICMP_HEADER } from "../wire/icmp.ts";
import {
  destinationAddress,
  fragmentBits,
  fragmentOffset,
  IPV4_HEADER,
  sourceAddress,
  totalLength,
} from "../wire/ipv4.ts";

/** Version 4 and a header without options. */
const PLAIN_HEADER = 0x45;

/** A header without options and 8 bytes more (RFC 792). */
const QUOTED_LENGTH = IPV4_HEADER + 8;

/** Where an error of good form quotes its packet. */
export const quotedPacket = (packet: number): number => packet + IPV4_HEADER + ICMP_HEADER;

/** Whether an ICMP error is about a packet that its own destination has sent. */
function quotesItsReceiver(bytes: Uint8Array, packet: number): boolean {
  // In pieces the quotation could be written over behind its first one.
  if (fragmentBits(bytes, packet) !== 0) return false;
  if (totalLength(bytes, packet) < IPV4_HEADER + ICMP_HEADER + QUOTED_LENGTH) return false;
  const quoted = quotedPacket(packet);
  return (
    bytes[quoted] === PLAIN_HEADER &&
    fragmentOffset(bytes, quoted) === 0 &&
    sourceAddress(bytes, quoted) === destinationAddress(bytes, packet)
  );
}

/** Whether an ICMP error to the VM is about a packet from its own address, in host order; 0 = it has none. */
export function isAboutPacketOf(own: number, bytes: Uint8Array, packet: number): boolean {
  return own !== 0 && destinationAddress(bytes, packet) === own && quotesItsReceiver(bytes, packet);
}

/** Whether an ICMP error from the VM is about a packet to its own address, from where the error goes. */
export function isAboutPacketTo(own: number, bytes: Uint8Array, packet: number): boolean {
  return quotesItsReceiver(bytes, packet) && destinationAddress(bytes, quotedPacket(packet)) === own;
}
