/**
 * Bytes as they come, into lines. At most one line's bytes are kept; of a longer line nothing is, up to its newline. What
 * has no newline at the end of the stream is no line.
 */

/** Bytes of a line without its newline. */
export const LONGEST_LINE = 1_048_576;

/** What `next` answers for a line that was too long, once for each, as soon as it is known. */
export const TOO_LONG = "too long";

const NEWLINE = 10;
/** Bytes of room to begin with, and bytes that are not held on to. */
const SMALL = 4096;
const LARGE = 65_536;

export class Lines {
  /** What was received and not yet handed out: bytes `#begin` to `#end` of `#bytes`. */
  #bytes: Buffer = Buffer.alloc(SMALL);
  #begin = 0;
  #end = 0;
  /** No newline lies before here. */
  #searched = 0;
  /** The rest of a line that was too long is being skipped. */
  #skipping = false;
  /** That line has not been told yet. */
  #refused = false;

  /** Whether `next` has something. */
  get waiting(): boolean {
    return this.#refused || this.#newline() >= 0;
  }

  /** Adds what was received. To be called only when nothing waits: so no more than a line and a piece is kept. */
  push(bytes: Uint8Array): void {
    this.#append(bytes);
    if (this.#skipping) {
      const at = this.#newline();
      this.#skipping = at < 0;
      this.#begin = at < 0 ? this.#end : at + 1;
      this.#searched = this.#begin;
    } else if (this.#newline() < 0 && this.#end - this.#begin > LONGEST_LINE) {
      this.#refused = true;
      this.#skipping = true;
    }
    if (this.#skipping) this.#forget();
  }

  /** The next line, valid until the next `push`, or TOO_LONG. To be called only when one waits. */
  next(): Uint8Array | typeof TOO_LONG {
    if (this.#refused) {
      this.#refused = false;
      return TOO_LONG;
    }
    const at = this.#newline();
    const line = this.#bytes.subarray(this.#begin, at);
    this.#begin = at + 1;
    this.#searched = this.#begin;
    if (this.#begin === this.#end && this.#bytes.length > LARGE) this.#forget();
    return line.length > LONGEST_LINE ? TOO_LONG : line;
  }

  #append(bytes: Uint8Array): void {
    const held = this.#end - this.#begin;
    if (this.#begin > 0) {
      this.#bytes.copyWithin(0, this.#begin, this.#end);
      this.#searched -= this.#begin;
      this.#begin = 0;
      this.#end = held;
    }
    if (held + bytes.length > this.#bytes.length) {
      const grown = Buffer.alloc(2 ** Math.ceil(Math.log2(held + bytes.length)));
      grown.set(this.#bytes.subarray(0, held));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Where the next newline is, or -1. */
  #newline(): number {
    if (this.#searched === this.#end) return -1;
    const at = this.#bytes.subarray(0, this.#end).indexOf(NEWLINE, this.#searched);
    this.#searched = at < 0 ? this.#end : at;
    return at;
  }

  #forget(): void {
    this.#bytes = Buffer.alloc(SMALL);
    this.#begin = 0;
    this.#end = 0;
    this.#searched = 0;
  }
}
