/**
 * Reads pcap, the older and simpler format: a header of 24 bytes, then records of a 16-byte header and the captured
 * bytes. All numbers are in the byte order of the machine that wrote the file. The magic shows the byte order, and
 * whether times are in microseconds or nanoseconds.
 *
 * Specification: draft-ietf-opsawg-pcap, sections 4 (header) and 5 (record).
 *
 * Accepted, as by libpcap: versions 2.0 to 2.3, whose records have their two lengths in another order; a record longer
 * than the header's snapshot length; more captured bytes than the original length (see frame.ts). The header's time
 * zone and accuracy are ignored (section 4).
 */
import { CaptureError } from "./errors.ts";
import { type CapturedFrame, capturedFrame } from "./frame.ts";
import { LINKTYPE_ETHERNET, NOTHING_SKIPPED, notEthernet } from "./linktype.ts";
import { type ByteSource, MAXIMUM_CAPTURED_LENGTH } from "./source.ts";

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;

/** File header: offsets and length in bytes. */
const VERSION_MAJOR = 4;
const VERSION_MINOR = 6;
const LINK_TYPE = 20;
const FILE_HEADER = 24;

/** The upper half of the link type's 32 bits: whether frames end in a frame check sequence, and its 16-bit words. */
const FCS_PRESENT = 0x0400_0000;
const FCS_SHIFT = 28;

/** Record header: offsets and length in bytes. */
const SECONDS = 0;
const FRACTION = 4;
const CAPTURED_LENGTH = 8;
const ORIGINAL_LENGTH = 12;
const RECORD_HEADER = 16;

/** True when a file that begins with these bytes is pcap. */
export function isPcap(view: DataView, at: number): boolean {
  return [true, false].some((littleEndian) => {
    const magic = view.getUint32(at, littleEndian);
    return magic === MAGIC_MICROSECONDS || magic === MAGIC_NANOSECONDS;
  });
}

export class PcapDecoder {
  readonly format = "pcap";
  readonly writer = undefined;
  readonly interfaceNames: readonly string[] = [""];
  readonly #source: ByteSource;
  readonly #littleEndian: boolean;
  readonly #fractionsPerMicrosecond: number;
  readonly #fcsLength: number;
  readonly #order: "captured first" | "original first" | "either";
  readonly skipped = NOTHING_SKIPPED;
  #number = 0;

  /** `source` must be at the beginning of a file for which `isPcap` returns true. */
  constructor(source: ByteSource) {
    const { view, position } = source;
    const first = view.getUint32(position, true);
    this.#littleEndian = first === MAGIC_MICROSECONDS || first === MAGIC_NANOSECONDS;
    if (!source.ensure(FILE_HEADER)) throw source.truncated("the file's header");
    this.#fractionsPerMicrosecond = view.getUint32(position, this.#littleEndian) === MAGIC_NANOSECONDS ? 1000 : 1;
    const major = view.getUint16(position + VERSION_MAJOR, this.#littleEndian);
    const minor = view.getUint16(position + VERSION_MINOR, this.#littleEndian);
    if (major !== 2) {
      const remedy = "convert it with editcap -F pcapng";
      throw new CaptureError("CAPTURE_FORMAT", source.name, `pcap version ${major}.${minor} is not known`, remedy);
    }
    // Before 2.3 a record's original length came first; in 2.3 either order occurs (libpcap, sf-pcap.c).
    this.#order = minor < 3 ? "original first" : minor === 3 ? "either" : "captured first";
    const link = view.getUint32(position + LINK_TYPE, this.#littleEndian);
    if ((link & 0xffff) !== LINKTYPE_ETHERNET) throw notEthernet(source.name, link & 0xffff);
    this.#fcsLength = (link & FCS_PRESENT) === 0 ? 0 : (link >>> FCS_SHIFT) * 2;
    this.#source = source;
    source.position += FILE_HEADER;
  }

  next(): CapturedFrame | undefined {
    const source = this.#source;
    const number = this.#number + 1;
    if (!source.ensure(RECORD_HEADER)) {
      if (source.available === 0) return undefined;
      throw source.truncated(`frame ${number}`);
    }
    const { view } = source;
    const header = source.position;
    const first = view.getUint32(header + CAPTURED_LENGTH, this.#littleEndian);
    const second = view.getUint32(header + ORIGINAL_LENGTH, this.#littleEndian);
    const swapped = this.#order === "original first" || (this.#order === "either" && first > second);
    const capturedLength = swapped ? second : first;
    const originalLength = swapped ? first : second;
    if (capturedLength > MAXIMUM_CAPTURED_LENGTH) {
      throw source.malformed(`frame ${number} claims ${capturedLength} captured bytes`);
    }
    if (!source.ensure(RECORD_HEADER + capturedLength)) throw source.truncated(`frame ${number}`);
    // `ensure` may have moved the record to the front of the window.
    const at = source.position;
    const fraction = view.getUint32(at + FRACTION, this.#littleEndian);
    const time =
      view.getUint32(at + SECONDS, this.#littleEndian) * 1_000_000 +
      Math.floor(fraction / this.#fractionsPerMicrosecond);
    const captured = source.bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + capturedLength);
    source.position += RECORD_HEADER + capturedLength;
    this.#number = number;
    return capturedFrame(number, time, 0, captured, originalLength, this.#fcsLength, undefined);
  }
}
