/**
 * One frame in a few words for people: `ARP who-has 192.168.64.1 tell 192.168.64.9`. For replay's table and for log
 * lines, so it takes any bytes, tells only what is really there, and puts out nothing but fixed words and numbers:
 * printable ASCII, whatever a guest sends.
 *
 * It judges nothing. A packet whose IPv4 total length runs past the frame is told as far as it goes, since a capture's
 * snapshot length cuts innocent packets too.
 */
import { formatIPv4, formatMac } from "./address.ts";
import {
  ARP_REPLY,
  ARP_REQUEST,
  arpOperation,
  isArpForIPv4,
  senderHardwareAddress,
  senderProtocolAddress,
  targetProtocolAddress,
} from "./arp.ts";
import { get16 } from "./bytes.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessage } from "./dhcp.ts";
import { ETHERNET_HEADER, etherType, TYPE_ARP, TYPE_IPV4, TYPE_IPV6 } from "./ethernet.ts";
import { icmpCode, icmpType } from "./icmp.ts";
import {
  destinationAddress,
  fragmentOffset,
  headerLength,
  IPV4_HEADER,
  ipProtocol,
  ipVersion,
  moreFragments,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  sourceAddress,
  totalLength,
} from "./ipv4.ts";
import {
  TCP_ACK,
  TCP_FIN,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  TCP_URG,
  tcpDestinationPort,
  tcpFlags,
  tcpSourcePort,
} from "./tcp.ts";
import { UDP_HEADER, udpDestinationPort, udpLength, udpSourcePort } from "./udp.ts";
import { COMPLETE, MALFORMED, offloadKind, segmentSizeOf } from "./virtio-net.ts";

/** Tag protocol identifiers (IEEE 802.1Q, 802.1ad, and the older Q-in-Q); a tag is followed by the type within. */
const VLAN_TYPES: readonly number[] = [0x8100, 0x88a8, 0x9100];
const VLAN_TAG = 4;

/** A type field up to this is a length (IEEE 802.3). */
const LARGEST_LENGTH = 1500;

/** How much of a transport header is needed to tell it: TCP up to its flags, ICMP's type and code. */
const TCP_TOLD = 14;
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

const TCP_FLAG_NAMES: readonly (readonly [flag: number, name: string])[] = [
  [TCP_SYN, "SYN"],
  [TCP_FIN, "FIN"],
  [TCP_RST, "RST"],
  [TCP_PSH, "PSH"],
  [TCP_ACK, "ACK"],
  [TCP_URG, "URG"],
];

/** By option 53 (RFC 2132 9.6). */
const DHCP_NAMES = ["", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"] as const;

/**
 * Describes the frame `bytes[offset] … bytes[offset + length - 1]`. `offload`: what its sender has left to do
 * (virtio-net.ts). Never throws.
 */
export function describeFrame(bytes: Uint8Array, offset: number, length: number, offload = COMPLETE): string {
  const what = describeComplete(bytes, offset, length);
  if (offloadKind(offload) === MALFORMED) return `${what} with a malformed virtio-net header`;
  const size = segmentSizeOf(offload);
  return size === 0 ? what : `${what} large, segments of ${size} bytes`;
}

function describeComplete(bytes: Uint8Array, offset: number, length: number): string {
  if (length < ETHERNET_HEADER) return `${length} ${length === 1 ? "byte" : "bytes"}`;
  const type = etherType(bytes, offset);
  const payload = offset + ETHERNET_HEADER;
  const payloadLength = length - ETHERNET_HEADER;
  if (type === TYPE_ARP) return describeArp(bytes, payload, payloadLength);
  if (type === TYPE_IPV4) return describeIPv4(bytes, payload, payloadLength);
  if (type === TYPE_IPV6) return "IPv6";
  if (type <= LARGEST_LENGTH) return `802.3 length ${type}`;
  if (VLAN_TYPES.includes(type)) {
    if (payloadLength < VLAN_TAG) return `VLAN ${hex(type, 4)} cut short`;
    return `VLAN ${hex(type, 4)} id ${get16(bytes, payload) & 0xfff} type ${hex(get16(bytes, payload + 2), 4)}`;
  }
  return `type ${hex(type, 4)}`;
}

function describeArp(bytes: Uint8Array, packet: number, length: number): string {
  if (!isArpForIPv4(bytes, packet, length)) return "ARP malformed";
  const operation = arpOperation(bytes, packet);
  const sender = formatIPv4(senderProtocolAddress(bytes, packet));
  const target = formatIPv4(targetProtocolAddress(bytes, packet));
  if (operation === ARP_REPLY) return `ARP ${sender} is-at ${formatMac(senderHardwareAddress(bytes, packet))}`;
  if (operation !== ARP_REQUEST) return `ARP operation ${operation}`;
  // RFC 5227 section 2.1.1: asking with no address of one's own; section 2.3: telling one's own to everyone.
  if (sender === "0.0.0.0") return `ARP probe ${target}`;
  return sender === target ? `ARP announcement ${sender}` : `ARP who-has ${target} tell ${sender}`;
}

function describeIPv4(bytes: Uint8Array, packet: number, length: number): string {
  if (length < IPV4_HEADER || ipVersion(bytes, packet) !== 4) return "IPv4 malformed";
  const header = headerLength(bytes, packet);
  const end = Math.min(totalLength(bytes, packet), length);
  if (header < IPV4_HEADER || header > end) return "IPv4 malformed";
  const protocol = ipProtocol(bytes, packet);
  const name = PROTOCOL_NAMES.get(protocol) ?? `IPv4 protocol ${protocol}`;
  const source = formatIPv4(sourceAddress(bytes, packet));
  const destination = formatIPv4(destinationAddress(bytes, packet));
  const hosts = `${source} > ${destination}`;
  const part = fragmentOffset(bytes, packet) * 8;
  if (part > 0) return `${name} fragment ${hosts} offset ${part}`;
  const first = moreFragments(bytes, packet) ? " first fragment" : "";
  const at = packet + header;
  const size = end - header;
  switch (protocol) {
    case PROTOCOL_UDP: {
      if (size < UDP_HEADER) break;
      const ports = [udpSourcePort(bytes, at), udpDestinationPort(bytes, at)] as const;
      const udp = `${source}:${ports[0]} > ${destination}:${ports[1]}`;
      if (!isDhcp(...ports)) return `UDP ${udp}${first}`;
      const message = Math.min(udpLength(bytes, at), size) - UDP_HEADER;
      return `${describeDhcp(bytes, at + UDP_HEADER, message) ?? `DHCP malformed ${udp}`}${first}`;
    }
    case PROTOCOL_TCP: {
      if (size < TCP_TOLD) break;
      const flags = tcpFlags(bytes, at);
      const names = TCP_FLAG_NAMES.filter(([flag]) => (flags & flag) !== 0).map(([, flag]) => flag);
      const ports = `${source}:${tcpSourcePort(bytes, at)} > ${destination}:${tcpDestinationPort(bytes, at)}`;
      return `TCP ${ports} [${names.join(" ")}]${first}`;
    }
    case PROTOCOL_ICMP: {
      if (size < ICMP_TOLD) break;
      const type = icmpType(bytes, at);
      const known = ICMP_NAMES.get(type);
      return `ICMP ${known ?? `type ${type} code ${icmpCode(bytes, at)}`} ${hosts}${first}`;
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

/** A DHCP message with the addresses that it is about; undefined when the bytes are none. */
function describeDhcp(bytes: Uint8Array, at: number, length: number): string | undefined {
  const message = new DhcpMessage();
  if (!message.read(bytes, at, length)) return undefined;
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
