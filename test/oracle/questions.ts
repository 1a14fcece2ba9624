/** Softnet's own ARP questions for the gateway's MAC, as the second guard counts them ("Questions of softnet's own"). */

const SECOND = 1_000_000;
const MOST_ALONE = 3;

export class Questions {
  readonly #asks: boolean;
  /** When the next one may be sent; undefined where none is due. */
  #due: number | undefined;
  #lastSent: number | undefined;
  /** How many were sent to the known MAC in this row. */
  #alone = 0;

  constructor(asks: boolean) {
    this.#asks = asks;
  }

  /** A frame to a bound VM dropped as `arp.gateway`. Whether a question is due that was not. */
  begin(now: number): boolean {
    if (!this.#asks || this.#due !== undefined) return false;
    this.#due = this.#lastSent === undefined ? now : Math.max(now, this.#lastSent + SECOND);
    return true;
  }

  /** No question is due any more. Whether one was. */
  end(): boolean {
    const was = this.#due !== undefined;
    this.#due = undefined;
    this.#alone = 0;
    return was;
  }

  isDue(now: number): boolean {
    return this.#due !== undefined && now >= this.#due;
  }

  /** Three questions to the known MAC stayed unanswered, each for a second. */
  get hasAskedEnough(): boolean {
    return this.#alone === MOST_ALONE;
  }

  sentAlone(now: number): void {
    this.#alone += 1;
    this.#lastSent = now;
    this.#due = now + SECOND;
  }

  sentToAll(now: number): void {
    this.end();
    this.#lastSent = now;
  }
}
