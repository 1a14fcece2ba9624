/**
 * The sending half of a lane: takes the frames that passed through the stage, where one stands, to the destination, and
 * waits where not all can be sent. A full destination is waited for, but not for ever: after SEND_TIMEOUT without a frame
 * taken the rest is dropped and counted. Frames that the stage holds back wait until it admits them.
 */
import type { Counters } from "./counters.ts";
import { type FaultTracker, RELAY } from "./fault-origin.ts";
import { BLOCKED, HELD, type Lane, READY, RETRY, STOPPED } from "./lane.ts";
import type { Stage } from "./stage.ts";

/**
 * Milliseconds that a full receiver may take no frame before the waiting ones are dropped. Longer than a living program
 * is kept from running on a busy host (20 ms were not enough on two busy cores); meanwhile its own buffer is full of
 * frames, so that it has what to do when it comes back.
 */
export const SEND_TIMEOUT = 100;

/** Times that it must have been asked for room until then: this process may have been kept from running itself. */
const TRIES = 10;
/** Milliseconds between those that are missing when the time is over. */
const TRY_INTERVAL = 5;
/** Milliseconds after which a stage is asked again at the latest: timers stand still while the machine sleeps. */
const LONGEST_HOLD = 1000;

/** What the relay does for its lanes' deliveries. */
export interface DeliveryOptions {
  readonly clock: () => number;
  readonly counters: Counters;
  readonly faults: FaultTracker;
  /** What the ports are watched for may be another now. */
  readonly onStateChange: () => void;
  /** A lane has something to do. */
  readonly onDue: () => void;
  /** Runs what a timer calls, unless the relay has ended. */
  readonly guarded: (action: () => void) => void;
}

export class Delivery {
  readonly #lane: Lane;
  readonly #options: DeliveryOptions;
  readonly #faults: FaultTracker;
  readonly #stage: Stage | undefined;
  /** The lane's frames before this one were sent. */
  #sent = 0;
  /** The stage admits the frames before this one. */
  #admitted = 0;
  /** When the destination last took a frame, or became full; microseconds. */
  #progress = 0;
  /** How often it has been asked for room since then, in vain. */
  #tries = 0;
  /** Fires SEND_TIMEOUT after the lane was blocked; kept, and started again by `refresh`. */
  #sendTimer: NodeJS.Timeout | undefined;
  /** Fires when the stage may admit more. */
  #stageTimer: NodeJS.Timeout | undefined;

  constructor(lane: Lane, options: DeliveryOptions) {
    this.#lane = lane;
    this.#options = options;
    this.#faults = options.faults;
    this.#stage = lane.stage;
  }

  /** Sends the frames that the lane's batch has now; returns false where some of them wait. */
  send(time: number): boolean {
    this.#sent = 0;
    this.#admitted = 0;
    if (this.#lane.batch.count === 0 || this.#deliver(time)) return true;
    if (this.#isHeld) this.#hold(time);
    else this.#block(time);
    return false;
  }

  /** Tries again to send what waits; returns whether nothing waits any more. */
  resume(): boolean {
    const lane = this.#lane;
    const before = this.#sent;
    const time = this.#stage === undefined ? 0 : this.#options.clock();
    if (this.#deliver(time)) {
      this.#free();
      return true;
    }
    if (this.#isHeld) {
      if (lane.state === BLOCKED) lane.enter(RETRY);
      this.#hold(time);
      return false;
    }
    if (lane.state === RETRY) lane.enter(BLOCKED);
    this.#tries++;
    if (this.#sent > before) {
      this.#progress = this.#options.clock();
      this.#tries = 0;
    }
    return false;
  }

  /** Ends; what waits is counted. */
  stop(): void {
    clearTimeout(this.#sendTimer);
    clearTimeout(this.#stageTimer);
    if (this.#lane.hasFrames) this.#countUndelivered();
    this.#lane.enter(STOPPED);
  }

  /** Sends what waits; returns whether nothing waits any more. */
  #deliver(time: number): boolean {
    if (this.#stage !== undefined) return this.#deliverAdmitted(this.#stage, time);
    const { batch, destination, destinationOrigin } = this.#lane;
    this.#faults.origin = destinationOrigin;
    this.#sent += destination.send(batch, this.#sent);
    this.#faults.origin = RELAY;
    return this.#sent >= batch.count;
  }

  /** The same where a stage stands before the destination: sends no more than it admits. */
  #deliverAdmitted(stage: Stage, time: number): boolean {
    const { batch, destination, destinationOrigin } = this.#lane;
    if (this.#sent >= this.#admitted) this.#admitted = stage.admit(batch, this.#sent, time);
    const { count } = batch;
    batch.count = Math.min(this.#admitted, count);
    this.#faults.origin = destinationOrigin;
    if (this.#sent < batch.count) this.#sent += destination.send(batch, this.#sent);
    this.#faults.origin = RELAY;
    batch.count = count;
    return this.#sent >= count;
  }

  /** Whether what waits waits for the stage, not for the destination. */
  get #isHeld(): boolean {
    return this.#stage !== undefined && this.#sent >= this.#admitted;
  }

  #hold(time: number): void {
    this.#lane.enter(HELD);
    this.#options.onStateChange();
    const milliseconds = Math.max(1, Math.ceil((this.#stage!.holdsUntil - time) / 1000));
    clearTimeout(this.#stageTimer);
    this.#stageTimer = setTimeout(() => this.#options.guarded(this.#askStage), Math.min(milliseconds, LONGEST_HOLD));
  }

  readonly #askStage = (): void => {
    if (this.#lane.state !== HELD) return;
    this.#lane.enter(RETRY);
    this.#waitForRoom(this.#options.clock());
    this.#options.onDue();
  };

  /** The destination is full: stops reading, and waits for room. */
  #block(time: number): void {
    this.#lane.enter(BLOCKED);
    this.#options.onStateChange();
    this.#waitForRoom(time);
  }

  #waitForRoom(time: number): void {
    this.#progress = time;
    this.#tries = 0;
    if (this.#sendTimer === undefined) {
      this.#sendTimer = setTimeout(() => this.#options.guarded(this.#checkProgress), SEND_TIMEOUT);
    } else {
      this.#sendTimer.refresh();
    }
  }

  /** Drops what waits once the destination has taken nothing for too long. */
  readonly #checkProgress = (): void => {
    if (!this.#lane.wantsRoom) return;
    if (this.#options.clock() - this.#progress < SEND_TIMEOUT * 1000) {
      this.#sendTimer?.refresh();
      return;
    }
    if (this.#tries < TRIES) {
      if (this.resume()) this.#options.onDue();
      else setTimeout(() => this.#options.guarded(this.#checkProgress), TRY_INTERVAL);
      return;
    }
    this.#countUndelivered();
    this.#free();
    this.#options.onDue();
  };

  #countUndelivered(): void {
    const { batch, direction } = this.#lane;
    this.#options.counters.undelivered[direction] += batch.count - this.#sent;
  }

  /** Nothing waits in the lane any more; its source may have frames that no event reports again. */
  #free(): void {
    this.#lane.enter(READY);
    this.#options.onStateChange();
  }
}
