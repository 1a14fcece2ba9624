/**
 * The client of a control socket: sends requests, receives events. `softnet ctl` uses it; other controllers can, too.
 */
import { createConnection, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { UserError } from "../user-error.ts";

export type Answer = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: unknown;
  readonly result?: Answer;
  readonly error?: { readonly code: number; readonly message: string };
  readonly method?: string;
  readonly params?: Answer;
}

/** Milliseconds to wait for an answer; softnet answers at once even under load. */
const ANSWER_TIMEOUT = 10_000;

export class ControlClient {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #messages: AsyncIterator<string>;
  #asked = 0;

  private constructor(path: string, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
    this.#messages = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  }

  /** Throws UserError when no softnet listens there. */
  static async connect(path: string): Promise<ControlClient> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (error) => reject(new UserError(`${path}: ${describe(error)}`)));
    });
    socket.on("timeout", () => socket.destroy());
    socket.on("error", () => {}); // an error also ends the lines, and that is reported
    return new ControlClient(path, socket);
  }

  /** Returns the result. Throws UserError with softnet's own message when it refuses. */
  async ask(method: string, params: object = {}): Promise<Answer> {
    const id = ++this.#asked;
    this.#socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    this.#socket.setTimeout(ANSWER_TIMEOUT);
    for (;;) {
      const { id: answered, result, error, method: event } = await this.#next(`no answer to ${method}`);
      if (event !== undefined) continue;
      if (error !== undefined) throw new UserError(error.message);
      if (answered !== id || result === undefined) throw this.#gone("the program that listens there is not softnet");
      this.#socket.setTimeout(0);
      return result;
    }
  }

  /** Waits for the next event. Throws UserError when softnet has closed the connection. */
  async event(): Promise<Answer> {
    for (;;) {
      const { method, params } = await this.#next("softnet has closed the connection");
      if (method === "softnet.event" && params !== undefined) return params;
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  async #next(otherwise: string): Promise<Message> {
    const { done, value } = await this.#messages.next();
    if (done) throw this.#gone(otherwise);
    try {
      const message: unknown = JSON.parse(value);
      if (typeof message === "object" && message !== null) return message;
    } catch {
      // As below.
    }
    throw this.#gone("the program that listens there is not softnet");
  }

  #gone(why: string): UserError {
    return new UserError(`${this.#path}: ${why}`);
  }
}

function describe(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return "there is no such socket; softnet makes one with --control-socket PATH";
    case "ECONNREFUSED":
    case "ENOTSOCK":
      return "no softnet listens there";
    case "EACCES":
      return "permission denied: only the user who started that softnet may connect";
    default:
      return error.message;
  }
}
