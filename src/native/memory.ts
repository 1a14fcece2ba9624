/**
 * Memory outside of JavaScript's heap that foreign functions read and write: frames, message headers.
 *
 * It does not move, so its address may be written into other structures. It is aligned to cache lines and does not
 * cross a 4 GiB boundary: the upper half of every pointer into it is the same, so one 32-bit store changes a pointer.
 *
 * Addresses are plain numbers: user space ends at 2^47 (x86-64, arm64), far below 2^53, and numbers neither allocate
 * nor need conversion as BigInt does.
 */
import koffi from "koffi";

const CACHE_LINE = 64;
const WINDOW = 2 ** 32;

export interface NativeMemory {
  /** The memory, zeroed at first. Of length 0 after `free`, so that a late use reads nothing. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Address of `bytes[0]`. */
  readonly address: number;
  /** Gives the memory back; harmless when called twice. Nothing foreign may still write into it. */
  free(): void;
}

/** Allocates `size` bytes (1 … 4 GiB - 64). Throws RangeError for another size, Error when there is no memory. */
export function allocate(size: number): NativeMemory {
  if (!Number.isInteger(size) || size < 1 || size > WINDOW - CACHE_LINE)
    throw new RangeError(`cannot allocate ${size}`);
  const room = size + CACHE_LINE - 1;
  let block: bigint = koffi.alloc("uint8_t", room);
  if (straddles(block, room)) {
    const unusable = block;
    block = koffi.alloc("uint8_t", room); // before the unusable block is freed, so that it is not returned again
    koffi.free(unusable);
    if (straddles(block, room)) {
      koffi.free(block);
      throw new Error(`no ${size} bytes of memory within one 4 GiB window`);
    }
  }
  const start = Number(block);
  const address = Math.ceil(start / CACHE_LINE) * CACHE_LINE;
  const buffer = koffi.view(block, room);
  const bytes = new Uint8Array(buffer, address - start, size);
  let freed = false;
  const free = (): void => {
    if (freed) return;
    freed = true;
    buffer.transfer(0); // detaches every view before the memory is freed
    koffi.free(block);
  };
  return { bytes, address, free };
}

function straddles(block: bigint, room: number): boolean {
  return (Number(block) % WINDOW) + room > WINDOW;
}
