/**
 * Moves frames between the VM's port and the network's port through the guard, in one thread.
 *
 * Each direction is a lane with a batch of its own. A turn of a lane receives a batch, asks the guard about each frame,
 * closes the gaps that dropped frames leave (numbers move, bytes do not) and sends the rest. A batch of a
 * few frames means that the source is drained. Lanes with more to do take turns; after TURNS the event loop turns, so that signals
 * and timers get their time however much comes in.
 *
 * A receiver that is full blocks its lane: the unsent rest is kept, the source is not read, and the destination is
 * watched for room. After SEND_TIMEOUT without a frame taken the rest is dropped and counted. The other lane is not
 * concerned. A lane's states, and which may follow which: lane.ts. Between verdict and send may stand a stage (stage.ts).
 *
 * Where the guard answers dropped frames (answering.ts), that happens behind the frames of a turn, a small batch at a time.
 *
 * Where frames are near that each wait for the one before, as those of new connections, both sources are read on for a moment
 * (`readsOn`): a sleep of tens of microseconds for each would be most of what a connection costs.
 *
 * A tick follows what happens, else the next one comes at the nearest deadline (a lease's end, a port that must be asked
 * for its peer, what `onTick` has to do): ticks.ts.
 *
 * It fails closed: whatever is thrown, by a port, the guard or an observer, ends the relay before another frame is
 * forwarded, and is handed to `onEnd`.
 */
import { completeDhcp } from "../guard/offload.ts";
import { PASS } from "../guard/reasons.ts";
import { COMPLETE, segmentSizeOf } from "../wire/virtio-net.ts";
import { Answering } from "./answering.ts";
import { Counters } from "./counters.ts";
import { Delivery, type DeliveryOptions } from "./delivery.ts";
import { EGRESS, INGRESS } from "./direction.ts";
import { FaultTracker, NETWORK_PORT, RELAY, VM_PORT } from "./fault-origin.ts";
import { IDLE, Lane, RETRY } from "./lane.ts";
import type { Answerer, FrameObserver, RelayGuard, RelayOptions } from "./options.ts";
import { OwnFrames } from "./own-frames.ts";
import type { DropCounter, FramePort, Interest } from "./port.ts";
import { TICK, Ticks } from "./ticks.ts";

export type { Answerer, FrameObserver, RelayEnd, RelayGuard, RelayOptions } from "./options.ts";

/** Batches that a lane moves before the event loop turns: some milliseconds at the most. */
const TURNS = 16;

/** While one lane is busy, the other one's source is looked at every so many turns, without waiting for an event. */
const PEEK = 4;

/** Frames from which on a batch says that its source is busy: asking again costs less than the event loop's turn. */
const AGAIN = 4;

/** Microseconds after a frame for which sources are read on. */
const READ_ON = 200;

