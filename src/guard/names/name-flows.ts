/**
 * Names and the flows of one address family (docs/guard-names.md): which flows a name opened, which are inspected, and what DNS
 * says. The guard of flows asks here after the rules, and only while a policy has names.
 */
import { NAME_ALLOWED, type NameTable } from "../../policy/name-table.ts";
import { OUT, type Way } from "../../policy/rule-tree.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { isBareSyn, TCP_FIN } from "../../wire/tcp.ts";
import { UDP_HEADER } from "../../wire/udp.ts";
import { COMPLETE } from "../../wire/virtio-net.ts";
import { DNS_PORT } from "../default-policy.ts";
import type { FlowCompanion } from "../flow-observer.ts";
import { type FlowTable, MOST_FLOWS, NO_FLOW } from "../flow-table.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { Resets } from "../resets.ts";
import { putDnsReply } from "./dns-reply.ts";
import { DNS, LENIENT, STRICT, WATCHED } from "./inspection.ts";
import { Inspections } from "./inspections.ts";
import type { NameFamily } from "./name-family.ts";
import type { NameGuard } from "./name-guard.ts";
import type { NameJudge } from "./name-judge.ts";
import type { Name, Pair } from "./pairs.ts";
import { refusalOf } from "./refusals.ts";

const BLOCK = verdictOf("policy.block");
const FORMAT = verdictOf("dns.format");
const FRAGMENT = verdictOf("dns.fragment");
const CHECKSUM = verdictOf("dns.checksum");
const FULL = verdictOf("name.full");
const SEGMENT = verdictOf("name.segment");
const UNKNOWN = verdictOf("flow.unknown");
const CUT = verdictOf("flow.cut");

/** In a flow's place for its inspection: there is none; it was broken off. */
const NONE = -1;
const BROKEN = -2;

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
const isVerified = (protocol: number, port: number): boolean =>
  protocol === PROTOCOL_TCP && (port === HTTP_PORT || port === HTTPS_PORT);

/** Whether a segment is more than an ACK: its sender waits for something. An ACK of softnet's own answer needs no RST. */
const wantsMore = (view: FrameView): boolean =>
  view.transportLength > view.tcpHeaderLength || (view.tcpFlags & TCP_FIN) !== 0;

export class NameFlows implements NameJudge, FlowCompanion {
  readonly #guard: NameGuard;
  readonly #family: NameFamily;
  readonly #flows: FlowTable;
  readonly #clock: Float64Array;
  readonly #inspections: Inspections;
  /** Flows that wait for their RST; undefined = the VM gets none. */
  readonly #resets: () => Resets | undefined;
  /** By flow. */
  readonly #slots = new Int16Array(MOST_FLOWS).fill(NONE);
  readonly #pairs: (Pair | undefined)[] = new Array(MOST_FLOWS).fill(undefined);
  readonly #said: (Name | undefined)[] = new Array(MOST_FLOWS).fill(undefined);
  /** Of the packet that is being judged: the pair by which it opens a flow, and how that is inspected. */
  #opener: Pair | undefined;
  #mode = NONE;

  /** `clock`: the guard's, in microseconds, in place 0. */
  constructor(
    guard: NameGuard,
    family: NameFamily,
    flows: FlowTable,
    clock: Float64Array,
    resets: () => Resets | undefined,
  ) {
    this.#guard = guard;
    this.#family = family;
    this.#flows = flows;
    this.#clock = clock;
    this.#resets = resets;
    this.#inspections = new Inspections(this, (flow) => this.#cut(flow, true));
    flows.companion = this;
  }

