/**
 * What the log says of dropped frames: the first one of each reason with a description, then at most one line a second
 * with the counts since the last. An attacker who sends a million frames a second writes one line. What every ordinary
 * guest sends at boot (reasons marked `ordinary`) is told at debug level only.
 */
import type { DropReason } from "../guard/reasons.ts";
import type { Log, LogFields } from "./log.ts";

export interface DropLogOptions {
  readonly log: Log;
  readonly reasons: readonly DropReason[];
  /** Total drops of a verdict (index in `reasons` + 1) so far. */
  readonly dropsOf: (verdict: number) => number;
}

export class DropLog {
  readonly #log: Log;
  readonly #reasons: readonly DropReason[];
  readonly #dropsOf: (verdict: number) => number;
  /** How many drops of each reason the log has told. */
  readonly #told: Float64Array;

  constructor(options: DropLogOptions) {
    this.#log = options.log;
    this.#reasons = options.reasons;
    this.#dropsOf = options.dropsOf;
    this.#told = new Float64Array(options.reasons.length + 1);
  }

  /** Whether a drop is the first of its reason, so that it is worth describing. Allocates nothing. */
  isFirst(verdict: number): boolean {
    return this.#told[verdict] === 0;
  }

  /** Tells the first drop of a reason. */
  first(verdict: number, direction: string, frame: string): void {
    this.#told[verdict] = 1;
    const reason = this.#reasons[verdict - 1]!;
    const fields = { reason: reason.name, direction, frame, why: reason.text };
    if (reason.ordinary) this.#log.debug("first drop", fields);
    else this.#log.info("first drop", fields);
  }

  /** Tells the counts since the last call, if there are any; to be called once a second. */
  summarize(): void {
    const noteworthy: Record<string, number> = {};
    const ordinary: Record<string, number> = {};
    for (let verdict = 1; verdict <= this.#reasons.length; verdict++) {
      const total = this.#dropsOf(verdict);
      const since = total - this.#told[verdict]!;
      if (since <= 0) continue;
      this.#told[verdict] = total;
      const { name, ordinary: expected } = this.#reasons[verdict - 1]!;
      (expected ? ordinary : noteworthy)[name] = since;
    }
    if (hasAny(noteworthy)) this.#log.info("drops", { ...noteworthy, ...ordinary });
    else if (hasAny(ordinary)) this.#log.debug("drops", ordinary);
  }
}

function hasAny(fields: LogFields): boolean {
  return Object.keys(fields).length > 0;
}
