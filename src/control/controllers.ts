/**
 * All controllers of one softnet: the one on an inherited descriptor, and at most MOST_CLIENTS on the socket. When all
 * are taken, a new client replaces the client without events that has sent no request for the longest time, if that is
 * at least SILENCE. If there is no such client, the new one gets an error and is closed. At most MOST_WATCHING clients
 * may subscribe to events, so that others can always send requests.
 *
 * One thread serves controllers and forwards frames, and frames come first. Each turn of the event loop answers one
 * request. A request that took t milliseconds is followed by t milliseconds for frames alone, so controllers never get
 * more than half of the time.
 */
import type { ByteStream } from "../ports/byte-stream.ts";
import { Channel } from "./channel.ts";
import { answerRequest, type ControlTarget } from "./methods.ts";
import { errorLine, type Request, RpcError, TOO_MANY_CLIENTS } from "./rpc.ts";

export const MOST_CLIENTS = 16;
export const MOST_WATCHING = 12;

/** Milliseconds without a request after which a new client may replace this one. */
export const SILENCE = 5_000;

/** Microseconds between two checks of half-closed channels, whose end the event loop does not report. */
const LOOK_INTERVAL = 1_000_000;

/** Shortest pause in milliseconds for which a timer is set. */
const NOTICEABLE = 1;

export interface ControllersOptions {
  readonly target: ControlTarget;
  /** Called when a channel was closed because of an error. */
  readonly onBroken: (why: string) => void;
  /** Called after any activity: `check` should follow soon. */
  readonly onActivity?: () => void;
  /** Called with an error in softnet itself. */
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
  /** End of the pause for frames, on performance.now(); 0 = none. */
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

  /** Serves the descriptor that softnet was given. */
  inherit(stream: ByteStream): void {
    this.#inherited = this.#open(stream);
  }

  /** Serves a client of the socket. */
  admit(stream: ByteStream): void {
    this.#options.onActivity?.();
    if (this.#clients.size >= MOST_CLIENTS) this.#makeRoom();
    if (this.#clients.size < MOST_CLIENTS) {
      this.#clients.add(this.#open(stream));
      return;
    }
    try {
      stream.send(
        Buffer.from(errorLine(new RpcError(TOO_MANY_CLIENTS, `${MOST_CLIENTS} clients are connected already`))),
      );
    } catch {
      // The client has closed the connection already.
    }
    stream.close();
  }

  /**
   * Called between two batches of a busy relay, which may keep the event loop from turning for thousands of frames.
   * Serves a request on the inherited channel at once, so that none waits for more than 128 frames. Costs one system
   * call.
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

  /** When `check` must be called at the latest, in microseconds; Infinity = not needed. */
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
  #makeRoom(): void {
    const silent = [...this.#clients].filter(({ watching, waiting }) => !watching && !waiting);
    const oldest = silent.toSorted((one, other) => one.lastRequest - other.lastRequest)[0];
    if (oldest === undefined || performance.now() - oldest.lastRequest < SILENCE) return;
    oldest.dismiss(errorLine(new RpcError(TOO_MANY_CLIENTS, "closed for a new client, because it sent no request")));
  }

  #answer(request: Request, channel: Channel): string {
    const { target } = this.#options;
    if (request.method === "softnet.events" && !channel.watching && channel !== this.#inherited) {
      const watching = [...this.#clients].filter((one) => one.watching).length;
      if (watching >= MOST_WATCHING) {
        throw new RpcError(TOO_MANY_CLIENTS, `${MOST_WATCHING} clients receive events already`);
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
