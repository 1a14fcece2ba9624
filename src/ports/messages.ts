/**
 * Message headers for recvmmsg, sendmmsg and sendmsg, built once: header i uses iovec i. Ports write only what changes
 * from frame to frame, through 32-bit words: where a frame begins, and how long it is. All frames of a slab share the
 * upper half of their addresses (native/memory.ts), which is written once.
 */
import { IOVEC, MMSGHDR, MSGHDR } from "../native/linux/libc.ts";
import { allocate, type NativeMemory } from "../native/memory.ts";
import type { Batch } from "../relay/batch.ts";

export class Messages {
  /** The batch whose slab the pieces lie in. */
  readonly batch: Batch;
  /** Address of header 0; header i follows at i × MMSGHDR.size. */
  readonly address: number;
  /** Headers and iovecs as 32-bit words. */
  readonly words: Uint32Array;
  /** Word of iovec 0's base, lower half; iovec i lies i × IOVEC_WORDS further, its length LENGTH_WORD further. */
  readonly iovecs: number;
  readonly #memory: NativeMemory;

  /** Headers for as many messages as the batch takes, each one piece of the batch's slab. */
  constructor(batch: Batch) {
    if (batch.address === 0) throw new Error("the batch lies in no native memory");
    const { capacity } = batch;
    this.batch = batch;
    this.#memory = allocate(capacity * (MMSGHDR.size + IOVEC.size));
    this.address = this.#memory.address;
    this.words = new Uint32Array(
      this.#memory.bytes.buffer,
      this.#memory.bytes.byteOffset,
      this.#memory.bytes.length / 4,
    );
    this.iovecs = (capacity * MMSGHDR.size) / 4;
    for (let index = 0; index < capacity; index++) {
      const header = (index * MMSGHDR.size) / 4;
      const iovec = this.iovecs + index * IOVEC_WORDS;
      setAddress(this.words, header + MSGHDR.iov / 4, this.address + iovec * 4);
      this.words[header + MSGHDR.iovlen / 4] = 1;
      setAddress(this.words, iovec + IOVEC.base / 4, batch.address);
    }
  }

  free(): void {
    this.#memory.free();
  }
}

/** Words from one iovec to the next, from its base to its length, from one mmsghdr to the next, to its received length. */
export const IOVEC_WORDS = IOVEC.size / 4;
export const LENGTH_WORD = IOVEC.length / 4;
export const HEADER_WORDS = MMSGHDR.size / 4;
export const RECEIVED_WORD = MMSGHDR.length / 4;

function setAddress(words: Uint32Array, at: number, address: number): void {
  words[at] = address % 2 ** 32;
  words[at + 1] = Math.floor(address / 2 ** 32);
}
