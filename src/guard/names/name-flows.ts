/**
 * Names and the flows of one address family (docs/guard-names.md): which flows a name opened, which are inspected, and what DNS
 * says. The guard of flows asks here after the rules, and only while a policy has names.
 */
import { NAME_ALLOWED, type NameTable } from "../../policy/name-table.ts";
import { OUT, type Way } from "../../policy/rule-tree.ts";
import { isWeb } from "../../policy/web-ports.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { isBareSyn, TCP_FIN } from "../../wire/tcp.ts";
import { DNS_PORT } from "../default-policy.ts";
import type { FlowCompanion } from "../flow-observer.ts";
import { type FlowTable, MOST_FLOWS, NO_FLOW } from "../flow-table.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { Resets } from "../resets.ts";
import { putDnsReply } from "./dns-reply.ts";
import { FamilyNames } from "./family-names.ts";
import { DNS, LENIENT, STRICT, WATCHED } from "./inspection.ts";
import { Inspections } from "./inspections.ts";
import type { NameFamily } from "./name-family.ts";
import type { NameGuard } from "./name-guard.ts";
import type { Name, Pair } from "./pairs.ts";

const BLOCK = verdictOf("policy.block");
const FULL = verdictOf("name.full");
const SEGMENT = verdictOf("name.segment");
const UNKNOWN = verdictOf("flow.unknown");
const CUT = verdictOf("flow.cut");

/** In a flow's place for its inspection: there is none; it was broken off. */
const NONE = -1;
const BROKEN = -2;

/** Whether a segment is more than an ACK: its sender waits for something. An ACK of softnet's own answer needs no RST. */
const wantsMore = (view: FrameView): boolean =>
  view.transportLength > view.tcpHeaderLength || (view.tcpFlags & TCP_FIN) !== 0;

export class NameFlows implements FlowCompanion {
  readonly #guard: NameGuard;
  readonly #family: NameFamily;
  readonly names: FamilyNames;
  readonly #flows: FlowTable;
  readonly #clock: Float64Array;
  readonly #inspections: Inspections;
  /** Flows that wait for their RST; undefined = the VM gets none. */
  readonly #resets: () => Resets | undefined;
  /** By flow. */
  readonly #slots = new Int16Array(MOST_FLOWS).fill(NONE);
  readonly #pairs: (Pair | undefined)[] = new Array(MOST_FLOWS).fill(undefined);
  readonly #said: (Name | undefined)[] = new Array(MOST_FLOWS).fill(undefined);
  /** How the flow is inspected that the packet which is being judged opens. */
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
    this.names = new FamilyNames(guard, family, clock);
    this.#inspections = new Inspections(this.names, (flow) => this.#cut(flow, true));
    flows.companion = this;
  }

  get #table(): NameTable {
    return this.#guard.table!;
  }

  /* What the guard of flows asks. */

  /** As FamilyNames.reconsider, about a packet. */
  reconsider(view: FrameView, remote: number, verdict: number, opens: boolean): number {
    const { protocol, destinationPort: port, tcpFlags: flags } = view;
    // What is left of a flow that was cut says nothing of names.
    if (protocol === PROTOCOL_TCP && !isBareSyn(flags)) return verdict;
    return this.names.reconsider(remote, protocol, port, verdict, opens);
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
    if (!byName) this.names.opener = undefined;
    if (flow !== NO_FLOW) {
      const slot = this.#slots[flow]!;
      if (slot >= 0) return this.#inspect(way, view, flow, slot);
    }
    const { protocol } = view;
    const remotePort = way === OUT ? view.destinationPort : view.sourcePort;
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return PASS;
    if (remotePort === DNS_PORT && this.#family.isDnsServer(remote)) {
      if (protocol === PROTOCOL_UDP) return this.names.judgeDatagram(way, view, remote);
      // Nothing of a stream that was not read from its beginning.
      if (way === OUT && !bareSyn) return wantsMore(view) ? UNKNOWN : SEGMENT;
      if (way !== OUT || !opening) return SEGMENT;
      return this.#begin(DNS, view);
    }
    if (!opening || way !== OUT || protocol !== PROTOCOL_TCP || !bareSyn) return PASS;
    if (byName) return this.#begin(isWeb(protocol, remotePort) ? STRICT : LENIENT, view);
    return (this.#table.anyBlock || this.#guard.learns) && isWeb(protocol, remotePort)
      ? this.#begin(WATCHED, view)
      : PASS;
  }

  /** The packet that was judged last has opened a flow. */
  opened(way: Way, flow: number, view: FrameView, remote: number): void {
    if (way === OUT && this.#guard.learns) this.#tellOpened(view, remote);
    const { opener } = this.names;
    if (opener !== undefined) {
      opener.flows++;
      this.#pairs[flow] = opener;
      this.names.opener = undefined;
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

  /**
   * Whether a bare SYN of the VM's begins a live flow anew: the other side may have ended the connection without the guard's
   * knowledge, and what follows is first bytes again.
   */
  beginsAnew(flow: number, { destinationPort: port }: FrameView): boolean {
    if (this.#slots[flow]! !== NONE) return false;
    if (this.#pairs[flow] !== undefined || this.#flows.isFromOther(flow)) return true;
    return (this.#table.anyBlock || this.#guard.learns) && isWeb(PROTOCOL_TCP, port);
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
    const said = this.#said[flow];
    if (said === undefined) return this.names.openerOf(remote, protocol, port, verdict) !== undefined;
    if (verdict !== BLOCK || this.#family.outranksNames(remote, port)) return false;
    return this.#table.ask(said.labels, said.labels.length, protocol, port) === NAME_ALLOWED;
  }

  /**
   * The policy has no names any more: nothing is inspected. What has not said a name by now is open by its address alone, also
   * when names come back.
   */
  release(): void {
    for (let flow = 0; flow < this.#flows.extent; flow++) {
      if (this.#slots[flow]! >= 0) this.#inspections.end(this.#slots[flow]!);
      // Also of one that was broken off: addresses may let it go on now.
      if (this.#said[flow] === undefined) this.#forgetPair(flow);
      this.#slots[flow] = NONE;
    }
  }

  /* What the table of flows tells. */

  /** A flow is over. */
  ended(flow: number): void {
    this.#forgetPair(flow);
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

  #forgetPair(flow: number): void {
    const pair = this.#pairs[flow];
    if (pair !== undefined) pair.flows--;
    this.#pairs[flow] = undefined;
  }

  #tellOpened(view: FrameView, remote: number): void {
    // DNS is open to whatever has names.
    if (view.destinationPort !== DNS_PORT || !this.#family.isDnsServer(remote)) this.names.tellOpened(view, remote);
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
}
