/**
 * Fields that a sender leaves to its network card, as a capture on the sending host shows them: a checksum that is only
 * the pseudo-header's sum (Linux's CHECKSUM_PARTIAL, other systems alike), an IPv4 header checksum of 0, a total length
 * of 0 before segmentation. The card fills them in before the frame is on the wire.
 */
import { get16, put16 } from "./bytes.ts";
import { addToSum, checksumOf, foldSum } from "./checksum.ts";
import { ETHERNET_HEADER, etherType, TYPE_IPV4, TYPE_IPV6 } from "./ethernet.ts";
import {
  fragmentBits,
  headerChecksumIsRight,
  headerLength,
  IPV4_HEADER,
  ipProtocol,
  ipVersion,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  pseudoHeaderSum,
  totalLength,
} from "./ipv4.ts";
import { IPV6_HEADER, nextHeader, payloadLength, pseudoHeader6Sum } from "./ipv6.ts";

const TOTAL_LENGTH = 2;
const HEADER_CHECKSUM = 10;
/** Where TCP and UDP have their checksum, and the least bytes of a header that has one. */
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;

/**
 * Whether the frame of `length` bytes has fields left to the card. With `finish`, they are filled in as the card would
 * do.
 */
export function isLeftToCard(bytes: Uint8Array, frame: number, length: number, finish: boolean): boolean {
  const packet = frame + ETHERNET_HEADER;
  const room = length - ETHERNET_HEADER;
  if (room >= IPV6_HEADER && etherType(bytes, frame) === TYPE_IPV6) return isLeftToCard6(bytes, packet, room, finish);
  if (room < IPV4_HEADER || etherType(bytes, frame) !== TYPE_IPV4) return false;
  if (ipVersion(bytes, packet) !== 4 || headerLength(bytes, packet) !== IPV4_HEADER) return false;
  const withoutLength = totalLength(bytes, packet) === 0;
  const total = withoutLength ? room : totalLength(bytes, packet);
  if (total < IPV4_HEADER || total > room || total > 0xffff) return false;
  const withoutSum = get16(bytes, packet + HEADER_CHECKSUM) === 0 && !headerChecksumIsRight(bytes, packet);
  if (finish) {
    if (withoutLength) put16(bytes, packet + TOTAL_LENGTH, total);
    if (withoutLength || withoutSum) {
      put16(bytes, packet + HEADER_CHECKSUM, 0);
      put16(bytes, packet + HEADER_CHECKSUM, checksumOf(addToSum(0, bytes, packet, IPV4_HEADER)));
    }
  }
  const payload = total - IPV4_HEADER;
  const protocol = fragmentBits(bytes, packet) === 0 ? ipProtocol(bytes, packet) : -1;
  const pseudo = pseudoHeaderSum(bytes, packet, payload);
  const transport = hasPartialChecksum(bytes, packet + IPV4_HEADER, payload, protocol, pseudo, finish);
  return withoutLength || withoutSum || transport;
}

/** The same of an IPv6 packet without extension headers. */
function isLeftToCard6(bytes: Uint8Array, packet: number, room: number, finish: boolean): boolean {
  const payload = payloadLength(bytes, packet);
  if (bytes[packet]! >>> 4 !== 6 || payload === 0 || IPV6_HEADER + payload > room) return false;
  const protocol = nextHeader(bytes, packet);
  const pseudo = pseudoHeader6Sum(bytes, packet, protocol, payload);
  return hasPartialChecksum(bytes, packet + IPV6_HEADER, payload, protocol, pseudo, finish);
}

/**
 * Whether the checksum of TCP or UDP in `payload` bytes at `at` is the pseudo-header's sum, and not by chance the right one
 * too.
 */
function hasPartialChecksum(
  bytes: Uint8Array,
  at: number,
  payload: number,
  protocol: number,
  pseudo: number,
  finish: boolean,
): boolean {
  const place = protocol === PROTOCOL_TCP ? TCP_CHECKSUM : protocol === PROTOCOL_UDP ? UDP_CHECKSUM : -1;
  if (place < 0 || payload < place + 2) return false;
  const field = at + place;
  // Before segmentation some systems leave the length out of the sum.
  const partial = get16(bytes, field) === foldSum(pseudo) || get16(bytes, field) === foldSum(pseudo - payload);
  if (!partial || foldSum(addToSum(pseudo, bytes, at, payload)) === 0xffff) return false;
  if (finish) {
    put16(bytes, field, 0);
    const sum = checksumOf(addToSum(pseudo, bytes, at, payload));
    put16(bytes, field, sum === 0 && protocol === PROTOCOL_UDP ? 0xffff : sum);
  }
  return true;
}
