/** Counts by remote address, exact and bounded: how many half-open flows each has (threat row I13). */
import { HASH_BITS, type KeyedHash } from "./keyed-hash.ts";

const NONE = -1;
/** Words of an entry: address, count, the next one with the same hash or the next free one. */
const WORDS = 3;
const COUNT = 1;
const NEXT = 2;

/** A quarter of the hash is enough here: chains are short, and a bare SYN is rare beside other packets. */
const HEAD_BITS = HASH_BITS - 2;

export class RemoteCounts {
  readonly #hash: KeyedHash;
  readonly #heads = new Int32Array(1 << HEAD_BITS).fill(NONE);
  readonly #entries: Int32Array;
  #free = NONE;
  /** Entries from here on were never used. */
  #fresh = 0;

  /** Room for `capacity` addresses; the caller never has more at once. */
  constructor(hash: KeyedHash, capacity: number) {
    this.#hash = hash;
    this.#entries = new Int32Array(capacity * WORDS);
  }

  clear(): void {
    this.#heads.fill(NONE);
    this.#free = NONE;
    this.#fresh = 0;
  }

  of(remote: number): number {
    const entry = this.#find(remote);
    return entry === NONE ? 0 : this.#entries[entry + COUNT]!;
  }

  add(remote: number): void {
    const entry = this.#find(remote);
    if (entry === NONE) this.#make(remote);
    else this.#entries[entry + COUNT]!++;
  }

  /** Takes away one that was added. */
  subtract(remote: number): void {
    const entry = this.#find(remote);
    if (entry !== NONE && --this.#entries[entry + COUNT]! === 0) this.#remove(entry);
  }

  #headOf(remote: number): number {
    return this.#hash.of(remote, 0, 0) >>> (HASH_BITS - HEAD_BITS);
  }

  #find(remote: number): number {
    const wanted = remote | 0;
    let entry = this.#heads[this.#headOf(remote)]!;
    while (entry !== NONE && this.#entries[entry] !== wanted) entry = this.#entries[entry + NEXT]!;
    return entry;
  }

  #make(remote: number): void {
    let entry = this.#free;
    if (entry === NONE) entry = WORDS * this.#fresh++;
    else this.#free = this.#entries[entry + NEXT]!;
    const head = this.#headOf(remote);
    this.#entries[entry] = remote;
    this.#entries[entry + COUNT] = 1;
    this.#entries[entry + NEXT] = this.#heads[head]!;
    this.#heads[head] = entry;
  }

  #remove(entry: number): void {
    const head = this.#headOf(this.#entries[entry]!);
    const next = this.#entries[entry + NEXT]!;
    let at = this.#heads[head]!;
    if (at === entry) {
      this.#heads[head] = next;
    } else {
      while (this.#entries[at + NEXT] !== entry) at = this.#entries[at + NEXT]!;
      this.#entries[at + NEXT] = next;
    }
    this.#entries[entry + NEXT] = this.#free;
    this.#free = entry;
  }
}
