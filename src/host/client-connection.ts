/**
 * One softnet's connection to the helper: requests in, replies and notices out. Requests come one after the other; only
 * the newest notices, and the newest word on the route, wait where the other end does not read.
 */
import { Lines, TOO_LONG } from "../control/lines.ts";
import { Outgoing } from "../control/outgoing.ts";
import type { ByteStream } from "../ports/byte-stream.ts";
import { type Event, encode, type Notices, parseRequest, type Reply, type Request, type Route6 } from "./messages.ts";

/** Events that wait where the other end does not read; more are left out. */
const MOST_EVENTS = 16;
/** Replies that wait there. A softnet asks again when it has the reply, so one that lets more wait is none. */
const MOST_REPLIES = 64;

export interface ClientConnectionOptions {
  readonly stream: ByteStream;
  /** Does what a request wants. Throws Error with what is wrong. */
  readonly serve: (request: Request) => Omit<Reply, "kind">;
  /** The softnet has ended, or said what no softnet says. Called once. */
  readonly onEnd: () => void;
}

export class ClientConnection {
  readonly #options: ClientConnectionOptions;
  readonly #lines = new Lines();
  readonly #outgoing = new Outgoing();
  #notices: Notices | undefined;
  readonly #events: Event[] = [];
  /** Nothing yet: what softnet itself has found at the start may be over by the first look. */
  #sentNotices = "";
  #route: Route6 | undefined;
  #sentRoute = "";
  /** How many replies there are among what waits to be sent. */
  #replies = 0;
  #open = true;

  constructor(options: ClientConnectionOptions) {
    this.#options = options;
    this.#options.stream.watch(true, false, this.#wake);
  }

  /** All that is wrong at present, for people. */
  sendNotices(notices: readonly string[]): void {
    const text = JSON.stringify(notices);
    if (!this.#open || text === this.#sentNotices) return;
    this.#sentNotices = text;
    this.#notices = { kind: "notices", notices };
    this.#send();
  }

  /** What becomes of IPv6 behind the host. */
  sendRoute(route: Omit<Route6, "kind">): void {
    const text = JSON.stringify(route);
    if (!this.#open || text === this.#sentRoute) return;
    this.#sentRoute = text;
    this.#route = { kind: "route6", ...route };
    this.#send();
  }

  /** Something that happened on the host, for people. */
  sendEvent(event: string): void {
    if (!this.#open || this.#events.length >= MOST_EVENTS) return;
    this.#events.push({ kind: "event", event });
    this.#send();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#options.stream.close();
    this.#options.onEnd();
  }

  readonly #wake = (readable: boolean): void => {
    try {
      if (readable) this.#receive();
      if (this.#open) this.#send();
      if (this.#open && this.#options.stream.check()) this.close();
    } catch {
      this.close(); // the other end is gone
    }
  };

  #receive(): void {
    const bytes = this.#options.stream.receive();
    if (bytes === undefined) {
      this.close();
      return;
    }
    this.#lines.push(bytes);
    while (this.#open && this.#lines.waiting) {
      const line = this.#lines.next();
      const request = line === TOO_LONG ? undefined : parseRequest(line);
      if (request === undefined || this.#replies >= MOST_REPLIES) this.close();
      else this.#reply(request);
    }
  }

  #reply(request: Request): void {
    let reply: Reply;
    try {
      reply = { kind: "reply", ...this.#options.serve(request) };
    } catch (error) {
      reply = { kind: "reply", error: (error as Error).message };
    }
    this.#replies++;
    this.#outgoing.add(encode(reply).toString());
  }

  #send(): void {
    const { stream } = this.#options;
    try {
      do {
        if (this.#outgoing.length === 0) this.#addNext();
        this.#outgoing.flush((bytes) => stream.send(bytes));
        if (this.#outgoing.length === 0) this.#replies = 0;
      } while (this.#outgoing.length === 0 && this.#hasNext());
      stream.watch(true, this.#outgoing.length > 0, this.#wake);
    } catch {
      this.close();
    }
  }

  #hasNext(): boolean {
    return this.#route !== undefined || this.#events.length > 0 || this.#notices !== undefined;
  }

  #addNext(): void {
    const next = this.#route ?? this.#events.shift() ?? this.#notices;
    if (next === undefined) return;
    if (next === this.#route) this.#route = undefined;
    if (next === this.#notices) this.#notices = undefined;
    this.#outgoing.add(encode(next).toString());
  }
}
