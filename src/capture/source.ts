/**
 * Reads a file through a window of fixed size. Decoders request as many contiguous bytes as a record needs and read
 * them in place; a file cannot make the window grow. It never seeks, so it can read pipes, too.
 */
import { CaptureError } from "./errors.ts";

/**
 * The most bytes that a record may have captured: the largest snapshot length that tcpdump and Wireshark accept
 * (their MAXIMUM_SNAPLEN), far beyond any Ethernet frame.
 */
export const MAXIMUM_CAPTURED_LENGTH = 262_144;

/** Bytes of the window, and so of the largest record: the largest frame and as much again for options. */
export const WINDOW = 2 * MAXIMUM_CAPTURED_LENGTH;

/** Reads up to `length` bytes into `into` from `offset` on; returns how many, 0 at the end. */
export type ReadBytes = (into: Uint8Array, offset: number, length: number) => number;

export class ByteSource {
  /** The file's name in errors. */
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  /** Offset of the next unread byte in `bytes`. */
  position = 0;
  #end = 0;
  /** Offset of `bytes[0]` in the file. */
  #origin = 0;
  readonly #read: ReadBytes;

  constructor(name: string, read: ReadBytes) {
    this.name = name;
    this.bytes = new Uint8Array(WINDOW);
    this.view = new DataView(this.bytes.buffer);
    this.#read = read;
  }

  /** The unread bytes that are in the window now. */
  get available(): number {
    return this.#end - this.position;
  }

  /** Fills the window until `count` (at most WINDOW) unread bytes are in it; false when the file ends before. */
  ensure(count: number): boolean {
    if (this.available >= count) return true;
    if (this.position + count > this.bytes.length) {
      this.bytes.copyWithin(0, this.position, this.#end);
      this.#origin += this.position;
      this.#end -= this.position;
      this.position = 0;
    }
    while (this.available < count) {
      const added = this.#read(this.bytes, this.#end, this.bytes.length - this.#end);
      if (added === 0) return false;
      this.#end += added;
    }
    return true;
  }

  /** Skips `count` bytes, which may exceed the window; false when the file ends before. */
  skip(count: number): boolean {
    let left = count;
    while (left > 0) {
      if (!this.ensure(1)) return false;
      const step = Math.min(left, this.available);
      this.position += step;
      left -= step;
    }
    return true;
  }

  /** The error for bytes that contradict the format at the current position. */
  malformed(what: string): CaptureError {
    const where = `at byte ${this.#origin + this.position}`;
    return new CaptureError("CAPTURE_FORMAT", this.name, `${where}, ${what}`, "the file is damaged, capture again");
  }

  /** The error for a file that ends inside `what`. */
  truncated(what: string): CaptureError {
    const remedy = "all before that is whole, capture again for the rest";
    return new CaptureError("CAPTURE_TRUNCATED", this.name, `the file breaks off inside ${what}`, remedy);
  }
}
