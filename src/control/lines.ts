/**
 * Splits a byte stream into lines. At most one line's bytes are kept; a line that is too long is skipped up to its
 * newline. Bytes without a newline at the end of the stream are not a line.
 */

/** Bytes of a line without its newline. */
export const LONGEST_LINE = 1_048_576;

/** What `next` returns once for each line that was too long, as soon as that is known. */
export const TOO_LONG = "too long";

const NEWLINE = 10;
/** Bytes of the first buffer; a buffer larger than LARGE is released when it is empty. */
const SMALL = 4096;
const LARGE = 65_536;

export class Lines {
  /** Bytes `#begin` to `#end` of `#bytes` were received and not yet returned. */
  #bytes: Buffer = Buffer.alloc(SMALL);
  #begin = 0;
  #end = 0;
  /** There is no newline before this offset. */
  #searched = 0;
  /** The rest of a line that was too long is being skipped. */
  #skipping = false;
  /** `next` has not returned TOO_LONG for that line yet. */
  #refused = false;

  /** Whether `next` may be called. */
  get waiting(): boolean {
    return this.#refused || this.#newline() >= 0;
  }

  /** Adds received bytes. To be called only when no line waits: so at most one line and one chunk are kept. */
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

  /** Offset of the next newline, or -1. */
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
