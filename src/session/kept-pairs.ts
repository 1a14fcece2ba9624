/**
 * Keeps the addresses of names beside the VM's record, for the next softnet of the VM: at most every 5 s, and at the end. A
 * softnet that is killed loses what its VM has looked up since the last time; the VM then looks it up again.
 */
import type { Guard } from "../guard/guard.ts";
import type { Registration } from "../registry/registration.ts";
import type { Log } from "../telemetry/log.ts";

/** Microseconds. */
export const KEEPING_INTERVAL = 5_000_000;

export class KeptPairs {
  readonly #registration: Pick<Registration, "keepPairs">;
  readonly #guard: Pick<Guard, "namePairs" | "namePairChanges">;
  readonly #log: Log;
  #kept = 0;
  #next = Number.NEGATIVE_INFINITY;
  #hasFailed = false;

  constructor(
    registration: Pick<Registration, "keepPairs">,
    guard: Pick<Guard, "namePairs" | "namePairChanges">,
    log: Log,
  ) {
    this.#registration = registration;
    this.#guard = guard;
    this.#log = log;
  }

  /** When `tick` has something to do, in microseconds. */
  get deadline(): number {
    return this.#guard.namePairChanges === this.#kept ? Number.POSITIVE_INFINITY : this.#next;
  }

  /** On a tick; `time` in microseconds. */
  tick(time: number): void {
    if (time < this.deadline) return;
    this.#next = time + KEEPING_INTERVAL;
    this.#keep();
  }

  /** Once no frame is forwarded any more. */
  close(): void {
    if (this.#guard.namePairChanges !== this.#kept) this.#keep();
  }

  #keep(): void {
    this.#kept = this.#guard.namePairChanges;
    try {
      this.#registration.keepPairs(this.#guard.namePairs);
    } catch (error) {
      // A full /run must not end the network of a VM.
      if (!this.#hasFailed) this.#log.warn("names are not kept for a restart", { why: String(error) });
      this.#hasFailed = true;
    }
  }
}
