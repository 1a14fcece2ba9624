/**
 * A line with a checksum, as the registry's files have it: eight hexadecimal digits of CRC-32 (ISO-HDLC) over all that follows
 * them, a space, text, spaces, a newline. One that a crash left half written has a wrong checksum and is ignored.
 */
import { crc32 } from "node:zlib";

const CHECKSUM = 8;
/** Ends a line. */
export const NEWLINE = 10;
/** Bytes beside the text: checksum, space and newline. */
export const CHECKED_EXTRA = CHECKSUM + 2;

/** A line of `size` bytes, at least CHECKED_EXTRA more than `text` has characters, all of which are ASCII but the newline. */
export function checkedLine(text: string, size = text.length + CHECKED_EXTRA): Uint8Array {
  const bytes = Buffer.from(`${" ".repeat(CHECKSUM)} ${text.padEnd(size - CHECKED_EXTRA)}\n`, "latin1");
  bytes.write(checksumOf(bytes), 0, "latin1");
  return bytes;
}

/** The text of a line, with spaces around it; undefined where its checksum is another one. */
export function readCheckedLine(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  return text.slice(0, CHECKSUM) === checksumOf(bytes) ? text.slice(CHECKSUM) : undefined;
}

function checksumOf(bytes: Uint8Array): string {
  return crc32(bytes.subarray(CHECKSUM)).toString(16).padStart(CHECKSUM, "0");
}
