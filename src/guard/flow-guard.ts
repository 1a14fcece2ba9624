/**
 * Judges packets by the flows that they belong to (docs/guard.md, Flows), and asks the rules where one belongs to none or
 * would open one anew. While no rule has a direction (stateless, `live`), flows are only noted: rules decide every packet.
 */
import { ALLOWED } from "../policy/default-layer.ts";
import { IN, OUT, type Way } from "../policy/rule-tree.ts";
import { isMetadata } from "../policy/special-purpose.ts";
import { NO_PORT, type PolicyTable } from "../policy/table.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { isIcmpError } from "../wire/icmp.ts";
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { isBareSyn, TCP_ACK } from "../wire/tcp.ts";
import { DNS_PORT, judgeKind } from "./default-policy.ts";
import { FlowKey, isEcho, portsOf } from "./flow-key.ts";
import type { FlowObserver } from "./flow-observer.ts";
import { FLOW_TCP, FLOW_UDP, NO_KIND } from "./flow-state.ts";
import { FlowTable, MOST_FLOWS, NO_FLOW } from "./flow-table.ts";
import type { OwnAddresses } from "./own-addresses.ts";
import { PASS, verdictOf } from "./reasons.ts";
import type { Resets } from "./resets.ts";
import type { TokenBucket } from "./token-bucket.ts";

const FLOW_ICMP = verdictOf("flow.icmp");
const FLOW_CUT = verdictOf("flow.cut");
const FLOW_UNKNOWN = verdictOf("flow.unknown");
const ICMP_RATE = verdictOf("icmp.rate");

/** Nothing that the table answers. */
const NOT_ASKED = -1;

export class FlowGuard {
  readonly flows: FlowTable;
  readonly #own: OwnAddresses;
  /** For echoes from the VM. */
  readonly #echoBucket: TokenBucket;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #key = new FlowKey();

  constructor(own: OwnAddresses, echoBucket: TokenBucket, clock: Float64Array, observer?: FlowObserver) {
    this.flows = new FlowTable(MOST_FLOWS, observer);
    this.#own = own;
    this.#echoBucket = echoBucket;
    this.#clock = clock;
  }

  /** Judges a packet that has its first bytes at hand, unfragmented or a first fragment. */
  judge(way: Way, view: FrameView, table: PolicyTable): number {
    const { stateful } = table;
    const { flows } = this;
    const remote = way === OUT ? view.destination : view.source;
    const between = this.#isBetweenTwo(way, view, remote);
    if (stateful && between && isIcmpError(view.icmpType)) return this.#judgeError(way, view);
    const key = this.#key;
    key.read(way, view);
    const belongs = between && key.kind !== NO_KIND;
    const bareSyn = isBareSyn(view.tcpFlags);
    let flow = belongs ? flows.find(key.kind, remote, key.ports) : NO_FLOW;
    /** Cut or closed, and opened anew if the packet passes. */
    let former = NO_FLOW;
    if (flow !== NO_FLOW) {
      if (stateful && !bareSyn && flows.isCut(flow) && flows.isFromOther(flow) !== (way === IN)) {
        flows.touch(flow);
        return FLOW_CUT;
      }
      // Closed: the next connection between the same ports (RFC 9293 3.6.1); what was of the last one is none of its.
      if (flows.isCut(flow) ? stateful : bareSyn && flows.isClosed(flow)) {
        former = flow;
        flow = NO_FLOW;
      }
    }
    let opening = belongs && flow === NO_FLOW && key.opens;
    let value = NOT_ASKED;
    if (stateful ? flow === NO_FLOW || bareSyn : way === OUT) {
      value = table.ask(way, remote, view.destinationPort);
      const verdict = judgeKind(value, view.protocol, view.destinationPort, view.fragmentBits !== 0);
      if (verdict !== PASS) {
        // The middle of an unknown connection: that it is unknown says more than the rule that drops it.
        const unknown = stateful && belongs && key.kind === FLOW_TCP && !bareSyn && former === NO_FLOW;
        return unknown ? FLOW_UNKNOWN : verdict;
      }
    }
    // A packet from a metadata service, which gives out credentials, opens no flow unless a rule allows it (threat row I7).
    if (opening && way === IN && value !== ALLOWED && isMetadata(remote)) opening = false;
    if (opening) {
      if (former !== NO_FLOW) flows.end(former);
      const refusal = flows.refusal(key.kind, way === IN, bareSyn, remote);
      if (refusal !== PASS && stateful) return refusal;
      opening = refusal === PASS;
    }
    // Last of all, since a token is for what passes.
    if (way === OUT && isEcho(view.icmpType) && !this.#echoBucket.take(this.#clock[0]!)) return ICMP_RATE;
    if (opening) this.#open(way, view, remote, bareSyn);
    else if (flow !== NO_FLOW) this.#follow(way, view, flow, bareSyn);
    return PASS;
  }

  #open(way: Way, view: FrameView, remote: number, bareSyn: boolean): void {
    const { flows } = this;
    const { kind, ports } = this.#key;
    const flow = flows.open(kind, remote, ports, way === IN, bareSyn);
    if (way === OUT) flows.noteMac(flow, view.destinationHigh, view.destinationLow);
    else flows.noteMac(flow, view.sourceHigh, view.sourceLow);
    if (kind === FLOW_TCP) this.#followTcp(way, view, flow, bareSyn, true);
  }

