/**
 * The flows of a VM: who talks to whom, so that answers pass without asking the rules (docs/guard.md, Flows).
 *
 *   TCP    half-open → open     a bare SYN opens it; the other side's SYN and ACK and then the opening side's segment without
 *                               SYN and RST complete it; what the VM begins in the middle is open at once, what the
 *                               other side begins there once the VM has sent a segment without RST
 *          half-open → over       the side that did not open it sends a RST
 *          open ⇄ closed        FIN from both sides, for good; or a RST, until either side sends a segment without one: a
 *                               RST that its receiver does not believe (RFC 5961) closes nothing
 *   all    live → over          nothing of it passed for 7,440 s (TCP), 60 s (half-open), 240 s (closed), 30 s (UDP), 120 s
 *                               (answered UDP), 60 s (echo)
 *   all    live ⇄ cut → over    a changed policy no longer allows it, or does again; its place remembers it, so that what
 *                               the far side goes on sending is not taken for something new
 *
 * Everything is made once: 32 bytes a flow in one array, chained by a keyed hash, and a wheel of seconds that ends what is
 * over: 1,048,576 bytes of flows and 132,288 of the wheel. Whoever passes only writes down the second; the wheel finds out by
 * itself that a flow it looks at has lived on.
 *
 * A flow with a packet in the last 300 s keeps its place, whatever else comes (threat row I13). What is idle for longer, which
 * only TCP may be, moves from the wheel to one of two lists by the side that opened it. It moves there in the very second in
 * which it is idle for that long, so each list is in the order of last packets without sorting: its first flows are those that
 * are over next, and those that make room where the table is full.
 */
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "../wire/tcp.ts";
import { HASH_BITS, KeyedHash } from "./keyed-hash.ts";
import { PASS, verdictOf } from "./reasons.ts";
import { RemoteCounts } from "./remote-counts.ts";
import { NO_SLOT, TimeWheel } from "./time-wheel.ts";

const FULL = verdictOf("flow.full");
const HALF_OPEN = verdictOf("flow.half-open");

/** Flows at once. */
export const MOST_FLOWS = 32_768;
/** Half-open flows of one remote address that the same side opened. */
export const MOST_HALF_OPEN = 256;

/** What a flow is of. */
export const FLOW_TCP = 0;
export const FLOW_UDP = 1;
/** The VM asks, the other side answers; the ports are the identifier. */
export const FLOW_ECHO_FROM_VM = 2;
/** The other side asks. */
export const FLOW_ECHO_TO_VM = 3;
/** What belongs to no flow. */
export const NO_KIND = -1;

/** No flow. */
export const NO_FLOW = -1;

/*
 * Seconds without a packet after which a flow is over once they are exceeded.
 */
/** RFC 5382 REQ-5: 2 hours and 4 minutes, so that keep-alives every 2 hours (RFC 1122 4.2.3.6) keep it. */
const TCP_SECONDS = 7440;
const HALF_OPEN_SECONDS = 60;
/** RFC 5382 REQ-5: twice the longest life of a segment (RFC 9293 3.4.2). */
const CLOSED_SECONDS = 240;
/** A question that nobody has answered. */
const UDP_SECONDS = 30;
/** RFC 4787 REQ-5 */
const ANSWERED_UDP_SECONDS = 120;
/** RFC 5508 REQ-1 */
const ECHO_SECONDS = 60;

/** A flow with a packet in the last seconds, as many as this, makes no room for others. */
const SAFE_SECONDS = 300;

/** The lists beside the wheel, of what is idle for longer: flows that the VM opened, and those that the other side did. */
const IDLE_OF_VM = 0;
const IDLE_OF_OTHER = 1;

/** Words of a flow. */
const WORDS = 8;
const PORTS = 1;
const STATE = 2;
/** Second of its last packet, modulo 2³². */
const LAST = 3;
/** The next flow with the same hash, or the next free place. */
const NEXT = 4;
/** Last acknowledgement number that the VM sent. */
const ACKNOWLEDGEMENT = 5;
/** The Ethernet address of the other side when it was opened. */
const MAC_HIGH = 6;
const MAC_LOW = 7;

