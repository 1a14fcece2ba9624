/** A token bucket in whole numbers: time in microseconds, a token is a million parts, so that refilling never rounds. */

const TOKEN = 1_000_000;

export class TokenBucket {
  readonly #rate: number;
  readonly #capacity: number;
  #level: number;
  #last = 0;

  /** `rate` tokens a second, at most `burst` saved; it starts full. */
  constructor(rate: number, burst: number) {
    this.#rate = rate;
    this.#capacity = burst * TOKEN;
    this.#level = this.#capacity;
  }

  /** Takes one token at `now` (microseconds, never going back); false when there is none. */
  take(now: number): boolean {
    if (!this.has(now)) return false;
    this.#level -= TOKEN;
    return true;
  }

  /** Whether there is one at `now`. */
  has(now: number): boolean {
    this.#level = Math.min(this.#capacity, this.#level + (now - this.#last) * this.#rate);
    this.#last = now;
    // Not >=: where time is infinite there is no level.
    return !(this.#level < TOKEN);
  }

  /** Gives tokens back, just after one was taken; what there is no room for is gone. */
  giveBack(tokens: number): void {
    this.#level = Math.min(this.#capacity, this.#level + tokens * TOKEN);
  }
}
