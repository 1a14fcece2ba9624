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

/**
 * Bytes of one line. The longest that softnet sends is that of 4,097 names. Who asks may be root, and who listens may not be
 * softnet.
 */
const LONGEST_ANSWER = 8 * 1_048_576;

const NEWLINE = 10;

/** Nothing listens at the path. */
export class NoSoftnet extends UserError {}

export class ControlClient {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #messages: AsyncIterator<string>;
  #asked = 0;

  private constructor(path: string, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
    boundLines(socket);
    const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
    socket.once("close", () => lines.close()); // readline itself ends the lines only where the other side has ended
    this.#messages = lines[Symbol.asyncIterator]();
  }

  /** Throws NoSoftnet when nothing listens there, and UserError when it cannot be asked. */
  static async connect(path: string): Promise<ControlClient> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (error) => reject(failure(path, error)));
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
    // A connection that breaks off ends the lines with an error.
    const { done, value } = await this.#messages.next().catch(() => ({ done: true, value: "" }));
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

/** Ends the connection where a line becomes too long. */
function boundLines(socket: Socket): void {
  let length = 0;
  socket.on("data", (chunk: Buffer) => {
    const end = chunk.lastIndexOf(NEWLINE);
    length = end < 0 ? length + chunk.length : chunk.length - end - 1;
    if (length > LONGEST_ANSWER) socket.destroy();
  });
}

function failure(path: string, error: NodeJS.ErrnoException): UserError {
  const nobody = ["ENOENT", "ECONNREFUSED", "ENOTSOCK"].includes(error.code ?? "");
  return new (nobody ? NoSoftnet : UserError)(`${path}: ${describe(error)}`);
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
