/**
 * Message headers for Darwin's recvmsg_x and sendmsg_x, built once: header i uses iovec i. Ports write only what changes
 * from frame to frame, through 32-bit words. All frames of a slab share the upper half of their addresses
 * (native/memory.ts), which is written once.
 */
import { IOVEC, MSGHDR_X } from "../native/darwin/libc.ts";
import { allocate, type NativeMemory } from "../native/memory.ts";
import type { Batch } from "../relay/batch.ts";

/** Words from one iovec to the next, from its base to its length, from one header to the next, to what it tells. */
export const IOVEC_WORDS = IOVEC.size / 4;
export const LENGTH_WORD = IOVEC.length / 4;
export const HEADER_WORDS = MSGHDR_X.size / 4;
export const RECEIVED_WORD = MSGHDR_X.length / 4;

export class DarwinMessages {
  /** The batch whose slab the pieces lie in. */
  readonly batch: Batch;
  /** Address of header 0; header i follows at i × MSGHDR_X.size. */
  readonly address: number;
  /** Headers and iovecs as 32-bit words. */
  readonly words: Uint32Array;
  /** Word of iovec 0's base, lower half. */
  readonly iovecs: number;
  readonly #memory: NativeMemory;

  /** Headers for as many messages as the batch takes, each one piece of the batch's slab. */
  constructor(batch: Batch) {
    if (batch.address === 0) throw new Error("the batch lies in no native memory");
    const { capacity } = batch;
    this.batch = batch;
    this.#memory = allocate(capacity * (MSGHDR_X.size + IOVEC.size));
    const { bytes, address } = this.#memory;
    this.address = address;
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    this.iovecs = (capacity * MSGHDR_X.size) / 4;
    for (let index = 0; index < capacity; index++) {
      const header = index * HEADER_WORDS;
      const iovec = this.iovecs + index * IOVEC_WORDS;
      setAddress(this.words, header + MSGHDR_X.iov / 4, this.address + iovec * 4);
      this.words[header + MSGHDR_X.iovlen / 4] = 1;
      setAddress(this.words, iovec + IOVEC.base / 4, batch.address);
    }
  }

  /** What the kernel writes back into a header, it would read from it in the next call. */
  reset(header: number): void {
    const { words } = this;
    words[header + MSGHDR_X.nameLength / 4] = 0;
    words[header + MSGHDR_X.controlLength / 4] = 0;
    words[header + MSGHDR_X.flags / 4] = 0;
    words[header + RECEIVED_WORD] = 0;
    words[header + RECEIVED_WORD + 1] = 0;
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
