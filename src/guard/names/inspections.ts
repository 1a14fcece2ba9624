/**
 * Inspects TCP flows: the first bytes of what was opened by name, and DNS (docs/guard-names.md, First bytes, DNS over TCP). Packets
 * come here after rules and flows have let them pass, and what is said here is the last word. A flow's inspection is known by
 * its slot.
 */
import type { FrameView } from "../../wire/frame-view.ts";
import {
  isBareSyn,
  mayHaveTcpOption,
  OPTION_MULTIPATH,
  TCP_ACK,
  TCP_HEADER,
  TCP_SYN,
  TCP_URG,
} from "../../wire/tcp.ts";
import { COMPLETE } from "../../wire/virtio-net.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { DnsStream } from "./dns-stream.ts";
import { FirstBytesGuard } from "./first-bytes-guard.ts";
import { AWAITING, DNS, DONE, Inspection, READ, READING, REPLY_FINAL, REPLY_UNKNOWN, WATCHED } from "./inspection.ts";
import type { NameJudge } from "./name-judge.ts";
import { NetworkResets } from "./network-resets.ts";

const FULL = verdictOf("name.full");
const ORDER = verdictOf("name.order");
const SEGMENT = verdictOf("name.segment");

/** Inspections at once. */
export const MOST_INSPECTIONS = 256;
/** One that has collected nothing for longer makes room; microseconds. */
const PATIENCE = 5_000_000;

/** No inspection. */
export const NO_INSPECTION = -1;

export class Inspections {
  /** By slot; made when a slot is used first. */
  readonly #all: Inspection[] = [];
  readonly #free: number[] = [];
  readonly #firstBytes: FirstBytesGuard;
  readonly #dns: DnsStream;
  readonly #breakOff: (flow: number) => void;
  readonly #resets = new NetworkResets();

  /** `breakOff`: cuts a flow that makes room for another one. */
  constructor(judge: NameJudge, breakOff: (flow: number) => void) {
    this.#firstBytes = new FirstBytesGuard(judge);
    this.#dns = new DnsStream(judge);
    this.#breakOff = breakOff;
  }

  /** How many there are. */
  get size(): number {
    return this.#all.length - this.#free.length;
  }

  /** Why a flow cannot be inspected now, or PASS; nothing makes room yet. */
  refusal(now: number): number {
    if (this.size < MOST_INSPECTIONS) return PASS;
    return this.#idlest(now) === NO_INSPECTION ? FULL : PASS;
  }

  /**
   * Begins with the bare SYN that has opened a flow, and was not refused; returns the slot. `mode`: STRICT, LENIENT, WATCHED
   * or DNS; `remote`: as the flow knows it.
   */
  open(mode: number, flow: number, remote: number, syn: FrameView, now: number): number {
    const slot = this.#slot(now);
    const inspection = this.#all[slot]!;
    inspection.begin(mode, flow, remote, now);
    inspection.ends.read(syn);
    inspection.beginFromVm((syn.tcpSequence + 1) >>> 0);
    inspection.ownPort = syn.sourcePort;
    inspection.remotePort = syn.destinationPort;
    return slot;
  }

  /** Why a SYN that would open an inspected flow may not, or PASS. */
  judgeSyn(syn: FrameView): number {
    return dataOf(syn) === 0 && isReadable(syn) && !isMultipath(syn) ? PASS : SEGMENT;
  }

  /** Judges a packet of the flow's from the VM, also a bare SYN that is sent again. */
  egress(slot: number, view: FrameView, now: number): number {
    const inspection = this.#all[slot]!;
    if (!isReadable(view)) return SEGMENT;
    if (isBareSyn(view.tcpFlags)) return synAgain(inspection, view);
    const data = dataOf(view);
    // Else the other side could read these bytes from another place than here: behind another SYN of the VM's.
    if (data > 0 && !inspection.isAnswered) return ORDER;
    const judge = inspection.mode === DNS ? this.#dns : this.#firstBytes;
    const verdict = judge.egress(inspection, view, data, now);
    if (verdict === PASS && data > 0) inspection.pass(view.tcpSequence + data);
    return verdict;
  }

  /** Judges a packet of the flow's to the VM. */
  ingress(slot: number, view: FrameView, now: number): number {
    const inspection = this.#all[slot]!;
    if (inspection.mode === DNS)
      return isReadable(view) ? this.#dns.ingress(inspection, view, dataOf(view), now) : SEGMENT;
    const unread = readReply(inspection, view);
    if (unread !== PASS) return unread;
    if (view.fragmentBits !== 0 || (view.tcpFlags & TCP_ACK) === 0) return PASS;
    if (inspection.isTakenBy(view)) inspection.beginReply((view.tcpSequence + 1) >>> 0);
    if (inspection.state !== READ) return PASS;
    // Nobody can put other bytes in the place of those that the other side has.
    if (((view.tcpAcknowledgement - inspection.fromVm.next) | 0) >= 0) inspection.state = DONE;
    return PASS;
  }

