/** What the second guard remembers of names, and what it says about questions, answers, openings and first bytes. */

import { be16, join } from "../build.ts";
import { onesComplementSum, PASS, uint16 } from "../bytes.ts";
import { type Flow, flowKey, isBareSyn } from "../flows.ts";
import { type Packet, TCP, UDP } from "../ipv4.ts";
import type { OracleRule, Way } from "../rules.ts";
import { Bucket, type State } from "../state.ts";
import { type DnsQuestion, ownAnswer, readAnswer, readQuestion } from "./dns.ts";
import { Inspection } from "./inspection.ts";
import { type Pair, Pairs } from "./pairs.ts";
import { askLookup, askName, hasPort, keyOf, type Name, type NameRule } from "./rules.ts";

const SECOND = 1_000_000;
const TYPES_CLOSED = [10, 251, 252, 255];

interface Outstanding {
  readonly key: string;
  readonly question: DnsQuestion;
  readonly time: number;
}

export class Names {
  rules: readonly NameRule[] = [];
  readonly state: State;
  readonly pairs: Pairs;
  readonly inspections = new Map<Flow, Inspection>();
  readonly broken = new Set<Flow>();
  #questions = new Bucket(20, 100);
  #newNames = new Bucket(1, 500);
  #outstanding: Outstanding[] = [];
  /** By which pair the packet that is judged would open its flow. */
  #by: Pair | undefined;
  /** Softnet's answer to the packet that was judged last. */
  own: { readonly question: DnsQuestion; readonly reason: string } | undefined;
  /** The reset for the remote side, of flows that were broken off. */
  readonly resets: { flow: Flow; sequence: number }[] = [];
  /** Flows that were broken off by what the VM did not send. */
  readonly vmResets = new Set<Flow>();
  /** Where softnet's answer by TCP stands in the connection. */
  ownSegment: { readonly sequence: number; readonly acknowledgement: number } | undefined;

  constructor(state: State) {
    this.state = state;
    this.pairs = new Pairs((flow) => this.isThere(flow));
  }

  isThere(flow: Flow): boolean {
    return this.state.flows.get(flow.key) === flow;
  }

  get active(): boolean {
    return this.rules.length > 0;
  }

  get closed(): boolean {
    return this.state.rules.some(
      ({ action, way, target, ports }) =>
        action === "block" &&
        way !== "in" &&
        ports === undefined &&
        (target === "@global" || (typeof target !== "string" && "length" in target && target.length === 0)),
    );
  }

  isDnsServer(address: number): boolean {
    return this.state.binding?.dnsServers.includes(address) ?? false;
  }

  advance(): void {
    const { now } = this.state;
    this.own = undefined;
    this.ownSegment = undefined;
    this.#by = undefined;
    this.pairs.advance(now);
    for (const flow of this.inspections.keys()) if (!this.isThere(flow)) this.inspections.delete(flow);
    for (const flow of this.broken) if (!this.isThere(flow)) this.broken.delete(flow);
    this.#outstanding = this.#outstanding.filter((one) => now - one.time <= 10 * SECOND);
  }

  /** Other rules; without names nothing is inspected or broken off any more. */
  setRules(rules: readonly NameRule[]): void {
    this.rules = rules;
    if (this.active) return;
    for (const flow of this.pairs.openedBy.keys())
      if (this.#saidBy(flow) === undefined) this.pairs.openedBy.delete(flow);
    for (const [flow, { said }] of this.inspections) if (said !== undefined) this.#said.set(flow, said);
    this.inspections.clear();
    this.broken.clear();
  }

  // Openings

  /** What becomes of what the rules say about a packet that would open a flow. */
  opening(way: Way, packet: Packet, verdict: string, rule: OracleRule | undefined): string {
    if (way !== "out") return verdict;
    const { protocol, destination, payload, first } = packet;
    const ports = (protocol === TCP || protocol === UDP) && first;
    const port = ports ? uint16(payload, 2) : 0;
    const opens = isBareSyn(packet) || protocol === UDP;
    if (verdict === "policy.block" && opens && ports && !packet.fragment && !this.#blocksHost(rule)) {
      this.#by = this.#pairFor(destination, protocol, port);
      if (this.#by !== undefined) return PASS;
    }
    if (!this.closed || (protocol === TCP && !isBareSyn(packet))) return verdict;
    const changed = ["policy.block", "policy.destination", "policy.gateway"].includes(verdict);
    if (!changed && verdict !== "policy.metadata") return verdict;
    const rebinding = this.pairs.isRebinding(destination, this.state.now);
    if (!changed) return rebinding ? "name.rebind" : verdict;
    if (ports && ([53, 853, 5353, 5355].includes(port) || (protocol === UDP && port === 137))) return "name.resolver";
    if (rebinding) return "name.rebind";
    if (ports && protocol === UDP && port === 443) return "name.quic";
    const named = this.rules.some((one) => one.action === "allow" && hasPort(one, protocol, port));
    return ports && named ? "name.unpinned" : verdict;
  }

  /** A rule with a port decides, and ranks as one host. */
  #blocksHost(rule: OracleRule | undefined): boolean {
    if (rule?.ports === undefined || rule.action !== "block") return false;
    const { target } = rule;
    if (typeof target === "string") return target !== "@private" && target !== "@global";
    return target.length === 32;
  }

  #allows(name: Name, protocol: number, port: number): boolean {
    if (protocol === UDP && port === 443) return false;
    return askName(this.rules, name, protocol, port) === "allowed";
  }

