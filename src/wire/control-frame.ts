/**
 * Whether a frame is one of those that keep a network working: ARP, DHCP, neighbour and router discovery, DHCPv6. They are
 * few, have limits of their own in the guard, and are never charged to a limit of bytes or packets.
 */
import { get16 } from "./bytes.ts";
import { ETHERNET_HEADER, TYPE_ARP, TYPE_IPV4, TYPE_IPV6 } from "./ethernet.ts";
import { ICMPV6, isNeighborDiscovery } from "./icmpv6.ts";
import { PROTOCOL_UDP } from "./ipv4.ts";
import { IPV6_HEADER, PROTOCOL_ICMPV6 } from "./ipv6.ts";

const TYPE = 12;
const IPV4_PROTOCOL = 9;
const IPV6_NEXT = 6;

const DHCP_SERVER = 67;
const DHCP_CLIENT = 68;
const DHCPV6_CLIENT = 546;
const DHCPV6_SERVER = 547;

/** For a frame of `length` bytes at `at` that the guard has passed, or that softnet made. */
export function isControlFrame(bytes: Uint8Array, at: number, length: number): boolean {
  if (length < ETHERNET_HEADER) return false;
  const type = get16(bytes, at + TYPE);
  if (type === TYPE_ARP) return true;
  const packet = at + ETHERNET_HEADER;
  const end = at + length;
  if (type === TYPE_IPV4) {
    const ports = packet + ((bytes[packet]! & 0x0f) << 2);
    if (ports + 4 > end || bytes[packet + IPV4_PROTOCOL] !== PROTOCOL_UDP) return false;
    return isPair(get16(bytes, ports), get16(bytes, ports + 2), DHCP_CLIENT, DHCP_SERVER);
  }
  const behind = packet + IPV6_HEADER;
  if (type !== TYPE_IPV6 || behind + 4 > end) return false;
  const next = bytes[packet + IPV6_NEXT];
  if (next === PROTOCOL_ICMPV6) return isNeighborDiscovery(ICMPV6 + bytes[behind]!);
  if (next !== PROTOCOL_UDP) return false;
  return isPair(get16(bytes, behind), get16(bytes, behind + 2), DHCPV6_CLIENT, DHCPV6_SERVER);
}

/** Whether two ports are a client's and its server's, whoever sends. */
function isPair(from: number, to: number, client: number, server: number): boolean {
  return (from === client && to === server) || (from === server && (to === client || to === server));
}
