/**
 * When the relay ticks. What an event reports is not polled: a tick follows whatever happens, else the next one comes
 * after a time that the relay computes. Traffic cannot starve the timer: the lanes
 * let the event loop turn.
 */

/**
 * Milliseconds from anything that happens (a frame, a controller's request) to the tick that follows it: what is counted,
 * written or logged later than a frame is done then. While frames move, ticks follow each other at this distance.
 */
export const TICK = 50;

export interface TicksOptions {
  readonly clock: () => number;
  readonly onTick: () => void;
  /** Milliseconds to the next tick if nothing happens; `happened` is when something did last, on the clock. */
  readonly idleTime: (happened: number) => number;
}

export class Ticks {
  readonly #options: TicksOptions;
  #timer: NodeJS.Timeout | undefined;
  /** A tick is at most TICK away. */
  #soon = false;
  /** When something happened last, to the tick; microseconds. */
  #happened = 0;
  #stopped = false;

  constructor(options: TicksOptions) {
    this.#options = options;
  }

  /** Something has happened: a tick follows within TICK. Costs nothing while one is due already. */
  soon(): void {
    if (this.#soon || this.#stopped) return;
    this.#soon = true;
    this.#happened = this.#options.clock();
    this.#in(TICK);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #in(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#tick, milliseconds);
  }

  readonly #tick = (): void => {
    this.#soon = false;
    this.#options.onTick();
    if (!this.#stopped && !this.#soon) this.#in(this.#options.idleTime(this.#happened));
  };
}
