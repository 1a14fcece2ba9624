/**
 * What a large frame must become: a plain cutter, to hold against what a kernel makes of it, and the checksums that are
 * right then.
 */
import { addToSum, checksumOf, foldSum } from "../../src/wire/checksum.ts";

const IP = 14;
const TRANSPORT = 34;
const TCP = 6;
const UDP = 17;

const at16 = (frame: Uint8Array, at: number): number => (frame[at]! << 8) | frame[at + 1]!;

const put16 = (frame: Uint8Array, at: number, value: number): void => {
  frame[at] = value >>> 8;
  frame[at + 1] = value;
};

/** Whether the IPv4 header's checksum is right, and TCP's or UDP's. */
export function hasRightChecksums(frame: Uint8Array): boolean {
  const total = at16(frame, 16);
  if (checksumOf(addToSum(0, frame, IP, 20)) !== 0) return false;
  if (frame[23] === UDP && at16(frame, 40) === 0) return true;
  return checksumOf(addToSum(frame[23]! + total - 20, frame, 26, 8 + total - 20)) === 0;
}

/** Whether the sender's part of a checksum was right, so that the whole one will be. */
export function hasPseudoSum(frame: Uint8Array): boolean {
  const at = frame[23] === TCP ? 50 : 40;
  return at16(frame, at) === foldSum(addToSum(frame[23]! + at16(frame, 16) - 20, frame, 26, 8));
}

/**
 * What a large frame becomes, in plain steps: its headers in front of each piece of its payload. Checksums and IPv4's
 * identification are 0; `strip` makes them so in what the kernel cut.
 */
export function cut(frame: Uint8Array, size: number): Uint8Array[] {
  const tcp = frame[23] === TCP;
  const headers = TRANSPORT + (tcp ? (frame[46]! >>> 4) * 4 : 8);
  const payload = frame.subarray(headers);
  if (payload.length <= size) return [strip(frame)];
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const piece = new Uint8Array(Buffer.concat([frame.subarray(0, headers), payload.subarray(at, at + size)]));
    put16(piece, 16, piece.length - IP);
    if (tcp) {
      const sequence = new DataView(frame.buffer, frame.byteOffset).getUint32(38) + at;
      new DataView(piece.buffer).setUint32(38, sequence >>> 0);
      if (at + size < payload.length) piece[47]! &= ~0x09;
      if (at > 0) piece[47]! &= ~0x80;
    } else {
      put16(piece, 38, piece.length - TRANSPORT);
    }
    pieces.push(strip(piece));
  }
  return pieces;
}

/** A copy without what the kernel fills in: checksums, and IPv4's identification. */
export function strip(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  put16(copy, 18, 0);
  put16(copy, 24, 0);
  put16(copy, frame[23] === TCP ? 50 : 40, 0);
  return copy;
}
