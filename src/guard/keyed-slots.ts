/**
 * A small hash table with keys of an address, another one, and a name of 24 bits: each key has a slot, a number under
 * which its owner keeps what belongs to it. Who chooses the keys cannot choose what collides; nothing is allocated.
 */
import { HASH_BITS, KeyedHash } from "./keyed-hash.ts";

/** No slot. */
export const NO_SLOT = -1;

/** The same in the table's own arrays. */
const END = 0xffff;

export class KeyedSlots {
  readonly #capacity: number;
  readonly #hash = new KeyedHash();
  /** The hash has no room for the name's upper 8 bits: a random number for each of their values is mixed in. */
  readonly #upper = crypto.getRandomValues(new Uint16Array(256));
  /** Of a hash, its first slot; twice as many as there are slots, or more, where the hash has bits enough. */
  readonly #heads: Uint16Array;
  readonly #shift: number;
  /** The next slot with the same hash, or the next free one. */
  readonly #next: Uint16Array;
  readonly #address: Int32Array;
  readonly #other: Int32Array;
  readonly #name: Int32Array;
  #free = END;
  #count = 0;

  /** For so many keys, less than 65,535; the owner never has more at once. */
  constructor(capacity: number) {
    this.#capacity = capacity;
    const bits = Math.min(HASH_BITS, 33 - Math.clz32(capacity - 1));
    this.#heads = new Uint16Array(1 << bits);
    this.#shift = HASH_BITS - bits;
    this.#next = new Uint16Array(this.#capacity);
    this.#address = new Int32Array(this.#capacity);
    this.#other = new Int32Array(this.#capacity);
    this.#name = new Int32Array(this.#capacity);
    this.clear();
  }

  get count(): number {
    return this.#count;
  }

  clear(): void {
    this.#heads.fill(END);
    for (let slot = 0; slot < this.#capacity; slot++) this.#next[slot] = slot + 1;
    this.#next[this.#capacity - 1] = END;
    this.#free = 0;
    this.#count = 0;
  }

  /** A key's slot, or NO_SLOT. */
  find(address: number, other: number, name: number): number {
    let slot = this.#heads[this.#headOf(address, other, name)]!;
    while (
      slot !== END &&
      (this.#name[slot] !== name || this.#address[slot] !== (address | 0) || this.#other[slot] !== (other | 0))
    ) {
      slot = this.#next[slot]!;
    }
    return slot === END ? NO_SLOT : slot;
  }

  /** Of a key, by its slot. */
  addressOf(slot: number): number {
    return this.#address[slot]!;
  }

  otherOf(slot: number): number {
    return this.#other[slot]!;
  }

  nameOf(slot: number): number {
    return this.#name[slot]!;
  }

  /** Gives a key that has none a slot. */
  add(address: number, other: number, name: number): number {
    const slot = this.#free;
    this.#free = this.#next[slot]!;
    this.#address[slot] = address;
    this.#other[slot] = other;
    this.#name[slot] = name;
    const head = this.#headOf(address, other, name);
    this.#next[slot] = this.#heads[head]!;
    this.#heads[head] = slot;
    this.#count++;
    return slot;
  }

  remove(slot: number): void {
    const head = this.#headOf(this.#address[slot]!, this.#other[slot]!, this.#name[slot]!);
    const next = this.#next[slot]!;
    let at = this.#heads[head]!;
    if (at === slot) {
      this.#heads[head] = next;
    } else {
      while (this.#next[at] !== slot) at = this.#next[at]!;
      this.#next[at] = next;
    }
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#count--;
  }

  #headOf(address: number, other: number, name: number): number {
    return (this.#hash.of(address, other, name & 0xffff) ^ this.#upper[name >>> 16]!) >>> this.#shift;
  }
}
