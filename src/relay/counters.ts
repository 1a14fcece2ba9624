/**
 * What became of the frames, each direction by itself. Every frame received is counted once: as passed or under one
 * drop reason. Of the passed ones, those that the receiver did not take in time are `undelivered`, and those that can
 * never be sent (longer than the socket takes, an interface that is down) are `unsendable`, which the ports count.
 *
 * Float64Array: exact to 2^53, written without an allocation.
 */
import { DROP_REASONS, PASS } from "../guard/reasons.ts";
import { type Direction, EGRESS, INGRESS } from "./direction.ts";

/** One direction's counters at one moment. */
export interface DirectionCounts {
  /** Frames that the guard passed, and their bytes. */
  readonly frames: number;
  readonly bytes: number;
  /** Those among them that the kernel will cut into several: each counts as one frame. */
  readonly large: number;
  /** Passed frames that a full receiver never took. */
  readonly undelivered: number;
  /** Passed frames that the destination can never take. */
  readonly unsendable: number;
  /** Dropped frames by the reason's name; reasons that never occurred are left out. */
  readonly drops: Readonly<Record<string, number>>;
}

export interface Snapshot {
  readonly egress: DirectionCounts;
  readonly ingress: DirectionCounts;
}

export class Counters {
  /** Indexed by direction. */
  readonly frames = new Float64Array(2);
  readonly bytes = new Float64Array(2);
  readonly large = new Float64Array(2);
  readonly undelivered = new Float64Array(2);
  readonly unsendable = new Float64Array(2);
  /** Indexed by direction, then by verdict; place 0 (PASS) stays empty. */
  readonly drops: readonly [Float64Array, Float64Array] = [
    new Float64Array(DROP_REASONS.length + 1),
    new Float64Array(DROP_REASONS.length + 1),
  ];

  snapshot(): Snapshot {
    return { egress: this.#of(EGRESS), ingress: this.#of(INGRESS) };
  }

  #of(direction: Direction): DirectionCounts {
    const drops: Record<string, number> = {};
    for (const [verdict, count] of this.drops[direction].entries()) {
      if (verdict !== PASS && count > 0) drops[DROP_REASONS[verdict - 1].name] = count;
    }
    return {
      frames: this.frames[direction],
      bytes: this.bytes[direction],
      large: this.large[direction],
      undelivered: this.undelivered[direction],
      unsendable: this.unsendable[direction],
      drops,
    };
  }
}
