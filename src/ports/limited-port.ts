/**
 * A port around another one that sends no more than a limit lets through: what is beyond it waits here, in order, for as long as
 * the limit lets 50 ms pass (of a slow one at least 128 KiB), and what comes then is dropped, `limit.rate`. So TCP finds the rate, as behind any
 * slow link, and nothing that waits is older than that. Control frames (wire/control-frame.ts) are not charged and wait for nothing.
 *
 * The sender is not kept waiting, though its socket or TAP could hold more: what keeps its network working would wait there
 * behind the rest, up to a thousand frames of it.
 *
 * Without a limit it only passes everything on. Its memory is made when a limit comes first.
 */

import type { Wake } from "../native/poll.ts";
import type { DirectionLimit } from "../policy/limits.ts";
import type { Batch } from "../relay/batch.ts";
import type { Direction } from "../relay/direction.ts";
import type { DropCounter, FramePort, Interest } from "../relay/port.ts";
import { RateLimit } from "../relay/rate-limit.ts";
import { isControlFrame } from "../wire/control-frame.ts";
import { segmentSizeOf } from "../wire/virtio-net.ts";
import { DelayQueue } from "./delay-queue.ts";
import { WrappedPort } from "./wrapped-port.ts";

/** Bytes that may wait: what a limit lets pass in 50 ms, within these. */
const LEAST_WAITING = 131_072;
const MOST_WAITING = 4_194_304;
const LONGEST_WAIT = 0.05;
const ORDINARY_FRAME = 1514;
/** Milliseconds after which the limit is asked again at the latest: timers stand still while the machine sleeps. */
const LONGEST_TIMER = 1000;

const NO_INTEREST: Interest = { readable: false, writable: false };

export interface LimitedPortOptions {
  readonly port: FramePort;
  /** Which way frames go that are sent here. */
  readonly direction: Direction;
  /** The reason's number that dropped frames are counted under. */
  readonly verdict: number;
  /** Microseconds. */
  readonly clock: () => number;
}

export class LimitedPort extends WrappedPort {
  readonly #direction: Direction;
  readonly #verdict: number;
  readonly #clock: () => number;
  #limit: RateLimit | undefined;
  #queue: DelayQueue | undefined;
  #interest = NO_INTEREST;
  #wake: Wake = () => {};
  /** What waits is due, and the port takes no more of it. */
  #isBlocked = false;
  #timer: NodeJS.Timeout | undefined;
  #failure: unknown;
  /** Frames that have waited, and that were dropped; the latter since they were counted last, too. */
  delayed = 0;
  dropped = 0;
  #uncounted = 0;

  constructor({ port, direction, verdict, clock }: LimitedPortOptions) {
    super(port);
    this.#direction = direction;
    this.#verdict = verdict;
    this.#clock = clock;
  }

  /** From now on this is the limit. What waits stays, and leaves under it. */
  setLimit(limit: DirectionLimit): void {
    const { bytes, packets } = limit;
    if (bytes === undefined && packets === undefined) {
      this.#limit = undefined;
      this.#go();
      return;
    }
    this.#limit = new RateLimit(limit, this.#clock());
    const rate = Math.min(bytes?.rate ?? Infinity, (packets?.rate ?? Infinity) * ORDINARY_FRAME);
    const most = Math.ceil(Math.min(MOST_WAITING, Math.max(LEAST_WAITING, rate * LONGEST_WAIT)));
    // One of another size is made once what waits has left.
    if (this.#queue?.isEmpty) {
      this.#queue.free();
      this.#queue = undefined;
    }
    this.#queue ??= new DelayQueue(most);
    this.#go();
  }

  override send(batch: Batch, first: number): number {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#limit === undefined && this.#isQueueEmpty) return this.port.send(batch, first);
    return this.#sendLimited(batch, first);
  }