  /** Whether a flow's inspection has nothing left to do: to be ended. */
  isDone(slot: number): boolean {
    return this.#all[slot]!.state === DONE;
  }

  /** Whether a flow said an allowed name that has its address, in a hello or a request. */
  hasSaid(slot: number): boolean {
    return this.#all[slot]!.state !== READING && this.#all[slot]!.reader.nameLength > 0;
  }

  /** The name that a flow said, in wire form; empty while there is none. */
  nameOf(slot: number): Uint8Array {
    const { reader } = this.#all[slot]!;
    return reader.name.subarray(0, reader.nameLength);
  }

  /** Whether a packet that drops for `verdict` breaks its flow off. */
  breaksOff(verdict: number): boolean {
    return verdict !== ORDER && verdict !== SEGMENT && verdict !== FULL;
  }

  /** The flow is broken off: the other side gets a RST. */
  reset(slot: number): void {
    const { ends, passed } = this.#all[slot]!;
    this.#resets.add(ends, passed);
  }

  /** The flow is over, or nothing is left to do. */
  end(slot: number): void {
    this.#free.push(slot);
    this.#all[slot]!.state = DONE;
  }

  /** All flows are over. */
  clear(): void {
    this.#free.length = 0;
    for (let slot = this.#all.length - 1; slot >= 0; slot--) this.end(slot);
  }

  /** Writes the next RST for the network to `out` at `at`, at most LONGEST_SEGMENT bytes, and returns its length; 0 = none. */
  takeReset(out: Uint8Array, at: number): number {
    return this.#resets.take(out, at);
  }

  /**
   * Writes softnet's answer to the question by TCP that was denied last to `out` at `at` and returns the frame's length;
   * 0 = none.
   */
  takeAnswer(out: Uint8Array, at: number): number {
    return this.#dns.takeAnswer(out, at);
  }

  #slot(now: number): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#all.length < MOST_INSPECTIONS) return this.#all.push(new Inspection()) - 1;
    const idlest = this.#idlest(now);
    this.reset(idlest);
    this.#breakOff(this.#all[idlest]!.flow);
    // The flow's end may have given the slot back already.
    return this.#free.pop() ?? idlest;
  }

  /** The one that reads or awaits, and has collected nothing for longest, where that is long enough. */
  #idlest(now: number): number {
    let idlest = NO_INSPECTION;
    let since = now - PATIENCE;
    for (let slot = 0; slot < this.#all.length; slot++) {
      const { state, lastByte } = this.#all[slot]!;
      if ((state !== READING && state !== AWAITING) || lastByte >= since) continue;
      since = lastByte;
      idlest = slot;
    }
    return idlest;
  }
}

/** Reads the other side's first bytes, by which it is known whether another hello follows. */
function readReply(inspection: Inspection, view: FrameView): number {
  const { mode, state, reply, isAnswered } = inspection;
  if (mode === WATCHED || reply !== REPLY_UNKNOWN || !isAnswered || (state !== READING && state !== AWAITING))
    return PASS;
  const length = dataOf(view);
  if (length <= 0 || (view.tcpFlags & TCP_SYN) !== 0) return PASS;
  if (!isReadable(view)) return SEGMENT;
  const data = view.transport + view.tcpHeaderLength;
  if (!inspection.readReply(view.tcpSequence, view.bytes, data, length)) return ORDER;
  if (inspection.reply === REPLY_FINAL && state === AWAITING) inspection.state = READ;
  return PASS;
}

/** Another sequence number than the first SYN's begins anew, as long as nothing was read. */
function synAgain(inspection: Inspection, view: FrameView): number {
  const { fromVm, state } = inspection;
  const start = (view.tcpSequence + 1) >>> 0;
  if (dataOf(view) > 0 || isMultipath(view)) return SEGMENT;
  if (start === inspection.first) return PASS;
  const isBegun = fromVm.held > 0 || inspection.passed !== inspection.first;
  const isFixed = inspection.mode === DNS && inspection.isAnswered;
  if (state !== READING || isFixed || isBegun) return SEGMENT;
  inspection.beginFromVm(start);
  return PASS;
}

const dataOf = (view: FrameView): number => view.transportLength - view.tcpHeaderLength;

/** Whether a readable SYN may lead to a connection whose bytes have another order than their sequence numbers (RFC 8684). */
const isMultipath = (syn: FrameView): boolean => mayHaveTcpOption(syn.bytes, syn.transport, OPTION_MULTIPATH);

/** Whether a segment says surely which bytes its receiver takes in. */
function isReadable(view: FrameView): boolean {
  const { tcpHeaderLength: header } = view;
  if (view.fragmentBits !== 0 || (view.tcpFlags & TCP_URG) !== 0) return false;
  if (header < TCP_HEADER || header > view.transportLength) return false;
  return view.offload !== COMPLETE || view.tcpChecksumIsRight;
}
