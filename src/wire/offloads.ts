/**
 * Fields that a sender leaves to its network card, as a capture on the sending host shows them: a checksum that is only
 * the pseudo-header's sum (Linux's CHECKSUM_PARTIAL, other systems alike), an IPv4 header checksum of 0, a total length
 * of 0 before segmentation. The card fills them in before the frame is on the wire.
 */
import { get16, put16 } from "./bytes.ts";
import { addToSum, checksumOf, foldSum } from "./checksum.ts";
import { ETHERNET_HEADER, etherType, TYPE_IPV4 } from "./ethernet.ts";
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
  const transport = hasPartialChecksum(bytes, packet, total, finish);
  return withoutLength || withoutSum || transport;
}

/** Whether a whole TCP or UDP packet's checksum is the pseudo-header's sum, and not by chance the right one too. */
function hasPartialChecksum(bytes: Uint8Array, packet: number, total: number, finish: boolean): boolean {
  const protocol = ipProtocol(bytes, packet);
  const at = protocol === PROTOCOL_TCP ? TCP_CHECKSUM : protocol === PROTOCOL_UDP ? UDP_CHECKSUM : -1;
  const payload = total - IPV4_HEADER;
  if (at < 0 || fragmentBits(bytes, packet) !== 0 || payload < at + 2) return false;
  const field = packet + IPV4_HEADER + at;
  const pseudo = pseudoHeaderSum(bytes, packet, payload);
  // Before segmentation some systems leave the length out of the sum.
  const partial = get16(bytes, field) === foldSum(pseudo) || get16(bytes, field) === foldSum(pseudo - payload);
  if (!partial || foldSum(addToSum(pseudo, bytes, packet + IPV4_HEADER, payload)) === 0xffff) return false;
  if (finish) {
    put16(bytes, field, 0);
    const sum = checksumOf(addToSum(pseudo, bytes, packet + IPV4_HEADER, payload));
    put16(bytes, field, sum === 0 && protocol === PROTOCOL_UDP ? 0xffff : sum);
  }
  return true;
}
