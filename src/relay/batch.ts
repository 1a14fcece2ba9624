/**
 * A batch: frames side by side in one slab of memory that a port fills and another port sends from, with no copy
 * between. Frame i lies at `bytes[offset[i]] … bytes[offset[i] + length[i] - 1]`; a dropped frame is taken out by moving
 * numbers (`keep`), never bytes.
 *
 * The slab is made by code that knows about native memory (native/memory.ts); the batch itself is plain numbers, so that
 * the relay can be tested without any foreign function.
 */

/**
 * Bytes free in front of each frame in a slot: room for a virtio-net header (10), and frames lie on 16-byte boundaries. The
 * first frame of a batch has them in any case.
 */
export const HEADROOM = 16;

/**
 * Bytes that a sending port may overwrite in front of each frame (the 4-byte length of stream sockets). A port that
 * receives frames side by side, not one a slot, leaves at least these between them. A port that sends frames one by one,
 * in order, may overwrite HEADROOM: what lies there is of a frame that was sent already.
 */
export const PREFIX = 4;

export class Batch {
  /** The whole slab. */
  readonly bytes: Uint8Array;
  /** Address of `bytes[0]` for foreign functions; 0 when the slab is not native memory. */
  readonly address: number;
  /** How many slots there are. */
  readonly capacity: number;
  /** How many frames there may be at once: as many as slots, or more where a port receives them side by side. */
  readonly most: number;
  /** Bytes that belong to one slot, headroom included. */
  readonly stride: number;
  /** Longest frame that a slot takes, in bytes. */
  readonly slotSize: number;
  /** Where each frame begins in `bytes`. */
  readonly offset: Uint32Array;
  /** Each frame's length in bytes. */
  readonly length: Uint32Array;
  /**
   * What each frame's sender has left to do (wire/virtio-net.ts), 0 = nothing. Set by a port that takes offloads
   * (FramePort.takesOffloads); in any other batch all are 0.
   */
  readonly offload: Uint32Array;
  /** Frames in the batch: indexes 0 … count - 1 are valid. */
  count = 0;

  /**
   * `bytes.length` must be at least capacity × stride, stride greater than HEADROOM; `most` is not below `capacity`. Throws
   * RangeError.
   */
  constructor(bytes: Uint8Array, address: number, capacity: number, stride: number, most = capacity) {
    if (bytes.length < capacity * stride || stride <= HEADROOM) throw new RangeError("the slab is too small");
    this.bytes = bytes;
    this.address = address;
    this.capacity = capacity;
    this.stride = stride;
    this.slotSize = stride - HEADROOM;
    this.most = most;
    this.offset = new Uint32Array(most);
    this.length = new Uint32Array(most);
    this.offload = new Uint32Array(most);
  }

  /** Where slot `index` puts its frame when a port receives one frame a slot. */
  slotOffset(index: number): number {
    return index * this.stride + HEADROOM;
  }

  /** Where the next frame begins when a port receives them side by side, behind one of `length` bytes at `at`. */
  behind(at: number, length: number): number {
    return ((at + length + 15) & ~15) + HEADROOM;
  }

  /** Whether a frame of any length has room at `at`. */
  hasRoom(at: number): boolean {
    return at + this.slotSize <= this.bytes.length;
  }

  /** Moves frame `from` to place `to` (to ≤ from). */
  keep(from: number, to: number): void {
    this.offset[to] = this.offset[from];
    this.length[to] = this.length[from];
    this.offload[to] = this.offload[from];
  }
}

/** The stride for frames of up to `maximumFrame` bytes: one byte more, so that an overlong frame shows, in whole cache lines. */
export function strideFor(maximumFrame: number): number {
  return Math.ceil((HEADROOM + maximumFrame + 1) / 64) * 64;
}
