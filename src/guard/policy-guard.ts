/**
 * Policy (docs/guard.md): rules, flows, fragments, and the rate of the VM's pings. What comes here is an IPv4 packet of good form
 * between addresses that may stand there; what policy says of it is the last word.
 *
 * Without ports and directions in the rules, and where the policy cannot change, a packet costs one look into the policy
 * table. Else it is looked for among the flows first, and asks the rules only where it belongs to none.
 */
import { directedBroadcastOf } from "../policy/cidr.ts";
import { ALLOWED, BLOCKED, GLOBAL, type KnownNetwork, LOOPBACK } from "../policy/default-layer.ts";
import { decidingRule, outranked } from "../policy/explain.ts";
import { formatRule, type Rule } from "../policy/rule.ts";
import { IN, OUT, type Way } from "../policy/rule-tree.ts";
import { isMetadata } from "../policy/special-purpose.ts";
import { NO_PORT, PolicyTable } from "../policy/table.ts";
import { LIMITED_BROADCAST } from "../wire/address.ts";
import { NONE } from "../wire/frame-headers.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, isIcmpError } from "../wire/icmp.ts";
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { isBareSyn, TCP_ACK } from "../wire/tcp.ts";
import { defaultLine, judgeKind } from "./default-policy.ts";
import { FLOW_ECHO_FROM_VM, FLOW_ECHO_TO_VM, FLOW_TCP, FLOW_UDP, FlowTable, NO_FLOW, NO_KIND } from "./flow-table.ts";
import { Answers, Resets } from "./ipv4/answers.ts";
import { FRAGMENT_RATE, FragmentGuard } from "./ipv4/fragment-guard.ts";
import type { Lease } from "./ipv4/lease.ts";
import { DROP_REASONS, PASS, verdictOf } from "./reasons.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { Explanation, PolicyQuestion } from "./types.ts";

const FLOW_ICMP = verdictOf("flow.icmp");
const FLOW_CUT = verdictOf("flow.cut");
const FLOW_UNKNOWN = verdictOf("flow.unknown");
const ICMP_RATE = verdictOf("icmp.rate");

const ECHOES_PER_SECOND = 100;
const ECHO_BURST = 200;

/** Equal to no address. */
const NO_ADDRESS = -1;

const NOWHERE: KnownNetwork = Object.freeze({ gateway: 0, address: 0, netmask: 0, dnsServers: Object.freeze([]) });

export interface PolicyOptions {
  readonly rules: readonly Rule[];
  readonly live: boolean;
  readonly reject: boolean;
  readonly lease: Lease;
  readonly mac: number;
  /** The guard's clock in microseconds, in place 0. */
  readonly clock: Float64Array;
}

export class PolicyGuard {
  readonly #live: boolean;
  readonly #lease: Lease;
  readonly #mac: number;
  readonly #clock: Float64Array;
  readonly #answers: Answers | undefined;
  readonly #resets: Resets | undefined;
  readonly #echoBucket = new TokenBucket(ECHOES_PER_SECOND, ECHO_BURST);
  readonly #fragments = new FragmentGuard();
  #rules: readonly Rule[];
  #knownNetwork = NOWHERE;
  #table: PolicyTable;
  #directedBroadcast = NO_ADDRESS;
  /** Made when they are needed first, and kept from then on. */
  #flows: FlowTable | undefined;
  /** The flows, while packets are noted in them. */
  #noted: FlowTable | undefined;
  /** The flows answer for packets. */
  #stateful = false;
  /** All that there is to ask is the table, and only on the way out. */
  #plain = true;
  /** The VM's address that the flows are of; 0 = none yet. */
  #flowsOf = 0;
  #second = 0;

  constructor({ rules, live, reject, lease, mac, clock }: PolicyOptions) {
    this.#live = live;
    this.#lease = lease;
    this.#mac = mac;
    this.#clock = clock;
    if (reject) {
      this.#answers = new Answers();
      this.#resets = new Resets();
    }
    this.#rules = rules;
    this.#table = new PolicyTable(rules, NOWHERE);
    this.#configure();
  }

  get rules(): readonly Rule[] {
    return this.#rules;
  }

  get stateful(): boolean {
    return this.#stateful;
  }

  /** How many flows are live. */
  get flows(): number {
    return this.#flows?.live ?? 0;
  }

