/**
 * What a frame's sender has left to do (wire/virtio-net.ts), held against the frame: docs/guard.md, "What a sender leaves to
 * do" and 8a, and for IPv6 docs/guard-ipv6.md, 6. The header is the guest's, and the kernel behind softnet does what it says: a checksum at another place than
 * the protocol's own would be written over a port that was judged already, and a tiny segment size would make ten thousand
 * frames of one (threat row L11).
 */
import { put16 } from "../wire/bytes.ts";
import { addToSum, checksumOf } from "../wire/checksum.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT } from "../wire/dhcp.ts";
import { DHCPV6_CLIENT_PORT, DHCPV6_SERVER_PORT } from "../wire/dhcpv6.ts";
import { ETHERNET_HEADER, TYPE_IPV4, TYPE_IPV6 } from "../wire/ethernet.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { IPV4_HEADER, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";
import { SOUND } from "../wire/malformed.ts";
import { TCP_HEADER, TCP_RST, TCP_SYN, tcpHeaderLength } from "../wire/tcp.ts";
import { UDP_HEADER, udpLength } from "../wire/udp.ts";
import {
  COMPLETE,
  OF_IPV6,
  offloadKind,
  PARTIAL_TCP,
  PARTIAL_UDP,
  PARTIAL_UDP6,
  segmentSizeOf,
  VERIFIED_TCP,
} from "../wire/virtio-net.ts";
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
 * Judges the offload, not COMPLETE, of an IPv4 or IPv6 packet whose form is right. `mtu`: bytes of the longest packet that a
 * segment may be. Returns PASS or a drop reason's number.
 */
export function judgeOffload(view: FrameView, mtu: number): number {
  const { bytes, packet, protocol, offload } = view;
  const length = view.length - ETHERNET_HEADER;
  const inIPv6 = view.type === TYPE_IPV6;
  const header = inIPv6 ? IPV6_HEADER : IPV4_HEADER;
  const kind = offloadKind(offload) ^ (inIPv6 ? OF_IPV6 : 0); // a kind of the other family is none
  const isTcp = kind === PARTIAL_TCP || kind === VERIFIED_TCP;
  if (!isTcp && kind !== PARTIAL_UDP) return OFFLOAD;
  if (protocol !== (isTcp ? PROTOCOL_TCP : PROTOCOL_UDP) || view.headerLength !== header) return OFFLOAD;
  if (view.fragmentBits !== 0 || view.totalLength !== length) return OFFLOAD;
  const size = segmentSizeOf(offload);
  if (size === 0) return PASS;
  const transport = packet + header;
  const transportHeader = isTcp ? tcpHeaderLength(bytes, transport) : UDP_HEADER;
  const payload = length - header - transportHeader;
  const most = isTcp ? MOST_TCP_SEGMENTS : MOST_UDP_SEGMENTS;
  if (transportHeader < (isTcp ? TCP_HEADER : UDP_HEADER) || payload < 0 || payload > most * size) return OFFLOAD;
  if (isTcp) {
    if ((view.tcpFlags & (TCP_SYN | TCP_RST)) !== 0) return OFFLOAD;
  } else if (udpLength(bytes, transport) !== length - header || hasDhcpPort(view)) {
    return OFFLOAD;
  }
  return header + transportHeader + size > mtu ? LONG : PASS;
}

/**
 * Completes the checksum of a DHCP or DHCPv6 datagram in place, as the kernel would, so that the guard can verify it, and
 * sets the view's offload to COMPLETE then. Any other frame stays as it is.
 */
export function completeDhcp(view: FrameView): void {
  const { type, offload } = view;
  const left =
    (type === TYPE_IPV4 && offload === PARTIAL_UDP && view.malformed === SOUND) ||
    (type === TYPE_IPV6 && offload === PARTIAL_UDP6 && view.headerLength === IPV6_HEADER);
  if (!left || view.protocol !== PROTOCOL_UDP || view.fragmentBits !== 0 || !hasDhcpPort(view)) return;
  const { bytes, transport, headerLength, totalLength } = view;
  if (totalLength !== view.length - ETHERNET_HEADER || totalLength < headerLength + UDP_HEADER) return;
  const sum = addToSum(0, bytes, transport, totalLength - headerLength);
  // 0 would say that there is none.
  put16(bytes, transport + UDP_CHECKSUM, checksumOf(sum) || 0xffff);
  view.offload = COMPLETE;
}

function hasDhcpPort({ type, sourcePort, destinationPort }: FrameView): boolean {
  return type === TYPE_IPV6
    ? isDhcpv6Port(sourcePort) || isDhcpv6Port(destinationPort)
    : isDhcpPort(sourcePort) || isDhcpPort(destinationPort);
}

function isDhcpPort(port: number): boolean {
  return port === DHCP_CLIENT_PORT || port === DHCP_SERVER_PORT;
}

function isDhcpv6Port(port: number): boolean {
  return port === DHCPV6_CLIENT_PORT || port === DHCPV6_SERVER_PORT;
}
