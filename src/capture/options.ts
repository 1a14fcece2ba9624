/**
 * The options at the end of a pcapng block (section 3.5): code, length, value padded to 4 bytes, until opt_endofopt or
 * the end of the block.
 */
import { OPT_ENDOFOPT, OPTION_HEADER, padded } from "./blocks.ts";

/** Characters that are kept of a name, so that a file cannot fill the reader's memory. */
const MAXIMUM_NAME = 255;

const decoder = new TextDecoder();

/**
 * Calls `visit` with each option between `start` and `end` (both multiples of 4 from the block's beginning). Returns
 * false when an option runs past the end.
 */
export function eachOption(
  view: DataView,
  start: number,
  end: number,
  littleEndian: boolean,
  visit: (code: number, at: number, length: number) => void,
): boolean {
  let at = start;
  while (at + OPTION_HEADER <= end) {
    const code = view.getUint16(at, littleEndian);
    const length = view.getUint16(at + 2, littleEndian);
    if (code === OPT_ENDOFOPT) return true;
    at += OPTION_HEADER;
    if (at + length > end) return false;
    visit(code, at, length);
    at += padded(length);
  }
  return true;
}

/** An option's text (UTF-8, section 3.5). Some writers end it with a zero byte, which does not belong to it. */
export function optionText(bytes: Uint8Array, at: number, length: number): string {
  const text = decoder.decode(bytes.subarray(at, at + length));
  const zero = text.indexOf("\0");
  return zero < 0 ? text : text.slice(0, zero);
}

/** The same, shortened, for the names of interfaces and of the writing program, which are kept. */
export function optionName(bytes: Uint8Array, at: number, length: number): string {
  return optionText(bytes, at, Math.min(length, MAXIMUM_NAME));
}
