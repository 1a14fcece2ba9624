/** A DHCPv6 message (RFC 8415) in a few words: its type, its transaction, and the addresses that it is about. */
import { DHCPV6_ADVERTISE, DHCPV6_REPLY, Dhcpv6Message } from "./dhcpv6.ts";
import { formatIPv6 } from "./ipv6-address.ts";
import { UDP_HEADER, udpLength } from "./udp.ts";

/** RFC 8415 7.3, RFC 9686. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [1, "SOLICIT"],
  [2, "ADVERTISE"],
  [3, "REQUEST"],
  [4, "CONFIRM"],
  [5, "RENEW"],
  [6, "REBIND"],
  [7, "REPLY"],
  [8, "RELEASE"],
  [9, "DECLINE"],
  [10, "RECONFIGURE"],
  [11, "INFORMATION-REQUEST"],
  [12, "RELAY-FORW"],
  [13, "RELAY-REPL"],
  [36, "ADDR-REG-INFORM"],
  [37, "ADDR-REG-REPLY"],
]);

/** Of the UDP datagram at `at` with `size` bytes, 8 or more; undefined where its payload is no such message. */
export function describeDhcpv6(bytes: Uint8Array, at: number, size: number): string | undefined {
  const message = new Dhcpv6Message();
  const length = Math.min(udpLength(bytes, at), size) - UDP_HEADER;
  if (!message.read(bytes, at + UDP_HEADER, length)) return undefined;
  const { type, xid, addresses } = message;
  const words = `DHCPv6 ${NAMES.get(type) ?? `type ${type}`} xid 0x${xid.toString(16).padStart(6, "0")}`;
  if (addresses === 0) return words;
  const verb = type === DHCPV6_ADVERTISE || type === DHCPV6_REPLY ? "gives" : "names";
  const more = addresses > 1 ? ` and ${addresses - 1} more` : "";
  return `${words} ${verb} ${formatIPv6(message.addressOf(0))}${more}`;
}
