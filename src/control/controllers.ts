/**
 * All controllers of one softnet: the one on an inherited descriptor, and those on the socket, at most MOST_CLIENTS. Who
 * comes when all places are taken gets the place of a silent one: the client that has asked nothing for the longest time,
 * at least SILENCE, and hears no events. Where there is none it is told so and closed. At most MOST_WATCHING hear events,
 * so that some places always are for questions.
 *
 * One thread serves them and forwards frames, so frames come first: in each turn of the event loop one request is
 * answered, whoever's turn it is, and after one that took a while frames have as long again before the next. However
 * much controllers ask, frames have at least half of the time.
 */
import type { ByteStream } from "../ports/byte-stream.ts";
import { Channel } from "./channel.ts";
import { answerRequest, type ControlTarget } from "./methods.ts";
import { errorLine, type Request, RpcError, TOO_MANY_CLIENTS } from "./rpc.ts";

export const MOST_CLIENTS = 16;
export const MOST_WATCHING = 12;

/** Milliseconds without a request after which a client may lose its place. */
export const SILENCE = 5_000;

/** Microseconds between two looks at what no event tells. */
const LOOK_INTERVAL = 1_000_000;

/** Milliseconds of rest that are worth a timer. */
const NOTICEABLE = 1;

export interface ControllersOptions {
  readonly target: ControlTarget;
  /** Told that a channel ended otherwise than by its other side's wish. */
  readonly onBroken: (why: string) => void;
  /** Called when anything has happened: `check` should follow soon. */
  readonly onActivity?: () => void;
  /** Told of a fault of softnet's own. */
  readonly onFault: (error: unknown) => void;
}

export class Controllers {
  readonly #options: ControllersOptions;
  readonly #clients = new Set<Channel>();
  #inherited: Channel | undefined;
  /** Channels with a request that waits, in the order in which they are served. */
  readonly #queue: Channel[] = [];
  #nextTurn: NodeJS.Immediate | undefined;
  #rest: NodeJS.Timeout | undefined;
  /** On performance.now(); 0 = no rest is due. */
  #restUntil = 0;
  /** When `check` was called last. */
  #checked = 0;

  constructor(options: ControllersOptions) {
    this.#options = options;
  }

  /** How many clients the socket has. */
  get clients(): number {
    return this.#clients.size;
  }

  /** The channel on a descriptor that softnet was given. */
  inherit(stream: ByteStream): void {
    this.#inherited = this.#open(stream);
  }

  /** A client of the socket. */
  admit(stream: ByteStream): void {
    this.#options.onActivity?.();
    if (this.#clients.size >= MOST_CLIENTS) this.#makePlace();
    if (this.#clients.size < MOST_CLIENTS) {
      this.#clients.add(this.#open(stream));
      return;
    }
    try {
      stream.send(
        Buffer.from(errorLine(new RpcError(TOO_MANY_CLIENTS, `${MOST_CLIENTS} clients are connected already`))),
      );
    } catch {
      // It has gone again.
    }
    stream.close();
  }

  /**
   * Between two batches of a busy relay, which may keep the event loop from turning for thousands of frames: a request on the
   * inherited channel is answered at once, so that no set waits for more than 128 frames. Costs one system call.
   */
  serveBetweenBatches(): void {
    const channel = this.#inherited;
    if (channel === undefined || channel.closed) return;
    if (this.#restUntil > 0) {
      if (performance.now() < this.#restUntil) return;
      this.#restUntil = 0;
    }
    if (!channel.receive()) return;
    this.#answerOne(channel);
  }

  /** When `check` has something to do if nothing happens until then, microseconds; Infinity = nothing. */
  get deadline(): number {
    const halfClosed = this.#inherited?.halfClosed || [...this.#clients].some((channel) => channel.halfClosed);
    const look = halfClosed ? this.#checked + LOOK_INTERVAL : Number.POSITIVE_INFINITY;
    return Math.min(look, this.#options.target.events.deadline);
  }

  /** On a tick; `time` in microseconds. */
  check(time: number): void {
    this.#checked = time;
    this.#inherited?.check();
    for (const channel of this.#clients) channel.check();
    this.#options.target.events.tick(time);
  }

  close(): void {
    clearImmediate(this.#nextTurn);
    clearTimeout(this.#rest);
    this.#queue.length = 0;
    this.#inherited?.close();
    for (const channel of this.#clients) channel.close();
  }

  /** Closes the client that has been silent for the longest time, if one has been for long enough. */
  #makePlace(): void {
    const silent = [...this.#clients].filter(({ watching, waiting }) => !watching && !waiting);
    const oldest = silent.toSorted((one, other) => one.heard - other.heard)[0];
    if (oldest === undefined || performance.now() - oldest.heard < SILENCE) return;
    oldest.dismiss(errorLine(new RpcError(TOO_MANY_CLIENTS, "others need the place of a client that asks nothing")));
  }

  #answer(request: Request, channel: Channel): string {
    const { target } = this.#options;
    if (request.method === "softnet.events" && !channel.watching && channel !== this.#inherited) {
      const watching = [...this.#clients].filter((one) => one.watching).length;
      if (watching >= MOST_WATCHING) {
        throw new RpcError(TOO_MANY_CLIENTS, `${MOST_WATCHING} clients hear events already`);
      }
    }
    return answerRequest(target, request, channel);
  }

  readonly #enqueue = (channel: Channel): void => {
    if (!this.#queue.includes(channel)) this.#queue.push(channel);
    this.#schedule();
  };

  #schedule(): void {
    if (this.#queue.length === 0 || this.#nextTurn !== undefined || this.#rest !== undefined) return;
    const rest = this.#restLeft();
    if (rest >= NOTICEABLE) this.#rest = setTimeout(this.#serve, rest);
    else this.#nextTurn = setImmediate(this.#serve);
  }

  readonly #serve = (): void => {
    this.#nextTurn = undefined;
    this.#rest = undefined;
    if (this.#restLeft() < NOTICEABLE) {
      const channel = this.#queue.shift();
      if (channel !== undefined) this.#answerOne(channel);
    }
    this.#schedule();
  };

  /** Milliseconds. */
  #restLeft(): number {
    return this.#restUntil > 0 ? this.#restUntil - performance.now() : 0;
  }

  #answerOne(channel: Channel): void {
    const took = channel.answerOne();
    this.#options.onActivity?.();
    if (took > 0) this.#restUntil = performance.now() + took;
    if (channel.waiting) this.#enqueue(channel);
  }

  #open(stream: ByteStream): Channel {
    const { target, onFault, onActivity } = this.#options;
    return new Channel({
      stream,
      answer: (request, channel) => this.#answer(request, channel),
      ...(onActivity && { onActivity }),
      onRequest: this.#enqueue,
      onClose: (channel, why) => {
        this.#clients.delete(channel);
        target.events.unsubscribe(channel);
        if (why !== undefined) this.#options.onBroken(why);
      },
      onFault,
    });
  }
}
