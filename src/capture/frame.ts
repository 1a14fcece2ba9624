/** One frame of a capture file, in any format. */

export interface CapturedFrame {
  /** 1 for the first frame of the file; not restarted by sections. */
  readonly number: number;
  /** Microseconds since 1970-01-01 UTC, a safe integer; finer clocks are rounded down. */
  readonly time: number;
  /** The interface's number in its pcapng section, counted from 0; always 0 for pcap. */
  readonly interfaceIndex: number;
  /** The captured bytes, without a frame check sequence. Valid until the next frame is read. */
  readonly bytes: Uint8Array;
  /** The frame's length on the wire, without a frame check sequence; never less than `bytes.length`. */
  readonly originalLength: number;
  /** The frame's first comment (pcapng opt_comment). */
  readonly comment?: string;
  /** Its second one, where it has several. */
  readonly secondComment?: string;
}

/**
 * Makes a frame from a record's fields.
 *
 * If a record has more captured bytes than its original length says, the number of bytes counts: the frame was at least
 * that long. A frame check sequence (`fcsLength` bytes at the frame's end, if the file declares one) is removed, since
 * softnet's ports never receive one.
 */
export function capturedFrame(
  number: number,
  time: number,
  interfaceIndex: number,
  captured: Uint8Array,
  originalLength: number,
  fcsLength: number,
  comment: string | undefined,
  secondComment?: string,
): CapturedFrame {
  const length = Math.max(Math.max(originalLength, captured.length) - fcsLength, 0);
  const bytes = captured.length > length ? captured.subarray(0, length) : captured;
  const frame = { number, time, interfaceIndex, bytes, originalLength: length };
  if (comment === undefined) return frame;
  return secondComment === undefined ? { ...frame, comment } : { ...frame, comment, secondComment };
}
