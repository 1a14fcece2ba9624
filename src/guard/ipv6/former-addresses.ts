/**
 * Addresses that were the VM's by DHCPv6 and whose lease is over (docs/guard-ipv6.md, Addresses): the server may have given them to
 * another machine, whose packets a neighbour's old cache entry still brings here.
 */

const MOST = 16;
const WORDS = 4;

export class FormerAddresses {
  /** Four signed words for each. */
  readonly #words = new Int32Array(WORDS * MOST);
  #count = 0;
  /** Where the next one goes; with all places taken that is the oldest one's. */
  #next = 0;

  /** Notes the address whose words begin at `at`; it is none of them yet. */
  add(words: Int32Array, at: number): void {
    for (let word = 0; word < WORDS; word++) this.#words[WORDS * this.#next + word] = words[at + word]!;
    this.#next = (this.#next + 1) % MOST;
    if (this.#count < MOST) this.#count++;
  }

  has(words: Int32Array): boolean {
    if (this.#count === 0) return false;
    return this.#indexOf(words) >= 0;
  }

  /** The address is the VM's again. */
  remove(words: Int32Array): void {
    const place = this.has(words) ? this.#indexOf(words) : -1;
    if (place < 0) return;
    // Those noted later move up, so that the oldest stays the first to go.
    const last = (this.#next + MOST - 1) % MOST;
    for (let to = place; to !== last; ) {
      const from = (to + 1) % MOST;
      this.#words.copyWithin(WORDS * to, WORDS * from, WORDS * from + WORDS);
      to = from;
    }
    this.#next = last;
    this.#count--;
  }

  #indexOf(words: Int32Array): number {
    const noted = this.#words;
    for (let count = 1; count <= this.#count; count++) {
      const place = (this.#next + MOST - count) % MOST;
      const at = WORDS * place;
      if (
        noted[at + 3] === words[3] &&
        noted[at + 2] === words[2] &&
        noted[at + 1] === words[1] &&
        noted[at] === words[0]
      ) {
        return place;
      }
    }
    return -1;
  }
}
