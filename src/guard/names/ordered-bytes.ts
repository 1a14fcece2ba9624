/**
 * The bytes of one direction of a TCP stream, in order and each once (docs/guard-names.md, First bytes). What comes ahead of
 * its turn is refused, and TCP sends it again; what comes again must be the same bytes, so that nobody can read another
 * stream than the one that was read here.
 */

/** More than the longest hello and the longest DNS message that are read. */
export const MOST_HELD = 16_384;
const FIRST_ROOM = 2048;

/** Results of `take` beside a number of new bytes. */
export const OUT_OF_ORDER = -1;
export const CHANGED = -2;

export class OrderedBytes {
  /** What is held: the first `held` bytes. Another array once it has grown. */
  bytes = new Uint8Array(FIRST_ROOM);
  held = 0;
  /** Sequence number of the first byte that is held. */
  start = 0;

  /** `sequence`: of the first byte, unsigned. */
  begin(sequence: number): void {
    this.start = sequence;
    this.held = 0;
  }

  /** Sequence number of the byte that is expected next, unsigned. */
  get next(): number {
    return (this.start + this.held) >>> 0;
  }

  /**
   * Takes a segment's data; returns how many of its last bytes are new, and adds these to what is held, as far as there is
   * room for them. OUT_OF_ORDER and CHANGED: nothing is added.
   */
  take(sequence: number, data: Uint8Array, at: number, length: number): number {
    const repeated = this.repeated(sequence, data, at, length);
    if (repeated < 0) return repeated;
    const fresh = length - repeated;
    this.#add(data, at + repeated, Math.min(fresh, MOST_HELD - this.held));
    return fresh;
  }

  /** How many of a segment's first bytes are held, and the same; OUT_OF_ORDER, CHANGED. Adds nothing. */
  repeated(sequence: number, data: Uint8Array, at: number, length: number): number {
    const offset = (sequence - this.start) | 0;
    if (offset < 0 || offset > this.held) return OUT_OF_ORDER;
    const repeated = Math.min(length, this.held - offset);
    for (let index = 0; index < repeated; index++) if (data[at + index] !== this.bytes[offset + index]) return CHANGED;
    return repeated;
  }

  /** Forgets the first `count` bytes, at most `held`. */
  forget(count: number): void {
    this.bytes.copyWithin(0, count, this.held);
    this.held -= count;
    this.start = (this.start + count) >>> 0;
  }

  #add(data: Uint8Array, at: number, count: number): void {
    const wanted = this.held + count;
    if (wanted > this.bytes.length) {
      let room = this.bytes.length;
      while (room < wanted) room *= 2;
      const grown = new Uint8Array(room);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    // No slice: this runs for each frame of a hello.
    const { bytes, held } = this;
    for (let index = 0; index < count; index++) bytes[held + index] = data[at + index]!;
    this.held = wanted;
  }
}
