/**
 * When the relay ticks. What an event reports is not polled: a tick follows whatever happens, else the next one comes
 * after a time that the relay computes. Traffic cannot starve the timer: the lanes
 * let the event loop turn.
 */
import type { Alarm, MakeAlarm } from "./alarm.ts";

/**
 * Milliseconds from anything that happens (a frame, a controller's request) to the tick that follows it: what is counted,
 * written or logged later than a frame is done then. While frames move, ticks follow each other at this distance.
 */
export const TICK = 50;

/** Milliseconds to a tick at the most without an alarm: Node's timers stand still while the machine sleeps, leases do not. */
const LONGEST_TIMER = 30_000;
/** With one: whatever no event reports and no deadline announces is looked at some day. */
const LONGEST_ALARM = 300_000;

export interface TicksOptions {
  readonly clock: () => number;
  readonly onTick: () => void;
  readonly makeAlarm?: MakeAlarm | undefined;
  /** Milliseconds to the next tick if nothing happens, Infinity where nothing is due; `happened` is when something did last, on the clock. */
  readonly idleTime: (happened: number) => number;
}

export class Ticks {
  readonly #options: TicksOptions;
  #timer: NodeJS.Timeout | undefined;
  /** Made when a tick is far away for the first time. */
  #alarm: Alarm | undefined;
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
    this.#alarm?.close();
    this.#alarm = undefined;
  }

  #in(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#alarm?.clear();
    if (milliseconds > LONGEST_TIMER) this.#alarm ??= this.#options.makeAlarm?.(this.#tick);
    if (milliseconds > LONGEST_TIMER && this.#alarm !== undefined) {
      this.#alarm.set(Math.min(LONGEST_ALARM, milliseconds));
    } else {
      this.#timer = setTimeout(this.#tick, Math.min(LONGEST_TIMER, milliseconds));
    }
  }

  readonly #tick = (): void => {
    this.#soon = false;
    this.#options.onTick();
    if (!this.#stopped && !this.#soon) this.#in(this.#options.idleTime(this.#happened));
  };
}
