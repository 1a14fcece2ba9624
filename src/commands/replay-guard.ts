/**
 * The guard that judges a capture. A running softnet with IPv6 asks the VM whether it still has an address, and the network
 * whether anybody else has one. The answers are in the capture that it wrote, its questions are not: so the guard asks here
 * as well, and what it would send is thrown away. In a capture of another program nobody answers, and an address for which
 * nobody speaks up would count as the VM's: there it does not ask.
 */
import { createGuard, type Guard } from "../guard/guard.ts";
import type { GuardOptions } from "../guard/types.ts";

/** Bytes for the longest question (docs/library.md). */
const LONGEST_QUESTION = 640;
/** Moments between two frames at which something is asked or ends; more than the guard's tables hold. */
const MOST_MOMENTS = 256;

export class ReplayGuard {
  readonly #options: GuardOptions;
  readonly #question = new Uint8Array(LONGEST_QUESTION);
  #guard: Guard;
  #asks = false;
  #begun = false;

  /** Throws OptionError. */
  constructor(options: GuardOptions) {
    this.#options = options;
    this.#guard = createGuard(options);
  }

  /** After the first frame's `advance` it stays the same. */
  get current(): Guard {
    return this.#guard;
  }

  /** Before a frame is judged. `time`: the frame's, microseconds; `isOwn`: a running softnet wrote the capture. */
  advance(time: number, isOwn: boolean): void {
    if (!this.#begun && isOwn && this.#options.ipv6 === true) {
      this.#asks = true;
      this.#guard = createGuard({ ...this.#options, ask: true });
    } else if (this.#asks) {
      this.#askUntil(time);
    }
    this.#begun = true;
    this.#guard.advance(time);
  }

  #askUntil(time: number): void {
    const guard = this.#guard;
    this.#takeAll();
    for (let moment = 0; moment < MOST_MOMENTS && guard.deadline < time; moment++) {
      guard.advance(guard.deadline);
      this.#takeAll();
    }
  }

  /** Each question that is taken is asked, as far as the guard knows. */
  #takeAll(): void {
    const guard = this.#guard;
    while (guard.takeQuestion(this.#question, 0) > 0);
    while (guard.takeProbe(this.#question, 0) > 0);
  }
}
