/** IPv4 (RFC 791). Offsets count from the packet's first byte, behind the Ethernet header. */
import { get16, get32, put16, put32 } from "./bytes.ts";
import { addToSum, checksumOf, foldSum } from "./checksum.ts";

const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
const FLAGS_AND_OFFSET = 6;
const TIME_TO_LIVE = 8;
const PROTOCOL = 9;
const CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;

/** DF, in the upper byte of flags and offset. */
const DO_NOT_FRAGMENT = 0x40;

/** Bytes of a header without options. */
export const IPV4_HEADER = 20;
/** First byte of a header without options: version 4, and an IHL of 5 words. */
export const PLAIN_HEADER = 0x45;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_IGMP = 2;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

export const ipVersion = (bytes: Uint8Array, packet: number): number => bytes[packet]! >>> 4;
/** IHL, in bytes. */
export const headerLength = (bytes: Uint8Array, packet: number): number => (bytes[packet]! & 15) * 4;
export const totalLength = (bytes: Uint8Array, packet: number): number => get16(bytes, packet + TOTAL_LENGTH);
export const ipIdentification = (bytes: Uint8Array, packet: number): number => get16(bytes, packet + IDENTIFICATION);
export const ipProtocol = (bytes: Uint8Array, packet: number): number => bytes[packet + PROTOCOL]!;
export const sourceAddress = (bytes: Uint8Array, packet: number): number => get32(bytes, packet + SOURCE);
export const destinationAddress = (bytes: Uint8Array, packet: number): number => get32(bytes, packet + DESTINATION);
/** MF, the more fragments flag. */
export const moreFragments = (bytes: Uint8Array, packet: number): boolean =>
  (bytes[packet + FLAGS_AND_OFFSET]! & 0x20) !== 0;
/** Fragment offset in units of 8 bytes, 0 … 8,191. */
export const fragmentOffset = (bytes: Uint8Array, packet: number): number =>
  get16(bytes, packet + FLAGS_AND_OFFSET) & 0x1fff;
/** MF and fragment offset at once: 0 = the packet is whole. */
export const fragmentBits = (bytes: Uint8Array, packet: number): number =>
  get16(bytes, packet + FLAGS_AND_OFFSET) & 0x3fff;

/** Whether the checksum of a header without options is right. */
export function headerChecksumIsRight(bytes: Uint8Array, packet: number): boolean {
  // Every frame comes here, so it is written out: the loop of addToSum costs three times as much.
  const high =
    bytes[packet]! +
    bytes[packet + 2]! +
    bytes[packet + 4]! +
    bytes[packet + 6]! +
    bytes[packet + 8]! +
    bytes[packet + 10]! +
    bytes[packet + 12]! +
    bytes[packet + 14]! +
    bytes[packet + 16]! +
    bytes[packet + 18]!;
  const low =
    bytes[packet + 1]! +
    bytes[packet + 3]! +
    bytes[packet + 5]! +
    bytes[packet + 7]! +
    bytes[packet + 9]! +
    bytes[packet + 11]! +
    bytes[packet + 13]! +
    bytes[packet + 15]! +
    bytes[packet + 17]! +
    bytes[packet + 19]!;
  return foldSum((high << 8) + low) === 0xffff;
}

/** The sum of the pseudo-header that TCP and UDP checksums include (RFC 768, RFC 9293 3.1). */
export function pseudoHeaderSum(bytes: Uint8Array, packet: number, payloadLength: number): number {
  return addToSum(0, bytes, packet + SOURCE, 8) + ipProtocol(bytes, packet) + payloadLength;
}

/**
 * Writes a header without options: Don't Fragment set and identification 0 (RFC 6864 4.1), 64 hops, and its checksum.
 * `total`: header and payload, in bytes.
 */
export function putIPv4Header(
  bytes: Uint8Array,
  packet: number,
  total: number,
  protocol: number,
  source: number,
  destination: number,
): void {
  bytes.fill(0, packet, packet + IPV4_HEADER);
  bytes[packet] = PLAIN_HEADER;
  put16(bytes, packet + TOTAL_LENGTH, total);
  bytes[packet + FLAGS_AND_OFFSET] = DO_NOT_FRAGMENT;
  bytes[packet + TIME_TO_LIVE] = 64;
  bytes[packet + PROTOCOL] = protocol;
  put32(bytes, packet + SOURCE, source);
  put32(bytes, packet + DESTINATION, destination);
  put16(bytes, packet + CHECKSUM, checksumOf(addToSum(0, bytes, packet, IPV4_HEADER)));
}

export interface IPv4Fields {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly identification?: number;
  /** Hops, default 64. */
  readonly timeToLive?: number;
}

/** A whole packet without options around a payload. */
export function emitIPv4(fields: IPv4Fields, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(IPV4_HEADER + payload.length);
  packet[0] = PLAIN_HEADER;
  put16(packet, TOTAL_LENGTH, packet.length);
  put16(packet, IDENTIFICATION, fields.identification ?? 0);
  packet[TIME_TO_LIVE] = fields.timeToLive ?? 64;
  packet[PROTOCOL] = fields.protocol;
  put32(packet, SOURCE, fields.source);
  put32(packet, DESTINATION, fields.destination);
  put16(packet, CHECKSUM, checksumOf(addToSum(0, packet, 0, IPV4_HEADER)));
  packet.set(payload, IPV4_HEADER);
  return packet;
}
