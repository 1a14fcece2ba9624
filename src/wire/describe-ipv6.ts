/**
 * An IPv6 frame in a few words (describe.ts). It walks over the extension headers itself, since a view reads nothing of a
 * packet that its capture has cut.
 */
import { get16 } from "./bytes.ts";
import { describeDhcpv6 } from "./describe-dhcpv6.ts";
import { describeIcmpv6, icmpv6Name } from "./describe-icmpv6.ts";
import { DHCPV6_CLIENT_PORT, DHCPV6_SERVER_PORT } from "./dhcpv6.ts";
import { ETHERNET_HEADER } from "./ethernet.ts";
import { EXTENSION_DESTINATION, EXTENSION_HOP_BY_HOP, ExtensionHeaders } from "./extension-headers.ts";
import type { FrameView } from "./frame-view.ts";
import { ICMPV6, ICMPV6_HEADER, isIcmpv6Error } from "./icmpv6.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "./ipv4.ts";
import { destinationAt6, IPV6_HEADER, PROTOCOL_ICMPV6, payloadLength, sourceAt6 } from "./ipv6.ts";
import { formatIPv6, getIPv6 } from "./ipv6-address.ts";
import { IPV6_EXTENSION, IPV6_FRAGMENT, IPV6_OPTIONS, IPV6_ROUTING, SOUND } from "./malformed.ts";
import { formatTcpFlags, TCP_FLAGS_END, tcpFlags } from "./tcp.ts";
import { UDP_HEADER } from "./udp.ts";

const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [PROTOCOL_TCP, "TCP"],
  [PROTOCOL_UDP, "UDP"],
  [PROTOCOL_ICMPV6, "ICMPv6"],
]);

/** Of the frame's packet. Never throws. */
export function describeIPv6({ bytes, frame, length }: FrameView): string {
  return describePacket(bytes, frame + ETHERNET_HEADER, frame + length, describeIcmpv6) ?? "IPv6 malformed";
}

/** ICMPv6 of a packet that an error quotes: named only, so that no line grows with what is in it. */
function nameQuoted(bytes: Uint8Array, packet: number, at: number, size: number): string | undefined {
  const name = icmpv6Name(bytes, at, size);
  return name === undefined ? undefined : `${name} ${hostsOf(bytes, packet)}`;
}

/**
 * The packet at `packet` as far as it lies before `end`; undefined where that has no IPv6 header. `icmpv6`: describes one with
 * an ICMPv6 message.
 */
function describePacket(
  bytes: Uint8Array,
  packet: number,
  end: number,
  icmpv6: typeof describeIcmpv6,
): string | undefined {
  if (end - packet < IPV6_HEADER || bytes[packet]! >>> 4 !== 6) return undefined;
  const hosts = hostsOf(bytes, packet);
  const payload = payloadLength(bytes, packet);
  if (payload === 0) return `IPv6 ${hosts} without payload`;
  const last = Math.min(end, packet + IPV6_HEADER + payload);
  const walk = new ExtensionHeaders();
  const fault = walk.read(bytes, packet, last);
  if (fault !== SOUND) return `IPv6 ${hosts} ${faultText(fault, walk.protocol)}`;
  const behind = headersText(walk.extensions);
  const offset = (walk.fragmentBits & 0x1fff) * 8;
  if (offset > 0) {
    const name = PROTOCOL_NAMES.get(walk.protocol) ?? `IPv6 protocol ${walk.protocol}`;
    return `${name} fragment ${hosts} offset ${offset}${behind}`;
  }
  const first = walk.fragmentBits === 0 ? "" : " first fragment";
  const at = packet + walk.length;
  const { protocol } = walk;
  const upper =
    protocol === PROTOCOL_ICMPV6
      ? (icmpv6(bytes, packet, at, last - at) ?? `ICMPv6 cut short ${hosts}`)
      : describeUpper(bytes, packet, at, last - at, protocol);
  const isError = protocol === PROTOCOL_ICMPV6 && last > at && isIcmpv6Error(ICMPV6 + bytes[at]!);
  const about =
    isError && icmpv6 !== nameQuoted ? describePacket(bytes, at + ICMPV6_HEADER, last, nameQuoted) : undefined;
  return `${upper}${behind}${first}${about === undefined ? "" : ` about ${about}`}`;
}

/** Of another protocol than ICMPv6. */
function describeUpper(bytes: Uint8Array, packet: number, at: number, size: number, protocol: number): string {
  const hosts = hostsOf(bytes, packet);
  switch (protocol) {
    case PROTOCOL_TCP:
      if (size < TCP_FLAGS_END) return `TCP cut short ${hosts}`;
      return `TCP ${portsText(bytes, packet, at)} ${formatTcpFlags(tcpFlags(bytes, at))}`;
    case PROTOCOL_UDP: {
      if (size < UDP_HEADER) return `UDP cut short ${hosts}`;
      const ports = portsText(bytes, packet, at);
      if (!isDhcpv6(get16(bytes, at), get16(bytes, at + 2))) return `UDP ${ports}`;
      return describeDhcpv6(bytes, at, size) ?? `DHCPv6 malformed ${ports}`;
    }
    default:
      return `IPv6 protocol ${protocol} ${hosts}`;
  }
}

function portsText(bytes: Uint8Array, packet: number, at: number): string {
  const source = `[${addressAt(bytes, sourceAt6(packet))}]:${get16(bytes, at)}`;
  return `${source} > [${addressAt(bytes, destinationAt6(packet))}]:${get16(bytes, at + 2)}`;
}

function isDhcpv6(sourcePort: number, destinationPort: number): boolean {
  return (
    (sourcePort === DHCPV6_CLIENT_PORT && destinationPort === DHCPV6_SERVER_PORT) ||
    (sourcePort === DHCPV6_SERVER_PORT && destinationPort === DHCPV6_CLIENT_PORT)
  );
}

/** The headers before the upper layer; a fragment header is named where the fragment is. */
function headersText(extensions: number): string {
  const names: string[] = [];
  if ((extensions & EXTENSION_HOP_BY_HOP) !== 0) names.push("hop-by-hop");
  if ((extensions & EXTENSION_DESTINATION) !== 0) names.push("destination");
  return names.length === 0 ? "" : ` behind ${names.join(" and ")} options`;
}

/** Why the walk ended before the upper layer. */
function faultText(fault: number, next: number): string {
  switch (fault) {
    case IPV6_EXTENSION:
      return `with next header ${next}`;
    case IPV6_OPTIONS:
      return "with unusual options";
    case IPV6_ROUTING:
      return "with a routing header";
    case IPV6_FRAGMENT:
      return "with a malformed fragment";
    default:
      return "cut short";
  }
}

function hostsOf(bytes: Uint8Array, packet: number): string {
  return `${addressAt(bytes, sourceAt6(packet))} > ${addressAt(bytes, destinationAt6(packet))}`;
}

function addressAt(bytes: Uint8Array, at: number): string {
  return formatIPv6(getIPv6(bytes, at));
}
