/** What the programs in the kernel have passed, each processor by itself (bpf/admitted.h, struct counts). */
import { readFileSync } from "node:fs";
import { type Direction, EGRESS, INGRESS } from "../relay/direction.ts";

/** Words of a processor's counts: three kinds, each for both ways, of two words. */
const WORDS = 16;
const FRAMES = 0;
const BYTES = 4;
const LARGE = 8;
const UPPER = 2 ** 32;

/** Bytes of a processor's counts. */
export const COUNTS_SIZE = WORDS * 4;

/** A total by direction, and what of it is new since the last look. */
interface Count {
  readonly total: Float64Array;
  readonly added: Float64Array;
}

const newCount = (): Count => ({ total: new Float64Array(2), added: new Float64Array(2) });

export class LaneCounts {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #processors: number;
  readonly frames = newCount();
  readonly bytes = newCount();
  readonly large = newCount();

  /** `memory`: COUNTS_SIZE bytes for each processor. */
  constructor(memory: ArrayBuffer, processors: number) {
    this.#words = new Int32Array(memory);
    this.#processors = processors;
  }

  /** Looks at the counts; returns how many frames are new. */
  update(): number {
    if (this.#words.length === 0) return 0; // the memory was given back
    for (const way of [EGRESS, INGRESS] as const) {
      this.#updateOne(this.frames, FRAMES, way);
      this.#updateOne(this.bytes, BYTES, way);
      this.#updateOne(this.large, LARGE, way);
    }
    return this.frames.added[EGRESS] + this.frames.added[INGRESS];
  }

  #updateOne({ total, added }: Count, kind: number, way: Direction): void {
    let sum = 0;
    for (let processor = 0; processor < this.#processors; processor++) {
      sum += this.#read(processor * WORDS + kind + way * 2);
    }
    added[way] = sum - total[way];
    total[way] = sum;
  }

  /** 64 bits that a program may be adding to. */
  #read(at: number): number {
    for (;;) {
      const upper = Atomics.load(this.#words, at + 1);
      const lower = Atomics.load(this.#words, at);
      if (Atomics.load(this.#words, at + 1) === upper) return (upper >>> 0) * UPPER + (lower >>> 0);
    }
  }
}

/** Processors that this machine may ever have: the kernel numbers them from 0. Throws Error where it does not say. */
export function possibleProcessors(): number {
  const text = readFileSync("/sys/devices/system/cpu/possible", "latin1").trim(); // 0-3, or 0,2-3
  const last = Number(/(\d+)$/.exec(text)?.[1]);
  if (!Number.isInteger(last)) throw new Error(`the kernel numbers its processors "${text}"`);
  return last + 1;
}
