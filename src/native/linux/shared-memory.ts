/** Memory that the kernel shares: a descriptor's pages (mmap(2)), which eBPF programs read and write at the same time. */
import koffi from "koffi";
import { describeError } from "./errno.ts";
import { type LinuxLibc, MAP_SHARED, PROT_READ, PROT_WRITE } from "./libc.ts";

const PAGE = 4096;
/** MAP_FAILED. */
const FAILED = 0xffff_ffff_ffff_ffffn;

export interface SharedMemory {
  /** From the first page on; of length 0 after `free`. */
  readonly buffer: ArrayBuffer;
  /** Gives the pages back; harmless when called twice. */
  free(): void;
}

/** Maps `size` bytes of a descriptor, which may be closed then. Throws Error when the kernel refuses. */
export function shareMemory(libc: LinuxLibc, descriptor: number, size: number): SharedMemory {
  const room = Math.ceil(size / PAGE) * PAGE;
  const address = libc.mmap(null, room, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (address === null || address === FAILED) {
    throw new Error(`the kernel does not share its memory: ${describeError(libc.errno())}`);
  }
  const buffer = koffi.view(address, size) as ArrayBuffer;
  let freed = false;
  const free = (): void => {
    if (freed) return;
    freed = true;
    buffer.transfer(0); // detaches every view before the pages are gone
    libc.munmap(address, room);
  };
  return { buffer, free };
}
