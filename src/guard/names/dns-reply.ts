/** The datagram with softnet's own answer to a question by UDP, in the server's place (docs/guard-names.md). */
import { LONGEST_DNS_ANSWER } from "../../wire/dns-message.ts";
import { ETHERNET_HEADER, putEthernet, SHORTEST_FRAME, TYPE_IPV6 } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { IPV4_HEADER, PROTOCOL_UDP, putIPv4Header } from "../../wire/ipv4.ts";
import { IPV6_HEADER, putIPv6HeaderOfWords } from "../../wire/ipv6.ts";
import { TCP_HEADER } from "../../wire/tcp.ts";
import { putUdpHeader, putUdpHeader6, UDP_HEADER } from "../../wire/udp.ts";
import type { DnsGate } from "./dns-gate.ts";

/** Bytes of the longest frame that answers by name: with IPv6, by TCP, a question of the longest name and EDNS. */
export const LONGEST_NAME_ANSWER = ETHERNET_HEADER + IPV6_HEADER + TCP_HEADER + LONGEST_DNS_ANSWER;

/** Writes the frame to `out` at `at` and returns its length; 0 = there is no answer. */
export function putDnsReply(gate: DnsGate, view: FrameView, verdict: number, out: Uint8Array, at: number): number {
  const ipv6 = view.type === TYPE_IPV6;
  const packet = at + ETHERNET_HEADER;
  const header = ipv6 ? IPV6_HEADER : IPV4_HEADER;
  const question = view.transport + UDP_HEADER;
  const message = gate.putAnswer(
    view.bytes,
    question,
    view.udpLength - UDP_HEADER,
    verdict,
    out,
    packet + header + UDP_HEADER,
  );
  if (message === 0) return 0;
  const length = UDP_HEADER + message;
  if (ipv6) {
    putIPv6HeaderOfWords(out, packet, length, PROTOCOL_UDP, view.destination6, 0, view.source6, 0);
    putUdpHeader6(out, packet, length, view.destinationPort, view.sourcePort);
  } else {
    putIPv4Header(out, packet, IPV4_HEADER + length, PROTOCOL_UDP, view.destination, view.source);
    putUdpHeader(out, packet, length, view.destinationPort, view.sourcePort);
  }
  putEthernet(out, at, view.sourceMac, view.destinationMac, view.type);
  const whole = ETHERNET_HEADER + header + length;
  if (whole < SHORTEST_FRAME) out.fill(0, at + whole, at + SHORTEST_FRAME);
  return Math.max(whole, SHORTEST_FRAME);
}
