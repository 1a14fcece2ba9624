/** The VM's IPv6 addresses as the programs know them, each in its place (bpf/admitted6.h, struct place). */

/** Places, and words of one. */
const PLACES = 32;
const WORDS = 8;
const EXPIRY = 0;
const USED = 2;
const ADDRESS = 4;
const UPPER = 2 ** 32;

/** Bytes. */
export const OWN6_SIZE = PLACES * WORDS * 4;

/** Later than any time: what fits into 63 bits. Nanoseconds. */
export const NEVER = 2n ** 63n - 1n;

/** Microseconds as the programs' nanoseconds; Infinity is NEVER. */
export function nanoseconds(time: number): bigint {
  return time === Number.POSITIVE_INFINITY ? NEVER : BigInt(Math.floor(time)) * 1000n;
}

export class LanePlaces {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #times: BigInt64Array<ArrayBuffer>;

  /** `memory`: OWN6_SIZE bytes. */
  constructor(memory: ArrayBuffer) {
    this.#words = new Int32Array(memory, 0, PLACES * WORDS);
    this.#times = new BigInt64Array(memory, 0, (PLACES * WORDS) / 2);
  }

  /** The address of a place, four words from `from` on, and when it ends, microseconds; the same address may get another end. */
  bind(place: number, address: Int32Array, from: number, expiry: number): void {
    const words = this.#words;
    const at = place * WORDS;
    let isSame = this.#times[(at + EXPIRY) / 2] !== 0n;
    for (let word = 0; word < 4; word++) if (words[at + ADDRESS + word] !== address[from + word]) isSame = false;
    if (!isSame) {
      // At no moment does an address go with another one's end.
      this.unbind(place);
      Atomics.store(this.#times, (at + USED) / 2, 0n);
      for (let word = 0; word < 4; word++) Atomics.store(words, at + ADDRESS + word, address[from + word]!);
    }
    Atomics.store(this.#times, (at + EXPIRY) / 2, nanoseconds(expiry));
  }

  /** One store: no program passes anything from or to the address from then on. */
  unbind(place: number): void {
    Atomics.store(this.#times, (place * WORDS + EXPIRY) / 2, 0n);
  }

  /** When a packet from the address of a place has passed last, microseconds; 0 = none has. */
  lastUsed(place: number): number {
    const at = place * WORDS + USED;
    for (;;) {
      const upper = Atomics.load(this.#words, at + 1);
      const lower = Atomics.load(this.#words, at);
      if (Atomics.load(this.#words, at + 1) === upper) return ((upper >>> 0) * UPPER + (lower >>> 0)) / 1000;
    }
  }
}
