/** UDP (RFC 768). Offsets count from the datagram's first byte, behind the IPv4 header. */
import { get16, put16 } from "./bytes.ts";
import { addToSum, checksumOf, foldSum } from "./checksum.ts";
import { emitIPv4, IPV4_HEADER, type IPv4Fields, PROTOCOL_UDP, pseudoHeaderSum } from "./ipv4.ts";
import { IPV6_HEADER, pseudoHeader6Sum } from "./ipv6.ts";

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const LENGTH = 4;
const CHECKSUM = 6;

export const UDP_HEADER = 8;

export const udpSourcePort = (bytes: Uint8Array, datagram: number): number => get16(bytes, datagram + SOURCE_PORT);
export const udpDestinationPort = (bytes: Uint8Array, datagram: number): number =>
  get16(bytes, datagram + DESTINATION_PORT);
/** Header and payload, as the sender claims. */
export const udpLength = (bytes: Uint8Array, datagram: number): number => get16(bytes, datagram + LENGTH);

/**
 * Whether the checksum of the UDP datagram in an IPv4 packet without options is right; a zero checksum was not computed
 * by the sender and counts as right. `length`: header and payload, within bounds.
 */
export function udpChecksumIsRight(bytes: Uint8Array, packet: number, length: number): boolean {
  const datagram = packet + IPV4_HEADER;
  if (get16(bytes, datagram + CHECKSUM) === 0) return true;
  return foldSum(addToSum(pseudoHeaderSum(bytes, packet, length), bytes, datagram, length)) === 0xffff;
}

/** The same of a datagram at `datagram` in an IPv6 packet, where a zero checksum is wrong. */
export function udpChecksum6IsRight(bytes: Uint8Array, packet: number, datagram: number, length: number): boolean {
  if (get16(bytes, datagram + CHECKSUM) === 0) return false;
  const pseudoHeader = pseudoHeader6Sum(bytes, packet, PROTOCOL_UDP, length);
  return foldSum(addToSum(pseudoHeader, bytes, datagram, length)) === 0xffff;
}

/**
 * Writes a datagram's header before its payload, with its checksum. `packet`: its IPv4 header, without
 * options; `length`: header and payload.
 */
export function putUdpHeader(
  bytes: Uint8Array,
  packet: number,
  length: number,
  sourcePort: number,
  destinationPort: number,
): void {
  const pseudoHeader = pseudoHeaderSum(bytes, packet, length);
  putFields(bytes, packet + IPV4_HEADER, length, sourcePort, destinationPort, pseudoHeader);
}

/** The same behind an IPv6 header without extension headers. */
export function putUdpHeader6(
  bytes: Uint8Array,
  packet: number,
  length: number,
  sourcePort: number,
  destinationPort: number,
): void {
  const pseudoHeader = pseudoHeader6Sum(bytes, packet, PROTOCOL_UDP, length);
  putFields(bytes, packet + IPV6_HEADER, length, sourcePort, destinationPort, pseudoHeader);
}

function putFields(
  bytes: Uint8Array,
  datagram: number,
  length: number,
  sourcePort: number,
  destinationPort: number,
  pseudoHeader: number,
): void {
  put16(bytes, datagram + SOURCE_PORT, sourcePort);
  put16(bytes, datagram + DESTINATION_PORT, destinationPort);
  put16(bytes, datagram + LENGTH, length);
  put16(bytes, datagram + CHECKSUM, 0);
  // 0 would mean that there is no checksum (RFC 768).
  put16(bytes, datagram + CHECKSUM, checksumOf(addToSum(pseudoHeader, bytes, datagram, length)) || 0xffff);
}

export interface UdpFields extends Omit<IPv4Fields, "protocol"> {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** An IPv4 packet with a UDP datagram in it. */
export function emitUdp(fields: UdpFields, payload: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(UDP_HEADER + payload.length);
  put16(datagram, SOURCE_PORT, fields.sourcePort);
  put16(datagram, DESTINATION_PORT, fields.destinationPort);
  put16(datagram, LENGTH, datagram.length);
  datagram.set(payload, UDP_HEADER);
  const packet = emitIPv4({ ...fields, protocol: PROTOCOL_UDP }, datagram);
  const sum = addToSum(pseudoHeaderSum(packet, 0, datagram.length), packet, IPV4_HEADER, datagram.length);
  put16(packet, IPV4_HEADER + CHECKSUM, checksumOf(sum) || 0xffff);
  return packet;
}
