/**
 * Logs dropped frames: the first one of each reason with a description, then counts. A guest that sends a million bad
 * frames a second causes at most one line a second. A reason that continues is logged less and less often, after 1 s, 2
 * s, 4 s … up to an hour (a bridge's STP is dropped every 2 s for as long as the VM runs). A surge, ten times the count
 * of the last line, is logged again at once. Drops that every guest causes at boot (reasons marked `ordinary`) are
 * logged at debug level only.
 */
import type { DropReason } from "../guard/reasons.ts";
import type { Log, LogFields } from "./log.ts";

export interface DropLogOptions {
  readonly log: Log;
  readonly reasons: readonly DropReason[];
  /** Total drops of a verdict (index in `reasons` + 1) so far. */
  readonly dropsOf: (verdict: number) => number;
}

/** Microseconds between two lines, and between two lines of one reason. */
const SHORTEST = 1_000_000;
const LONGEST = 3_600_000_000;

/** A surge is SURGE times the count of the last line, and at least this many: */
const SURGE = 10;
const SMALLEST_SURGE = 100;

export class DropLog {
  /** When `summarize` must be called at the latest, in microseconds; Infinity = not needed. */
  deadline = Number.POSITIVE_INFINITY;
  readonly #log: Log;
  readonly #reasons: readonly DropReason[];
  readonly #dropsOf: (verdict: number) => number;
  /** By verdict: how many drops were logged, the count of the last line, and when the next line may follow. */
  readonly #logged: Float64Array;
  readonly #last: Float64Array;
  readonly #interval: Float64Array;
  readonly #next: Float64Array;
  /** When the next line of any reason may follow. */
  #nextLine = Number.NEGATIVE_INFINITY;

  constructor(options: DropLogOptions) {
    this.#log = options.log;
    this.#reasons = options.reasons;
    this.#dropsOf = options.dropsOf;
    const places = options.reasons.length + 1;
    this.#logged = new Float64Array(places);
    this.#last = new Float64Array(places);
    this.#interval = new Float64Array(places).fill(SHORTEST);
    this.#next = new Float64Array(places);
  }

  /** Whether a drop is the first of its reason and must be described. Allocates nothing. */
  isFirst(verdict: number): boolean {
    return this.#logged[verdict] === 0;
  }

  /** Logs the first drop of a reason; `time` in microseconds. */
  first(verdict: number, direction: string, frame: string, time: number): void {
    this.#logged[verdict] = 1;
    this.#next[verdict] = time + SHORTEST;
    const reason = this.#reasons[verdict - 1]!;
    const fields = { reason: reason.name, direction, frame, why: reason.text };
    if (reason.ordinary) this.#log.debug("first drop", fields);
    else this.#log.info("first drop", fields);
  }

  /** Logs the counts that are due. To be called after drops, and at `deadline`. */
  summarize(time: number): void {
    this.deadline = Number.POSITIVE_INFINITY;
    const noteworthy: Record<string, number> = {};
    const ordinary: Record<string, number> = {};
    for (let verdict = 1; verdict <= this.#reasons.length; verdict++) {
      const total = this.#dropsOf(verdict);
      const since = total - this.#logged[verdict]!;
      if (since <= 0) continue;
      const due = this.#dueAt(verdict, since);
      if (time < due) {
        this.deadline = Math.min(this.deadline, due);
        continue;
      }
      const interval = this.#interval[verdict]!;
      this.#logged[verdict] = total;
      this.#last[verdict] = since;
      this.#next[verdict] = time + Math.min(2 * interval, LONGEST);
      this.#interval[verdict] = Math.min(2 * interval, LONGEST);
      const { name, ordinary: expected } = this.#reasons[verdict - 1]!;
      (expected ? ordinary : noteworthy)[name] = since;
    }
    if (!hasAny(noteworthy) && !hasAny(ordinary)) return;
    this.#nextLine = time + SHORTEST;
    if (hasAny(noteworthy)) this.#log.info("drops", { ...noteworthy, ...ordinary });
    else this.#log.debug("drops", ordinary);
  }

  /** When so many drops of a reason are logged. */
  #dueAt(verdict: number, since: number): number {
    const surge = since >= Math.max(SMALLEST_SURGE, SURGE * this.#last[verdict]!);
    return surge ? this.#nextLine : Math.max(this.#nextLine, this.#next[verdict]!);
  }
}

function hasAny(fields: LogFields): boolean {
  return Object.keys(fields).length > 0;
}