  #pairFor(address: number, protocol: number, port: number): Pair | undefined {
    const verified = protocol === TCP && (port === 80 || port === 443);
    return this.pairs.list.find(
      (pair) =>
        pair.address === address &&
        this.pairs.alive(pair, verified, this.state.now) &&
        this.#allows(pair.name, protocol, port),
    );
  }

  /** Whether a name read in first bytes is allowed, and this address is the name's. */
  confirms(name: Name, flow: Flow): boolean {
    if (!this.#allows(name, TCP, flow.remotePort)) return false;
    const own = this.pairs.openedBy.get(flow);
    const verified = flow.remotePort === 80 || flow.remotePort === 443;
    return this.pairs.list.some(
      (pair) =>
        pair.address === flow.remote &&
        keyOf(pair.name) === keyOf(name) &&
        (pair === own || this.pairs.alive(pair, verified, this.state.now)),
    );
  }

  blocks(name: Name, port: number): boolean {
    return askName(this.rules, name, TCP, port) === "blocked";
  }

  /** Whether a flow that the rules would not let pass goes on by its name. */
  keeps(flow: Flow, rule: OracleRule | undefined): boolean {
    if (this.#blocksHost(rule)) return false;
    const own = this.pairs.openedBy.get(flow);
    if (own === undefined) return false;
    const said = this.#saidBy(flow);
    if (said !== undefined) return this.#allows(said, flow.protocol, flow.remotePort);
    const verified = flow.protocol === TCP && (flow.remotePort === 80 || flow.remotePort === 443);
    return this.pairs.list.some(
      (pair) =>
        pair.address === flow.remote &&
        (pair === own || this.pairs.alive(pair, verified, this.state.now)) &&
        this.#allows(pair.name, flow.protocol, flow.remotePort),
    );
  }
  readonly #said = new Map<Flow, Name>();

  #saidBy(flow: Flow): Name | undefined {
    return this.inspections.get(flow)?.said ?? this.#said.get(flow);
  }

  // Packets that everything else lets pass

  /** The last checks of a packet; `commit` opens or keeps its flow. */
  last(way: Way, packet: Packet, commit: (() => void) | undefined): { reason: string; commit?: () => void } {
    const pass = { reason: PASS, ...(commit && { commit }) };
    const { protocol, payload, first } = packet;
    if (!first || (protocol !== TCP && protocol !== UDP)) return pass;
    const remote = way === "out" ? packet.destination : packet.source;
    const port = uint16(payload, way === "out" ? 2 : 0);
    const dns = port === 53 && this.isDnsServer(remote);
    if (protocol === UDP) {
      if (dns) {
        const reason = this.#datagram(way, packet);
        if (reason !== PASS) return { reason };
      }
      const by = this.#by;
      return { reason: PASS, commit: () => this.#opened(way, packet, commit, by) };
    }
    return this.#segment(way, packet, dns, commit);
  }

  #opened(way: Way, packet: Packet, commit: (() => void) | undefined, by: Pair | undefined): void {
    commit?.();
    const flow = this.flowOf(way, packet);
    if (flow !== undefined && by !== undefined) this.pairs.openedBy.set(flow, by);
  }

  flowOf(way: Way, packet: Packet): Flow | undefined {
    const remote = way === "out" ? packet.destination : packet.source;
    return this.state.flows.get(flowKey(way, packet.protocol, remote, packet.payload)!);
  }

  #datagram(way: Way, packet: Packet): string {
    if (packet.fragment) return "dns.fragment";
    const { payload } = packet;
    if (uint16(payload, 4) !== payload.length) return "dns.format";
    const message = payload.slice(8);
    if (way === "out") return this.question(message, `udp ${packet.destination} ${uint16(payload, 0)}`);
    const sum = onesComplementSum(join(packet.addresses, [0, UDP], be16(payload.length), payload));
    if (uint16(payload, 6) !== 0 && sum !== 0xffff) return "dns.checksum";
    return this.answer(message, `udp ${packet.source} ${uint16(payload, 2)}`);
  }

  /** Checks 2 to 6 of a question. */
  question(message: Uint8Array, where: string): string {
    const question = readQuestion(message);
    if (question === undefined) return "dns.format";
    const { now } = this.state;
    if (!this.#questions.take(now)) return "dns.budget";
    const { said, exact } = askLookup(this.rules, question.name);
    const { closed } = this;
    const deny = (reason: string) => {
      this.own = { question, reason };
      return reason;
    };
    if (closed ? said !== "allowed" : said === "blocked") return deny("dns.denied");
    const { type } = question;
    if ([64, 65].includes(type) || type === 28) return deny("dns.type");
    if (closed && (TYPES_CLOSED.includes(type) || (type >= 256 && type !== 257))) return deny("dns.type");
    if (closed && !exact && !this.pairs.knows(question.name) && !this.#newNames.take(now)) return "dns.budget";
    const key = `${where} ${question.id} ${question.section}`;
    this.#outstanding = this.#outstanding.filter((one) => one.key !== key);
    this.#outstanding.push({ key, question, time: now });
    if (this.#outstanding.length > 256) this.#outstanding.shift();
    return PASS;
  }

  /** Checks 3 and 4 of an answer. */
  answer(message: Uint8Array, where: string): string {
    if (message.length < 12) return "dns.format";
    const flags = uint16(message, 2);
    if (flags < 0x8000 || (flags & 0x7800) !== 0 || uint16(message, 4) !== 1) return "dns.answer";
    const asked = this.#outstanding.find(
      ({ key, question: { section } }) =>
        key === `${where} ${uint16(message, 0)} ${message.slice(12, 12 + section.length)}`,
    );
    if (asked === undefined) return "dns.answer";
    const { question } = asked;
    if (flags % 16 === 0 && [1, 28].includes(question.type)) {
      const learned = readAnswer(message, question);
      if (learned === undefined) return "dns.format";
      const allowed = askLookup(this.rules, question.name).said === "allowed";
      this.pairs.learn(question.name, learned, this.state.now, allowed);
    }
    this.#outstanding = this.#outstanding.filter((one) => one !== asked);
    return PASS;
  }

  ownMessage(): Uint8Array | undefined {
    return this.own && ownAnswer(this.own.question, this.own.reason);
  }

  // Segments

  #segment(way: Way, packet: Packet, dns: boolean, commit: (() => void) | undefined) {
    const pass = { reason: PASS, ...(commit && { commit }) };
    const flow = this.flowOf(way, packet);
    // From the network, too: then it belongs to none that is inspected.
    const opens = isBareSyn(packet) && (flow === undefined || flow.cut || this.isClosed(flow));
    if (opens && way === "out") return this.#openSegment(packet, dns, commit);
    const inspection = opens ? undefined : flow && this.inspections.get(flow);
    if (inspection !== undefined) {
      const reason = inspection.check(way, packet, () => commit?.());
      if (reason === PASS && inspection.over) {
        if (inspection.said !== undefined) this.#said.set(flow!, inspection.said);
        this.inspections.delete(flow!);
      }
      return { reason };
    }
    if (dns) {
      const { payload } = packet;
      const data = payload.length > Math.floor(payload[12]! / 16) * 4 || payload[13]! % 2 === 1;
      return { reason: way === "out" && data && !isBareSyn(packet) ? "flow.unknown" : "name.segment" };
    }
    return pass;
  }

  isClosed: (flow: Flow) => boolean = () => false;

  #openSegment(packet: Packet, dns: boolean, commit: (() => void) | undefined) {
    const by = this.#by;
    const port = uint16(packet.payload, 2);
    const verified = port === 80 || port === 443;
    const watched = by === undefined && verified && this.rules.some((rule) => rule.action === "block");
    const kind = dns ? "dns" : by !== undefined ? (verified ? "strict" : "lenient") : watched ? "watched" : undefined;
    if (kind === undefined) return { reason: PASS, ...(commit && { commit }) };
    const inspection = new Inspection(this, kind, packet);
    const reason = inspection.checkSyn(packet);
    if (reason !== PASS) return { reason };
    if (this.inspections.size >= 256) {
      const idle = [...this.inspections.entries()]
        .filter(([, one]) => one.verdict === undefined)
        .sort(([, a], [, b]) => a.lastByte - b.lastByte)[0];
      if (idle === undefined || this.state.now - idle[1].lastByte <= 5 * SECOND) {
        if (kind !== "watched") return { reason: "name.full" };
        return { reason: PASS, ...(commit && { commit }) };
      }
      this.breakOff(idle[0], true);
    }
    return {
      reason: PASS,
      commit: () => {
        this.#opened("out", packet, commit, by);
        const flow = this.flowOf("out", packet);
        if (flow === undefined) return;
        inspection.flow = flow;
        this.inspections.set(flow, inspection);
      },
    };
  }

  /** `tellVm`: what the VM has sent last is not answered. */
  breakOff(flow: Flow, tellVm: boolean): void {
    if (tellVm && !flow.cut) this.vmResets.add(flow);
    this.state.flows.setCut(flow, true);
    this.broken.add(flow);
    this.resets.push({ flow, sequence: this.inspections.get(flow)?.nextToRemote ?? 0 });
    this.inspections.delete(flow);
  }
}