  /** Ends what is over. To be called whenever the clock was moved. */
  advance(): void {
    const second = Math.floor(this.#clock[0]! / 1_000_000);
    if (second === this.#second) return;
    this.#second = second;
    this.#flows?.advance(second);
  }

  /** Puts other rules into force as a whole; answers how many flows they cut. */
  setRules(rules: readonly Rule[]): number {
    this.#table = new PolicyTable(rules, this.#knownNetwork);
    this.#rules = rules;
    this.#configure();
    this.#fragments.clear();
    return this.#judgeFlows(this.#resets);
  }

  /** Follows the binding and what came along with it. */
  updateNetwork(knownNetwork: KnownNetwork): void {
    const before = this.#knownNetwork;
    const moved = knownNetwork.address !== 0 && knownNetwork.address !== this.#flowsOf;
    const renamed = knownNetwork.gateway !== before.gateway || !isSameList(knownNetwork.dnsServers, before.dnsServers);
    const same = !renamed && knownNetwork.address === before.address && knownNetwork.netmask === before.netmask;
    if (!same) {
      this.#knownNetwork = knownNetwork;
      this.#table = new PolicyTable(this.#rules, knownNetwork);
      const { address, netmask } = knownNetwork;
      this.#directedBroadcast = (address !== 0 && directedBroadcastOf(address, netmask)) || NO_ADDRESS;
    }
    if (moved) {
      this.#flowsOf = knownNetwork.address;
      this.#flows?.clear();
      this.#resets?.clear();
    } else if (renamed) {
      this.#judgeFlows(undefined);
    }
  }

  #configure(): void {
    this.#stateful = this.#table.stateful;
    const notes = this.#stateful || this.#live;
    if (notes && this.#flows === undefined) {
      this.#flows = new FlowTable();
      this.#flows.advance(this.#second);
    }
    this.#noted = notes ? this.#flows : undefined;
    this.#plain = !notes && !this.#table.byPort;
  }

  /** Judges a packet from the VM whose destination is not in 0.0.0.0/8 or 127.0.0.0/8. */
  egress(view: FrameView): number {
    if (view.fragmentBits !== 0) return this.#judgeFragment(OUT, view);
    return this.#plain ? this.#judgePlain(view) : this.#judgeWhole(OUT, view);
  }

  /** Judges a packet from the VM that has its first bytes at hand, where the policy is plain. */
  #judgePlain(view: FrameView): number {
    const kind = this.#table.lookup(view.destination);
    if (kind !== GLOBAL && kind !== ALLOWED) {
      const verdict = judgeKind(kind, view.protocol, view.destinationPort, view.fragmentBits !== 0);
      if (verdict !== PASS) return verdict;
    }
    return isEcho(view.icmpType) && !this.#echoBucket.take(this.#clock[0]!) ? ICMP_RATE : PASS;
  }

