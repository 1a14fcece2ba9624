/** What a DHCP message must look like in either direction before its meaning is asked (docs/guard.md, DHCP, 1 to 3). */
import type { DhcpMessage } from "../../wire/dhcp.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PASS, verdictOf } from "../reasons.ts";

const CHECKSUM = verdictOf("dhcp.checksum");
const FORMAT = verdictOf("dhcp.format");
const OPERATION = verdictOf("dhcp.operation");
const HARDWARE_ADDRESS = verdictOf("dhcp.hardware-address");

const ETHERNET_HARDWARE = 1;

/** Reads the message in a sound frame with an unfragmented UDP packet into `message`; returns PASS or why it is none. */
export function readDhcp(view: FrameView, op: number, mac: number, message: DhcpMessage): number {
  if (view.udpLength !== view.transportLength) return FORMAT;
  if (!view.udpChecksumIsRight) return CHECKSUM;
  if (!view.readDhcp(message)) return FORMAT;
  if (message.op !== op) return OPERATION;
  if (message.htype !== ETHERNET_HARDWARE || message.hlen !== 6 || message.chaddr !== mac) return HARDWARE_ADDRESS;
  return PASS;
}
