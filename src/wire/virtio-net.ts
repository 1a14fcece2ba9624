/**
 * The virtio-net header (virtio 1.2, 5.1.6): 10 bytes in front of a frame that say what its sender has left to do: a
 * checksum, or cutting a large frame into segments. Numbers in it are little-endian.
 *
 * What a header says becomes one number, the frame's *offload*, which travels beside offset and length: 0 where the frame
 * is complete, else one of the kinds below, with the segment size in its low 16 bits, of IPv4 or of IPv6. docs/guard.md has
 * the table. The number is the header's word alone: guard/offload.ts checks it against the frame. A header is never passed
 * on; a port that sends has one written from the number and the frame. A checksum that is neither the frame's own TCP nor
 * UDP checksum is completed before anything reads the frame.
 */
import { put16 } from "./bytes.ts";
import { addToSum, checksumOf, foldSum } from "./checksum.ts";
import { ETHERNET_HEADER, etherType, TYPE_IPV6 } from "./ethernet.ts";
import { IPV4_HEADER, PROTOCOL_TCP, pseudoHeaderSum } from "./ipv4.ts";
import { IPV6_HEADER, pseudoHeader6Sum } from "./ipv6.ts";
import { tcpHeaderLength } from "./tcp.ts";
import { UDP_HEADER } from "./udp.ts";

/** Bytes of the header, without the count of buffers that some devices add. */
export const VIRTIO_NET_HEADER = 10;

const FLAGS = 0;
const TYPE = 1;
const HEADER_LENGTH = 2;
const SEGMENT_SIZE = 4;
const CHECKSUM_START = 6;
const CHECKSUM_OFFSET = 8;

const NEEDS_CHECKSUM = 1;
const DATA_VALID = 2;

const NOT_SEGMENTED = 0;
const SEGMENTED_TCP = 1;
const SEGMENTED_TCP6 = 4;
/** Of either family. */
const SEGMENTED_UDP = 5;
/** A bit beside TCP's two: the segment has CWR set, which only the first one may keep (RFC 3168 6.1.2). */
const WITH_ECN = 0x80;

/** Where the transport header begins behind Ethernet and an IPv4 header without options, an IPv6 one without extensions. */
const TRANSPORT = ETHERNET_HEADER + IPV4_HEADER;
const TRANSPORT6 = ETHERNET_HEADER + IPV6_HEADER;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const TCP_CWR = 0x80;
const TCP_FLAGS = 13;

/** Nothing is left to do: the frame is as it will be on the wire. */
export const COMPLETE = 0;
/** TCP's checksum is the sum of the pseudo-header, which the last receiver completes. */
export const PARTIAL_TCP = 0x1_0000;
/** The same for UDP. */
export const PARTIAL_UDP = 0x2_0000;
/** Large TCP whose checksum the sender has verified. */
export const VERIFIED_TCP = 0x4_0000;
/** A header that no frame can have. */
export const MALFORMED = 0x8_0000;
/**
 * A checksum that is not where IPv4's TCP and UDP have theirs, as of IPv6, or of what is carried in a tunnel:
 * `completeElsewhere` says what it is. No frame has this kind when it is judged.
 */
export const ELSEWHERE = 0x10_0000;
/** A bit beside the first three: of IPv6. */
export const OF_IPV6 = 0x20_0000;
export const PARTIAL_TCP6 = PARTIAL_TCP | OF_IPV6;
export const PARTIAL_UDP6 = PARTIAL_UDP | OF_IPV6;
export const VERIFIED_TCP6 = VERIFIED_TCP | OF_IPV6;

/** Bytes of payload in each segment that the frame will be cut into, the last one's excepted; 0 = it is none such. */
export const segmentSizeOf = (offload: number): number => offload & 0xffff;
/** PARTIAL_TCP, PARTIAL_UDP, VERIFIED_TCP, one of the same of IPv6, MALFORMED or COMPLETE. */
export const offloadKind = (offload: number): number => offload & ~0xffff;

/** The offload that the 10 bytes at `at` say, or ELSEWHERE. */
export function readVirtioNetHeader(bytes: Uint8Array, at: number): number {
  const flags = bytes[at + FLAGS]!;
  const type = bytes[at + TYPE]!;
  if (type === NOT_SEGMENTED) {
    if (flags === 0 || flags === DATA_VALID) return COMPLETE;
    return flags === NEEDS_CHECKSUM ? partialKind(bytes, at) : MALFORMED;
  }
  const size = little16(bytes, at + SEGMENT_SIZE);
  const version = type & ~WITH_ECN;
  const isTcp = version === SEGMENTED_TCP || version === SEGMENTED_TCP6;
  if (size === 0 || (!isTcp && type !== SEGMENTED_UDP)) return MALFORMED;
  if (flags === DATA_VALID && isTcp) return (version === SEGMENTED_TCP ? VERIFIED_TCP : VERIFIED_TCP6) | size;
  if (flags !== NEEDS_CHECKSUM) return MALFORMED;
  const inIPv4 = version === SEGMENTED_TCP || (!isTcp && little16(bytes, at + CHECKSUM_START) === TRANSPORT);
  const kind = inIPv4 ? partialKind(bytes, at) : partialKind6(bytes, at);
  const wanted = (isTcp ? PARTIAL_TCP : PARTIAL_UDP) | (inIPv4 ? 0 : OF_IPV6);
  return kind === wanted ? kind | size : MALFORMED;
}

