/**
 * One controller: its requests in, its answers and events out. Nothing that it does or leaves undone makes memory grow:
 *
 * - It keeps one line and one piece of what comes in; while a whole line waits, nothing more is received.
 * - Answers that are not read wait here, up to MOST_UNREAD bytes. Beyond that the channel is closed: whoever asks that
 *   much and reads nothing is broken. The policy stays as it is.
 * - Events are left out while EVENT_ROOM bytes wait, and counted; see events.ts.
 *
 * When a request is answered is not decided here, but for all channels together (controllers.ts).
 *
 * At the end of what the controller sends (it closed, or half-closed its side) every whole line is still answered, then
 * the channel closes; one that has asked for events stays until the other side is gone altogether.
 */
import type { ByteStream } from "../ports/byte-stream.ts";
import { Lines, LONGEST_LINE, TOO_LONG } from "./lines.ts";
import { Outgoing } from "./outgoing.ts";
import { errorLine, INTERNAL_ERROR, PARSE_ERROR, type Request, RpcError, readRequest, resultLine } from "./rpc.ts";

export const MOST_UNREAD = 4 * 1_048_576;
const EVENT_ROOM = 262_144;

/** What a channel asks for answers: a result as JSON, or an RpcError that is thrown. */
export type Answerer = (request: Request, channel: Channel) => string;

export interface ChannelOptions {
  readonly stream: ByteStream;
  readonly answer: Answerer;
  /** Called when a request waits for `answerOne`. */
  readonly onRequest: (channel: Channel) => void;
  /** Called when anything has happened here: a tick should follow. */
  readonly onActivity?: () => void;
  /** Called once, when it has closed; `why` is missing where that was to be expected. */
  readonly onClose: (channel: Channel, why?: string) => void;
  /** Told of a fault of softnet's own. */
  readonly onFault: (error: unknown) => void;
}

export class Channel {
  readonly #options: ChannelOptions;
  readonly #stream: ByteStream;
  readonly #lines = new Lines();
  readonly #outgoing = new Outgoing();
  /** The other side sends no more. */
  #ended = false;
  /** The other side reads no more; what it had sent before still counts. */
  #unheard = false;
  #closed = false;
  #subscribed = false;
  /** When it asked last, or came; on performance.now(). */
  #heard = performance.now();
  #flushing: NodeJS.Immediate | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#settle();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether it hears events: it need not say anything. */
  get watching(): boolean {
    return !this.#closed && this.#subscribed;
  }

  /** Whether no event tells when the other side goes away altogether. */
  get halfClosed(): boolean {
    return !this.#closed && this.#ended;
  }

  /** When it last had a whole request, or came; on performance.now(). */
  get heard(): number {
    return this.#heard;
  }

  /** Has events sent here from now on: the channel stays open for them. */
  subscribe(): void {
    this.#subscribed = true;
  }

  /** Whether a request waits. */
  get waiting(): boolean {
    return !this.#closed && this.#lines.waiting;
  }

  /** Receives, unless a request waits already; answers whether one does. Never throws. */
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
    this.#settle();
    return this.waiting;
  }

  /** Answers the request that waits, if one does; answers how many milliseconds that took. Never throws. */
  answerOne(): number {
    if (!this.waiting) return 0;
    const begin = performance.now();
    this.#heard = begin;
    this.#queue(this.#answerTo(this.#lines.next()));
    this.#flush();
    this.#settle();
    return performance.now() - begin;
  }

  /** Sends a line that no request asked for. Answers false, and does nothing, where too much waits already. */
  notify(line: string): boolean {
    if (this.#closed || this.#unheard || this.#outgoing.length + line.length > EVENT_ROOM) return false;
    this.#queue(line);
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined;
      this.#flush();
      this.#settle();
    });
    return true;
  }

  /** On a tick: notices what no event tells. */
  check(): void {
    if (this.#closed) return;
    if (this.#stream.check() && this.#ended) this.#loseHearing();
    this.#settle();
  }

  /** Says a last line, as far as the other side takes it, and ends it. */
  dismiss(line: string): void {
    this.#queue(line);
    this.#flush();
    this.close();
  }

  /** Ends it; what waits is lost. Harmless when called twice. */
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
    else this.#settle();
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
    return new RpcError(INTERNAL_ERROR, "a fault of softnet's own; the log has it");
  }

  #queue(text: string): void {
    if (!this.#unheard) this.#outgoing.add(text);
  }

  /** Sends what the other side takes, and closes where it has left too much unread. */
  #flush(): void {
    try {
      this.#outgoing.flush(this.#send);
    } catch {
      this.#loseHearing();
    }
    const { length } = this.#outgoing;
    if (length > MOST_UNREAD) this.close(`${length} bytes of answers were not read`);
  }

  #loseHearing(): void {
    this.#unheard = true;
    this.#outgoing.clear();
  }

  readonly #send = (bytes: Uint8Array): number => this.#stream.send(bytes);

  /** Closes when there is nothing left to do; else watches for what can be done next. */
  #settle(): void {
    if (this.#closed) return;
    const waiting = this.#lines.waiting;
    const listens = this.#subscribed && !this.#unheard;
    if (this.#ended && !waiting && !listens && this.#outgoing.length === 0) this.close();
    // Not readable after the end, which stays readable; nor while a whole request waits.
    else this.#stream.watch(!this.#ended && !waiting, this.#outgoing.length > 0, this.#wake);
  }
}
