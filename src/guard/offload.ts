/**
 * What a frame's sender has left to do (wire/virtio-net.ts), held against the frame: docs/guard.md, "What a sender leaves to
 * do" and 8a. The header is the guest's, and the kernel behind softnet does what it says: a checksum at another place than
 * the protocol's own would be written over a port that was judged already, and a tiny segment size would make ten thousand
 * frames of one (threat row L11).
 */
import { put16 } from "../wire/bytes.ts";
import { addToSum, checksumOf } from "../wire/checksum.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from "../wire/dhcp.ts";
import { ETHERNET_HEADER, etherType, TYPE_IPV4 } from "../wire/ethernet.ts";
import {
  fragmentBits,
  headerLength,
  IPV4_HEADER,
  ipProtocol,
  ipVersion,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  totalLength,
} from "../wire/ipv4.ts";
import { TCP_HEADER, TCP_RST, TCP_SYN, tcpFlags, tcpHeaderLength } from "../wire/tcp.ts";
import { UDP_HEADER, udpDestinationPort, udpLength, udpSourcePort } from "../wire/udp.ts";
import { COMPLETE, offloadKind, PARTIAL_TCP, PARTIAL_UDP, segmentSizeOf, VERIFIED_TCP } from "../wire/virtio-net.ts";
import { PASS, verdictOf } from "./reasons.ts";

const OFFLOAD = verdictOf("frame.offload");
const LONG = verdictOf("frame.long");

/**
 * Segments that one frame may become. Ordinary senders of TCP make up to 139: 64 KiB for a path of 552 bytes, Linux's least,
 * with 40 bytes of options.
 */
const MOST_TCP_SEGMENTS = 256;
/** Linux's own bound (UDP_MAX_SEGMENTS). */
const MOST_UDP_SEGMENTS = 128;

const UDP_CHECKSUM = 6;

/**
 * Judges the offload, not COMPLETE, of an IPv4 packet whose form is right: `length` bytes at `packet`, without the Ethernet
 * header. `mtu`: bytes of the longest packet that a segment may be. Returns PASS or a drop reason's number.
 */
export function judgeOffload(bytes: Uint8Array, packet: number, length: number, offload: number, mtu: number): number {
  const kind = offloadKind(offload);
  const isTcp = kind === PARTIAL_TCP || kind === VERIFIED_TCP;
  if (!isTcp && kind !== PARTIAL_UDP) return OFFLOAD;
  if (ipProtocol(bytes, packet) !== (isTcp ? PROTOCOL_TCP : PROTOCOL_UDP)) return OFFLOAD;
  if (fragmentBits(bytes, packet) !== 0 || totalLength(bytes, packet) !== length) return OFFLOAD;
  const size = segmentSizeOf(offload);
  if (size === 0) return PASS;
  const transport = packet + IPV4_HEADER;
  const header = isTcp ? tcpHeaderLength(bytes, transport) : UDP_HEADER;
  const payload = length - IPV4_HEADER - header;
  const most = isTcp ? MOST_TCP_SEGMENTS : MOST_UDP_SEGMENTS;
  if (header < (isTcp ? TCP_HEADER : UDP_HEADER) || payload < 0 || payload > most * size) return OFFLOAD;
  if (isTcp) {
    if ((tcpFlags(bytes, transport) & (TCP_SYN | TCP_RST)) !== 0) return OFFLOAD;
  } else if (udpLength(bytes, transport) !== length - IPV4_HEADER || hasDhcpPort(bytes, transport)) {
    return OFFLOAD;
  }
  return IPV4_HEADER + header + size > mtu ? LONG : PASS;
}

/**
 * Completes the checksum of a DHCP datagram in place, as the kernel would, so that the guard can verify it. Returns what
 * is left to do then: COMPLETE, or `offload` as it was where the frame of `length` bytes at `frame` is no such datagram.
 */
export function completeDhcp(bytes: Uint8Array, frame: number, length: number, offload: number): number {
  if (offload !== PARTIAL_UDP || length < ETHERNET_HEADER + IPV4_HEADER + UDP_HEADER) return offload;
  const packet = frame + ETHERNET_HEADER;
  const transport = packet + IPV4_HEADER;
  if (!hasDhcpPort(bytes, transport) || etherType(bytes, frame) !== TYPE_IPV4) return offload;
  if (ipVersion(bytes, packet) !== 4 || headerLength(bytes, packet) !== IPV4_HEADER) return offload;
  if (ipProtocol(bytes, packet) !== PROTOCOL_UDP || fragmentBits(bytes, packet) !== 0) return offload;
  if (totalLength(bytes, packet) !== length - ETHERNET_HEADER) return offload;
  const sum = addToSum(0, bytes, transport, length - ETHERNET_HEADER - IPV4_HEADER);
  // 0 would say that there is none.
  put16(bytes, transport + UDP_CHECKSUM, checksumOf(sum) || 0xffff);
  return COMPLETE;
}

function hasDhcpPort(bytes: Uint8Array, transport: number): boolean {
  return isDhcpPort(udpSourcePort(bytes, transport)) || isDhcpPort(udpDestinationPort(bytes, transport));
}

function isDhcpPort(port: number): boolean {
  return port === DHCP_CLIENT_PORT || port === DHCP_SERVER_PORT;
}
