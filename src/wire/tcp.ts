/** TCP's ports and flags (RFC 9293 3.1). Offsets count from the segment's first byte, behind the IPv4 header. */
import { get16, get32, put16, put32 } from "./bytes.ts";
import { addToSum, checksumOf, foldSum } from "./checksum.ts";
import { IPV4_HEADER, PROTOCOL_TCP, pseudoHeaderSum } from "./ipv4.ts";
import { IPV6_HEADER, pseudoHeader6Sum } from "./ipv6.ts";

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const SEQUENCE = 4;
const ACKNOWLEDGEMENT = 8;
const DATA_OFFSET = 12;
const FLAGS = 13;
const CHECKSUM = 16;

/** Bytes of a header without options: a first fragment must contain it. */
export const TCP_HEADER = 20;
/** Bytes up to the end of its flags. */
export const TCP_FLAGS_END = 14;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;

export const tcpSourcePort = (bytes: Uint8Array, segment: number): number => get16(bytes, segment + SOURCE_PORT);
export const tcpDestinationPort = (bytes: Uint8Array, segment: number): number =>
  get16(bytes, segment + DESTINATION_PORT);
/** Sequence number of the first byte. */
export const tcpSequence = (bytes: Uint8Array, segment: number): number => get32(bytes, segment + SEQUENCE);
export const tcpAcknowledgement = (bytes: Uint8Array, segment: number): number =>
  get32(bytes, segment + ACKNOWLEDGEMENT);
/** Length of the header with its options, in bytes, as the sender claims. */
export const tcpHeaderLength = (bytes: Uint8Array, segment: number): number =>
  (bytes[segment + DATA_OFFSET]! >>> 4) * 4;
export const tcpFlags = (bytes: Uint8Array, segment: number): number => bytes[segment + FLAGS]!;

/** Options: the two of one byte, and Multipath TCP (RFC 8684 3). */
const OPTION_END = 0;
const OPTION_NONE = 1;
export const OPTION_MULTIPATH = 30;
/** Kind and length, which every other option begins with. */
const OPTION_HEADER = 2;

/**
 * Whether a segment has an option of a kind, or options that are malformed, in which somebody else may see one. The header, as
 * long as the segment says, must be there.
 */
export function mayHaveTcpOption(bytes: Uint8Array, segment: number, kind: number): boolean {
  const end = segment + tcpHeaderLength(bytes, segment);
  for (let at = segment + TCP_HEADER; at < end && bytes[at] !== OPTION_END; ) {
    if (bytes[at] === kind) return true;
    if (bytes[at] === OPTION_NONE) {
      at++;
      continue;
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < OPTION_HEADER || at + length > end) return true;
    at += length;
  }
  return false;
}

const FLAG_NAMES: readonly (readonly [flag: number, name: string])[] = [
  [TCP_SYN, "SYN"],
  [TCP_FIN, "FIN"],
  [TCP_RST, "RST"],
  [TCP_PSH, "PSH"],
  [TCP_ACK, "ACK"],
  [TCP_URG, "URG"],
];

/** For people: `[SYN ACK]`. */
export function formatTcpFlags(flags: number): string {
  const names = FLAG_NAMES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name);
  return `[${names.join(" ")}]`;
}

/** Whether a segment asks for a connection: SYN without ACK. */
export const isBareSyn = (flags: number): boolean => (flags & (TCP_SYN | TCP_ACK)) === TCP_SYN;

/**
 * Writes a segment without options behind an IPv4 header that is already there, with its checksum; window 0. `data`: bytes
 * behind the header, which are there already.
 */
export function putTcp(
  bytes: Uint8Array,
  packet: number,
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  acknowledgement: number,
  flags: number,
  data = 0,
): void {
  const length = TCP_HEADER + data;
  putFields(bytes, packet + IPV4_HEADER, sourcePort, destinationPort, sequence, acknowledgement, flags);
  putChecksum(bytes, packet + IPV4_HEADER, pseudoHeaderSum(bytes, packet, length), length);
}

/** The same behind an IPv6 header without extension headers. */
export function putTcp6(
  bytes: Uint8Array,
  packet: number,
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  acknowledgement: number,
  flags: number,
  data = 0,
): void {
  const length = TCP_HEADER + data;
  putFields(bytes, packet + IPV6_HEADER, sourcePort, destinationPort, sequence, acknowledgement, flags);
  putChecksum(bytes, packet + IPV6_HEADER, pseudoHeader6Sum(bytes, packet, PROTOCOL_TCP, length), length);
}

/** Whether the checksum of a whole segment of `length` bytes, header and data, is right. `pseudoHeader`: its sum. */
export function tcpChecksumIsRight(bytes: Uint8Array, segment: number, length: number, pseudoHeader: number): boolean {
  return foldSum(addToSum(pseudoHeader, bytes, segment, length)) === 0xffff;
}

function putFields(
  bytes: Uint8Array,
  segment: number,
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  acknowledgement: number,
  flags: number,
): void {
  bytes.fill(0, segment, segment + TCP_HEADER);
  put16(bytes, segment + SOURCE_PORT, sourcePort);
  put16(bytes, segment + DESTINATION_PORT, destinationPort);
  put32(bytes, segment + SEQUENCE, sequence);
  put32(bytes, segment + ACKNOWLEDGEMENT, acknowledgement);
  bytes[segment + DATA_OFFSET] = (TCP_HEADER / 4) << 4;
  bytes[segment + FLAGS] = flags;
}

function putChecksum(bytes: Uint8Array, segment: number, pseudoHeader: number, length: number): void {
  put16(bytes, segment + CHECKSUM, checksumOf(addToSum(pseudoHeader, bytes, segment, length)));
}
