/** Writes results to stdout, buffered and in order; ends silently when the reader (`| head`) has closed the pipe. */
import { writeSync } from "node:fs";
import { UserError } from "../user-error.ts";

const PIECE = 65_536;

/** Writes text and ignores errors: help, a version, an error message. */
export function writeIfPossible(descriptor: number, text: string): void {
  const output = new Output(descriptor);
  output.add(text);
  try {
    output.flush();
  } catch {
    // There is no other way to report it.
  }
}

export class Output {
  readonly #descriptor: number;
  #text = "";
  #open = true;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** False once the reader has closed the pipe. */
  get open(): boolean {
    return this.#open;
  }

  /** Adds a line and writes a full buffer. Throws UserError when it cannot be written. */
  line(text: string): void {
    this.add(`${text}\n`);
    if (this.#text.length >= PIECE) this.flush();
  }

  /** Adds text to the buffer without writing. */
  add(text: string): void {
    this.#text += text;
  }

  flush(): void {
    let bytes: Uint8Array = Buffer.from(this.#text);
    this.#text = "";
    while (this.#open && bytes.length > 0) bytes = bytes.subarray(this.#write(bytes));
  }

  #write(bytes: Uint8Array): number {
    try {
      return writeSync(this.#descriptor, bytes);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") {
        this.#open = false;
        return 0;
      }
      if (code !== "EAGAIN") {
        const what = this.#descriptor === 1 ? "standard output" : `descriptor ${this.#descriptor}`;
        throw new UserError(`${what} cannot be written (${code ?? (error as Error).message})`);
      }
      // A pipe that another program has made non-blocking: wait for its reader.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      return 0;
    }
  }
}
