/**
 * When to look at other firewalls again: not before their changes have paused, since a firewall that reloads is closed
 * for a moment, but at the latest a while after the first; and seldom, since each look starts programs.
 */

export interface WatchTimes {
  /** Milliseconds without a change after which it is time to look. */
  readonly pause: number;
  /** Milliseconds from one look to the next at the least, and from a change to its look at the most. */
  readonly interval: number;
}

const TIMES: WatchTimes = { pause: 1000, interval: 5000 };

export class FirewallWatch {
  readonly #look: () => Promise<void>;
  readonly #times: WatchTimes;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  /** Of the first and the newest change that no look has seen. */
  #first: number | undefined;
  #newest = 0;
  #lastLook = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** `look` must not reject. */
  constructor(look: () => Promise<void>, times = TIMES) {
    this.#look = look;
    this.#times = times;
  }

  /** Something changed. Cheap: a firewall's reload is thousands of changes. */
  changed(): void {
    this.#newest = performance.now();
    if (this.#first !== undefined) return;
    this.#first = this.#newest;
    if (!this.#looking) this.#wait();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #wait(): void {
    if (this.#first === undefined || this.#closed) return;
    const { pause, interval } = this.#times;
    const due = Math.max(Math.min(this.#newest + pause, this.#first + interval), this.#lastLook + interval);
    const left = due - performance.now();
    if (left > 0) this.#timer = setTimeout(() => this.#wait(), Math.ceil(left));
    else void this.#run();
  }

  async #run(): Promise<void> {
    this.#first = undefined;
    this.#lastLook = performance.now();
    this.#looking = true;
    await this.#look();
    this.#looking = false;
    this.#wait();
  }
}
