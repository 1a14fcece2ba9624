/** Writing results to stdout: in large pieces, in order, and quietly ending when the reader (`| head`) has gone. */
import { writeSync } from "node:fs";

const PIECE = 65_536;

export class Output {
  readonly #descriptor: number;
  #text = "";
  #open = true;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** False once the reader has gone. */
  get open(): boolean {
    return this.#open;
  }

  line(text: string): void {
    this.#text += `${text}\n`;
    if (this.#text.length >= PIECE) this.flush();
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
      if (code !== "EAGAIN") throw error;
      // A pipe that somebody made non-blocking: wait for its reader.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      return 0;
    }
  }
}
