/**
 * First fragments that passed, so that the rest of their packets may follow where the verdict depends on ports (threat row
 * I1): a small table for one direction. Where it is full, what is not in it gets no place; nothing is pushed out.
 */

/** First fragments noted at once. */
export const MOST_FRAGMENTS = 256;

/** Whole seconds after which one is over once they are exceeded. */
const SECONDS = 30;

/** No place. */
export const NO_PLACE = -1;

export class FragmentTable {
  readonly #source = new Int32Array(MOST_FRAGMENTS);
  readonly #destination = new Int32Array(MOST_FRAGMENTS);
  /** Identification and protocol. */
  readonly #name = new Int32Array(MOST_FRAGMENTS);
  /** When it passed, in seconds. */
  readonly #since = new Float64Array(MOST_FRAGMENTS);
  #count = 0;

  clear(): void {
    this.#count = 0;
  }

  /** Whether the first fragment of this packet is noted. `second`: the time. */
  has(source: number, destination: number, name: number, second: number): boolean {
    return this.#find(source, destination, name, second) !== NO_PLACE;
  }

  /** The place for a first fragment: its own, or a free one, or NO_PLACE. Valid until the next call of anything. */
  placeFor(source: number, destination: number, name: number, second: number): number {
    const known = this.#find(source, destination, name, second);
    if (known !== NO_PLACE) return known;
    return this.#count < MOST_FRAGMENTS ? this.#count : NO_PLACE;
  }

  /** Notes a first fragment at the place that was told. */
  note(place: number, source: number, destination: number, name: number, second: number): void {
    this.#source[place] = source;
    this.#destination[place] = destination;
    this.#name[place] = name;
    this.#since[place] = second;
    if (place === this.#count) this.#count++;
  }

  /** Looks for an entry; those that are over and lie on the way are taken out, the last one moving in. */
  #find(source: number, destination: number, name: number, second: number): number {
    for (let place = 0; place < this.#count; place++) {
      while (place < this.#count && second - this.#since[place]! > SECONDS) {
        const last = --this.#count;
        this.#source[place] = this.#source[last]!;
        this.#destination[place] = this.#destination[last]!;
        this.#name[place] = this.#name[last]!;
        this.#since[place] = this.#since[last]!;
      }
      if (
        place < this.#count &&
        this.#name[place] === name &&
        this.#destination[place] === (destination | 0) &&
        this.#source[place] === (source | 0)
      ) {
        return place;
      }
    }
    return NO_PLACE;
  }
}
