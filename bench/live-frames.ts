/** A policy as large as one may be, and frames for as many flows as one nearly may have, none of which a rule covers. */
import { createGuard } from "../src/guard/guard.ts";
import { FrameView } from "../src/wire/frame-view.ts";
import { frameOf, VM_ADDRESS, VM_MAC } from "./frames.ts";

const RULES = 4096;
export const FLOWS = 30_000;
/** Bytes of a frame. */
export const LENGTH = 64;

const prefixes = Array.from({ length: RULES }, (_, i) => `${11 + (i % 100)}.${i % 256}.${(i * 7) % 256}.0/24`);

/** A third of them each for both ways, the way in and the way out; half of them with a port. */
export const RULE_TEXTS: readonly string[] = prefixes.map(
  (prefix, i) => `${["", "in ", "out "][i % 3]}${prefix}${i % 2 === 0 ? `:${1 + i}` : ""}`,
);

/** UDP from the VM to as many addresses all over the address space, one frame behind the other. */
export function liveFrames(): Uint8Array {
  const sieve = createGuard({ macAddress: VM_MAC, address: VM_ADDRESS, block: prefixes });
  const bytes = new Uint8Array(FLOWS * LENGTH);
  let count = 0;
  for (let index = 1; count < FLOWS; index++) {
    // Multiplicative hashing spreads the destinations; the upper byte stays within 1 … 126.
    const destination = (((1 + (index % 126)) << 24) | ((Math.imul(index, 2_654_435_761) >>> 8) & 0xffffff)) >>> 0;
    const frame = frameOf(LENGTH, destination);
    if (sieve.judgeEgress(FrameView.of(frame)) === 0) bytes.set(frame, LENGTH * count++);
  }
  return bytes;
}
