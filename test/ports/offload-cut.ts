/**
 * What a large frame must become: a plain cutter, to hold against what a kernel makes of it, and the checksums that are
 * right then.
 */
import { addToSum, checksumOf, foldSum } from "../../src/wire/checksum.ts";
import { layoutOf } from "./offload-layout.ts";

const IP = 14;
const TCP = 6;
const UDP = 17;

const at16 = (frame: Uint8Array, at: number): number => (frame[at]! << 8) | frame[at + 1]!;

const put16 = (frame: Uint8Array, at: number, value: number): void => {
  frame[at] = value >>> 8;
  frame[at + 1] = value;
};

/** Whether the IPv4 header's checksum is right, and TCP's or UDP's. */
export function hasRightChecksums(frame: Uint8Array): boolean {
  const { version, transport, protocol, addresses } = layoutOf(frame);
  if (version === 4 && checksumOf(addToSum(0, frame, IP, 20)) !== 0) return false;
  if (version === 4 && frame[protocol] === UDP && at16(frame, transport + 6) === 0) return true;
  const carried = carriedBytes(frame);
  return checksumOf(addToSum(frame[protocol]! + carried, frame, addresses, transport - addresses + carried)) === 0;
}

/** Whether the sender's part of a checksum was right, so that the whole one will be. */
export function hasPseudoSum(frame: Uint8Array): boolean {
  return at16(frame, checksumField(frame)) === pseudoSum(frame);
}

/** The pseudo-header's sum, folded. */
export function pseudoSum(frame: Uint8Array): number {
  const { transport, protocol, addresses } = layoutOf(frame);
  return foldSum(addToSum(frame[protocol]! + carriedBytes(frame), frame, addresses, transport - addresses));
}

/** TCP's or UDP's, as the packet says. */
function carriedBytes(frame: Uint8Array): number {
  const { transport, length, counted } = layoutOf(frame);
  return at16(frame, length) - (transport - counted);
}

/** Where TCP's checksum is, else UDP's. */
function checksumField(frame: Uint8Array): number {
  const { transport, protocol } = layoutOf(frame);
  return transport + (frame[protocol] === TCP ? 16 : 6);
}

/**
 * What a large frame becomes, in plain steps: its headers in front of each piece of its payload. Checksums and IPv4's
 * identification are 0; `strip` makes them so in what the kernel cut.
 */
export function cut(frame: Uint8Array, size: number): Uint8Array[] {
  const { transport, protocol, length, counted } = layoutOf(frame);
  const tcp = frame[protocol] === TCP;
  const headers = transport + (tcp ? (frame[transport + 12]! >>> 4) * 4 : 8);
  const payload = frame.subarray(headers);
  if (payload.length <= size) return [strip(frame)];
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const piece = new Uint8Array(Buffer.concat([frame.subarray(0, headers), payload.subarray(at, at + size)]));
    put16(piece, length, piece.length - counted);
    if (tcp) {
      const sequence = new DataView(frame.buffer, frame.byteOffset).getUint32(transport + 4) + at;
      new DataView(piece.buffer).setUint32(transport + 4, sequence >>> 0);
      if (at + size < payload.length) piece[transport + 13]! &= ~0x09;
      if (at > 0) piece[transport + 13]! &= ~0x80;
    } else {
      put16(piece, transport + 4, piece.length - transport);
    }
    pieces.push(strip(piece));
  }
  return pieces;
}

/** A copy without what the kernel fills in: checksums, and IPv4's identification. */
export function strip(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  put16(copy, checksumField(frame), 0);
  if (layoutOf(frame).version === 6) return copy;
  put16(copy, 18, 0);
  put16(copy, 24, 0);
  return copy;
}
