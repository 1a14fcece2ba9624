/**
 * vmnet's packet descriptors for a batch, built once: descriptor i uses iovec i, and each frame is one piece. Before every
 * call what changes is written through 32-bit words; all frames of a slab share the upper half of their addresses
 * (native/memory.ts), which is written once.
 */

import { VMPKTDESC } from "../native/darwin/vmnet.ts";
import { IOVEC } from "../native/iovec.ts";
import { allocate, type NativeMemory } from "../native/memory.ts";
import type { Batch } from "../relay/batch.ts";
import { setAddress } from "./message-headers.ts";

const DESCRIPTOR_WORDS = VMPKTDESC.size / 4;
const SIZE_WORD = VMPKTDESC.packetSize / 4;
const COUNT_WORD = VMPKTDESC.iovcnt / 4;
const FLAGS_WORD = VMPKTDESC.flags / 4;
const IOVEC_WORDS = IOVEC.size / 4;
const LENGTH_WORD = IOVEC.length / 4;

export class PacketDescriptors {
  /** The batch whose slab the frames lie in. */
  readonly batch: Batch;
  /** Address of descriptor 0. */
  readonly address: number;
  /** Address of the int that says how many: room or frames in, frames out. */
  readonly countAddress: number;
  readonly #words: Uint32Array;
  readonly #iovecs: number;
  readonly #count: number;
  readonly #low: number;
  readonly #memory: NativeMemory;

  constructor(batch: Batch) {
    if (batch.address === 0) throw new Error("the batch lies in no native memory");
    const { capacity } = batch;
    const iovecs = capacity * VMPKTDESC.size;
    const count = iovecs + capacity * IOVEC.size;
    this.batch = batch;
    this.#memory = allocate(count + 8);
    const { bytes, address } = this.#memory;
    this.address = address;
    this.countAddress = address + count;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    this.#iovecs = iovecs / 4;
    this.#count = count / 4;
    this.#low = batch.address | 0;
    for (let index = 0; index < capacity; index++) {
      setAddress(this.#words, index * DESCRIPTOR_WORDS + VMPKTDESC.iov / 4, address + iovecs + index * IOVEC.size);
      setAddress(this.#words, this.#iovecs + index * IOVEC_WORDS, batch.address);
    }
  }

  get count(): number {
    return this.#words[this.#count];
  }

  set count(frames: number) {
    this.#words[this.#count] = frames;
  }

  /** The size of frame `index`, as vmnet has written it. */
  size(index: number): number {
    return this.#words[index * DESCRIPTOR_WORDS + SIZE_WORD];
  }

  /** Descriptor `index`: one piece of `length` bytes at `offset` in the slab. Nothing of an earlier call is left in it. */
  set(index: number, offset: number, length: number): void {
    const words = this.#words;
    const descriptor = index * DESCRIPTOR_WORDS;
    const iovec = this.#iovecs + index * IOVEC_WORDS;
    words[descriptor + SIZE_WORD] = length;
    words[descriptor + SIZE_WORD + 1] = 0;
    words[descriptor + COUNT_WORD] = 1;
    words[descriptor + FLAGS_WORD] = 0;
    words[iovec] = this.#low + offset;
    words[iovec + LENGTH_WORD] = length;
    words[iovec + LENGTH_WORD + 1] = 0;
  }

  /** Address of descriptor `index`. */
  at(index: number): number {
    return this.address + index * VMPKTDESC.size;
  }

  free(): void {
    this.#memory.free();
  }
}
