/**
 * Message headers for the calls that move several messages at once, built once: header i uses iovec i. Ports write only
 * what changes from frame to frame, through 32-bit words: where a frame begins, and how long it is. All frames of a slab
 * share the upper half of their addresses (native/memory.ts), which is written once. Linux' and Darwin's headers differ
 * in their layout alone.
 */
import { IOVEC } from "../native/iovec.ts";
import { allocate, type NativeMemory } from "../native/memory.ts";
import type { Batch } from "../relay/batch.ts";

/** Bytes from one header to the next, and where in it the address and the number of its iovecs stand. */
export interface HeaderLayout {
  readonly size: number;
  readonly iov: number;
  readonly iovlen: number;
}

/** Words from one iovec to the next, and from its base to its length. */
export const IOVEC_WORDS = IOVEC.size / 4;
export const LENGTH_WORD = IOVEC.length / 4;

export class MessageHeaders {
  /** The batch whose slab the pieces lie in. */
  readonly batch: Batch;
  /** Address of header 0; header i follows at i × the layout's size. */
  readonly address: number;
  /** Headers and iovecs as 32-bit words. */
  readonly words: Uint32Array;
  /** Word of iovec 0's base, lower half; iovec i lies i × IOVEC_WORDS further, its length LENGTH_WORD further. */
  readonly iovecs: number;
  readonly #memory: NativeMemory;

  /** Headers for as many messages as the batch takes, each one piece of the batch's slab. */
  constructor(batch: Batch, layout: HeaderLayout) {
    if (batch.address === 0) throw new Error("the batch lies in no native memory");
    const { capacity } = batch;
    this.batch = batch;
    this.#memory = allocate(capacity * (layout.size + IOVEC.size));
    const { bytes, address } = this.#memory;
    this.address = address;
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    this.iovecs = (capacity * layout.size) / 4;
    for (let index = 0; index < capacity; index++) {
      const header = (index * layout.size) / 4;
      const iovec = this.iovecs + index * IOVEC_WORDS;
      setAddress(this.words, header + layout.iov / 4, address + iovec * 4);
      this.words[header + layout.iovlen / 4] = 1;
      setAddress(this.words, iovec + IOVEC.base / 4, batch.address);
    }
  }

  /** For receiving: each iovec covers one slot of the batch, and never changes. */
  coverSlots(): this {
    const { batch, words } = this;
    for (let index = 0; index < batch.capacity; index++) {
      const iovec = this.iovecs + index * IOVEC_WORDS;
      words[iovec] = (batch.address | 0) + batch.slotOffset(index);
      words[iovec + LENGTH_WORD] = batch.slotSize;
    }
    return this;
  }

  free(): void {
    this.#memory.free();
  }
}

/** Writes a 64-bit address as two words. */
export function setAddress(words: Uint32Array, at: number, address: number): void {
  words[at] = address % 2 ** 32;
  words[at + 1] = Math.floor(address / 2 ** 32);
}