  get #table(): NameTable {
    return this.#guard.table!;
  }

  /* What the guard of flows asks, in this order. */

  /** The rules drop a packet of the VM's: what names say instead. `opens`: it is whole, and would open a flow. */
  reconsider(view: FrameView, remote: number, verdict: number, opens: boolean): number {
    const { protocol, destinationPort: port } = view;
    this.#opener = undefined;
    if (verdict === BLOCK && opens && !this.#family.outranksNames(remote, port)) {
      this.#opener = this.#opening(remote, protocol, port);
      if (this.#opener !== undefined) return PASS;
    }
    // What is left of a flow that was cut says nothing of names.
    if (!this.#table.closesInternet || (protocol === PROTOCOL_TCP && !isBareSyn(view.tcpFlags))) return verdict;
    const isRebound = this.#guard.gate.unpinned.has(this.#family.addressOf(remote), this.#clock[0]!);
    return refusalOf(verdict, protocol, port, isRebound, this.#table);
  }

  /**
   * Judges a packet that rules and flows let pass. `flow`: that it belongs to, or NO_FLOW; `opening`: it opens one; `byName`:
   * `reconsider` has let it pass.
   */
  judge(
    way: Way,
    view: FrameView,
    remote: number,
    flow: number,
    bareSyn: boolean,
    opening: boolean,
    byName: boolean,
  ): number {
    this.#mode = NONE;
    if (!byName) this.#opener = undefined;
    if (flow !== NO_FLOW) {
      const slot = this.#slots[flow]!;
      if (slot >= 0) return this.#inspect(way, view, flow, slot);
    }
    const { protocol } = view;
    const remotePort = way === OUT ? view.destinationPort : view.sourcePort;
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return PASS;
    if (remotePort === DNS_PORT && this.#family.isDnsServer(remote)) {
      if (protocol === PROTOCOL_UDP) return this.#judgeDatagram(way, view, remote);
      // Nothing of a stream that was not read from its beginning.
      if (way === OUT && !bareSyn) return wantsMore(view) ? UNKNOWN : SEGMENT;
      if (way !== OUT || !opening) return SEGMENT;
      return this.#begin(DNS, view);
    }
    if (!opening || way !== OUT || protocol !== PROTOCOL_TCP || !bareSyn) return PASS;
    if (this.#opener !== undefined) return this.#begin(isVerified(protocol, remotePort) ? STRICT : LENIENT, view);
    return (this.#table.anyBlock || this.#guard.learns) && isVerified(protocol, remotePort)
      ? this.#begin(WATCHED, view)
      : PASS;
  }

  /** The packet that was judged last has opened a flow. */
  opened(way: Way, flow: number, view: FrameView, remote: number): void {
    if (way === OUT && this.#guard.learns) this.#tellOpened(view, remote);
    const opener = this.#opener;
    if (opener !== undefined) {
      opener.flows++;
      this.#pairs[flow] = opener;
      this.#opener = undefined;
      const { labels } = opener.name;
      // Nothing more will be known of it.
      if (this.#mode === NONE)
        this.#guard.counts.connection(opener.address, view.destinationPort, labels, labels.length, PASS);
    }
    if (this.#mode !== NONE) {
      this.#slots[flow] = this.#inspections.open(this.#mode, flow, remote, view, this.#clock[0]!);
    }
    this.#mode = NONE;
  }

  /** Whether each packet of a flow must be judged here. */
  holds(flow: number): boolean {
    return this.#slots[flow]! !== NONE;
  }

  /** Whether a flow was broken off: no rule brings it back. */
  isBroken(flow: number): boolean {
    return this.#slots[flow]! === BROKEN;
  }

  /** Judges a packet of a flow that was broken off: an ACK of softnet's own answer gets no RST, which could take it away. */
  judgeBroken(way: Way, view: FrameView): number {
    return way === OUT && !wantsMore(view) ? SEGMENT : CUT;
  }

  /** Whether a flow of the VM's about which the rules now say `verdict` may go on by its name. */
  mayGoOn(flow: number, remote: number, protocol: number, port: number, verdict: number): boolean {
    // What an address opened is not inspected: a name that has the address by now does not vouch for it.
    if (this.#pairs[flow] === undefined) return false;
    if (verdict !== BLOCK || this.#family.outranksNames(remote, port)) return false;
    const said = this.#said[flow];
    if (said === undefined) return this.#opening(remote, protocol, port) !== undefined;
    return this.#table.ask(said.labels, said.labels.length, protocol, port) === NAME_ALLOWED;
  }

  /** The policy has no names any more: nothing is inspected. */
  release(): void {
    for (let flow = 0; flow < this.#flows.extent; flow++) {
      if (this.#slots[flow]! >= 0) this.#inspections.end(this.#slots[flow]!);
      this.#slots[flow] = NONE;
    }
  }

  /* What the table of flows tells. */

  /** A flow is over. */
  ended(flow: number): void {
    const pair = this.#pairs[flow];
    if (pair !== undefined) pair.flows--;
    this.#pairs[flow] = undefined;
    this.#said[flow] = undefined;
    const slot = this.#slots[flow]!;
    this.#slots[flow] = NONE;
    if (slot >= 0) this.#inspections.end(slot);
  }

  /** All flows are over. */
  allEnded(): void {
    for (let flow = 0; flow < this.#flows.extent; flow++) this.ended(flow);
  }

  /* What the relay takes. */

  /** As Inspections.takeReset: for the network. */
  takeReset(out: Uint8Array, at: number): number {
    return this.#inspections.takeReset(out, at);
  }

  /** Writes softnet's own answer to a question that drops for `verdict` to `out` at `at`; returns the frame's length, 0 = none. */
  answer(view: FrameView, verdict: number, out: Uint8Array, at: number): number {
    if (view.protocol === PROTOCOL_TCP) return this.#inspections.takeAnswer(out, at);
    return putDnsReply(this.#guard.gate, view, verdict, out, at);
  }

  /* What inspections ask. */

  ask(labels: Uint8Array, length: number, port: number): number {
    return this.#table.ask(labels, length, PROTOCOL_TCP, port);
  }

  hasPair(labels: Uint8Array, length: number, remote: number): boolean {
    const name = this.#guard.pairs.named(labels, length);
    const pair = name?.pairs.get(this.#family.addressOf(remote));
    return pair !== undefined && this.#guard.pairs.isAlive(pair, true, this.#clock[0]!);
  }

  judgeQuestion(bytes: Uint8Array, at: number, length: number, remote: number, port: number): number {
    const { gate } = this.#guard;
    const server = this.#family.addressOf(remote);
    return gate.judgeQuestion(this.#table, bytes, at, length, server, PROTOCOL_TCP, port, this.#clock[0]!);
  }

  judgeAnswer(bytes: Uint8Array, at: number, length: number, remote: number, port: number): number {
    const { gate } = this.#guard;
    const server = this.#family.addressOf(remote);
    return gate.judgeAnswer(this.#table, bytes, at, length, server, PROTOCOL_TCP, port, this.#clock[0]!);
  }

  putAnswer(bytes: Uint8Array, at: number, length: number, verdict: number, out: Uint8Array, to: number): number {
    return this.#guard.gate.putAnswer(bytes, at, length, verdict, out, to);
  }

  tellConnection(remote: number, port: number, labels: Uint8Array, length: number, verdict: number): void {
    this.#guard.counts.connection(this.#family.addressOf(remote), port, labels, length, verdict);
  }

  #opening(remote: number, protocol: number, port: number): Pair | undefined {
    if (protocol === PROTOCOL_UDP && port === HTTPS_PORT) return undefined;
    const pairs = this.#guard.pairs.at(this.#family.addressOf(remote));
    if (pairs === undefined) return undefined;
    const verified = isVerified(protocol, port);
    for (const pair of pairs) {
      if (!this.#guard.pairs.isAlive(pair, verified, this.#clock[0]!)) continue;
      const { labels } = pair.name;
      if (this.#table.ask(labels, labels.length, protocol, port) === NAME_ALLOWED) return pair;
    }
    return undefined;
  }

  #tellOpened({ protocol, destinationPort: port }: FrameView, remote: number): void {
    if (port === DNS_PORT && this.#family.isDnsServer(remote)) return;
    const address = this.#family.addressOf(remote);
    const pairs = this.#guard.pairs.at(address) ?? [];
    const names = [...pairs].map(({ name }) => name.text);
    const known = protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
    const word = known ? (protocol === PROTOCOL_TCP ? "tcp" : "udp") : "other";
    this.#guard.counts.opened(address, word, known ? port : 0, names);
  }

  #begin(mode: number, syn: FrameView): number {
    const unreadable = this.#inspections.judgeSyn(syn);
    if (unreadable !== PASS) return unreadable;
    const refusal = this.#inspections.refusal(this.#clock[0]!);
    if (refusal === FULL && mode === WATCHED) return PASS;
    if (refusal === PASS) this.#mode = mode;
    return refusal;
  }

  #inspect(way: Way, view: FrameView, flow: number, slot: number): number {
    const inspections = this.#inspections;
    const now = this.#clock[0]!;
    const verdict = way === OUT ? inspections.egress(slot, view, now) : inspections.ingress(slot, view, now);
    if (verdict !== PASS) {
      if (inspections.breaksOff(verdict)) {
        inspections.reset(slot);
        // A packet of the VM's is answered.
        this.#cut(flow, way !== OUT);
      }
      return verdict;
    }
    if (this.#said[flow] === undefined && inspections.hasSaid(slot)) {
      const labels = inspections.nameOf(slot);
      this.#said[flow] = this.#guard.pairs.named(labels, labels.length);
    }
    if (inspections.isDone(slot)) {
      inspections.end(slot);
      this.#slots[flow] = NONE;
    }
    return PASS;
  }

  /** Breaks a flow off towards the VM. */
  #cut(flow: number, reset: boolean): void {
    const slot = this.#slots[flow]!;
    if (slot >= 0) this.#inspections.end(slot);
    this.#slots[flow] = BROKEN;
    if (this.#flows.isCut(flow)) return;
    this.#flows.cut(flow);
    if (reset) this.#resets()?.add(this.#flows, flow);
  }

  #judgeDatagram(way: Way, view: FrameView, remote: number): number {
    if (view.fragmentBits !== 0) return FRAGMENT;
    if (view.udpLength !== view.transportLength) return FORMAT;
    const { gate } = this.#guard;
    const { bytes } = view;
    const at = view.transport + UDP_HEADER;
    const length = view.udpLength - UDP_HEADER;
    const server = this.#family.addressOf(remote);
    const now = this.#clock[0]!;
    if (way === OUT) {
      return gate.judgeQuestion(this.#table, bytes, at, length, server, PROTOCOL_UDP, view.sourcePort, now);
    }
    if (view.offload === COMPLETE && !view.udpChecksumIsRight) return CHECKSUM;
    return gate.judgeAnswer(this.#table, bytes, at, length, server, PROTOCOL_UDP, view.destinationPort, now);
  }
}
