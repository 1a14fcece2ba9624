/**
 * Asks one softnet again and again, one question after the other, on a connection that is kept: a connection costs more than
 * most answers. softnet may close it (another client needs the room, or it has ended): then the question is asked once more on a new
 * one, so only what may be asked twice may be asked here.
 */
import { ControlClient, NoSoftnet } from "../control/client.ts";
import { UserError } from "../user-error.ts";
import type { Asked } from "./ask.ts";

export class KeptLine {
  readonly #path: string;
  readonly #within: number;
  #client: ControlClient | undefined;
  #busy: Promise<void> = Promise.resolve();
  #closed = false;

  /** `within`: milliseconds that softnet has for an answer. */
  constructor(path: string, within: number) {
    this.#path = path;
    this.#within = within;
  }

  /** Rejects only for an error in softnet itself. */
  ask(method: string, params: object = {}): Promise<Asked> {
    const asked = this.#busy.then(() => this.#ask(method, params));
    this.#busy = asked.then(
      () => {},
      () => {},
    );
    return asked;
  }

  /** Nothing is kept from now on. */
  close(): void {
    this.#closed = true;
    this.#client?.close();
  }

  async #ask(method: string, params: object): Promise<Asked> {
    const kept = this.#client;
    if (kept !== undefined) {
      const { asked, late } = await this.#askOnce(method, params, kept);
      if ("answer" in asked || late) return asked;
    }
    return (await this.#askOnce(method, params)).asked;
  }

  async #askOnce(method: string, params: object, kept?: ControlClient): Promise<{ asked: Asked; late: boolean }> {
    const path = this.#path;
    let client = kept;
    let late = false;
    let done = false;
    const end = (): void => {
      if (done) return;
      late = true;
      client?.close();
    };
    // What has come is read first: it may be this process that is late.
    const timer = setTimeout(() => setImmediate(end), this.#within);
    try {
      client ??= await ControlClient.connect(path);
      const answer = await client.ask(method, params);
      this.#client = client;
      return { asked: { path, answer }, late };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      client?.close();
      this.#client = undefined;
      const why = late ? `${path}: no answer within ${this.#within / 1000} s` : error.message;
      return { asked: { path, error: why, gone: error instanceof NoSoftnet }, late };
    } finally {
      done = true;
      clearTimeout(timer);
      if (this.#closed) this.#client?.close();
    }
  }
}
