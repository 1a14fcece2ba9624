/** What a DHCP message must look like in either direction before its meaning is asked (docs/guard.md, DHCP, 1 to 3). */
import type { DhcpMessage } from "../wire/dhcp.ts";
import { IPV4_HEADER, totalLength } from "../wire/ipv4.ts";
import { UDP_HEADER, udpChecksumIsRight, udpLength } from "../wire/udp.ts";
import { PASS, verdictOf } from "./reasons.ts";

const CHECKSUM = verdictOf("dhcp.checksum");
const FORMAT = verdictOf("dhcp.format");
const OPERATION = verdictOf("dhcp.operation");
const HARDWARE_ADDRESS = verdictOf("dhcp.hardware-address");

const ETHERNET_HARDWARE = 1;

/** Reads the message in an unfragmented IPv4 packet without options into `message`; answers PASS or why it is none. */
export function readDhcp(bytes: Uint8Array, packet: number, op: number, mac: number, message: DhcpMessage): number {
  const length = totalLength(bytes, packet) - IPV4_HEADER;
  const datagram = packet + IPV4_HEADER;
  if (udpLength(bytes, datagram) !== length) return FORMAT;
  if (!udpChecksumIsRight(bytes, packet, length)) return CHECKSUM;
  if (!message.read(bytes, datagram + UDP_HEADER, length - UDP_HEADER)) return FORMAT;
  if (message.op !== op) return OPERATION;
  if (message.htype !== ETHERNET_HARDWARE || message.hlen !== 6 || message.chaddr !== mac) return HARDWARE_ADDRESS;
  return PASS;
}
