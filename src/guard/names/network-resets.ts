/**
 * RSTs to the other side of connections that were broken off (docs/guard-names.md): it would hold half a request else, and wait.
 * As frames, in a ring; where that is full there is none.
 */
import { TCP_RST } from "../../wire/tcp.ts";
import { type Endpoints, LONGEST_SEGMENT } from "./endpoints.ts";

/** RSTs that wait. */
export const MOST_WAITING = 64;

export class NetworkResets {
  readonly #frames = new Uint8Array(MOST_WAITING * LONGEST_SEGMENT);
  readonly #lengths = new Uint8Array(MOST_WAITING);
  #first = 0;
  #count = 0;

  /** `sequence`: of the byte that the other side expects next from the VM. */
  add(ends: Endpoints, sequence: number): void {
    if (this.#count === MOST_WAITING) return;
    const last = (this.#first + this.#count) % MOST_WAITING;
    this.#lengths[last] = ends.putToRemote(this.#frames, last * LONGEST_SEGMENT, sequence, TCP_RST);
    this.#count++;
  }

  /** Writes the next one to `out` at `at` and returns its length; 0 = none waits. */
  take(out: Uint8Array, at: number): number {
    if (this.#count === 0) return 0;
    const from = this.#first * LONGEST_SEGMENT;
    const length = this.#lengths[this.#first]!;
    out.set(this.#frames.subarray(from, from + length), at);
    this.#first = (this.#first + 1) % MOST_WAITING;
    this.#count--;
    return length;
  }
}