  /** A packet of a flow that is there passes. */
  #follow(way: Way, view: FrameView, flow: number, bareSyn: boolean): void {
    const { flows } = this;
    flows.touch(flow);
    if (this.#key.kind === FLOW_UDP) flows.followUdp(flow, way === IN);
    else if (this.#key.kind === FLOW_TCP && this.#followTcp(way, view, flow, bareSyn, false)) return;
    if (!bareSyn && view.fragmentBits === 0 && isLeftToOthers(this.#key)) flows.admit(flow, way);
  }

  /** Returns whether the flow is over with it. */
  #followTcp(way: Way, view: FrameView, flow: number, bareSyn: boolean, opening: boolean): boolean {
    // A bare SYN of a flow that is there already follows nothing.
    if (!bareSyn && this.flows.follow(flow, way === IN, view.tcpFlags, opening)) return true;
    if (way === OUT && (view.tcpFlags & TCP_ACK) !== 0) this.flows.noteAcknowledgement(flow, view.tcpAcknowledgement);
    return false;
  }

  /** Whether a packet is one between the bound address and an address that flows are made with. */
  #isBetweenTwo(way: Way, view: FrameView, remote: number): boolean {
    const own = this.#own;
    if (way === IN && (own.word === 0 || view.destinationWord !== own.word)) return false;
    return !own.isGroup(remote);
  }

  /** An ICMP error, which quotes a packet of its receiver's, passes for a live flow of which that is (threat row I14). */
  #judgeError(way: Way, view: FrameView): number {
    const quotedWay = way === IN ? OUT : IN;
    const key = this.#key;
    key.readQuoted(quotedWay, view);
    if (key.kind === NO_KIND) return FLOW_ICMP;
    const other = quotedWay === OUT ? view.quotedDestination : view.quotedSource;
    const flow = this.flows.find(key.kind, other, key.ports);
    return flow === NO_FLOW || this.flows.isCut(flow) ? FLOW_ICMP : PASS;
  }

  /** Whether a packet of the VM's is a TCP segment of a flow that is cut. */
  isOfCutFlow(view: FrameView): boolean {
    const { protocol, sourcePort, destinationPort } = view;
    if (protocol !== PROTOCOL_TCP || sourcePort === NO_PORT) return false;
    const flow = this.flows.find(FLOW_TCP, view.destination, portsOf(OUT, sourcePort, destinationPort));
    return flow !== NO_FLOW && this.flows.isCut(flow);
  }

  /** Judges all flows again; returns how many were cut. TCP flows leave a RST in `resets` then, where there is one. */
  judgeAgain(table: PolicyTable, resets: Resets | undefined): number {
    const { flows } = this;
    let newlyCut = 0;
    for (let flow = 0; flow < flows.extent; flow++) {
      if (!flows.isInUse(flow)) continue;
      const allowed = this.#mayGoOn(flow, table);
      if (allowed !== flows.isCut(flow)) continue;
      if (allowed) {
        flows.mend(flow);
        continue;
      }
      if (flows.kindOf(flow) === FLOW_TCP) resets?.add(flows, flow);
      flows.cut(flow);
      newlyCut++;
    }
    return newlyCut;
  }

  /** Whether the packet that opened a flow would pass now. */
  #mayGoOn(flow: number, table: PolicyTable): boolean {
    const { flows } = this;
    const fromOther = flows.isFromOther(flow);
    if (fromOther && !table.stateful) return true;
    const kind = flows.kindOf(flow);
    let protocol: number = PROTOCOL_ICMP;
    let port = NO_PORT;
    if (kind === FLOW_TCP || kind === FLOW_UDP) {
      protocol = kind === FLOW_TCP ? PROTOCOL_TCP : PROTOCOL_UDP;
      port = fromOther ? flows.ownPortOf(flow) : flows.remotePortOf(flow);
    }
    const value = table.ask(fromOther ? IN : OUT, flows.remoteOf(flow), port);
    return judgeKind(value, protocol, port, false) === PASS;
  }
}

/** Whether an observer may pass a flow's packets: TCP and UDP, but no questions to a DNS server. */
function isLeftToOthers({ kind, ports }: FlowKey): boolean {
  return (kind === FLOW_TCP || kind === FLOW_UDP) && ports >>> 16 !== DNS_PORT;
}
