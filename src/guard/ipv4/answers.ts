/**
 * Answers to what is denied (`reject`): the guest's programs hear at once that a connection is not allowed, as from a
 * router (RFC 1812 5.2.7.1), instead of waiting. They are made from nothing that the guest could not have known: addresses and
 * ports of its own packet. docs/guard.md says which frame gets which.
 */
import { ETHERNET_HEADER, putEthernet, SHORTEST_FRAME, TYPE_IPV4 } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { ICMP_PROHIBITED, ICMP_REDIRECT, ICMP_UNREACHABLE, isIcmpError, putIcmpError } from "../../wire/icmp.ts";
import { IPV4_HEADER, PROTOCOL_ICMP, PROTOCOL_TCP, putIPv4Header } from "../../wire/ipv4.ts";
import { SOUND } from "../../wire/malformed.ts";
import { isBareSyn, putTcp, TCP_ACK, TCP_FIN, TCP_HEADER, TCP_RST } from "../../wire/tcp.ts";
import type { FlowTable } from "../flow-table.ts";
import { DROP_REASONS, verdictOf } from "../reasons.ts";
import { TokenBucket } from "../token-bucket.ts";

const ANSWERS_PER_SECOND = 100;
const ANSWER_BURST = 200;

/** Bytes behind the IPv4 header that an ICMP error quotes (RFC 792). */
const QUOTED_PAYLOAD = 8;

/** By verdict: whether what was dropped for it is answered. Never what failed a check against spoofing. */
const IS_ANSWERED = new Uint8Array(DROP_REASONS.length + 1);
for (const name of [
  "policy.block",
  "policy.destination",
  "policy.gateway",
  "policy.metadata",
  "flow.full",
  "flow.half-open",
  "flow.unknown",
  "flow.cut",
]) {
  IS_ANSWERED[verdictOf(name)] = 1;
}

export class Answers {
  readonly #bucket = new TokenBucket(ANSWERS_PER_SECOND, ANSWER_BURST);

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
    if (IS_ANSWERED[verdict] !== 1 || view.type !== TYPE_IPV4 || view.malformed !== SOUND) return 0;
    const { destination: remote, source: own, tcpFlags: flags } = view;
    if (view.isToGroup || view.fragmentOffset !== 0) return 0;
    if ((flags & TCP_RST) !== 0 || isIcmpError(view.icmpType) || view.icmpType === ICMP_REDIRECT) return 0;
    const data = isBareSyn(flags) ? view.transportLength - view.tcpHeaderLength : 0;
    if (isBareSyn(flags) && (view.tcpHeaderLength < TCP_HEADER || data < 0)) return 0;
    if (!this.#bucket.take(now)) return 0;

    const to = at + ETHERNET_HEADER;
    let total = IPV4_HEADER + TCP_HEADER;
    if (isBareSyn(flags)) {
      putIPv4Header(out, to, total, PROTOCOL_TCP, remote, own);
      const end = (flags & TCP_FIN) !== 0 ? 1 : 0;
      const acknowledgement = (view.tcpSequence + 1 + data + end) >>> 0;
      putTcp(out, to, view.destinationPort, view.sourcePort, 0, acknowledgement, TCP_RST | TCP_ACK);
    } else if (lost && (flags & TCP_ACK) !== 0) {
      putIPv4Header(out, to, total, PROTOCOL_TCP, remote, own);
      putTcp(out, to, view.destinationPort, view.sourcePort, view.tcpAcknowledgement, 0, TCP_RST);
    } else {
      const quoted = IPV4_HEADER + Math.min(view.transportLength, QUOTED_PAYLOAD);
      const message = to + IPV4_HEADER;
      total =
        IPV4_HEADER + putIcmpError(out, message, ICMP_UNREACHABLE, ICMP_PROHIBITED, view.bytes, view.packet, quoted);
      putIPv4Header(out, to, total, PROTOCOL_ICMP, gateway === 0 ? remote : gateway, own);
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
