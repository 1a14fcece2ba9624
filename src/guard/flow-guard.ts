/**
 * Judges packets by the flows that they belong to (docs/guard.md, Flows), and asks the rules where one belongs to none or
 * would open one anew. While no rule has a direction (stateless, `live`), flows are only noted: rules decide every packet.
 */
import { IN, OUT, type Way } from "../policy/rule-tree.ts";
import { NO_PORT } from "../policy/table.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { isBareSyn, TCP_ACK } from "../wire/tcp.ts";
import { DNS_PORT } from "./default-policy.ts";
import { type FlowFamily, NO_PLACE } from "./flow-family.ts";
import { FlowKey, isEcho, isErrorReport, portsOf } from "./flow-key.ts";
import type { FlowObserver } from "./flow-observer.ts";
import { FLOW_TCP, FLOW_UDP, NO_KIND, withPlace } from "./flow-state.ts";
import { FlowTable, MOST_FLOWS, NO_FLOW } from "./flow-table.ts";
import type { NameFlows } from "./names/name-flows.ts";
import type { Openings } from "./openings.ts";
import { PASS, verdictOf } from "./reasons.ts";
import type { Resets } from "./resets.ts";
import type { RuleHits } from "./rule-hits.ts";
import type { TokenBucket } from "./token-bucket.ts";

const FLOW_ICMP = verdictOf("flow.icmp");
const FLOW_CUT = verdictOf("flow.cut");
const FLOW_UNKNOWN = verdictOf("flow.unknown");
const ICMP_RATE = verdictOf("icmp.rate");
const LIMIT_FLOWS = verdictOf("limit.flows");

export class FlowGuard {
  readonly flows: FlowTable;
  readonly #family: FlowFamily;
  /** For echoes from the VM. */
  readonly #echoBucket: TokenBucket;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #hits: RuleHits;
  readonly #key = new FlowKey();
  /** For flows that the VM opens. */
  readonly #openings: Openings;
  /** While the policy has names. */
  names: NameFlows | undefined;

  constructor(
    family: FlowFamily,
    echoBucket: TokenBucket,
    clock: Float64Array,
    hits: RuleHits,
    openings: Openings,
    observer?: FlowObserver,
  ) {
    this.flows = new FlowTable(MOST_FLOWS, observer, family);
    this.#openings = openings;
    this.#family = family;
    this.#echoBucket = echoBucket;
    this.#clock = clock;
    this.#hits = hits;
  }

