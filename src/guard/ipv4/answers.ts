/**
 * Answers to what is denied (`reject`): the guest's programs hear at once that a connection is not allowed, as from a
 * router (RFC 1812 5.2.7.1), instead of waiting. They are made from nothing that the guest could not have known: addresses and
 * ports of its own packet. docs/guard.md says which frame gets which.
 */
import { ETHERNET_HEADER, putEthernet, SHORTEST_FRAME, TYPE_IPV4 } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { ICMP_PORT_UNREACHABLE, ICMP_PROHIBITED, ICMP_UNREACHABLE, putIcmpError } from "../../wire/icmp.ts";
import { IPV4_HEADER, PROTOCOL_ICMP, PROTOCOL_TCP, putIPv4Header } from "../../wire/ipv4.ts";
import { putTcp, TCP_ACK, TCP_HEADER, TCP_RST } from "../../wire/tcp.ts";
import { answerBucket, answerTo, NO_ANSWER, PROHIBITED, RESET, synAcknowledgement, UNREACHABLE } from "../answered.ts";
import type { FlowTable } from "../flow-table.ts";

/** Bytes behind the IPv4 header that an ICMP error quotes (RFC 792). */
const QUOTED_PAYLOAD = 8;

export class Answers {
  readonly #bucket = answerBucket();

  /**
   * Writes the answer to a frame of the VM's that was dropped, and that did not go to many, to `out` at `at`, and returns
   * its length; 0 = there is none. `lost`: it is a TCP segment of a flow that is cut or not known; `gateway`: in host
   * order, 0 = none.
   */
  write(
    view: FrameView,
    verdict: number,
    lost: boolean,
    now: number,
    gateway: number,
    out: Uint8Array,
    at: number,
  ): number {
    if (view.type !== TYPE_IPV4) return 0;
    const kind = answerTo(view, verdict, lost);
    if (kind === NO_ANSWER || !this.#bucket.take(now)) return 0;
    const { destination: remote, source: own } = view;
    const to = at + ETHERNET_HEADER;
    let total = IPV4_HEADER + TCP_HEADER;
    if (kind === PROHIBITED || kind === UNREACHABLE) {
      const code = kind === PROHIBITED ? ICMP_PROHIBITED : ICMP_PORT_UNREACHABLE;
      const quoted = IPV4_HEADER + Math.min(view.transportLength, QUOTED_PAYLOAD);
      const message = to + IPV4_HEADER;
      total = IPV4_HEADER + putIcmpError(out, message, ICMP_UNREACHABLE, code, view.bytes, view.packet, quoted);
      putIPv4Header(out, to, total, PROTOCOL_ICMP, gateway === 0 ? remote : gateway, own);
    } else {
      putIPv4Header(out, to, total, PROTOCOL_TCP, remote, own);
      const sequence = kind === RESET ? view.tcpAcknowledgement : 0;
      const acknowledgement = kind === RESET ? 0 : synAcknowledgement(view);
      const flags = kind === RESET ? TCP_RST : TCP_RST | TCP_ACK;
      putTcp(out, to, view.destinationPort, view.sourcePort, sequence, acknowledgement, flags);
    }
    return finish(out, at, total, view.sourceMac, view.destinationMac);
  }
}

/** Writes the RST for a TCP flow to `out` at `at`, and returns its length. `own`: the VM's address, which the flow is of. */
export function putReset(
  flows: FlowTable,
  flow: number,
  vmMac: number,
  own: number,
  out: Uint8Array,
  at: number,
): number {
  const to = at + ETHERNET_HEADER;
  const total = IPV4_HEADER + TCP_HEADER;
  putIPv4Header(out, to, total, PROTOCOL_TCP, flows.remoteOf(flow), own);
  putTcp(out, to, flows.remotePortOf(flow), flows.ownPortOf(flow), flows.acknowledgementOf(flow), 0, TCP_RST);
  return finish(out, at, total, vmMac, flows.macOf(flow));
}

/** Writes the Ethernet header in front of a packet of `total` bytes and the padding behind it; returns the frame's length. */
function finish(out: Uint8Array, at: number, total: number, to: number, from: number): number {
  putEthernet(out, at, to, from, TYPE_IPV4);
  const length = ETHERNET_HEADER + total;
  if (length >= SHORTEST_FRAME) return length;
  out.fill(0, at + length, at + SHORTEST_FRAME);
  return SHORTEST_FRAME;
}
