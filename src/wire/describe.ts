/**
 * One frame in a few words for people: `ARP who-has 192.168.64.1 tell 192.168.64.9`. For replay's table and for log
 * lines, so it takes any bytes, says only what is really there, and puts out nothing but fixed words and numbers:
 * printable ASCII, whatever a guest sends.
 *
 * It judges nothing. A packet whose IPv4 total length runs past the frame is described as far as it goes, since a capture's
 * snapshot length cuts innocent packets too.
 */
import { formatIPv4, formatMac } from "./address.ts";
import { ARP_REPLY, ARP_REQUEST } from "./arp.ts";
import { get16 } from "./bytes.ts";
import { describeIPv6 } from "./describe-ipv6.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessage } from "./dhcp.ts";
import { ETHERNET_HEADER, TYPE_ARP, TYPE_IPV4, TYPE_IPV6 } from "./ethernet.ts";
import type { FrameView } from "./frame-view.ts";
import { IPV4_HEADER, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "./ipv4.ts";
import { IPV4_VERSION, SHORT, SOUND } from "./malformed.ts";
import { formatTcpFlags, TCP_FLAGS_END } from "./tcp.ts";
import { UDP_HEADER } from "./udp.ts";
import { MALFORMED, offloadKind, segmentSizeOf } from "./virtio-net.ts";

/** Tag protocol identifiers (IEEE 802.1Q, 802.1ad, and the older Q-in-Q); a tag is followed by the type within. */
const VLAN_TYPES: readonly number[] = [0x8100, 0x88a8, 0x9100];
const VLAN_TAG = 4;

/** A type field up to this is a length (IEEE 802.3). */
const LARGEST_LENGTH = 1500;

/** How much of ICMP is needed to describe it: type and code. */
const ICMP_TOLD = 2;

const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [PROTOCOL_ICMP, "ICMP"],
  [2, "IGMP"],
  [PROTOCOL_TCP, "TCP"],
  [PROTOCOL_UDP, "UDP"],
]);

/** RFC 792 and RFC 1256. */
const ICMP_NAMES: ReadonlyMap<number, string> = new Map([
  [0, "echo reply"],
  [3, "unreachable"],
  [5, "redirect"],
  [8, "echo request"],
  [9, "router advertisement"],
  [10, "router solicitation"],
  [11, "time exceeded"],
]);

/** By option 53 (RFC 2132 9.6). */
const DHCP_NAMES = ["", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"] as const;

/** Describes a frame, and what its sender has left to do. Never throws. */
export function describeFrame(view: FrameView): string {
  const what = describeComplete(view);
  if (offloadKind(view.offload) === MALFORMED) return `${what} with a malformed virtio-net header`;
  const size = segmentSizeOf(view.offload);
  return size === 0 ? what : `${what} large, segments of ${size} bytes`;
}

function describeComplete(view: FrameView): string {
  const { malformed, length, type } = view;
  if (malformed === SHORT) return `${length} ${length === 1 ? "byte" : "bytes"}`;
  if (type === TYPE_ARP) return describeArp(view);
  if (type === TYPE_IPV4) return describeIPv4(view);
  if (type === TYPE_IPV6) return describeIPv6(view);
  if (type <= LARGEST_LENGTH) return `802.3 length ${type}`;
  if (!VLAN_TYPES.includes(type)) return `type ${hex(type, 4)}`;
  if (length < ETHERNET_HEADER + VLAN_TAG) return `VLAN ${hex(type, 4)} cut short`;
  const { bytes, packet: tag } = view;
  return `VLAN ${hex(type, 4)} id ${get16(bytes, tag) & 0xfff} type ${hex(get16(bytes, tag + 2), 4)}`;
}

function describeArp(view: FrameView): string {
  if (view.malformed !== SOUND) return "ARP malformed";
  const { arpOperation: operation } = view;
  const sender = formatIPv4(view.senderProtocol);
  const target = formatIPv4(view.targetProtocol);
  if (operation === ARP_REPLY) return `ARP ${sender} is-at ${formatMac(view.senderHardware)}`;
  if (operation !== ARP_REQUEST) return `ARP operation ${operation}`;
  // RFC 5227 section 2.1.1: asking with no address of one's own; section 2.3: telling one's own to everyone.
  if (sender === "0.0.0.0") return `ARP probe ${target}`;
  return sender === target ? `ARP announcement ${sender}` : `ARP who-has ${target} tell ${sender}`;
}

function describeIPv4(view: FrameView): string {
  const { malformed, headerLength, transportLength: size, protocol, sourcePort, destinationPort } = view;
  if (malformed === IPV4_VERSION || headerLength < IPV4_HEADER || size < 0) return "IPv4 malformed";
  const name = PROTOCOL_NAMES.get(protocol) ?? `IPv4 protocol ${protocol}`;
  const source = formatIPv4(view.source);
  const destination = formatIPv4(view.destination);
  const hosts = `${source} > ${destination}`;
  const part = view.fragmentOffset * 8;
  if (part > 0) return `${name} fragment ${hosts} offset ${part}`;
  const first = view.moreFragments ? " first fragment" : "";
  const ports = `${source}:${sourcePort} > ${destination}:${destinationPort}`;
  switch (protocol) {
    case PROTOCOL_UDP:
      if (size < UDP_HEADER) break;
      if (!isDhcp(sourcePort, destinationPort)) return `UDP ${ports}${first}`;
      return `${describeDhcp(view) ?? `DHCP malformed ${ports}`}${first}`;
    case PROTOCOL_TCP:
      if (size < TCP_FLAGS_END) break;
      return `TCP ${ports} ${formatTcpFlags(view.tcpFlags)}${first}`;
    case PROTOCOL_ICMP: {
      if (size < ICMP_TOLD) break;
      const known = ICMP_NAMES.get(view.icmpType);
      return `ICMP ${known ?? `type ${view.icmpType} code ${view.icmpCode}`} ${hosts}${first}`;
    }
    default:
      return `${name} ${hosts}${first}`;
  }
  return `${name} cut short ${hosts}${first}`;
}

function isDhcp(sourcePort: number, destinationPort: number): boolean {
  return (
    (sourcePort === DHCP_CLIENT_PORT && destinationPort === DHCP_SERVER_PORT) ||
    (sourcePort === DHCP_SERVER_PORT && destinationPort === DHCP_CLIENT_PORT)
  );
}

/** A DHCP message with the addresses that it is about; undefined when the payload is none. */
function describeDhcp(view: FrameView): string | undefined {
  const message = new DhcpMessage();
  const length = Math.min(view.udpLength, view.transportLength) - UDP_HEADER;
  if (!message.read(view.bytes, view.transport + UDP_HEADER, length)) return undefined;
  const words = [
    `DHCP ${DHCP_NAMES[message.messageType] ?? `type ${message.messageType}`}`,
    `xid ${hex(message.xid, 8)}`,
  ];
  const tell = (word: string, address: number) => {
    if (address !== 0) words.push(`${word} ${formatIPv4(address)}`);
  };
  tell("from", message.ciaddr);
  tell("asks", message.requestedAddress);
  tell("gives", message.yiaddr);
  tell("server", message.serverIdentifier);
  return words.join(" ");
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}
