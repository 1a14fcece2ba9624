/**
 * Whether new flows come thick and fast: as many as MANY within WITHIN microseconds, and the last of these no longer ago than
 * that. Then the next frame of theirs is near.
 */
const MANY = 16;
const WITHIN = 8_000;

export class Burst {
  /** When the last ones came, in microseconds, in a ring. */
  readonly #times = new Float64Array(MANY).fill(Number.NEGATIVE_INFINITY);
  /** Where the next one goes, and the first one of them stands. */
  #next = 0;

  /** A flow came. */
  note(time: number): void {
    this.#times[this.#next] = time;
    this.#next = (this.#next + 1) % MANY;
  }

  isAt(time: number): boolean {
    return time - this.#times[this.#next]! < WITHIN;
  }
}
