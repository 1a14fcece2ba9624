/**
 * Answers to what is denied (`reject`), as IPv4's (guard/answered.ts): a RST, or an ICMPv6 error that says administratively
 * prohibited (RFC 4443 3.1). docs/guard-ipv6.md says which frame gets which.
 */
import { ETHERNET_HEADER, putEthernet, TYPE_IPV6 } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import {
  ICMPV6_HEADER,
  ICMPV6_PORT_UNREACHABLE,
  ICMPV6_PROHIBITED,
  ICMPV6_UNREACHABLE,
  putIcmpv6Error,
} from "../../wire/icmpv6.ts";
import { PROTOCOL_TCP } from "../../wire/ipv4.ts";
import { IPV6_HEADER, IPV6_LEAST_MTU, PROTOCOL_ICMPV6, putIPv6HeaderOfWords } from "../../wire/ipv6.ts";
import { putTcp6, TCP_ACK, TCP_HEADER, TCP_RST } from "../../wire/tcp.ts";
import { answerBucket, answerTo, NO_ANSWER, PROHIBITED, RESET, synAcknowledgement, UNREACHABLE } from "../answered.ts";
import type { FlowTable } from "../flow-table.ts";

/** Bytes of the longest answer: an ICMPv6 error is as long as every link carries it (RFC 4443 2.4 (c)). */
export const LONGEST_ANSWER_6 = ETHERNET_HEADER + IPV6_LEAST_MTU;

/** Bytes of a packet that an ICMPv6 error quotes. */
const MOST_QUOTED = IPV6_LEAST_MTU - IPV6_HEADER - ICMPV6_HEADER;

export class Answers6 {
  readonly #bucket = answerBucket();

  /**
   * Writes the answer to a frame of the VM's that was dropped to `out` at `at`, and returns its length; 0 = there is none.
   * `lost`: it is a TCP segment of a flow that is cut or not known; `router`: four words, undefined = none.
   */
  write(
    view: FrameView,
    verdict: number,
    lost: boolean,
    now: number,
    router: Int32Array | undefined,
    out: Uint8Array,
    at: number,
  ): number {
    const { source6: own, destination6: remote } = view;
    // RFC 4443 2.4 (e): nothing that went to many is answered.
    if (view.type !== TYPE_IPV6 || remote[0]! >>> 24 === 0xff) return 0;
    const kind = answerTo(view, verdict, lost);
    if (kind === NO_ANSWER || !this.#bucket.take(now)) return 0;
    const to = at + ETHERNET_HEADER;
    let payload = TCP_HEADER;
    if (kind === PROHIBITED || kind === UNREACHABLE) {
      const code = kind === PROHIBITED ? ICMPV6_PROHIBITED : ICMPV6_PORT_UNREACHABLE;
      const quoted = Math.min(view.totalLength, MOST_QUOTED);
      payload = ICMPV6_HEADER + quoted;
      putIPv6HeaderOfWords(out, to, payload, PROTOCOL_ICMPV6, router ?? remote, 0, own, 0);
      putIcmpv6Error(out, to, ICMPV6_UNREACHABLE, code, view.bytes, view.packet, quoted);
    } else {
      putIPv6HeaderOfWords(out, to, payload, PROTOCOL_TCP, remote, 0, own, 0);
      const sequence = kind === RESET ? view.tcpAcknowledgement : 0;
      const acknowledgement = kind === RESET ? 0 : synAcknowledgement(view);
      const flags = kind === RESET ? TCP_RST : TCP_RST | TCP_ACK;
      putTcp6(out, to, view.destinationPort, view.sourcePort, sequence, acknowledgement, flags);
    }
    putEthernet(out, at, view.sourceMac, view.destinationMac, TYPE_IPV6);
    return ETHERNET_HEADER + IPV6_HEADER + payload;
  }
}

/**
 * Writes the RST for a TCP flow to `out` at `at`, and returns its length. `remote`: four words; `own`: those of the VM's address,
 * which the flow is of, begin at `ownAt`.
 */
export function putReset6(
  flows: FlowTable,
  flow: number,
  vmMac: number,
  remote: Int32Array,
  own: Int32Array,
  ownAt: number,
  out: Uint8Array,
  at: number,
): number {
  const to = at + ETHERNET_HEADER;
  putIPv6HeaderOfWords(out, to, TCP_HEADER, PROTOCOL_TCP, remote, 0, own, ownAt);
  putTcp6(out, to, flows.remotePortOf(flow), flows.ownPortOf(flow), flows.acknowledgementOf(flow), 0, TCP_RST);
  putEthernet(out, at, vmMac, flows.macOf(flow), TYPE_IPV6);
  return ETHERNET_HEADER + IPV6_HEADER + TCP_HEADER;
}
