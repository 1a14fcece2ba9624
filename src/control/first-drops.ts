/**
 * Which pairs of drop reason and remote address were seen already, in a hash table of fixed size. It is looked up for
 * each dropped frame while there is a subscriber, so it allocates nothing. When it is full, new pairs are not stored. A
 * guest chooses the addresses that it sends to, so the hash is keyed: a guest cannot make them collide.
 */
import { KeyedHash } from "../guard/keyed-hash.ts";

const SLOTS = 2048;
export const MOST_FIRST_DROPS = SLOTS / 2;

export class FirstDrops {
  readonly #remotes = new Uint32Array(SLOTS);
  /** The verdict in each slot; 0 = empty. */
  readonly #verdicts = new Uint16Array(SLOTS);
  readonly #hash = new KeyedHash();
  #count = 0;

  /** Stores a pair. Returns 1 when it is new, 0 when it was there, -1 when it is new and the table is full. */
  note(verdict: number, remote: number): 1 | 0 | -1 {
    let slot = this.#hash.of(remote, 0, verdict) % SLOTS;
    while (this.#verdicts[slot] !== 0) {
      if (this.#verdicts[slot] === verdict && this.#remotes[slot] === remote) return 0;
      slot = (slot + 1) % SLOTS;
    }
    if (this.#count >= MOST_FIRST_DROPS) return -1;
    this.#count++;
    this.#verdicts[slot] = verdict;
    this.#remotes[slot] = remote;
    return 1;
  }

  clear(): void {
    this.#verdicts.fill(0);
    this.#count = 0;
  }
}
