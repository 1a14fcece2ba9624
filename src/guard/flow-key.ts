/** Which flow a packet belongs to; filled for each packet, and used again. */
import { OUT, type Way } from "../policy/rule-tree.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, isIcmpError } from "../wire/icmp.ts";
import { ICMPV6_ECHO_REQUEST, isEcho6, isIcmpv6Error } from "../wire/icmpv6.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { FLOW_ECHO_FROM_VM, FLOW_ECHO_TO_VM, FLOW_TCP, FLOW_UDP, NO_KIND } from "./flow-state.ts";

export class FlowKey {
  /** NO_KIND: the packet belongs to none. */
  kind = NO_KIND;
  /** The remote port in the upper half, the VM's in the lower; of an echo, its identifier. */
  ports = 0;
  /** Whether it may open the flow: everything but the answer to an echo. */
  opens = true;

  /** Reads the key of a packet on its way that has its first bytes at hand. */
  read(way: Way, view: FrameView): void {
    const { protocol, icmpType } = view;
    if (hasPorts(protocol)) this.#setPorts(way, protocol, view.sourcePort, view.destinationPort);
    else if (isEcho(icmpType)) this.#setEcho(way, icmpType, view.icmpIdentifier);
    else this.#setNone();
  }

  /** Reads the key of the packet that an ICMP error quotes, which went its own way. */
  readQuoted(way: Way, view: FrameView): void {
    const protocol = view.quotedProtocol;
    if (hasPorts(protocol)) {
      this.#setPorts(way, protocol, view.quotedSourcePort, view.quotedDestinationPort);
    } else if (isEcho(view.quotedIcmpType)) {
      this.#setEcho(way, view.quotedIcmpType, view.quotedIdentifier);
    } else {
      this.#setNone();
    }
  }

  #setPorts(way: Way, protocol: number, source: number, destination: number): void {
    this.kind = protocol === PROTOCOL_TCP ? FLOW_TCP : FLOW_UDP;
    this.ports = portsOf(way, source, destination);
    this.opens = true;
  }

  #setEcho(way: Way, icmpType: number, identifier: number): void {
    const request = icmpType === ICMP_ECHO_REQUEST || icmpType === ICMPV6_ECHO_REQUEST;
    this.kind = request === (way === OUT) ? FLOW_ECHO_FROM_VM : FLOW_ECHO_TO_VM;
    this.ports = identifier;
    this.opens = request;
  }

  #setNone(): void {
    this.kind = NO_KIND;
    this.ports = 0;
    this.opens = true;
  }
}

/** The remote port in the upper half, the VM's in the lower. */
export function portsOf(way: Way, source: number, destination: number): number {
  return way === OUT ? (destination << 16) | source : (source << 16) | destination;
}

/** TCP and UDP have their ports in the same place. */
export function hasPorts(protocol: number): boolean {
  return protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
}

/** An echo request or its answer, of either family: a view's types differ (wire/icmpv6.ts). */
export function isEcho(icmpType: number): boolean {
  return icmpType >= 0 && (icmpType === ICMP_ECHO_REQUEST || icmpType === ICMP_ECHO_REPLY || isEcho6(icmpType));
}

/** An ICMP error about a packet that it quotes, of either family. */
export function isErrorReport(icmpType: number): boolean {
  return icmpType >= 0 && (isIcmpError(icmpType) || isIcmpv6Error(icmpType));
}