/** Bits of the state. */
const KIND = 3;
const OPENED_BY_OTHER = 1 << 2;
const AWAITS_ANSWER = 1 << 3;
const AWAITS_OPENER = 1 << 4;
/** The other side began in the middle. */
const AWAITS_VM = 1 << 8;
const IS_HALF_OPEN = AWAITS_ANSWER | AWAITS_OPENER | AWAITS_VM;
const ACKNOWLEDGED = 1 << 5;
const IN_USE = 1 << 6;
const CUT = 1 << 7;
/** It waits in the queue of those that get a RST. */
const QUEUED = 1 << 9;
/** It stands in a list of idle ones, not in the wheel. */
const IDLE = 1 << 10;
/** A FIN without RST passed, from the VM and from the other side. */
const FIN_OF_VM = 1 << 11;
const FIN_OF_OTHER = 1 << 12;
const BOTH_FINS = FIN_OF_VM | FIN_OF_OTHER;
/** The last segment that passed, of whichever side, has RST. */
const RESET = 1 << 13;
/** UDP: a packet of the side that did not open it passed. */
const ANSWERED = 1 << 14;

const END = 0xffff;

export class FlowTable {
  readonly #hash = new KeyedHash();
  readonly #heads = new Uint16Array(1 << HASH_BITS).fill(END);
  readonly #most: number;
  readonly #mostFromOther: number;
  readonly #flows: Int32Array;
  readonly #wheel: TimeWheel;
  /** By the side that opened them: the VM, the other one. */
  readonly #halfOpen: readonly [RemoteCounts, RemoteCounts];
  #free = END;
  #second = 0;
  /** How many flows there are, live and cut. */
  size = 0;
  /** How many of them are cut. */
  #cuts = 0;
  /** How many of them the other side opened. */
  #fromOther = 0;
  /** Places from here on were never used: flows are 0 … extent - 1. */
  extent = 0;

  /** Room for `most` flows, half of them opened by the other side: the VM has room for its own (threat row I13). */
  constructor(most = MOST_FLOWS) {
    this.#most = most;
    this.#mostFromOther = most / 2;
    this.#flows = new Int32Array(most * WORDS);
    this.#wheel = new TimeWheel(most, SAFE_SECONDS + 1, 2);
    this.#halfOpen = [new RemoteCounts(this.#hash, most), new RemoteCounts(this.#hash, this.#mostFromOther)];
  }

  /** Tells the time in whole seconds; it never goes back. Ends what is over. */
  advance(second: number): void {
    if (second <= this.#second) return;
    if (this.size === 0 || second - this.#second > TCP_SECONDS) {
      // Nothing lives as long; ages stay far below 2³² so, too.
      this.#second = second;
      if (this.size > 0) this.clear();
      return;
    }
    // Every second by itself: what becomes idle must come to its list in the order of last packets.
    while (this.#second < second) {
      this.#second++;
      this.#wheel.turn(1, this.#look);
      this.#endOutlived(IDLE_OF_VM);
      this.#endOutlived(IDLE_OF_OTHER);
    }
  }

  readonly #look = (flow: number): void => {
    const state = this.#flows[flow * WORDS + STATE]!;
    const patience = patienceOf(state);
    const age = this.#ageOf(flow);
    if (age > patience) {
      this.#drop(flow);
    } else if (age > SAFE_SECONDS) {
      this.#flows[flow * WORDS + STATE] = state | IDLE;
      this.#wheel.append(flow, sideOf(state));
    } else {
      this.#wheel.place(flow, delayFor(patience) - age);
    }
  };

