/**
 * Moves frames between the VM's port and the network's port through the guard, in one thread.
 *
 * Each direction is a lane with a batch of its own. A turn of a lane receives a batch, asks the guard about each frame,
 * closes the gaps that dropped frames leave (numbers move, bytes do not) and sends the rest. A batch of a
 * few frames means that the source is drained. Lanes with more to do take turns; after TURNS the event loop turns, so that signals
 * and timers get their time however much comes in.
 *
 * A receiver that is full blocks its lane: the unsent rest is kept, the source is not read, and the destination is
 * watched for room. After SEND_PATIENCE without a frame taken the rest is dropped and counted. The other lane is not
 * concerned.
 *
 * Where the guard answers dropped frames (answering.ts), that happens behind the frames of a turn, a small batch at a time.
 *
 * Nothing is polled that an event tells: a tick follows what happens, else the next one comes at the nearest deadline (a
 * lease's end, a port that must be asked for its peer, what `onTick` has to do).
 *
 * It fails closed: whatever is thrown, by a port, the guard or an observer, ends the relay before another frame is
 * forwarded, and is handed to `onEnd`.
 */
import { PASS } from "../guard/reasons.ts";
import { Answering } from "./answering.ts";
import { Counters } from "./counters.ts";
import { EGRESS, INGRESS } from "./direction.ts";
import { Errands } from "./errands.ts";
import { INSIDE, Lane, NETWORK, type Party, VM } from "./lane.ts";
import type { Answerer, FrameObserver, RelayGuard, RelayOptions } from "./options.ts";
import type { FramePort, Interest } from "./port.ts";

export type { Answerer, FrameObserver, RelayEnd, RelayGuard, RelayOptions } from "./options.ts";

/** Batches that a lane moves before the event loop turns: some milliseconds at the most. */
const TURNS = 16;

/** While one lane is busy, the other one's source is looked at every so many turns, without waiting for an event. */
const PEEK = 4;

/**
 * Milliseconds that a full receiver may take no frame before the waiting ones are dropped. Longer than a living program
 * is kept from running on a busy host (20 ms were not enough on two busy cores); meanwhile its own buffer is full of
 * frames, so that it has what to do when it comes back.
 */
export const SEND_PATIENCE = 100;

/** Times that it must have been asked for room until then: this process may have been kept from running itself. */
const TRIES = 10;
/** Milliseconds between those that are missing at the end of the patience. */
const TRY_INTERVAL = 5;

/** Frames from which on a batch says that its source is busy: asking again costs less than the event loop's turn. */
const AGAIN = 4;

/** Frames between two calls of `onSlice`, at the most. */
const SLICE = 128;

/**
 * Milliseconds from anything that happens (a frame, a controller's request) to the tick that follows it: what is counted,
 * written or told later than a frame is done then. While frames move, ticks follow each other at this distance.
 */
export const TICK = 50;

/**
 * Milliseconds between two ticks at the most, also when no deadline is known: timers stand still while the machine sleeps,
 * leases do not.
 */
export const REST = 30_000;

/** Batches of answers that a tick sends at the most: a new policy may have ended thousands of flows. */
const ANSWER_BATCHES = 8;

/** The four things a port can be watched for, made once. */
const INTERESTS: readonly Interest[] = [
  { readable: false, writable: false },
  { readable: true, writable: false },
  { readable: false, writable: true },
  { readable: true, writable: true },
];
const NO_INTEREST = INTERESTS[0];

export class Relay {
  readonly counters = new Counters();
  readonly #options: RelayOptions;
  readonly #guard: RelayGuard;
  readonly #clock: () => number;
  readonly #onFrame: FrameObserver | undefined;
  readonly #onDrop: FrameObserver | undefined;
  readonly #onSlice: (() => void) | undefined;
  /** Frames since `onSlice` was called. */
  #slice = 0;
  readonly #egress: Lane;
  readonly #ingress: Lane;
  readonly #answering: Answering | undefined;
  readonly #errands: Errands | undefined;
  /** The next tick. */
  #timer: NodeJS.Timeout | undefined;
  /** It is at most TICK away. */
  #attended = false;
  /** When something happened last, to the tick; microseconds. */
  #happened = 0;
  #running = false;
  #ended = false;
  #party: Party = INSIDE;
  /** The lanes go on in the event loop's next turn: a source may have more than events tell. */
  #goingOn = false;

