/**
 * The flows of a VM: who talks to whom, so that answers pass without asking the rules (docs/guard.md, Flows). What states
 * a flow has, and for how long it lives in each: flow-state.ts.
 *
 * Everything is made once: 32 bytes a flow in one array (flow-records.ts), chained by a keyed hash, and a wheel of seconds that
 * ends what is over: 1,048,576 bytes of flows and 132,296 of the wheel. A packet that passes only writes down the second; the wheel finds out by
 * itself that a flow it looks at has lived on.
 *
 * A flow with a packet in the last 300 s keeps its place, whatever else comes (threat row I13), an ended one for 1 s. What rests
 * for longer, which only TCP may, moves from the wheel to a list, by the side that opened it and by whether it is ended. It
 * moves there in the very second in which it has rested for that long, so each list is in the order of last packets without
 * sorting: its first flows are those that are over next, and those that make room where the table is full, ended ones first.
 */
import { IN, OUT } from "../policy/rule-tree.ts";
import { TCP_FIN, TCP_RST } from "../wire/tcp.ts";
import type { FlowCompanion, FlowObserver, FlowSink } from "./flow-observer.ts";
import { FlowRecords, LAST, NEXT, PORTS, STATE, WORDS } from "./flow-records.ts";
import {
  ANSWERED,
  CLOSED_SECONDS,
  CUT,
  delayFor,
  FLOW_TCP,
  firstState,
  IDLE,
  IN_USE,
  IS_HALF_OPEN,
  isEnded,
  isSteady,
  KIND,
  KIND_AND_PLACE,
  OPENED_BY_OTHER,
  OVER,
  patienceOf,
  RESET,
  restOf,
  SAFE_SECONDS,
  sideOf,
  stateAfter,
  TCP_SECONDS,
} from "./flow-state.ts";
import { HASH_BITS, KeyedHash } from "./keyed-hash.ts";
import { PASS, verdictOf } from "./reasons.ts";
import { RemoteCounts } from "./remote-counts.ts";
import { AddressNumbers, type Remotes } from "./remotes.ts";
import { NO_SLOT, TimeWheel } from "./time-wheel.ts";

const FULL = verdictOf("flow.full");
const HALF_OPEN = verdictOf("flow.half-open");

/** Flows at once. */
export const MOST_FLOWS = 32_768;
/** Half-open flows of one remote address that the same side opened. */
export const MOST_HALF_OPEN = 256;

/** No flow. */
export const NO_FLOW = -1;

/** The lists beside the wheel, of what rests for longer: flows that the VM opened, and those that the other side did. */
const IDLE_OF_VM = 0;
const IDLE_OF_OTHER = 1;
const ENDED_OF_VM = 2;
const ENDED_OF_OTHER = 3;
const LISTS = 4;

/** Whose flows must make room. */
const NONE = 0;
const OF_OTHER = 1;
const OF_BOTH = 2;
type Full = typeof NONE | typeof OF_OTHER | typeof OF_BOTH;

const BOTH_WAYS = (1 << OUT) | (1 << IN);

const END = 0xffff;

export class FlowTable extends FlowRecords implements FlowSink {
  readonly #hash = new KeyedHash();
  readonly #heads = new Uint16Array(1 << HASH_BITS).fill(END);
  readonly #most: number;
  readonly #mostFromOther: number;
  readonly #wheel: TimeWheel;
  /** By the side that opened them: the VM, the other one. */
  readonly #halfOpen: readonly [RemoteCounts, RemoteCounts];
  /** Passes packets of admitted flows, too. */
  readonly #observer: FlowObserver | undefined;
  readonly #remotes: Remotes;
  companion: FlowCompanion | undefined;
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

