/** What an IPv4 packet must look like before its addresses are asked (docs/guard.md, IPv4, 7 and 8), in either direction. */
import { ICMP_HEADER } from "../wire/icmp.ts";
import {
  fragmentBits,
  fragmentOffset,
  headerChecksumIsRight,
  headerLength,
  IPV4_HEADER,
  ipProtocol,
  ipVersion,
  PROTOCOL_ICMP,
  PROTOCOL_IGMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  totalLength,
} from "../wire/ipv4.ts";
import { TCP_HEADER } from "../wire/tcp.ts";
import { UDP_HEADER } from "../wire/udp.ts";
import { PASS, verdictOf } from "./reasons.ts";

const FORMAT = verdictOf("ipv4.format");
const OPTIONS = verdictOf("ipv4.options");
const IGMP = verdictOf("ipv4.igmp");
const CHECKSUM = verdictOf("ipv4.checksum");
const FRAGMENT = verdictOf("ipv4.fragment");
const TRANSPORT = verdictOf("ipv4.transport");

/** The largest payload of an IPv4 packet with a header of 20 bytes. */
const LARGEST_PAYLOAD = 65_515;

/** Judges the `length` bytes behind the Ethernet header. */
export function judgeIPv4Form(bytes: Uint8Array, packet: number, length: number): number {
  if (length < IPV4_HEADER || ipVersion(bytes, packet) !== 4) return FORMAT;
  const header = headerLength(bytes, packet);
  const total = totalLength(bytes, packet);
  if (header < IPV4_HEADER || header > length || total < header || total > length) return FORMAT;
  if (header > IPV4_HEADER) return ipProtocol(bytes, packet) === PROTOCOL_IGMP ? IGMP : OPTIONS;
  if (!headerChecksumIsRight(bytes, packet)) return CHECKSUM;
  const payload = total - IPV4_HEADER;
  const fragment = fragmentBits(bytes, packet);
  const offset = fragmentOffset(bytes, packet);
  if (offset > 0) return offset === 1 || offset * 8 + payload > LARGEST_PAYLOAD ? FRAGMENT : PASS;
  if (payload >= TCP_HEADER || payload >= transportHeader(ipProtocol(bytes, packet))) return PASS;
  return fragment === 0 ? TRANSPORT : FRAGMENT;
}

/** Bytes that a protocol's header needs before it can be judged. */
function transportHeader(protocol: number): number {
  switch (protocol) {
    case PROTOCOL_TCP:
      return TCP_HEADER;
    case PROTOCOL_UDP:
      return UDP_HEADER;
    case PROTOCOL_ICMP:
      return ICMP_HEADER;
    default:
      return 0;
  }
}
