/**
 * Asks again for room, where no event reports that a full receiver has some: a few times in the event loop's next turns,
 * so that the other direction is served in between and a receiver that is merely slower soon gets its frames; then every
 * millisecond. How long a receiver may stay full is the relay's to say.
 */

/** Turns of the event loop before the clock is used: a few hundred microseconds at the most. */
const TURNS = 8;
const INTERVAL = 1; // millisecond, the shortest that timers know

export class Retry {
  readonly #ask: () => void;
  #turns = 0;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Calls `ask` for as long as it is wanted. */
  constructor(ask: () => void) {
    this.#ask = ask;
  }

  /** Harmless when called again. */
  start(): void {
    if (this.#immediate !== undefined || this.#timer !== undefined) return;
    this.#turns = 0;
    this.#immediate = setImmediate(this.#turn);
  }

  stop(): void {
    clearImmediate(this.#immediate);
    clearInterval(this.#timer);
    this.#immediate = undefined;
    this.#timer = undefined;
  }

  readonly #turn = (): void => {
    this.#turns++;
    if (this.#turns < TURNS) {
      this.#immediate = setImmediate(this.#turn);
    } else {
      this.#immediate = undefined;
      this.#timer = setInterval(this.#ask, INTERVAL);
    }
    this.#ask();
  };
}