  /**
   * Judges a packet that has its first bytes at hand, unfragmented or a first fragment. `place`: of the VM's address that it
   * comes from or goes to; NO_PLACE: it goes to no such.
   */
  judge(way: Way, view: FrameView, place: number): number {
    const { flows } = this;
    const family = this.#family;
    const { stateful } = family;
    const remote = family.remoteOf(way, view);
    const between = place !== NO_PLACE && !family.isGroup(remote);
    if (stateful && between && isErrorReport(view.icmpType)) return this.#judgeError(way, view, place);
    const key = this.#key;
    key.read(way, view);
    const belongs = between && key.kind !== NO_KIND;
    const bareSyn = isBareSyn(view.tcpFlags);
    const kind = withPlace(key.kind, place);
    const { names } = this;
    let flow = belongs ? flows.find(kind, remote, key.ports) : NO_FLOW;
    /** Cut or closed, and opened anew if the packet passes. */
    let former = NO_FLOW;
    if (flow !== NO_FLOW) {
      const verdict = this.#judgeCut(way, view, flow, bareSyn);
      if (verdict !== PASS) return verdict;
      // Closed: the next connection between the same ports (RFC 9293 3.6.1); what was of the last one is none of its.
      const isAnew = bareSyn && (flows.isClosed(flow) || (way === OUT && names?.beginsAnew(flow, view) === true));
      if (flows.isCut(flow) ? stateful : isAnew) {
        former = flow;
        flow = NO_FLOW;
      }
    }
    let byName = false;
    if (stateful ? flow === NO_FLOW || bareSyn : way === OUT) {
      const verdict = family.judge(way, remote, view.protocol, view.destinationPort, view.fragmentBits !== 0);
      if (verdict !== PASS) {
        const rule = family.decidingNumber;
        // The middle of an unknown connection: that it is unknown says more than the rule that drops it.
        const isUnknown = stateful && belongs && key.kind === FLOW_TCP && !bareSyn && former === NO_FLOW;
        const reconsidered = isUnknown
          ? FLOW_UNKNOWN
          : this.#reconsider(way, view, remote, verdict, belongs && key.opens);
        if (reconsidered !== PASS) {
          this.#hits.count(rule, this.#clock);
          return reconsidered;
        }
        names!.names.countDecision();
        byName = true;
      } else {
        this.#hits.count(family.decidingNumber, this.#clock);
      }
    }
    let opening = belongs && flow === NO_FLOW && key.opens;
    if (opening && way === IN && !family.mayOpenToVm(remote, view.destinationPort)) opening = false;
    if (opening) {
      const refusal = flows.refusal(kind, way === IN, bareSyn, remote, former);
      if (refusal !== PASS) {
        if (former !== NO_FLOW) flows.end(former);
        if (stateful) return refusal;
        opening = false;
      }
    }
    if (names !== undefined) {
      const verdict = names.judge(way, view, remote, flow, bareSyn, opening, byName);
      if (verdict !== PASS) return verdict;
    }
    // Last of all, since a token is for what passes.
    if (way === OUT && isEcho(view.icmpType) && !this.#echoBucket.take(this.#clock[0]!)) return ICMP_RATE;
    if (opening && way === OUT && this.#openings.bucket?.take(this.#clock[0]!) === false) return LIMIT_FLOWS;
    if (opening) this.#open(way, view, remote, kind, bareSyn, former);
    else if (flow !== NO_FLOW) this.#follow(way, view, flow, bareSyn);
    return PASS;
  }

  /** Judges a packet by the flow that it belongs to, where that is cut: PASS where others say more of it. */
  #judgeCut(way: Way, view: FrameView, flow: number, bareSyn: boolean): number {
    const { flows, names } = this;
    if (bareSyn || !flows.isCut(flow)) return PASS;
    // A denied name ends its connection for both sides, whatever the rules say of the address.
    const isBroken = names?.isBroken(flow) === true;
    if (!isBroken && (!this.#family.stateful || flows.isFromOther(flow) === (way === IN))) return PASS;
    flows.touch(flow);
    return isBroken ? names!.judgeBroken(way, view) : FLOW_CUT;
  }

  /** What names say where rules drop a packet. `opens`: one like it opens a flow. */
  #reconsider(way: Way, view: FrameView, remote: number, verdict: number, opens: boolean): number {
    if (this.names === undefined || way === IN) return verdict;
    const whole = view.fragmentBits === 0 && (isBareSyn(view.tcpFlags) || view.protocol === PROTOCOL_UDP);
    return this.names.reconsider(view, remote, verdict, opens && whole);
  }

  /** `kind`: with the place; `former`: the flow in whose place it is opened. */
  #open(way: Way, view: FrameView, remote: number, kind: number, bareSyn: boolean, former: number): void {
    const { flows } = this;
    if (former !== NO_FLOW) flows.end(former);
    const flow = flows.open(kind, remote, this.#key.ports, way === IN, bareSyn);
    if (way === OUT) flows.noteMac(flow, view.destinationHigh, view.destinationLow);
    else flows.noteMac(flow, view.sourceHigh, view.sourceLow);
    if (this.#key.kind === FLOW_TCP) this.#followTcp(way, view, flow, bareSyn, true);
    this.names?.opened(way, flow, view, remote);
  }

  /** A packet of a flow that is there passes. */
  #follow(way: Way, view: FrameView, flow: number, bareSyn: boolean): void {
    const { flows } = this;
    flows.touch(flow);
    if (this.#key.kind === FLOW_UDP) flows.followUdp(flow, way === IN);
    else if (this.#key.kind === FLOW_TCP && this.#followTcp(way, view, flow, bareSyn, false)) return;
    if (bareSyn || view.fragmentBits !== 0 || !isLeftToOthers(this.#key)) return;
    if (this.names?.holds(flow) === true) return;
    // Where no rule has a direction, all that comes to the VM passes, and this one has asked for what the VM sends.
    flows.admit(flow, way, this.#family.stateful || way === OUT);
  }

  /** Returns whether the flow is over with it. */
  #followTcp(way: Way, view: FrameView, flow: number, bareSyn: boolean, opening: boolean): boolean {
    // A bare SYN of a flow that is there already follows nothing.
    if (!bareSyn && this.flows.follow(flow, way === IN, view.tcpFlags, opening)) return true;
    if (way === OUT && (view.tcpFlags & TCP_ACK) !== 0) this.flows.noteAcknowledgement(flow, view.tcpAcknowledgement);
    return false;
  }

  /** An ICMP error, which quotes a packet of its receiver's, passes for a live flow of which that is (threat row I14). */
  #judgeError(way: Way, view: FrameView, place: number): number {
    const quotedWay = way === IN ? OUT : IN;
    const key = this.#key;
    key.readQuoted(quotedWay, view);
    const ofQuoted = this.#family.quotedPlaceOf(quotedWay, view, place);
    if (key.kind === NO_KIND || ofQuoted === NO_PLACE) return FLOW_ICMP;
    const other = this.#family.quotedRemoteOf(quotedWay, view);
    const flow = this.flows.find(withPlace(key.kind, ofQuoted), other, key.ports);
    return flow === NO_FLOW || this.flows.isCut(flow) ? FLOW_ICMP : PASS;
  }

  /** Whether a packet of the VM's, from its address in `place`, is a TCP segment of a flow that is cut. */
  isOfCutFlow(view: FrameView, place: number): boolean {
    const { protocol, sourcePort, destinationPort } = view;
    if (protocol !== PROTOCOL_TCP || sourcePort === NO_PORT || place === NO_PLACE) return false;
    const remote = this.#family.remoteOf(OUT, view);
    const flow = this.flows.find(withPlace(FLOW_TCP, place), remote, portsOf(OUT, sourcePort, destinationPort));
    return flow !== NO_FLOW && this.flows.isCut(flow);
  }

  /** Judges all flows again; returns how many were cut. TCP flows leave a RST in `resets` then, where there is one. */
  judgeAgain(resets: Resets | undefined): number {
    const { flows } = this;
    let newlyCut = 0;
    for (let flow = 0; flow < flows.extent; flow++) {
      if (!flows.isInUse(flow)) continue;
      const allowed = this.names?.isBroken(flow) !== true && this.#mayGoOn(flow);
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
  #mayGoOn(flow: number): boolean {
    const { flows } = this;
    const family = this.#family;
    const fromOther = flows.isFromOther(flow);
    if (fromOther && !family.stateful) return true;
    const kind = flows.kindOf(flow);
    let protocol = family.icmp;
    let port = NO_PORT;
    if (kind === FLOW_TCP || kind === FLOW_UDP) {
      protocol = kind === FLOW_TCP ? PROTOCOL_TCP : PROTOCOL_UDP;
      port = fromOther ? flows.ownPortOf(flow) : flows.remotePortOf(flow);
    }
    const remote = flows.remoteOf(flow);
    family.select(remote);
    const verdict = family.judge(fromOther ? IN : OUT, remote, protocol, port, false);
    if (verdict === PASS) return true;
    return !fromOther && this.names?.mayGoOn(flow, remote, protocol, port, verdict) === true;
  }
}

/** Whether an observer may pass a flow's packets: TCP and UDP, but no questions to a DNS server. */
function isLeftToOthers({ kind, ports }: FlowKey): boolean {
  return (kind === FLOW_TCP || kind === FLOW_UDP) && ports >>> 16 !== DNS_PORT;
}
