/** Makes a batch in native memory, for ports that hand its frames to the kernel without a copy. */
import { allocate } from "../native/memory.ts";
import { Batch, HEADROOM, strideFor } from "../relay/batch.ts";
import { LARGEST_FRAME } from "../relay/port.ts";

/** Large frames in a batch, for which there is always room: each costs a system call of its own, so more would save nothing. */
const LARGE_CAPACITY = 16;

/** Frames in a batch: as many as make a system call's own cost small, and few enough for a slab to stay in cache. */
const CAPACITY = 64;

/** Longest frame that a stream may bring: 65,536 bytes and an Ethernet header. The guard drops it, but it must fit. */
export const LONGEST_STREAM_FRAME = 65_550;

export interface Slab {
  readonly batch: Batch;
  /** Gives the memory back. No port may use the batch afterwards. */
  free(): void;
}

/**
 * A batch for large frames, between two ports that take them: 1 MiB, of which little traffic uses little. It holds up to 64
 * frames, 16 where all have 64 KiB.
 */
export function allocateLargeSlab(): Slab {
  return allocateSlab(LARGEST_FRAME, LARGE_CAPACITY, CAPACITY);
}

/** A batch for `capacity` frames of up to `maximumFrame` bytes (MTU + 14), for `most` where they are smaller. */
export function allocateSlab(maximumFrame: number, capacity = CAPACITY, most = capacity): Slab {
  const stride = strideFor(maximumFrame);
  const size = Math.max(capacity * stride, HEADROOM + LONGEST_STREAM_FRAME);
  const memory = allocate(size);
  return { batch: new Batch(memory.bytes, memory.address, capacity, stride, most), free: memory.free };
}