  /**
   * Room for `most` flows, half of them opened by the other side: the VM has room for its own (threat row I13). `remotes`: how
   * their remote addresses are numbers.
   */
  constructor(most = MOST_FLOWS, observer?: FlowObserver, remotes: Remotes = new AddressNumbers()) {
    super(most);
    this.#observer = observer;
    this.#remotes = remotes;
    observer?.reportTo(this);
    this.#most = most;
    this.#mostFromOther = most / 2;
    this.#wheel = new TimeWheel(most, SAFE_SECONDS + 1, LISTS);
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
      this.#endFrom(IDLE_OF_VM, TCP_SECONDS + 1);
      this.#endFrom(IDLE_OF_OTHER, TCP_SECONDS + 1);
      this.#endFrom(ENDED_OF_VM, CLOSED_SECONDS + 1);
      this.#endFrom(ENDED_OF_OTHER, CLOSED_SECONDS + 1);
    }
  }

  readonly #look = (flow: number): void => {
    this.#observer?.report(flow);
    const state = this.records[flow * WORDS + STATE]!;
    const age = this.#ageOf(flow);
    if (age > patienceOf(state)) {
      this.#drop(flow);
    } else if (age > restOf(state)) {
      this.#observer?.withdraw(flow); // its next packet brings it back to the wheel
      this.records[flow * WORDS + STATE] = state | IDLE;
      this.#wheel.append(flow, isEnded(state) ? ENDED_OF_VM + sideOf(state) : IDLE_OF_VM + sideOf(state));
    } else {
      this.#wheel.place(flow, delayFor(state) - age);
    }
  };

  /** Seconds since a flow's last packet; 0 where the observer has passed it later than the table's second. */
  #ageOf(flow: number): number {
    return Math.max(0, ((this.#second | 0) - this.records[flow * WORDS + LAST]!) | 0);
  }

  /** Ends the flows of a list that are at least so many seconds old; the oldest stand first. */
  #endFrom(list: number, age: number): void {
    for (let flow = this.#wheel.first(list); flow !== NO_SLOT; flow = this.#wheel.first(list)) {
      if (this.#ageOf(flow) < age) return;
      this.end(flow);
    }
  }

  /**
   * The flow of a kind and a place (`withPlace`) with a remote address and ports: the remote one in the upper half, the VM's
   * in the lower.
   */
  find(kind: number, remote: number, ports: number): number {
    const flows = this.records;
    const wantedRemote = remote | 0;
    const wantedPorts = ports | 0;
    let flow = this.#heads[this.#hash.of(remote, ports, kind)]!;
    while (flow !== END) {
      const at = flow * WORDS;
      if (
        flows[at] === wantedRemote &&
        flows[at + PORTS] === wantedPorts &&
        (flows[at + STATE]! & KIND_AND_PLACE) === kind
      ) {
        return flow;
      }
      flow = flows[at + NEXT]!;
    }
    return NO_FLOW;
  }

  /**
   * Why no flow may be opened, or PASS; nothing is ended yet to make room. `former`: the flow in whose place it is opened, which
   * counts as ended, or NO_FLOW.
   */
  refusal(kind: number, byOther: boolean, bareSyn: boolean, remote: number, former = NO_FLOW): number {
    const side = byOther ? 1 : 0;
    const state = former === NO_FLOW ? 0 : this.records[former * WORDS + STATE]!;
    if (firstState(kind & KIND, byOther, bareSyn) !== 0) {
      const own = (state & IS_HALF_OPEN) !== 0 && sideOf(state) === side ? 1 : 0;
      if (this.#halfOpen[side].of(this.#remotes.countedBy(remote)) - own >= MOST_HALF_OPEN) return HALF_OPEN;
    }
    // Where one of the other side's makes room, it does so in the whole table, too.
    const full = this.#fullOf(byOther, former === NO_FLOW ? 0 : 1, (state & OPENED_BY_OTHER) === 0 ? 0 : 1);
    return full === NONE || this.#rests(full, ENDED_OF_VM) || this.#rests(full, IDLE_OF_VM) ? PASS : FULL;
  }

  /** Whose flows must make room for one more, when so many of all, and of those that the other side opened, have ended. */
  #fullOf(byOther: boolean, ended = 0, endedFromOther = 0): Full {
    if (byOther && this.#fromOther - endedFromOther >= this.#mostFromOther) return OF_OTHER;
    return this.size - ended >= this.#most ? OF_BOTH : NONE;
  }

  /** Whether any stand in the two lists from `list` on, or in the other side's alone. */
  #rests(full: Full, list: number): boolean {
    const wheel = this.#wheel;
    return (full === OF_BOTH && wheel.first(list) !== NO_SLOT) || wheel.first(list + 1) !== NO_SLOT;
  }

  /** Where there is no room for one more, and it was not refused, ends what was ended longest ago, or was idle for longest. */
  #makeRoom(byOther: boolean): void {
    const full = this.#fullOf(byOther);
    if (full === NONE) return;
    const list = this.#rests(full, ENDED_OF_VM) ? ENDED_OF_VM : IDLE_OF_VM;
    const ageOfVm = full === OF_BOTH ? this.#longestOf(list) : 0;
    const ageOfOther = this.#longestOf(list + 1);
    const age = Math.max(ageOfVm, ageOfOther);
    if (ageOfVm === age) this.#endFrom(list, age);
    if (ageOfOther === age) this.#endFrom(list + 1, age);
  }

  /** How long a list's first flow has rested; 0 where it is empty. */
  #longestOf(list: number): number {
    const flow = this.#wheel.first(list);
    return flow === NO_SLOT ? 0 : this.#ageOf(flow);
  }

  /** Opens a flow that is not there and was not refused, and ends others where that needs room. */
  open(kind: number, remote: number, ports: number, byOther: boolean, bareSyn: boolean): number {
    // First: what makes room may have held the same remote address.
    const held = this.#remotes.hold(remote);
    this.#makeRoom(byOther);
    let flow = this.#free;
    if (flow === END) flow = this.extent++;
    else this.#free = this.records[flow * WORDS + NEXT]!;
    const flows = this.records;
    const at = flow * WORDS;
    const head = this.#hash.of(held, ports, kind);
    const first = firstState(kind & KIND, byOther, bareSyn);
    const state = kind | IN_USE | (byOther ? OPENED_BY_OTHER : 0) | first;
    flows[at] = held;
    flows[at + PORTS] = ports;
    flows[at + STATE] = state;
    flows[at + LAST] = this.#second;
    flows[at + NEXT] = this.#heads[head]!;
    this.#heads[head] = flow;
    if (first !== 0) this.#halfOpen[byOther ? 1 : 0].add(this.#remotes.countedBy(held));
    if (byOther) this.#fromOther++;
    this.#wheel.place(flow, delayFor(state));
    this.size++;
    return flow;
  }

  /** How many flows are live. */
  get live(): number {
    return this.size - this.#cuts;
  }

  /** A live flow is no longer allowed. */
  cut(flow: number): void {
    this.#observer?.withdraw(flow);
    this.records[flow * WORDS + STATE]! |= CUT;
    this.#cuts++;
  }

  /** A cut flow is allowed again. */
  mend(flow: number): void {
    this.records[flow * WORDS + STATE]! &= ~CUT;
    this.#cuts--;
  }

  /** A packet of the flow passed, or one of a cut flow did not. */
  touch(flow: number): void {
    const at = flow * WORDS;
    this.records[at + LAST] = this.#second;
    const state = this.records[at + STATE]!;
    if ((state & IDLE) === 0) return;
    this.records[at + STATE] = state & ~IDLE;
    this.#wheel.remove(flow);
    this.#wheel.place(flow, delayFor(state));
  }

  /**
   * An unfragmented TCP or UDP packet of the flow passed: the observer may pass the next ones on its way. `bothWays`: what the
   * flow's other side sends needs no other rule. Of TCP that has answered, that is admitted at once, too.
   */
  admit(flow: number, way: number, bothWays: boolean): void {
    const observer = this.#observer;
    if (observer === undefined) return;
    const at = flow * WORDS;
    const state = this.records[at + STATE]!;
    if (!isSteady(state)) return;
    const kind = state & KIND_AND_PLACE;
    // UDP's first answer makes it live longer: the guard has to see it.
    const ways = bothWays && (kind & KIND) === FLOW_TCP && (state & ANSWERED) !== 0 ? BOTH_WAYS : 1 << way;
    const patience = Math.min(patienceOf(state), SAFE_SECONDS);
    observer.admit(flow, kind, this.records[at]!, this.records[at + PORTS]!, ways, patience, this.records[at + LAST]!);
  }

  /** From the observer: a packet of the flow passed there. */
  seen(flow: number, second: number, acknowledgement: number | undefined): void {
    const at = flow * WORDS;
    if ((second | 0) - this.records[at + LAST]! > 0) this.records[at + LAST] = second;
    if (acknowledgement !== undefined) this.setAcknowledgement(flow, acknowledgement);
  }

  /** A packet of a UDP flow passed: it lives longer once it is answered. */
  followUdp(flow: number, fromOther: boolean): void {
    const at = flow * WORDS + STATE;
    const state = this.records[at]!;
    if ((state & ANSWERED) === 0 && ((state & OPENED_BY_OTHER) !== 0) !== fromOther)
      this.records[at] = state | ANSWERED;
  }

  /**
   * A segment of a TCP flow passed, no bare SYN: follows how it is opened and closed. `opening`: with this segment the flow
   * was opened. Returns whether the flow is over with it.
   */
  follow(flow: number, fromOther: boolean, flags: number, opening: boolean): boolean {
    const at = flow * WORDS;
    const before = this.records[at + STATE]!;
    if ((before & (IS_HALF_OPEN | RESET)) === 0 && (flags & (TCP_FIN | TCP_RST)) === 0) return false;
    const state = stateAfter(before, fromOther, flags, opening);
    if (state === OVER) {
      this.end(flow);
      return true;
    }
    this.records[at + STATE] = state;
    if (!isSteady(state)) this.#observer?.withdraw(flow);
    if ((before & IS_HALF_OPEN) !== 0 && (state & IS_HALF_OPEN) === 0) {
      this.#halfOpen[sideOf(state)].subtract(this.#remotes.countedBy(this.records[at]!));
    }
    if (delayFor(state) < delayFor(before)) {
      // The wheel would look at it too late else.
      this.#wheel.remove(flow);
      this.#wheel.place(flow, delayFor(state));
    }
    return false;
  }

  /** The VM sent this acknowledgement number. */
  noteAcknowledgement(flow: number, number: number): void {
    this.#observer?.report(flow); // what it has seen is older
    this.setAcknowledgement(flow, number);
  }

  /** Ends a flow before its time. */
  end(flow: number): void {
    this.#wheel.remove(flow);
    this.#drop(flow);
  }

  /** Ends all flows of the VM's address in a place. */
  endOf(place: number): void {
    for (let flow = 0; flow < this.extent; flow++)
      if (this.isInUse(flow) && this.placeOf(flow) === place) this.end(flow);
  }

  /** Ends all flows. */
  clear(): void {
    for (let flow = 0; flow < this.extent; flow++)
      if (this.isInUse(flow)) this.#remotes.release(this.records[flow * WORDS]!);
    this.#heads.fill(END);
    this.records.fill(0);
    this.#wheel.clear();
    for (const counts of this.#halfOpen) counts.clear();
    this.#observer?.endAll();
    this.companion?.allEnded();
    this.#free = END;
    this.size = 0;
    this.#cuts = 0;
    this.#fromOther = 0;
    this.extent = 0;
  }

  /** Gives a flow's place back; the wheel holds it no more. */
  #drop(flow: number): void {
    this.#observer?.end(flow);
    this.companion?.ended(flow);
    const flows = this.records;
    const at = flow * WORDS;
    const state = flows[at + STATE]!;
    const remote = flows[at]!;
    const head = this.#hash.of(remote, flows[at + PORTS]!, state & KIND_AND_PLACE);
    const next = flows[at + NEXT]!;
    let before = this.#heads[head]!;
    if (before === flow) {
      this.#heads[head] = next;
    } else {
      while (flows[before * WORDS + NEXT] !== flow) before = flows[before * WORDS + NEXT]!;
      flows[before * WORDS + NEXT] = next;
    }
    if ((state & IS_HALF_OPEN) !== 0) this.#halfOpen[sideOf(state)].subtract(this.#remotes.countedBy(remote));
    this.#remotes.release(remote);
    if ((state & OPENED_BY_OTHER) !== 0) this.#fromOther--;
    if ((state & CUT) !== 0) this.#cuts--;
    flows[at + STATE] = 0;
    flows[at + NEXT] = this.#free;
    this.#free = flow;
    this.size--;
  }
}
