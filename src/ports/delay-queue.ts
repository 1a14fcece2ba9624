/**
 * Frames that wait for their turn, in order: copies in a batch of its own, side by side, sent from its beginning. Its memory is
 * fixed, twice what may wait, so that what is left moves to the beginning seldom. To put a frame in copies its bytes, and
 * allocates nothing.
 */

import { allocate, type NativeMemory } from "../native/memory.ts";
import { Batch, HEADROOM } from "../relay/batch.ts";

/** Frames that may wait at once. */
const MOST = 2048;

export class DelayQueue {
  /** Those before `first` are gone. */
  readonly batch: Batch;
  readonly #memory: NativeMemory;
  readonly #most: number;
  /** The next frame that leaves. */
  first = 0;
  #end = HEADROOM;
  /** Bytes that wait. */
  #bytes = 0;

  /** For `most` bytes of frames. */
  constructor(most: number) {
    this.#most = most;
    const stride = Math.ceil((2 * (most + MOST * HEADROOM)) / MOST / 64) * 64;
    this.#memory = allocate(stride * MOST);
    this.batch = new Batch(this.#memory.bytes, this.#memory.address, MOST, stride);
  }

  get isEmpty(): boolean {
    return this.first === this.batch.count;
  }

  /** Copies frame `index` of another batch to the end; false: there is no room. */
  put(from: Batch, index: number): boolean {
    const { batch } = this;
    const length = from.length[index]!;
    if (this.#bytes + length > this.#most) return false;
    if (batch.count === MOST || this.#end + length > batch.bytes.length) {
      this.#moveToBeginning();
      if (batch.count === MOST || this.#end + length > batch.bytes.length) return false;
    }
    const { bytes } = batch;
    const source = from.bytes;
    const at = this.#end;
    const begin = from.offset[index]!;
    // No view of a part, which would be an object a frame.
    for (let byte = 0; byte < length; byte++) bytes[at + byte] = source[begin + byte]!;
    const place = batch.count++;
    batch.offset[place] = at;
    batch.length[place] = length;
    batch.offload[place] = from.offload[index]!;
    this.#end = batch.behind(at, length);
    this.#bytes += length;
    return true;
  }

  /** So many frames from `first` on are gone. */
  leave(count: number): void {
    for (let gone = 0; gone < count; gone++) this.#bytes -= this.batch.length[this.first++]!;
    if (this.isEmpty) this.#clear();
  }

  free(): void {
    this.#clear();
    this.#memory.free();
  }

  #clear(): void {
    this.first = 0;
    this.batch.count = 0;
    this.#end = HEADROOM;
    this.#bytes = 0;
  }

  #moveToBeginning(): void {
    const { batch, first } = this;
    if (first === 0) return;
    const { bytes, offset, length, offload } = batch;
    const count = batch.count - first;
    let end = HEADROOM;
    for (let index = 0; index < count; index++) {
      const begin = offset[first + index]!;
      const size = length[first + index]!;
      bytes.copyWithin(end, begin, begin + size);
      offset[index] = end;
      length[index] = size;
      offload[index] = offload[first + index]!;
      end = batch.behind(end, size);
    }
    this.first = 0;
    batch.count = count;
    this.#end = end;
  }
}