  /** Seconds since a flow's last packet. */
  #ageOf(flow: number): number {
    return ((this.#second | 0) - this.#flows[flow * WORDS + LAST]!) >>> 0;
  }

  #endOutlived(list: number): void {
    for (let flow = this.#wheel.first(list); flow !== NO_SLOT; flow = this.#wheel.first(list)) {
      if (this.#ageOf(flow) <= TCP_SECONDS) return;
      this.end(flow);
    }
  }

  /** The flow of a kind with a remote address and ports: the remote one in the upper half, the VM's in the lower. */
  find(kind: number, remote: number, ports: number): number {
    const flows = this.#flows;
    const wantedRemote = remote | 0;
    const wantedPorts = ports | 0;
    let flow = this.#heads[this.#hash.of(remote, ports, kind)]!;
    while (flow !== END) {
      const at = flow * WORDS;
      if (flows[at] === wantedRemote && flows[at + PORTS] === wantedPorts && (flows[at + STATE]! & KIND) === kind) {
        return flow;
      }
      flow = flows[at + NEXT]!;
    }
    return NO_FLOW;
  }

  /** Why no flow may be opened, or PASS; nothing is ended yet to make room. */
  refusal(kind: number, byOther: boolean, bareSyn: boolean, remote: number): number {
    const halfOpen = firstState(kind, byOther, bareSyn) !== 0;
    if (halfOpen && this.#halfOpen[byOther ? 1 : 0].of(remote) >= MOST_HALF_OPEN) return HALF_OPEN;
    const wheel = this.#wheel;
    // Where one of the other side's makes room, it does so in the whole table, too.
    if (byOther && this.#fromOther >= this.#mostFromOther) return wheel.first(IDLE_OF_OTHER) === NO_SLOT ? FULL : PASS;
    if (this.size < this.#most || wheel.first(IDLE_OF_VM) !== NO_SLOT) return PASS;
    return wheel.first(IDLE_OF_OTHER) === NO_SLOT ? FULL : PASS;
  }

  /** Ends the flows that have been idle for longest, where there is no room for one more; it was not refused. */
  #makeRoom(byOther: boolean): void {
    if (byOther && this.#fromOther >= this.#mostFromOther) this.#endIdlest(NO_SLOT, this.#wheel.first(IDLE_OF_OTHER));
    else if (this.size >= this.#most) this.#endIdlest(this.#wheel.first(IDLE_OF_VM), this.#wheel.first(IDLE_OF_OTHER));
  }

  /** Given the first flow of each list of idle ones, or NO_SLOT: ends all those of the oldest second among these. */
  #endIdlest(ofVm: number, ofOther: number): void {
    const ageOfVm = ofVm === NO_SLOT ? 0 : this.#ageOf(ofVm);
    const ageOfOther = ofOther === NO_SLOT ? 0 : this.#ageOf(ofOther);
    const age = Math.max(ageOfVm, ageOfOther);
    if (ageOfVm === age) this.#endOfAge(IDLE_OF_VM, age);
    if (ageOfOther === age) this.#endOfAge(IDLE_OF_OTHER, age);
  }

  #endOfAge(list: number, age: number): void {
    for (let flow = this.#wheel.first(list); flow !== NO_SLOT; flow = this.#wheel.first(list)) {
      if (this.#ageOf(flow) !== age) return;
      this.end(flow);
    }
  }

  /** Opens a flow that is not there and was not refused, and ends others where that needs room. */
  open(kind: number, remote: number, ports: number, byOther: boolean, bareSyn: boolean): number {
    this.#makeRoom(byOther);
    let flow = this.#free;
    if (flow === END) flow = this.extent++;
    else this.#free = this.#flows[flow * WORDS + NEXT]!;
    const flows = this.#flows;
    const at = flow * WORDS;
    const head = this.#hash.of(remote, ports, kind);
    const first = firstState(kind, byOther, bareSyn);
    const state = kind | IN_USE | (byOther ? OPENED_BY_OTHER : 0) | first;
    flows[at] = remote;
    flows[at + PORTS] = ports;
    flows[at + STATE] = state;
    flows[at + LAST] = this.#second;
    flows[at + NEXT] = this.#heads[head]!;
    this.#heads[head] = flow;
    if (first !== 0) this.#halfOpen[byOther ? 1 : 0].add(remote);
    if (byOther) this.#fromOther++;
    this.#wheel.place(flow, delayFor(patienceOf(state)));
    this.size++;
    return flow;
  }

  /** Notes the other side's Ethernet address: its upper 16 bits and its lower 32. */
  noteMac(flow: number, high: number, low: number): void {
    const at = flow * WORDS;
    this.#flows[at + MAC_HIGH] = high;
    this.#flows[at + MAC_LOW] = low;
  }

  /** How many flows are live. */
  get live(): number {
    return this.size - this.#cuts;
  }

  /** TCP: a bare SYN opens it anew. */
  isClosed(flow: number): boolean {
    return isClosed(this.#flows[flow * WORDS + STATE]!);
  }

  isCut(flow: number): boolean {
    return (this.#flows[flow * WORDS + STATE]! & CUT) !== 0;
  }

  /** A live flow is no longer allowed. */
  cut(flow: number): void {
    this.#flows[flow * WORDS + STATE]! |= CUT;
    this.#cuts++;
  }

  /** Notes that a flow waits for its RST; false where it does already. */
  queue(flow: number): boolean {
    const at = flow * WORDS + STATE;
    if ((this.#flows[at]! & QUEUED) !== 0) return false;
    this.#flows[at]! |= QUEUED;
    return true;
  }

  /** It waits no longer; whether it did, and is still cut. */
  dequeue(flow: number): boolean {
    const at = flow * WORDS + STATE;
    const state = this.#flows[at]!;
    this.#flows[at] = state & ~QUEUED;
    return (state & (QUEUED | CUT)) === (QUEUED | CUT);
  }

  /** A cut flow is allowed again. */
  mend(flow: number): void {
    this.#flows[flow * WORDS + STATE]! &= ~CUT;
    this.#cuts--;
  }

  /** A packet of the flow passed, or one of a cut flow did not. */
  touch(flow: number): void {
    const at = flow * WORDS;
    this.#flows[at + LAST] = this.#second;
    const state = this.#flows[at + STATE]!;
    if ((state & IDLE) === 0) return;
    this.#flows[at + STATE] = state & ~IDLE;
    this.#wheel.remove(flow);
    this.#wheel.place(flow, SAFE_SECONDS + 1);
  }

  /** A packet of a UDP flow passed: it lives longer once it is answered. */
  followUdp(flow: number, fromOther: boolean): void {
    const at = flow * WORDS + STATE;
    const state = this.#flows[at]!;
    if ((state & ANSWERED) === 0 && ((state & OPENED_BY_OTHER) !== 0) !== fromOther) this.#flows[at] = state | ANSWERED;
  }

  /**
   * A segment of a TCP flow passed, no bare SYN: follows how it is opened and closed. `opening`: with this segment the flow
   * was opened. Returns whether the flow is over with it.
   */
  follow(flow: number, fromOther: boolean, flags: number, opening: boolean): boolean {
    const before = this.#flows[flow * WORDS + STATE]!;
    if ((before & (IS_HALF_OPEN | RESET)) === 0 && (flags & (TCP_FIN | TCP_RST)) === 0) return false;
    const halfOpen = (before & IS_HALF_OPEN) !== 0 && !opening;
    if (halfOpen && this.#followHalfOpen(flow, before, fromOther, flags)) return true;
    let state = this.#flows[flow * WORDS + STATE]!;
    if ((flags & TCP_RST) !== 0) {
      state |= RESET;
    } else {
      state &= ~RESET;
      if ((flags & TCP_FIN) !== 0) state |= fromOther ? FIN_OF_OTHER : FIN_OF_VM;
    }
    this.#flows[flow * WORDS + STATE] = state;
    if (isClosed(state) && !isClosed(before)) {
      // The wheel would look at it too late else.
      this.#wheel.remove(flow);
      this.#wheel.place(flow, CLOSED_SECONDS + 1);
    }
    return false;
  }

  /** Follows the handshake. Returns whether the flow is over. */
  #followHalfOpen(flow: number, state: number, fromOther: boolean, flags: number): boolean {
    const fromOpener = ((state & OPENED_BY_OTHER) !== 0) === fromOther;
    const reset = (flags & TCP_RST) !== 0;
    if (reset && !fromOpener && (state & CUT) === 0) {
      this.end(flow);
      return true;
    }
    if ((state & AWAITS_ANSWER) !== 0) {
      const answer = !fromOpener && (flags & (TCP_SYN | TCP_ACK)) === (TCP_SYN | TCP_ACK);
      if (answer) this.#flows[flow * WORDS + STATE] = (state & ~IS_HALF_OPEN) | AWAITS_OPENER;
    } else if ((state & AWAITS_VM) !== 0) {
      if (!fromOther && !reset) this.#complete(flow, state);
    } else if (fromOpener && !reset && (flags & TCP_SYN) === 0) {
      this.#complete(flow, state);
    }
    return false;
  }

  #complete(flow: number, state: number): void {
    this.#flows[flow * WORDS + STATE] = state & ~IS_HALF_OPEN;
    this.#halfOpen[sideOf(state)].subtract(this.#flows[flow * WORDS]!);
  }

  /** The VM sent this acknowledgement number. */
  noteAcknowledgement(flow: number, number: number): void {
    const at = flow * WORDS;
    this.#flows[at + ACKNOWLEDGEMENT] = number;
    this.#flows[at + STATE]! |= ACKNOWLEDGED;
  }

  /** Ends a flow before its time. */
  end(flow: number): void {
    this.#wheel.remove(flow);
    this.#drop(flow);
  }

  /** Ends all flows. */
  clear(): void {
    this.#heads.fill(END);
    this.#flows.fill(0);
    this.#wheel.clear();
    for (const counts of this.#halfOpen) counts.clear();
    this.#free = END;
    this.size = 0;
    this.#cuts = 0;
    this.#fromOther = 0;
    this.extent = 0;
  }

  /** Whether a place holds a flow; the following are for flows only. */
  isInUse(flow: number): boolean {
    return (this.#flows[flow * WORDS + STATE]! & IN_USE) !== 0;
  }

  kindOf(flow: number): number {
    return this.#flows[flow * WORDS + STATE]! & KIND;
  }

  /** Whether the other side opened it. */
  isFromOther(flow: number): boolean {
    return (this.#flows[flow * WORDS + STATE]! & OPENED_BY_OTHER) !== 0;
  }

  remoteOf(flow: number): number {
    return this.#flows[flow * WORDS]! >>> 0;
  }

  remotePortOf(flow: number): number {
    return this.#flows[flow * WORDS + PORTS]! >>> 16;
  }

  ownPortOf(flow: number): number {
    return this.#flows[flow * WORDS + PORTS]! & 0xffff;
  }

  /** Whether the VM has sent an acknowledgement number that was noted. */
  hasAcknowledgement(flow: number): boolean {
    return (this.#flows[flow * WORDS + STATE]! & ACKNOWLEDGED) !== 0;
  }

  acknowledgementOf(flow: number): number {
    return this.#flows[flow * WORDS + ACKNOWLEDGEMENT]! >>> 0;
  }

  /** The other side's Ethernet address, 48 bits. */
  macOf(flow: number): number {
    const at = flow * WORDS;
    return this.#flows[at + MAC_HIGH]! * 0x100000000 + (this.#flows[at + MAC_LOW]! >>> 0);
  }

  /** Gives a flow's place back; the wheel holds it no more. */
  #drop(flow: number): void {
    const flows = this.#flows;
    const at = flow * WORDS;
    const state = flows[at + STATE]!;
    const remote = flows[at]!;
    const head = this.#hash.of(remote, flows[at + PORTS]!, state & KIND);
    const next = flows[at + NEXT]!;
    let before = this.#heads[head]!;
    if (before === flow) {
      this.#heads[head] = next;
    } else {
      while (flows[before * WORDS + NEXT] !== flow) before = flows[before * WORDS + NEXT]!;
      flows[before * WORDS + NEXT] = next;
    }
    if ((state & IS_HALF_OPEN) !== 0) this.#halfOpen[sideOf(state)].subtract(remote);
    if ((state & OPENED_BY_OTHER) !== 0) this.#fromOther--;
    if ((state & CUT) !== 0) this.#cuts--;
    flows[at + STATE] = 0;
    flows[at + NEXT] = this.#free;
    this.#free = flow;
    this.size--;
  }
}

/** What a flow waits for first, where it begins half-open. */
function firstState(kind: number, byOther: boolean, bareSyn: boolean): number {
  if (kind !== FLOW_TCP) return 0;
  if (bareSyn) return AWAITS_ANSWER;
  return byOther ? AWAITS_VM : 0;
}

function sideOf(state: number): 0 | 1 {
  return (state & OPENED_BY_OTHER) === 0 ? 0 : 1;
}

/** The bits that close a flow are TCP's alone. */
function isClosed(state: number): boolean {
  return (state & IS_HALF_OPEN) === 0 && ((state & RESET) !== 0 || (state & BOTH_FINS) === BOTH_FINS);
}

/** Seconds that a flow in a state lives on without a packet. */
function patienceOf(state: number): number {
  const kind = state & KIND;
  if (kind === FLOW_UDP) return (state & ANSWERED) !== 0 ? ANSWERED_UDP_SECONDS : UDP_SECONDS;
  if (kind !== FLOW_TCP) return ECHO_SECONDS;
  if ((state & IS_HALF_OPEN) !== 0) return HALF_OPEN_SECONDS;
  return isClosed(state) ? CLOSED_SECONDS : TCP_SECONDS;
}

/** Seconds after its last packet in which the wheel looks at a flow. */
function delayFor(patience: number): number {
  return Math.min(patience, SAFE_SECONDS) + 1;
}
