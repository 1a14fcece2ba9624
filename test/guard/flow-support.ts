/** What the tests of flows share: segments, pings and ICMP errors in both directions, and a VM that is bound. */
import type { GuardOptions } from "../../src/index.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { put16 } from "../../src/wire/bytes.ts";
import { addToSum, checksumOf } from "../../src/wire/checksum.ts";
import { ACK_FLAG, segment, type TcpWords } from "./segment.ts";
import { ADDRESS, Bench, bytes, GATEWAY_MAC, ICMP, join, type PacketWords, packet, TCP, udp, VM } from "./support.ts";

export { ACK_FLAG, FIN, RST, SYN } from "./segment.ts";

/** A remote address that is globally routable, and others of its kind. */
export const REMOTE = "93.184.216.34";
export const remote = (index: number): string => `93.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;

export type SegmentWords = PacketWords & TcpWords;

/** From the VM's port 40,000 to REMOTE's port 443, a bare SYN, unless told otherwise. */
export function tcpOut(words: SegmentWords = {}): Uint8Array {
  return packet(TCP, segment(words.own ?? 40_000, words.port ?? 443, words), { destination: REMOTE, ...words });
}

const inbound = (words: PacketWords): PacketWords => ({
  source: REMOTE,
  destination: ADDRESS,
  from: GATEWAY_MAC,
  to: VM,
  ...words,
});

/** The other way round. */
export function tcpIn(words: SegmentWords = {}): Uint8Array {
  return packet(TCP, segment(words.port ?? 443, words.own ?? 40_000, words), inbound(words));
}

export const udpOut = (words: SegmentWords = {}): Uint8Array =>
  udp(words.own ?? 40_000, words.port ?? 443, { destination: REMOTE, ...words }, words.data);
export const udpIn = (words: SegmentWords = {}): Uint8Array =>
  udp(words.port ?? 443, words.own ?? 40_000, inbound(words), words.data);

export interface EchoWords extends PacketWords {
  readonly identifier?: number;
}

function echo(type: number, identifier: number): Uint8Array {
  const message = bytes(type, 0, 0, 0, identifier >>> 8, identifier & 255, 0, 1);
  put16(message, 2, checksumOf(addToSum(0, message, 0, 8)));
  return message;
}

/** Type 8 asks, type 0 answers. */
export const echoOut = (type: number, words: EchoWords = {}): Uint8Array =>
  packet(ICMP, echo(type, words.identifier ?? 7), { destination: REMOTE, ...words });
export const echoIn = (type: number, words: EchoWords = {}): Uint8Array =>
  packet(ICMP, echo(type, words.identifier ?? 7), inbound(words));

/** An ICMP error's message about a frame: its IPv4 header and the 8 bytes behind it. */
export function quoting(frame: Uint8Array, type = 3, length = 28): Uint8Array {
  const message = join(bytes(type, 1, 0, 0, 0, 0, 0, 0), frame.subarray(14, 14 + length));
  put16(message, 2, checksumOf(addToSum(0, message, 0, message.length)));
  return message;
}

/** An error to the VM about a frame that it sent, from a router on the way; and one from the VM. */
export const errorIn = (about: Uint8Array, words: PacketWords = {}, type = 3): Uint8Array =>
  packet(ICMP, quoting(about, type), inbound({ source: "8.8.4.4", ...words }));
export const errorOut = (about: Uint8Array, words: PacketWords = {}, type = 3): Uint8Array =>
  packet(ICMP, quoting(about, type), { destination: REMOTE, ...words });

/** The middle of a connection: a segment with ACK. */
export const middle: SegmentWords = { flags: ACK_FLAG };

/** A policy that tracks flows and changes no verdict by itself: nothing has a broadcast address to itself. */
export const TRACKING: Partial<GuardOptions> = { allow: ["out 192.0.2.255/32"] };

/** A bench with a static address, so that hours may pass. */
export function tracking(options: Partial<GuardOptions> = TRACKING): Bench {
  return new Bench({ address: ADDRESS, ...options });
}

/** Puts other rules into force; answers how many flows ended. */
export function change(bench: Bench, allow: readonly string[], block: readonly string[] = []): number {
  return bench.guard.setRules(parseRules(allow, block));
}

/** How many flows are live now. */
export function flowsOf(bench: Bench): number {
  bench.guard.advance(bench.now);
  return bench.guard.flows;
}

/** A policy that is closed from outside, and so judges by flows. */
export const CLOSED = { block: ["in 0.0.0.0/0"] };
