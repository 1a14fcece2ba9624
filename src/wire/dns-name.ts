/**
 * Names in DNS messages (RFC 1035 3.1, 4.1.4), read into normalised wire labels: lower case (ASCII only, RFC 4343), each
 * label behind its length, one zero byte at the end. A label may have any bytes, also a dot; since lengths are compared
 * too, it is never equal to two labels.
 */
import { get16 } from "./bytes.ts";
import { DNS_HEADER } from "./dns-header.ts";
import { LONGEST_LABEL, LONGEST_NAME } from "./host-name.ts";

/** The two first bits of a compression pointer. */
const POINTER = 0xc0;
const POINTER_TARGET = 0x3fff;
/** How often one name may continue elsewhere. Names that are not made to cost time need a handful. */
const MOST_POINTERS = 64;

/** What `DnsName.read` and `behindName` return for a name that is malformed. */
export const NO_NAME = -1;

/** A name in memory of a fixed size. */
export class DnsName {
  /** The first `length` bytes are the name. */
  readonly labels = new Uint8Array(LONGEST_NAME);
  /** Bytes, the final zero included; 0: none was read. */
  length = 0;

  /**
   * Reads the name at `at` of the message from `start` to `end` (positions in `bytes`). Returns the position behind it, or
   * NO_NAME. A pointer must go to before the part of the name that it ends, and not into the header, so every name ends.
   */
  read(bytes: Uint8Array, start: number, end: number, at: number): number {
    let length = 0;
    let behind = NO_NAME;
    let before = at;
    this.length = 0;
    for (let pointers = 0; pointers <= MOST_POINTERS && at < end; ) {
      const size = bytes[at]!;
      if (size === 0) {
        this.labels[length] = 0;
        this.length = length + 1;
        return behind === NO_NAME ? at + 1 : behind;
      }
      if (size >= POINTER) {
        if (at + 2 > end) return NO_NAME;
        if (behind === NO_NAME) behind = at + 2;
        at = start + (get16(bytes, at) & POINTER_TARGET);
        if (at >= before || at < start + DNS_HEADER) return NO_NAME;
        before = at;
        pointers++;
        continue;
      }
      // One byte more must be left for the final zero.
      if (size > LONGEST_LABEL || at + 1 + size > end || length + 1 + size >= LONGEST_NAME) return NO_NAME;
      this.labels[length++] = size;
      for (const next = ++at + size; at < next; at++) this.labels[length++] = lowerCase(bytes[at]!);
    }
    return NO_NAME;
  }

  equals(other: DnsName): boolean {
    return this.length === other.length && this.#endsWith(other, 0);
  }

  /** Whether this name ends in all labels of `other` and has more before them (RFC 6672 2.3). */
  isBelow(other: DnsName): boolean {
    const more = this.length - other.length;
    let at = 0;
    while (at < more) at += 1 + this.labels[at]!;
    return more > 0 && at === more && this.#endsWith(other, more);
  }

  /** Puts `other` in place of the last `size` bytes. Returns false, and changes nothing, if that becomes too long. */
  replaceEnd(size: number, other: DnsName): boolean {
    const kept = this.length - size;
    if (kept + other.length > LONGEST_NAME) return false;
    for (let at = 0; at < other.length; at++) this.labels[kept + at] = other.labels[at]!;
    this.length = kept + other.length;
    return true;
  }

  #endsWith(other: DnsName, from: number): boolean {
    for (let at = 0; at < other.length; at++) {
      if (this.labels[from + at] !== other.labels[at]) return false;
    }
    return true;
  }
}

/** The position behind the name at `at`, which is not followed to elsewhere; NO_NAME if it runs past `end`. */
export function behindName(bytes: Uint8Array, end: number, at: number): number {
  while (at < end) {
    const size = bytes[at]!;
    if (size >= POINTER) return at + 2 <= end ? at + 2 : NO_NAME;
    if (size > LONGEST_LABEL) return NO_NAME;
    at += 1 + size;
    if (size === 0) return at;
  }
  return NO_NAME;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}