  constructor(options: RelayOptions) {
    if (options.batches[0] === options.batches[1]) throw new Error("each direction needs a batch of its own");
    this.#options = options;
    this.#guard = options.guard;
    this.#clock = options.clock;
    this.#onFrame = options.onFrame;
    this.#onDrop = options.onDrop;
    this.#onSlice = options.onSlice;
    this.#egress = new Lane(options, EGRESS);
    this.#ingress = new Lane(options, INGRESS);
    this.#answering = answeringOf(options);
    const { errands, network } = options;
    this.#errands = errands && new Errands(errands.batch, errands.take, network);
  }

  /** Begins to forward frames. A relay runs once. */
  start(): void {
    if (this.#running || this.#ended) throw new Error("a relay runs once");
    this.#running = true;
    this.attend();
    this.#guarded(this.#watchBoth);
  }

  /** Something has happened that a tick must see: one follows within TICK. Costs nothing while one is due already. */
  attend(): void {
    if (this.#attended || !this.#running) return;
    this.#attended = true;
    this.#happened = this.#clock();
    this.#tickIn(TICK);
  }

  /** Ends without `onEnd`. The ports stay open: whoever made them closes them. Harmless when called twice. */
  stop(): void {
    this.#ended = true;
    if (!this.#running) return;
    this.#running = false;
    clearTimeout(this.#timer);
    this.#abandon(this.#egress);
    this.#abandon(this.#ingress);
    this.#unwatch(this.#options.vm);
    this.#unwatch(this.#options.network);
    this.#countUnsendable();
  }

  /**
   * Ends because of a fault that is neither port's: no further frame is forwarded, also of the batch at hand. Returns
   * false where it had ended before.
   */
  fail(thrown: unknown): boolean {
    if (this.#ended) return false;
    this.#party = INSIDE;
    this.#end(thrown);
    return true;
  }

  /** Gives the lanes turns until both are drained or blocked, or the event loop must have its own. */
  #serve(): void {
    this.attend();
    const egress = this.#egress;
    const ingress = this.#ingress;
    for (let turn = 1; turn <= TURNS; turn++) {
      if (egress.ready) egress.ready = this.#step(egress);
      if (ingress.ready) ingress.ready = this.#step(ingress);
      if (this.#answering !== undefined) this.#sendAnswers(this.#answering);
      if (this.#errands !== undefined) this.#sendErrands(this.#errands);
      if (!egress.ready && !ingress.ready) return;
      if (turn % PEEK === 0) {
        egress.ready = true;
        ingress.ready = true;
      }
    }
    this.#goingOn = true;
    setImmediate(this.#goOn);
  }

  readonly #goOn = (): void => {
    this.#goingOn = false;
    if (!this.#running) return;
    try {
      this.#serve();
    } catch (error) {
      this.#end(error);
    }
  };

  /** Receives, judges and sends one batch; answers whether there may be more. */
  #step(lane: Lane): boolean {
    const { batch } = lane;
    if (lane.blocked && !this.#resume(lane)) return false;
    if (this.#onSlice !== undefined && this.#slice + batch.capacity > SLICE) {
      this.#slice = 0;
      this.#onSlice();
    }
    this.#party = lane.from;
    const received = lane.source.receive(batch);
    this.#slice += received;
    this.#party = INSIDE;
    if (received === 0) return false;
    const time = this.#clock();
    this.#guard.advance(time);
    this.#judge(lane, time);
    if (!this.#running) return false; // an observer stopped the relay
    lane.sent = 0;
    if (batch.count > 0 && !this.#deliver(lane)) {
      this.#block(lane, time);
      return false;
    }
    return received >= Math.min(AGAIN, batch.capacity);
  }

  /** Asks the guard about every frame, and leaves only those that pass in the batch. */
  #judge(lane: Lane, time: number): void {
    const { batch, direction } = lane;
    const { bytes, offset, length, count } = batch;
    const guard = this.#guard;
    const egress = direction === EGRESS;
    let kept = 0;
    let keptBytes = 0;
    for (let index = 0; index < count; index++) {
      const at = offset[index];
      const size = length[index];
      const verdict = egress ? guard.judgeEgress(bytes, at, size) : guard.judgeIngress(bytes, at, size);
      if (verdict === PASS) {
        if (kept !== index) batch.keep(index, kept);
        kept++;
        keptBytes += size;
      } else {
        this.counters.drops[direction][verdict]++;
        if (egress && this.#answering !== undefined) this.#answering.answer(bytes, at, size, verdict);
        if (this.#onDrop !== undefined) this.#onDrop(direction, verdict, time, bytes, at, size);
      }
      if (this.#onFrame !== undefined) this.#onFrame(direction, verdict, time, bytes, at, size);
    }
    batch.count = kept;
    this.counters.frames[direction] += kept;
    this.counters.bytes[direction] += keptBytes;
  }

  /** Sends a batch of answers, unless frames wait for the VM; answers whether more may wait. */
  #sendAnswers(answering: Answering): boolean {
    if (this.#ingress.blocked || !this.#running || !answering.collect()) return false;
    this.#party = VM;
    const more = answering.send();
    this.#party = INSIDE;
    return more;
  }

  /** Sends what softnet itself has for the network, unless the VM's frames wait for it. */
  #sendErrands(errands: Errands): void {
    if (this.#egress.blocked || !this.#running || !errands.collect()) return;
    this.#party = NETWORK;
    errands.send();
    this.#party = INSIDE;
  }

  /** Sends what waits; answers whether nothing waits any more. */
  #deliver(lane: Lane): boolean {
    this.#party = lane.to;
    lane.sent += lane.destination.send(lane.batch, lane.sent);
    this.#party = INSIDE;
    return lane.sent >= lane.batch.count;
  }

  /** The destination is full: stop reading, wait for room, and not for ever. */
  #block(lane: Lane, time: number): void {
    lane.blocked = true;
    lane.progress = time;
    lane.tries = 0;
    this.#watchBoth();
    if (lane.patience === undefined) {
      lane.patience = setTimeout(() => this.#guarded(() => this.#giveUp(lane)), SEND_PATIENCE);
    } else {
      lane.patience.refresh();
    }
  }

  /** Tries to send what waits; answers whether the lane is free again. */
  #resume(lane: Lane): boolean {
    const before = lane.sent;
    if (this.#deliver(lane)) {
      this.#release(lane);
      return true;
    }
    lane.tries++;
    if (lane.sent > before) {
      lane.progress = this.#clock();
      lane.tries = 0;
    }
    return false;
  }

  /** Drops what waits once the destination has taken nothing for too long. */
  #giveUp(lane: Lane): void {
    if (!lane.blocked) return;
    if (this.#clock() - lane.progress < SEND_PATIENCE * 1000) {
      lane.patience?.refresh();
      return;
    }
    if (lane.tries < TRIES) {
      if (!this.#resume(lane)) setTimeout(() => this.#guarded(() => this.#giveUp(lane)), TRY_INTERVAL);
      return;
    }
    this.#countUndelivered(lane);
    this.#release(lane);
  }

  #countUndelivered(lane: Lane): void {
    this.counters.undelivered[lane.direction] += lane.batch.count - lane.sent;
  }

  #abandon(lane: Lane): void {
    clearTimeout(lane.patience);
    if (lane.blocked) this.#countUndelivered(lane);
  }

  #release(lane: Lane): void {
    lane.blocked = false;
    this.#watchBoth();
  }

  #tickIn(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#tick, milliseconds);
  }

  /** A timer of its own, which no traffic starves: the lanes let the event loop turn. */
  readonly #tick = (): void => {
    this.#attended = false;
    this.#guarded(this.#look);
    if (this.#running && !this.#attended) this.#tickIn(this.#restLength());
  };

  /** Milliseconds to the next tick if nothing happens before. */
  #restLength(): number {
    if (this.#egress.blocked || this.#ingress.blocked) return TICK;
    const { vm, network, deadline } = this.#options;
    const due = Math.min(this.#guard.deadline ?? Number.POSITIVE_INFINITY, deadline?.() ?? Number.POSITIVE_INFINITY);
    const time = this.#clock();
    const left = Math.max(1, Math.ceil((due - time) / 1000));
    // Most of what goes away was busy just before: soon after a frame a port is asked often, then ever more seldom.
    const check = Math.max(TICK, (time - this.#happened) / 2000);
    const most = Math.min(vm.checkInterval ?? TICK, network.checkInterval ?? TICK);
    return Math.min(REST, left, most === Number.POSITIVE_INFINITY ? most : Math.min(most, check));
  }

  /** What no event tells. */
  readonly #look = (): void => {
    this.#party = VM;
    this.#options.vm.check();
    this.#party = NETWORK;
    this.#options.network.check();
    this.#party = INSIDE;
    const time = this.#clock();
    this.#guard.advance(time);
    this.#countUnsendable();
    this.#options.onTick?.(time);
    if (this.#errands !== undefined) this.#sendErrands(this.#errands);
    const answering = this.#answering;
    if (answering === undefined) return;
    for (let batches = 0; batches < ANSWER_BATCHES; batches++) if (!this.#sendAnswers(answering)) return;
    this.attend();
  };

  #countUnsendable(): void {
    this.counters.unsendable[EGRESS] = this.#options.network.unsendable;
    this.counters.unsendable[INGRESS] = this.#options.vm.unsendable;
  }

  /** A port has one watch, for both lanes: readable for the one that it feeds, writable for the one that it is fed by. */
  readonly #watchBoth = (): void => {
    this.#watch(this.#egress, this.#ingress);
    this.#watch(this.#ingress, this.#egress);
  };

  #watch(feeds: Lane, fed: Lane): void {
    const interest = INTERESTS[(feeds.blocked ? 0 : 1) | (fed.blocked ? 2 : 0)];
    this.#party = feeds.from;
    feeds.source.watch(interest, feeds.direction === EGRESS ? this.#wakeVm : this.#wakeNetwork);
    this.#party = INSIDE;
  }

  readonly #wakeVm = (readable: boolean, writable: boolean): void => {
    this.#wake(this.#egress, this.#ingress, readable, writable);
  };

  readonly #wakeNetwork = (readable: boolean, writable: boolean): void => {
    this.#wake(this.#ingress, this.#egress, readable, writable);
  };

  #wake(feeds: Lane, fed: Lane, readable: boolean, writable: boolean): void {
    if (writable && fed.blocked) fed.ready = true;
    if (readable && !feeds.blocked) feeds.ready = true;
    if (!this.#running || this.#goingOn) return;
    try {
      this.#serve();
    } catch (error) {
      this.#end(error);
    }
  }

  /** Runs what a timer calls, unless the relay has ended meanwhile. */
  #guarded(action: () => void): void {
    if (!this.#running) return;
    try {
      action();
    } catch (error) {
      this.#end(error);
    }
  }

  #end(thrown: unknown): void {
    const party = this.#party;
    this.stop();
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    if (party === INSIDE) this.#options.onEnd({ error });
    else this.#options.onEnd({ side: party === VM ? "vm" : "network", error });
  }

  /** At the end: a port that cannot even stop watching must not hide why the relay ended. */
  #unwatch(port: FramePort): void {
    try {
      port.watch(NO_INTEREST, () => {});
    } catch {
      // It is about to be closed anyway.
    }
  }
}

function answeringOf({ answers, guard, vm }: RelayOptions): Answering | undefined {
  if (answers === undefined) return undefined;
  if (guard.answer === undefined || guard.takeReset === undefined) throw new Error("this guard answers nothing");
  return new Answering(answers, guard as Answerer, vm);
}