  override receive(batch: Batch): number {
    if (this.#failure !== undefined) throw this.#failure;
    return this.port.receive(batch);
  }

  override watch(interest: Interest, wake: Wake): void {
    this.#interest = interest;
    this.#wake = wake;
    this.#watch();
  }

  override countDrops(count: DropCounter): void {
    this.port.countDrops?.(count);
    count(this.#direction, this.#verdict, this.#uncounted);
    this.#uncounted = 0;
  }

  /** Lets what waits go; the port that it is around stays open. Harmless when called twice. */
  release(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#limit = undefined;
    this.#queue?.free();
    this.#queue = undefined;
  }

  override close(): void {
    this.release();
    this.port.close();
  }

  get #isQueueEmpty(): boolean {
    return this.#queue === undefined || this.#queue.isEmpty;
  }

  /** As `send`: a frame that waits or is dropped was taken. */
  #sendLimited(batch: Batch, first: number): number {
    const time = this.#clock();
    this.#drain(time);
    const { bytes, offset, length } = batch;
    let next = first;
    while (next < batch.count) {
      const isControl = isControlFrame(bytes, offset[next]!, length[next]!);
      if (isControl || (this.#isQueueEmpty && this.#allows(time))) {
        const end = isControl ? next + 1 : this.#endOfRun(batch, next, time);
        const sent = this.#sendUpTo(batch, next, end, !isControl);
        next += sent;
        if (next < end) break; // the receiver is full
      } else {
        if (this.#isBlocked) break;
        this.#wait(batch, next);
        next++;
      }
    }
    this.#setTimer();
    return next - first;
  }

  #allows(time: number): boolean {
    return this.#limit === undefined || this.#limit.allows(time);
  }

  /** Charges frame `next`, which is allowed, and those behind it as far as they are, too; returns where they end. */
  #endOfRun(batch: Batch, next: number, time: number): number {
    const { bytes, offset, length, count } = batch;
    let end = next;
    do {
      this.#charge(batch, end, 1);
      end++;
    } while (end < count && !isControlFrame(bytes, offset[end]!, length[end]!) && this.#allows(time));
    return end;
  }

  /** Sends frames `next … end - 1`; those that were charged and not taken are given back. Returns how many were taken. */
  #sendUpTo(batch: Batch, next: number, end: number, charged: boolean): number {
    const { count } = batch;
    batch.count = end;
    const sent = this.port.send(batch, next);
    batch.count = count;
    if (charged) for (let index = next + sent; index < end; index++) this.#charge(batch, index, -1);
    return sent;
  }

  #charge(batch: Batch, index: number, times: number): void {
    const size = batch.length[index]!;
    const segment = segmentSizeOf(batch.offload[index]!);
    this.#limit?.charge(times * size, times * (segment === 0 ? 1 : Math.ceil(size / segment)));
  }

  #wait(batch: Batch, index: number): void {
    if (this.#queue?.put(batch, index)) {
      this.delayed++;
    } else {
      this.dropped++;
      this.#uncounted++;
    }
  }

  /** Sends what waits as far as the limit and the port allow. */
  #drain(time: number): void {
    const queue = this.#queue;
    const wasBlocked = this.#isBlocked;
    this.#isBlocked = false;
    while (queue !== undefined && !queue.isEmpty && this.#allows(time)) {
      const end = this.#endOfRun(queue.batch, queue.first, time);
      const wanted = end - queue.first;
      const sent = this.#sendUpTo(queue.batch, queue.first, end, true);
      queue.leave(sent);
      if (sent < wanted) {
        this.#isBlocked = true;
        break;
      }
    }
    if (this.#isBlocked !== wasBlocked) this.#watch();
  }

  #watch(): void {
    const { readable, writable } = this.#interest;
    this.port.watch(this.#isBlocked && !writable ? { readable, writable: true } : this.#interest, this.#woken);
  }

  readonly #woken = (readable: boolean, writable: boolean): void => {
    if (writable && this.#isBlocked) this.#go();
    this.#wake(readable, writable);
  };

  /** Sends what waits and may be sent now; what goes wrong meets the relay at its next call. */
  readonly #go = (): void => {
    try {
      this.#drain(this.#clock());
      this.#setTimer();
    } catch (error) {
      this.#failure = error;
      this.#wake(true, true);
    }
  };

  /** One timer at a time, for as long as anything waits for the limit. */
  #setTimer(): void {
    if (this.#timer !== undefined || this.#isQueueEmpty || this.#isBlocked || this.#limit === undefined) return;
    const milliseconds = Math.max(1, Math.ceil(this.#limit.wait / 1000));
    this.#timer = setTimeout(this.#timeCame, Math.min(milliseconds, LONGEST_TIMER));
  }

  readonly #timeCame = (): void => {
    this.#timer = undefined;
    this.#go();
  };
}