/**
 * Says what a checksum ELSEWHERE is in the frame of `length` bytes whose header is in front of it: PARTIAL_TCP6 or
 * PARTIAL_UDP6 where it is IPv6's own. Any other is completed, as the kernel would, so that every reader gets what will be
 * on the wire. Then returns COMPLETE, or MALFORMED where the place is in front of what IPv4 carries or not in the frame.
 */
export function completeElsewhere(bytes: Uint8Array, frame: number, length: number): number {
  if (length >= ETHERNET_HEADER && etherType(bytes, frame) === TYPE_IPV6) {
    const kind = partialKind6(bytes, frame - VIRTIO_NET_HEADER);
    if (kind !== ELSEWHERE) return kind;
  }
  const start = little16(bytes, frame - VIRTIO_NET_HEADER + CHECKSUM_START);
  const field = start + little16(bytes, frame - VIRTIO_NET_HEADER + CHECKSUM_OFFSET);
  if (start < TRANSPORT || field + 2 > length) return MALFORMED;
  // 0 would say of UDP that there is none, and of the others it is the same number.
  put16(bytes, frame + field, checksumOf(addToSum(0, bytes, frame + start, length - start)) || 0xffff);
  return COMPLETE;
}

/**
 * Writes the header of a frame that the guard has passed with this offload into the 10 bytes in front of it. VERIFIED_TCP
 * becomes partial here: the sum of the pseudo-header replaces its checksum.
 */
export function putVirtioNetHeader(bytes: Uint8Array, frame: number, length: number, offload: number): void {
  const at = frame - VIRTIO_NET_HEADER;
  for (let index = at; index < frame; index++) bytes[index] = 0;
  if (offload === COMPLETE) return;
  const isUdp = (offload & PARTIAL_UDP) !== 0;
  const inIPv6 = (offload & OF_IPV6) !== 0;
  const transport = inIPv6 ? TRANSPORT6 : TRANSPORT;
  bytes[at + FLAGS] = NEEDS_CHECKSUM;
  putLittle16(bytes, at + CHECKSUM_START, transport);
  putLittle16(bytes, at + CHECKSUM_OFFSET, isUdp ? UDP_CHECKSUM : TCP_CHECKSUM);
  if ((offload & VERIFIED_TCP) !== 0) makePartial(bytes, frame, length, inIPv6);
  const headers = transport + (isUdp ? UDP_HEADER : tcpHeaderLength(bytes, frame + transport));
  const size = segmentSizeOf(offload);
  if (size === 0 || length - headers <= size) return; // one segment is not cut
  const tcp = inIPv6 ? SEGMENTED_TCP6 : SEGMENTED_TCP;
  const withEcn = !isUdp && (bytes[frame + transport + TCP_FLAGS]! & TCP_CWR) !== 0;
  bytes[at + TYPE] = isUdp ? SEGMENTED_UDP : withEcn ? tcp | WITH_ECN : tcp;
  putLittle16(bytes, at + HEADER_LENGTH, headers);
  putLittle16(bytes, at + SEGMENT_SIZE, size);
}

/** Which protocol's checksum in IPv4 the header's place is; ELSEWHERE where it is neither's. */
function partialKind(bytes: Uint8Array, at: number): number {
  if (little16(bytes, at + CHECKSUM_START) !== TRANSPORT) return ELSEWHERE;
  const offset = little16(bytes, at + CHECKSUM_OFFSET);
  return offset === TCP_CHECKSUM ? PARTIAL_TCP : offset === UDP_CHECKSUM ? PARTIAL_UDP : ELSEWHERE;
}

/** The same in IPv6. */
function partialKind6(bytes: Uint8Array, at: number): number {
  if (little16(bytes, at + CHECKSUM_START) !== TRANSPORT6) return ELSEWHERE;
  const offset = little16(bytes, at + CHECKSUM_OFFSET);
  return offset === TCP_CHECKSUM ? PARTIAL_TCP6 : offset === UDP_CHECKSUM ? PARTIAL_UDP6 : ELSEWHERE;
}

function makePartial(bytes: Uint8Array, frame: number, length: number, inIPv6: boolean): void {
  const packet = frame + ETHERNET_HEADER;
  const transport = inIPv6 ? TRANSPORT6 : TRANSPORT;
  const sum = inIPv6
    ? pseudoHeader6Sum(bytes, packet, PROTOCOL_TCP, length - transport)
    : pseudoHeaderSum(bytes, packet, length - transport);
  put16(bytes, frame + transport + TCP_CHECKSUM, foldSum(sum));
}

function little16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function putLittle16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}
