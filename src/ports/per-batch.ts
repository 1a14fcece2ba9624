/**
 * What a port prepares once for each batch that it sends from, such as message headers. A relay sends to the VM from two
 * batches in turn, frames and answers: at a rate that the guest chooses, so a change between them must cost nothing.
 */
import type { Batch } from "../relay/batch.ts";

/** Something made for a batch, in memory of its own. */
interface Prepared {
  readonly batch: Batch;
  free(): void;
}

/** More batches than a relay has. */
const MOST = 4;

export class PerBatch<T extends Prepared> {
  readonly #make: (batch: Batch) => T;
  readonly #most: number;
  readonly #all: T[] = [];
  #last: T | undefined;

  /** `most`: with a further batch, what was made first is freed. */
  constructor(make: (batch: Batch) => T, most: number = MOST) {
    this.#make = make;
    this.#most = most;
  }

  /** What was made for this batch, made now where there is none. */
  of(batch: Batch): T {
    return this.#last?.batch === batch ? this.#last : this.#find(batch);
  }

  free(): void {
    for (const one of this.#all.splice(0)) one.free();
    this.#last = undefined;
  }

  #find(batch: Batch): T {
    let found = this.#all.find((one) => one.batch === batch);
    if (found === undefined) {
      found = this.#make(batch);
      if (this.#all.length === this.#most) this.#all.shift()?.free();
      this.#all.push(found);
    }
    this.#last = found;
    return found;
  }
}
