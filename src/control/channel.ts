/**
 * The connection to one controller: receives requests, sends answers and events. Memory is bounded whatever the
 * controller does:
 *
 * - At most one line and one received chunk are kept. While a whole line waits, nothing more is received.
 * - Answers that the controller does not read are buffered, up to MOST_UNREAD bytes. Beyond that the channel is closed,
 *   because a controller that asks so much and reads nothing is broken. The policy stays as it is.
 * - Events are skipped and counted while EVENT_ROOM bytes are buffered; see events.ts.
 *
 * controllers.ts decides for all channels together when a request is answered.
 *
 * When the controller closes or half-closes the connection, every whole line is still answered; then the channel
 * closes. A channel with a subscription to events stays open until the connection is fully closed.
 */
import type { ByteStream } from "../ports/byte-stream.ts";
import { Lines, LONGEST_LINE, TOO_LONG } from "./lines.ts";
import { Outgoing } from "./outgoing.ts";
import { errorLine, INTERNAL_ERROR, PARSE_ERROR, type Request, RpcError, readRequest, resultLine } from "./rpc.ts";

export const MOST_UNREAD = 4 * 1_048_576;
const EVENT_ROOM = 262_144;

/** Returns the result of a request as JSON. Throws RpcError. */
export type Answerer = (request: Request, channel: Channel) => string;

export interface ChannelOptions {
  readonly stream: ByteStream;
  readonly answer: Answerer;
  /** Called when a request waits for `answerOne`. */
  readonly onRequest: (channel: Channel) => void;
  /** Called after any activity on the channel: a tick should follow. */
  readonly onActivity?: () => void;
  /** Called once, when the channel has closed; `why` is undefined when the controller ended it in order. */
  readonly onClose: (channel: Channel, why?: string) => void;
  /** Called with an error in softnet itself. */
  readonly onFault: (error: unknown) => void;
}

export class Channel {
  readonly #options: ChannelOptions;
  readonly #stream: ByteStream;
  readonly #lines = new Lines();
  readonly #outgoing = new Outgoing();
  /** The controller sends no more. */
  #ended = false;
  /** The controller reads no more; requests that it sent before are still carried out. */
  #unread = false;
  #closed = false;
  #subscribed = false;
  /** Time of the last whole request, or of the connection; on performance.now(). */
  #lastRequest = performance.now();
  #flushing: NodeJS.Immediate | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#update();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether it is subscribed to events: such a controller need not send requests. */
  get watching(): boolean {
    return !this.#closed && this.#subscribed;
  }

  /** Whether only `check` notices when the connection is fully closed. */
  get halfClosed(): boolean {
    return !this.#closed && this.#ended;
  }

  /** Time of the last whole request, or of the connection; on performance.now(). */
  get lastRequest(): number {
    return this.#lastRequest;
  }

  /** Keeps the channel open for events from now on. */
  subscribe(): void {
    this.#subscribed = true;
  }

  /** Whether a request waits. */
  get waiting(): boolean {
    return !this.#closed && this.#lines.waiting;
  }

  /** Receives, unless a request waits already; returns whether a request waits now. Never throws. */
  receive(): boolean {
    if (this.#closed) return false;
    if (this.#lines.waiting) return true;
    if (this.#ended) return false;
    try {
      const bytes = this.#stream.receive();
      if (bytes?.length === 0) return false;
      if (bytes === undefined) this.#ended = true;
      else this.#lines.push(bytes);
    } catch (error) {
      this.close((error as Error).message);
    }
    this.#update();
    return this.waiting;
  }

  /** Serves the waiting request, if there is one. Returns how many milliseconds that took. Does not throw. */
  answerOne(): number {
    if (!this.waiting) return 0;
    const begin = performance.now();
    this.#lastRequest = begin;
    this.#queue(this.#answerTo(this.#lines.next()));
    this.#flush();
    this.#update();
    return performance.now() - begin;
  }

  /** Sends a notification. Returns false, and does nothing, when too much is buffered already. */
  notify(line: string): boolean {
    if (this.#closed || this.#unread || this.#outgoing.length + line.length > EVENT_ROOM) return false;
    this.#queue(line);
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined;
      this.#flush();
      this.#update();
    });
    return true;
  }

  /** On a tick: notices a connection that was fully closed without an event. */
  check(): void {
    if (this.#closed) return;
    if (this.#stream.check() && this.#ended) this.#stopSending();
    this.#update();
  }

  /** Sends a last line, as far as the socket accepts it without waiting, and closes. */
  dismiss(line: string): void {
    this.#queue(line);
    this.#flush();
    this.close();
  }

  /** Closes the connection; buffered data is lost. Harmless when called twice. */
  close(why?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearImmediate(this.#flushing);
    this.#outgoing.clear();
    this.#stream.close();
    this.#options.onClose(this, why);
  }

  readonly #wake = (): void => {
    this.#options.onActivity?.();
    this.#flush();
    if (this.receive()) this.#options.onRequest(this);
    else this.#update();
  };

  #answerTo(line: Uint8Array | typeof TOO_LONG): string {
    let request: Request | undefined;
    try {
      if (line === TOO_LONG) throw new RpcError(PARSE_ERROR, `the line is longer than ${LONGEST_LINE} bytes`);
      request = readRequest(line);
      return resultLine(request.id, this.#options.answer(request, this));
    } catch (error) {
      const known = error instanceof RpcError ? error : this.#fault(error);
      return errorLine(request === undefined ? known : new RpcError(known.code, known.message, request.id));
    }
  }

  #fault(error: unknown): RpcError {
    this.#options.onFault(error);
    return new RpcError(INTERNAL_ERROR, "an error in softnet itself; see its log");
  }

  #queue(text: string): void {
    if (!this.#unread) this.#outgoing.add(text);
  }

  /** Sends as much as the socket accepts; closes when the controller has left too much unread. */
  #flush(): void {
    try {
      this.#outgoing.flush(this.#send);
    } catch {
      this.#stopSending();
    }
    const { length } = this.#outgoing;
    if (length > MOST_UNREAD) this.close(`${length} bytes of answers were not read`);
  }

  #stopSending(): void {
    this.#unread = true;
    this.#outgoing.clear();
  }

  readonly #send = (bytes: Uint8Array): number => this.#stream.send(bytes);

  /** Closes when there is nothing left to do; else chooses the socket events to wait for. */
  #update(): void {
    if (this.#closed) return;
    const waiting = this.#lines.waiting;
    const listens = this.#subscribed && !this.#unread;
    if (this.#ended && !waiting && !listens && this.#outgoing.length === 0) this.close();
    // A socket at its end stays readable for ever, so it is not watched; nor is one while a whole request waits.
    else this.#stream.watch(!this.#ended && !waiting, this.#outgoing.length > 0, this.#wake);
  }
}
