/** The Internet checksum (RFC 1071): the ones' complement sum of 16-bit words. */
import { get16 } from "./bytes.ts";

/**
 * Adds `length` bytes to a running sum; an odd last byte counts as the high half of a word. Any packet's sum stays
 * below 2³² (65,535 bytes are 32,768 words), so folding waits until the end.
 */
export function addToSum(sum: number, bytes: Uint8Array, at: number, length: number): number {
  const even = at + (length & ~1);
  for (let position = at; position < even; position += 2) sum += get16(bytes, position);
  if (length & 1) sum += bytes[even]! << 8;
  return sum;
}

/** Folds a running sum to 16 bits. The sum of a block with a correct checksum folds to 0xffff. */
export function foldSum(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** The checksum to write for a running sum over a block whose checksum field is zero. */
export function checksumOf(sum: number): number {
  return ~foldSum(sum) & 0xffff;
}
