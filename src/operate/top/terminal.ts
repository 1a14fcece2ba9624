/**
 * The user's terminal: a screen of its own, keys one by one, its size. Whatever ends the program, the terminal is put back:
 * in order, by a signal, or by an error of softnet's own.
 */
import { writeSync } from "node:fs";
import type { ReadStream, WriteStream } from "node:tty";
import { type Key, keysIn } from "./keys.ts";
import type { Size } from "./line.ts";
import { ENTER, LEAVE } from "./paint.ts";

const STDOUT = 1;
const SIGNALS = ["SIGTERM", "SIGHUP", "SIGINT"] as const;

export interface TerminalEvents {
  readonly onKey: (key: Key) => void;
  readonly onResize: () => void;
  /** A signal asks for the end, or nobody is at the terminal any more. */
  readonly onEnd: (why: string) => void;
}

export class Terminal {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #events: TerminalEvents;
  #open = true;

  constructor(input: ReadStream, output: WriteStream, events: TerminalEvents) {
    this.#input = input;
    this.#output = output;
    this.#events = events;
    process.on("uncaughtExceptionMonitor", this.close);
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    output.on("resize", events.onResize);
    output.on("error", this.#onGone);
    input.on("error", this.#onGone);
    input.on("end", this.#onGone);
    input.on("data", this.#onInput);
    input.setRawMode(true);
    this.#write(ENTER);
  }

  get size(): Size {
    // A terminal that does not say its size is one of the usual size.
    return { columns: this.#output.columns || 80, rows: this.#output.rows || 24 };
  }

  draw(text: string): void {
    if (this.#open) this.#output.write(text);
  }

  /** Puts the terminal back. Harmless when called twice. */
  readonly close = (): void => {
    if (!this.#open) return;
    this.#open = false;
    this.#write(LEAVE);
    try {
      this.#input.setRawMode(false);
    } catch {
      // The terminal is gone.
    }
    this.#input.pause();
    this.#input.off("data", this.#onInput);
    this.#output.off("resize", this.#events.onResize);
    process.off("uncaughtExceptionMonitor", this.close);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  };

  /** At once, since the process may be about to end. */
  #write(text: string): void {
    try {
      writeSync(STDOUT, text);
    } catch {
      // The terminal is gone, or does not take it now: then nothing more can be done.
    }
  }

  readonly #onSignal = (signal: string): void => this.#events.onEnd(signal);
  readonly #onGone = (): void => this.#events.onEnd("the terminal is gone");
  readonly #onInput = (chunk: Buffer): void => {
    for (const key of keysIn(chunk.toString("latin1"))) this.#events.onKey(key);
  };
}