/** Frames between two calls of `onSlice`, at the most. */
const SLICE = 128;

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
  readonly #observesFrames: (() => boolean) | undefined;
  readonly #onDrop: FrameObserver | undefined;
  readonly #readsOn: ((time: number) => boolean) | undefined;
  /** When frames came last. */
  #received = 0;
  readonly #onSlice: (() => void) | undefined;
  /** Frames since `onSlice` was called. */
  #slice = 0;
  readonly #egress: Lane;
  readonly #ingress: Lane;
  readonly #egressDelivery: Delivery;
  readonly #ingressDelivery: Delivery;
  readonly #answering: Answering | undefined;
  readonly #ownFrames: OwnFrames | undefined;
  readonly #ticks: Ticks;
  #running = false;
  #ended = false;
  readonly #faults = new FaultTracker();
  /** The lanes go on in the event loop's next turn: a source may have more than events report. */
  #goingOn = false;

  constructor(options: RelayOptions) {
    if (options.batches[0] === options.batches[1]) throw new Error("each direction needs a batch of its own");
    this.#options = options;
    this.#guard = options.guard;
    this.#clock = options.clock;
    this.#onFrame = options.onFrame;
    this.#observesFrames = options.observesFrames;
    this.#onDrop = options.onDrop;
    this.#readsOn = options.readsOn;
    this.#onSlice = options.onSlice;
    this.#egress = new Lane(options, EGRESS);
    this.#ingress = new Lane(options, INGRESS);
    const delivery: DeliveryOptions = {
      clock: options.clock,
      counters: this.counters,
      faults: this.#faults,
      onStateChange: () => this.#watchBoth(),
      onDue: () => this.#goOnSoon(),
      guarded: (action) => this.#guarded(action),
    };
    this.#egressDelivery = new Delivery(this.#egress, delivery);
    this.#ingressDelivery = new Delivery(this.#ingress, delivery);
    this.#answering = answeringOf(options);
    const { ownFrames, network } = options;
    this.#ownFrames = ownFrames && new OwnFrames(ownFrames.batch, ownFrames.take, network);
    this.#ticks = new Ticks({
      clock: options.clock,
      makeAlarm: options.makeAlarm,
      onTick: () => this.#guarded(this.#onTick),
      idleTime: (happened) => this.#idleTime(happened),
    });
  }

  /** Begins to forward frames. A relay runs once. */
  start(): void {
    if (this.#running || this.#ended) throw new Error("a relay runs once");
    this.#running = true;
    this.#ticks.soon();
    this.#guarded(this.#watchBoth);
  }

  /** Something has happened that a tick must see: one follows within TICK. Costs nothing while one is due already. */
  tickSoon(): void {
    if (this.#running) this.#ticks.soon();
  }

  /** Ends without `onEnd`. The ports stay open: their maker closes them. Harmless when called twice. */
  stop(): void {
    this.#ended = true;
    if (!this.#running) return;
    this.#running = false;
    this.#ticks.stop();
    this.#egressDelivery.stop();
    this.#ingressDelivery.stop();
    this.#unwatch(this.#options.vm);
    this.#unwatch(this.#options.network);
    this.#countPorts();
  }

  /**
   * Ends because of a fault that is neither port's: no further frame is forwarded, also of the batch at hand. Returns
   * false where it had ended before.
   */
  fail(thrown: unknown): boolean {
    if (this.#ended) return false;
    this.#faults.origin = RELAY;
    this.#end(thrown);
    return true;
  }

  /** Gives the lanes turns until neither has anything to do, or the event loop must have its own. */
  #serve(): void {
    this.#ticks.soon();
    const egress = this.#egress;
    const ingress = this.#ingress;
    for (let turn = 1; turn <= TURNS; turn++) {
      if (egress.isDue) this.#step(egress, this.#egressDelivery);
      if (ingress.isDue) this.#step(ingress, this.#ingressDelivery);
      if (this.#answering !== undefined) this.#sendAnswers(this.#answering);
      if (this.#ownFrames !== undefined) this.#sendOwnFrames(this.#ownFrames);
      if (!egress.isDue && !ingress.isDue) {
        if (!this.#goesOnReading()) return;
        egress.sourceHasFrames();
        ingress.sourceHasFrames();
      }
      if (turn % PEEK === 0) {
        peek(egress);
        peek(ingress);
      }
    }
    this.#goOnSoon();
  }

  /** Whether both sources are asked again although they are drained. */
  #goesOnReading(): boolean {
    if (this.#readsOn === undefined || !this.#running) return false;
    const time = this.#clock();
    return time - this.#received < READ_ON && this.#readsOn(time);
  }

  #goOnSoon(): void {
    if (this.#goingOn) return;
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

  /** Receives, judges and sends one batch. */
  #step(lane: Lane, delivery: Delivery): void {
    const { batch } = lane;
    if (lane.state === RETRY && !delivery.resume()) return;
    if (this.#onSlice !== undefined && this.#slice + batch.most > SLICE) {
      this.#slice = 0;
      this.#onSlice();
      if (!this.#running) return;
    }
    this.#faults.origin = lane.sourceOrigin;
    const received = lane.source.receive(batch);
    this.#slice += received;
    this.#faults.origin = RELAY;
    if (received === 0) {
      lane.enter(IDLE);
      return;
    }
    const time = this.#clock();
    this.#received = time;
    this.#guard.advance(time);
    this.#judge(lane, time);
    if (!this.#running) return; // an observer stopped the relay
    if (delivery.send(time) && received < Math.min(AGAIN, batch.capacity)) lane.enter(IDLE);
  }

  /** Asks the guard about every frame, and leaves only those that pass in the batch. */
  #judge(lane: Lane, time: number): void {
    const { batch, direction, view } = lane;
    const onFrame = this.#observesFrames?.() === false ? undefined : this.#onFrame;
    const { bytes, offset, length, offload, count } = batch;
    const guard = this.#guard;
    const egress = direction === EGRESS;
    let kept = 0;
    let keptBytes = 0;
    let large = 0;
    for (let index = 0; index < count; index++) {
      const size = length[index];
      view.read(bytes, offset[index], size, offload[index]);
      if (offload[index] !== COMPLETE) {
        completeDhcp(view);
        offload[index] = view.offload;
      }
      const verdict = egress ? guard.judgeEgress(view) : guard.judgeIngress(view);
      if (verdict === PASS) {
        if (kept !== index) batch.keep(index, kept);
        kept++;
        keptBytes += size;
        if (segmentSizeOf(view.offload) !== 0) large++;
      } else {
        this.counters.drops[direction][verdict]++;
        if (egress && this.#answering !== undefined) this.#answering.answer(view, verdict);
        if (this.#onDrop !== undefined) this.#onDrop(direction, verdict, time, view);
      }
      if (onFrame !== undefined) onFrame(direction, verdict, time, view);
    }
    batch.count = kept;
    this.counters.frames[direction] += kept;
    this.counters.bytes[direction] += keptBytes;
    this.counters.large[direction] += large;
  }

  /** Sends a batch of answers, unless frames wait for the VM; returns whether more may wait. */
  #sendAnswers(answering: Answering): boolean {
    if (this.#ingress.hasFrames || !this.#running || !answering.collect()) return false;
    this.#faults.origin = VM_PORT;
    const more = answering.send();
    this.#faults.origin = RELAY;
    return more;
  }

  /** Sends what softnet itself has for the network, unless the VM's frames wait for it. */
  #sendOwnFrames(ownFrames: OwnFrames): void {
    if (this.#egress.hasFrames || !this.#running || !ownFrames.collect()) return;
    this.#faults.origin = NETWORK_PORT;
    ownFrames.send();
    this.#faults.origin = RELAY;
  }

  /** Milliseconds to the next tick if nothing happens before. */
  #idleTime(happened: number): number {
    if (this.#egress.hasFrames || this.#ingress.hasFrames) return TICK;
    const { vm, network, deadline } = this.#options;
    const due = Math.min(this.#guard.deadline ?? Number.POSITIVE_INFINITY, deadline?.() ?? Number.POSITIVE_INFINITY);
    const time = this.#clock();
    const left = Math.max(1, Math.ceil((due - time) / 1000));
    // Most of what goes away was busy just before: soon after a frame a port is asked often, then ever more seldom.
    const check = Math.max(TICK, (time - happened) / 2000);
    const most = Math.min(vm.checkInterval ?? TICK, network.checkInterval ?? TICK);
    return Math.min(left, most === Number.POSITIVE_INFINITY ? most : Math.min(most, check));
  }

  /** Looks after what no event reports. */
  readonly #onTick = (): void => {
    this.#faults.origin = VM_PORT;
    this.#options.vm.check();
    this.#faults.origin = NETWORK_PORT;
    this.#options.network.check();
    this.#faults.origin = RELAY;
    const time = this.#clock();
    this.#guard.advance(time);
    this.#countPorts();
    this.#options.onTick?.(time);
    if (this.#ownFrames !== undefined) this.#sendOwnFrames(this.#ownFrames);
    const answering = this.#answering;
    if (answering === undefined) return;
    for (let batches = 0; batches < ANSWER_BATCHES; batches++) if (!this.#sendAnswers(answering)) return;
    this.tickSoon();
  };

  /** Takes over what the ports count themselves. */
  #countPorts(): void {
    const { vm, network } = this.#options;
    this.counters.unsendable[EGRESS] = network.unsendable;
    this.counters.unsendable[INGRESS] = vm.unsendable;
    vm.countDrops?.(this.#countDrops);
    network.countDrops?.(this.#countDrops);
  }

  readonly #countDrops: DropCounter = (direction, verdict, frames) => {
    this.counters.drops[direction][verdict] += frames;
  };

  /** A port has one watch, for both lanes: readable for the one that it feeds, writable for the one that it is fed by. */
  readonly #watchBoth = (): void => {
    this.#watch(this.#egress, this.#ingress);
    this.#watch(this.#ingress, this.#egress);
  };

  #watch(feeds: Lane, fed: Lane): void {
    const interest = INTERESTS[(feeds.hasFrames ? 0 : 1) | (fed.wantsRoom ? 2 : 0)];
    this.#faults.origin = feeds.sourceOrigin;
    feeds.source.watch(interest, feeds.direction === EGRESS ? this.#wakeVm : this.#wakeNetwork);
    this.#faults.origin = RELAY;
  }

  readonly #wakeVm = (readable: boolean, writable: boolean): void => {
    this.#wake(this.#egress, this.#ingress, readable, writable);
  };

  readonly #wakeNetwork = (readable: boolean, writable: boolean): void => {
    this.#wake(this.#ingress, this.#egress, readable, writable);
  };

  #wake(feeds: Lane, fed: Lane, readable: boolean, writable: boolean): void {
    if (writable) fed.destinationHasRoom();
    if (readable) feeds.sourceHasFrames();
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
    const origin = this.#faults.origin;
    this.stop();
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    if (origin === RELAY) this.#options.onEnd({ error });
    else this.#options.onEnd({ side: origin === VM_PORT ? "vm" : "network", error });
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

/** A lane that waits for an event has a turn without one. */
function peek(lane: Lane): void {
  lane.sourceHasFrames();
  lane.destinationHasRoom();
}

function answeringOf({ answers, guard, vm }: RelayOptions): Answering | undefined {
  if (answers === undefined) return undefined;
  if (guard.answer === undefined || guard.takeReset === undefined) throw new Error("this guard answers nothing");
  return new Answering(answers, guard as Answerer, vm);
}