  /** Judges a packet to the VM. */
  ingress(view: FrameView): number {
    if (this.#noted === undefined) return PASS;
    return view.fragmentBits !== 0 ? this.#judgeFragment(IN, view) : this.#judgeWhole(IN, view);
  }

  /** Judges a fragment: a first one like a whole packet, a later one by its first one. */
  #judgeFragment(way: Way, view: FrameView): number {
    const later = view.fragmentOffset !== 0;
    // The policy says nothing of what comes to the VM.
    if (way === IN && !this.#stateful) return later ? PASS : this.#judgeWhole(way, view);
    const now = this.#clock[0]!;
    if (later) return this.#fragments.follow(way, view, now, this.#second);
    if (!this.#fragments.mayBegin(way, now)) return FRAGMENT_RATE;
    const verdict = this.#plain ? this.#judgePlain(view) : this.#judgeWhole(way, view);
    if (verdict === PASS) this.#fragments.begin(way, view, now, this.#second);
    return verdict;
  }

  /** Judges a packet that has its first bytes at hand, unfragmented or a first fragment. */
  #judgeWhole(way: Way, view: FrameView): number {
    const { protocol } = view;
    const remote = way === OUT ? view.destination : view.source;
    let kind = NO_KIND;
    let ports = 0;
    let port = NO_PORT;
    let flags = 0;
    let bareSyn = false;
    let opens = true;
    let quotes = false;
    if (hasPorts(protocol)) {
      port = view.destinationPort;
      ports = portsOf(way, view.sourcePort, port);
      kind = FLOW_UDP;
      if (protocol === PROTOCOL_TCP) {
        kind = FLOW_TCP;
        flags = view.tcpFlags;
        bareSyn = isBareSyn(flags);
      }
    } else if (protocol === PROTOCOL_ICMP) {
      const type = view.icmpType;
      if (isEcho(type)) {
        opens = type === ICMP_ECHO_REQUEST;
        kind = opens === (way === OUT) ? FLOW_ECHO_FROM_VM : FLOW_ECHO_TO_VM;
        ports = view.icmpIdentifier;
      } else {
        quotes = isIcmpError(type);
      }
    }
    const flows = this.#noted;
    let flow = NO_FLOW;
    /** Cut or closed, and opened anew if the packet passes. */
    let former = NO_FLOW;
    let belongs = false;
    let opening = false;
    if (flows !== undefined && (kind !== NO_KIND || quotes) && this.#mayBelong(way, view, remote)) {
      if (quotes) {
        if (this.#stateful) return this.#judgeError(flows, way, view);
      } else {
        belongs = true;
        flow = flows.find(kind, remote, ports);
        if (flow !== NO_FLOW && flows.isCut(flow)) {
          if (this.#stateful) {
            if (!bareSyn && flows.isFromOther(flow) !== (way === IN)) {
              flows.touch(flow);
              return FLOW_CUT;
            }
            former = flow;
          }
        } else if (bareSyn && flow !== NO_FLOW && flows.isClosed(flow)) {
          // The next connection between the same ports (RFC 9293 3.6.1); what was of the last one is none of its.
          former = flow;
        }
        if (former !== NO_FLOW) flow = NO_FLOW;
        opening = flow === NO_FLOW && opens;
      }
    }
    let allowed = false;
    if (this.#stateful ? flow === NO_FLOW || bareSyn : way === OUT) {
      const value = this.#table.ask(way, remote, port);
      allowed = value === ALLOWED;
      if (value !== GLOBAL && value !== ALLOWED) {
        const verdict = judgeKind(value, protocol, port, view.fragmentBits !== 0);
        if (verdict !== PASS) {
          // The middle of a connection that nobody knows: the rule that drops it is hardly what its user should look at.
          const unknown = this.#stateful && belongs && kind === FLOW_TCP && !bareSyn && former === NO_FLOW;
          return unknown ? FLOW_UNKNOWN : verdict;
        }
      }
    }
    // Nobody outside opens a way to what answers with credentials (threat row I7).
    if (opening && way === IN && !allowed && isMetadata(remote)) opening = false;
    if (opening) {
      if (former !== NO_FLOW) flows!.end(former);
      const refusal = flows!.refusal(kind, way === IN, bareSyn, remote);
      if (refusal !== PASS) {
        if (this.#stateful) return refusal;
        opening = false;
      }
    }
    // Last of all, since a token is for what passes.
    const echo = way === OUT && (kind === FLOW_ECHO_FROM_VM || kind === FLOW_ECHO_TO_VM);
    if (echo && !this.#echoBucket.take(this.#clock[0]!)) return ICMP_RATE;
    if (opening) {
      flow = flows!.open(kind, remote, ports, way === IN, bareSyn);
      if (way === OUT) flows!.noteMac(flow, view.destinationHigh, view.destinationLow);
      else flows!.noteMac(flow, view.sourceHigh, view.sourceLow);
    } else if (flow !== NO_FLOW) {
      flows!.touch(flow);
    }
    if (flow === NO_FLOW) return PASS;
    if (kind === FLOW_UDP) {
      flows!.followUdp(flow, way === IN);
    } else if (kind === FLOW_TCP) {
      // A bare SYN of a flow that is there already follows nothing.
      if (!bareSyn && flows!.follow(flow, way === IN, flags, opening)) return PASS;
      if (way === OUT && (flags & TCP_ACK) !== 0) {
        flows!.noteAcknowledgement(flow, view.tcpAcknowledgement);
      }
    }
    return PASS;
  }

  /** Whether a packet is one between the bound address and an address that flows are made with. */
  #mayBelong(way: Way, view: FrameView, remote: number): boolean {
    if (way === IN) {
      const own = this.#lease.address;
      if (own === 0 || view.destination !== own) return false;
    }
    return !this.isGroup(remote);
  }

  /** Whether the directed broadcast address is known. */
  get knowsBroadcast(): boolean {
    return this.#directedBroadcast !== NO_ADDRESS;
  }

  /** Multicast and broadcast addresses, as far as they are known. */
  isGroup(address: number): boolean {
    return address >>> 28 === 14 || address === LIMITED_BROADCAST || address === this.#directedBroadcast;
  }

  /** An ICMP error, whose form is right, passes for a live flow of which it quotes a packet (threat row I14). */
  #judgeError(flows: FlowTable, way: Way, view: FrameView): number {
    const quotedWay = way === IN ? OUT : IN;
    const other = quotedWay === OUT ? view.quotedDestination : view.quotedSource;
    const protocol = view.quotedProtocol;
    let kind: number;
    let ports: number;
    if (hasPorts(protocol)) {
      kind = protocol === PROTOCOL_TCP ? FLOW_TCP : FLOW_UDP;
      ports = portsOf(quotedWay, view.quotedSourcePort, view.quotedDestinationPort);
    } else if (protocol === PROTOCOL_ICMP && isEcho(view.quotedIcmpType)) {
      const request = view.quotedIcmpType === ICMP_ECHO_REQUEST;
      kind = request === (quotedWay === OUT) ? FLOW_ECHO_FROM_VM : FLOW_ECHO_TO_VM;
      ports = view.quotedIdentifier;
    } else {
      return FLOW_ICMP;
    }
    const flow = flows.find(kind, other, ports);
    return flow === NO_FLOW || flows.isCut(flow) ? FLOW_ICMP : PASS;
  }

  /** Judges all flows again; answers how many were cut. TCP flows leave a RST in `resets` then, where there is one. */
  #judgeFlows(resets: Resets | undefined): number {
    const flows = this.#flows;
    if (flows === undefined) return 0;
    let newlyCut = 0;
    for (let flow = 0; flow < flows.extent; flow++) {
      if (!flows.isInUse(flow)) continue;
      const allowed = this.#mayGoOn(flows, flow);
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
  #mayGoOn(flows: FlowTable, flow: number): boolean {
    const fromOther = flows.isFromOther(flow);
    if (fromOther && !this.#stateful) return true;
    const kind = flows.kindOf(flow);
    const protocol = kind === FLOW_TCP ? PROTOCOL_TCP : kind === FLOW_UDP ? PROTOCOL_UDP : PROTOCOL_ICMP;
    let port = NO_PORT;
    if (hasPorts(protocol)) port = fromOther ? flows.ownPortOf(flow) : flows.remotePortOf(flow);
    const value = this.#table.ask(fromOther ? IN : OUT, flows.remoteOf(flow), port);
    return judgeKind(value, protocol, port, false) === PASS;
  }

  /** As `Guard.answer`. */
  answer(view: FrameView, verdict: number, out: Uint8Array, at: number): number {
    if (this.#answers === undefined) return 0;
    return this.#answers.write(
      view,
      verdict,
      verdict === FLOW_UNKNOWN || this.#isOfCutFlow(view),
      this.#clock[0]!,
      this.#knownNetwork.gateway,
      this.#directedBroadcast,
      out,
      at,
    );
  }

  /** Whether a packet of the VM's is a TCP segment of a flow that is cut. */
  #isOfCutFlow(view: FrameView): boolean {
    const flows = this.#flows;
    if (flows === undefined || view.protocol !== PROTOCOL_TCP || view.sourcePort === NONE) return false;
    const flow = flows.find(FLOW_TCP, view.destination, portsOf(OUT, view.sourcePort, view.destinationPort));
    return flow !== NO_FLOW && flows.isCut(flow);
  }

  /** As `Guard.takeReset`. */
  takeReset(out: Uint8Array, at: number): number {
    // The address that the flows were made with: the binding may have ended meanwhile.
    const resets = this.#resets;
    const flows = this.#flows;
    if (resets === undefined || flows === undefined) return 0;
    return resets.take(flows, this.#mac, this.#flowsOf, out, at);
  }

  /** As `Guard.explain`. */
  explain(question: PolicyQuestion): Explanation {
    const { direction, remote } = question;
    const protocol = protocolNumber(question.protocol);
    const way = direction === "out" ? OUT : IN;
    if (way === IN && !this.#stateful) return { verdict: "pass", default: "inbound" };
    const port = hasPorts(protocol) ? question.port : undefined;
    const kind = this.#table.ask(way, remote, port ?? NO_PORT);
    const verdict = judgeKind(kind, protocol, port ?? NO_PORT, false);
    const said =
      verdict === PASS
        ? { verdict: "pass" as const }
        : { verdict: "drop" as const, reason: DROP_REASONS[verdict - 1]!.name };
    const byRule = kind === ALLOWED || kind === BLOCKED;
    const rule = byRule ? decidingRule(this.#rules, this.#knownNetwork, direction, remote, port) : undefined;
    if (rule) {
      const before = outranked(this.#rules, this.#knownNetwork, direction, remote, rule);
      const decides = { ...said, rule: { action: rule.action, text: formatRule(rule) } };
      return before.length === 0 ? decides : { ...decides, outranks: before };
    }
    return { ...said, default: kind === LOOPBACK ? "loopback" : defaultLine(kind, protocol, port ?? NO_PORT) };
  }
}

/** TCP and UDP have their ports in the same place. */
function hasPorts(protocol: number): boolean {
  return protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
}

/** The remote port in the upper half, the VM's in the lower. */
function portsOf(way: Way, source: number, destination: number): number {
  return way === OUT ? (destination << 16) | source : (source << 16) | destination;
}

/** An echo request or its answer. */
function isEcho(icmpType: number): boolean {
  return icmpType === ICMP_ECHO_REQUEST || icmpType === ICMP_ECHO_REPLY;
}

function protocolNumber(protocol: PolicyQuestion["protocol"]): number {
  switch (protocol) {
    case "tcp":
      return PROTOCOL_TCP;
    case "udp":
      return PROTOCOL_UDP;
    case "icmp":
      return PROTOCOL_ICMP;
    default:
      return protocol;
  }
}

function isSameList(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, index) => value === other[index]);
}
