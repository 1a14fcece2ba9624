/**
 * Written by hand because a capture is untrusted input that root may read: every length is checked here.
 *
 * Reads pcapng: a sequence of blocks. A section header block begins a section and gives its byte order; interface
 * description blocks number the section's interfaces from 0; packet blocks contain frames. Every other block is
 * skipped.
 *
 * Specification: draft-ietf-opsawg-pcapng, section 4.
 *
 * Every length is checked before it is used, and each block must end with its own length again. Each step moves forward
 * by at least 12 bytes, so reading always ends. A block that is read, not skipped, must fit into the window of
 * source.ts.
 */
import {
  BLOCK_HEADER,
  BLOCK_LENGTH,
  BLOCK_TRAILER,
  BYTE_ORDER_MAGIC,
  ENHANCED_PACKET_BLOCK,
  EPB_FLAGS,
  IF_FCSLEN,
  IF_NAME,
  IF_TSOFFSET,
  IF_TSRESOL,
  INTERFACE_DESCRIPTION_BLOCK,
  OPT_COMMENT,
  PACKET_BLOCK,
  padded,
  SECTION_HEADER_BLOCK,
  SHB_USERAPPL,
  SIMPLE_PACKET_BLOCK,
} from "./blocks.ts";
import { type Clock, clockOf, DEFAULT_RESOLUTION } from "./clock.ts";
import { CaptureError } from "./errors.ts";
import { type CapturedFrame, capturedFrame } from "./frame.ts";
import { LINKTYPE_ETHERNET, notEthernet, type SkippedFrames } from "./linktype.ts";
import { eachOption, optionName, optionText } from "./options.ts";
import { type ByteSource, MAXIMUM_CAPTURED_LENGTH, WINDOW } from "./source.ts";

/** Offsets from a block's beginning, in bytes; the last of each group is where options or captured bytes begin. */
const SHB_MAGIC = 8;
const SHB_MAJOR = 12;
const SHB_MINOR = 14;
const SHB_OPTIONS = 24;

const IDB_LINK_TYPE = 8;
const IDB_SNAPLEN = 12;
const IDB_OPTIONS = 16;

/**
 * The obsolete packet block differs from the enhanced one in its first word only: 16 bits of interface, 16 of drops.
 */
const EPB_INTERFACE = 8;
const EPB_TIME_HIGH = 12;
const EPB_TIME_LOW = 16;
const EPB_CAPTURED_LENGTH = 20;
const EPB_ORIGINAL_LENGTH = 24;
const EPB_DATA = 28;

const SPB_ORIGINAL_LENGTH = 8;
const SPB_DATA = 12;

/** More interfaces than this in one section are an error, since each one takes memory. */
const MAXIMUM_INTERFACES = 4096;

interface Interface {
  readonly linkType: number;
  /** 0: unlimited. */
  readonly snaplen: number;
  readonly clock: Clock;
  readonly fcsLength: number;
}

export class PcapngDecoder {
  readonly format = "pcapng";
  /** The program that wrote the current section (shb_userappl). */
  writer: string | undefined;
  /** The current section's interfaces in order (if_name; empty where it has none). */
  interfaceNames: string[] = [];
  /** Frames of interfaces that are not Ethernet, and those interfaces' link types. */
  #skippedFrames = 0;
  readonly #otherLinkTypes = new Map<number, number>();
  /** Whether there was an Ethernet frame. */
  #found = false;
  readonly #source: ByteSource;
  #littleEndian = true;
  #interfaces: Interface[] = [];
  #number = 0;
  #time = 0;

  /**
   * `source` must be at a section header block. Reads up to the first packet, so that names are known from the start.
   */
  constructor(source: ByteSource) {
    this.#source = source;
    this.#toPacket();
  }

  get skipped(): SkippedFrames {
    return { frames: this.#skippedFrames, linkTypes: this.#otherLinkTypes };
  }

  next(): CapturedFrame | undefined {
    for (;;) {
      const type = this.#toPacket();
      if (type === undefined) return this.#end();
      const length = this.#wholeBlock(`frame ${this.#number + 1}`);
      const frame = type === SIMPLE_PACKET_BLOCK ? this.#simplePacket(length) : this.#packet(type, length);
      this.#source.position += length;
      this.#number++;
      if (frame === undefined) continue;
      this.#found = true;
      this.#time = frame.time;
      return frame;
    }
  }

  /** A file without any Ethernet frame was captured on the wrong interface: an error. */
  #end(): undefined {
    if (this.#found) return;
    for (const linkType of this.#otherLinkTypes.values()) throw notEthernet(this.#source.name, linkType);
  }

  /** Reads blocks until the next one is a packet; returns its type, or undefined at the end of the file. */
  #toPacket(): number | undefined {
    const source = this.#source;
    for (;;) {
      if (!source.ensure(BLOCK_HEADER)) {
        if (source.available === 0) return undefined;
        throw source.truncated("a block's header");
      }
      const type = this.#u32(0);
      if (type === ENHANCED_PACKET_BLOCK || type === SIMPLE_PACKET_BLOCK || type === PACKET_BLOCK) return type;
      if (type === SECTION_HEADER_BLOCK) this.#section();
      else if (type === INTERFACE_DESCRIPTION_BLOCK) this.#interface();
      else this.#stepOver();
    }
  }

  /** Section 4.1. The block's type is the same in both byte orders; its length can be read once the magic is known. */
  #section(): void {
    const source = this.#source;
    if (!source.ensure(SHB_MAJOR)) throw source.truncated("a section header");
    this.#littleEndian = source.view.getUint32(source.position + SHB_MAGIC, true) === BYTE_ORDER_MAGIC;
    if (this.#u32(SHB_MAGIC) !== BYTE_ORDER_MAGIC) throw source.malformed("a section header without byte-order magic");
    const length = this.#wholeBlock("a section header");
    if (length < SHB_OPTIONS + BLOCK_TRAILER) throw source.malformed("a section header that is too short");
    // Minor versions 0 and 2 are the same format (section 4.1), and later minor versions stay readable.
    const major = this.#u16(SHB_MAJOR);
    if (major !== 1) {
      const what = `pcapng version ${major}.${this.#u16(SHB_MINOR)} is not known`;
      throw new CaptureError("CAPTURE_FORMAT", source.name, what, "convert the file with editcap -F pcapng");
    }
    this.writer = undefined;
    this.interfaceNames = [];
    this.#interfaces = [];
    this.#options(SHB_OPTIONS, length, (code, at, size) => {
      if (code === SHB_USERAPPL) this.writer = optionName(source.bytes, at, size);
    });
    source.position += length;
  }

  /** Section 4.2. Frames of link types other than Ethernet are skipped. */
  #interface(): void {
    const source = this.#source;
    const length = this.#wholeBlock("an interface description");
    if (length < IDB_OPTIONS + BLOCK_TRAILER) throw source.malformed("an interface description that is too short");
    if (this.#interfaces.length === MAXIMUM_INTERFACES) {
      throw source.malformed(`a section with more than ${MAXIMUM_INTERFACES} interfaces`);
    }
    let name = "";
    let resolution = DEFAULT_RESOLUTION;
    let offset = 0n;
    let fcsLength = 0;
    this.#options(IDB_OPTIONS, length, (code, at, size) => {
      if (code === IF_NAME) name = optionName(source.bytes, at, size);
      else if (code === IF_TSRESOL) {
        if (size !== 1) throw source.malformed(`if_tsresol of ${size} bytes`);
        resolution = source.bytes[at]!;
      } else if (code === IF_TSOFFSET) {
        if (size !== 8) throw source.malformed(`if_tsoffset of ${size} bytes`);
        offset = source.view.getBigInt64(at, this.#littleEndian);
      } else if (code === IF_FCSLEN && size === 1) {
        // The specification counts bits, Wireshark bytes; Ethernet's frame check sequence has 32 bits, 4 bytes.
        fcsLength = source.bytes[at] === 32 || source.bytes[at] === 4 ? 4 : 0;
      }
    });
    this.interfaceNames.push(name);
    this.#interfaces.push({
      linkType: this.#u16(IDB_LINK_TYPE),
      snaplen: this.#u32(IDB_SNAPLEN),
      clock: clockOf(resolution, offset),
      fcsLength,
    });
    source.position += length;
  }

  /** Sections 4.3 (enhanced) and B (obsolete packet block). */
  #packet(type: number, length: number): CapturedFrame | undefined {
    const source = this.#source;
    const number = this.#number + 1;
    if (length < EPB_DATA + BLOCK_TRAILER) throw source.malformed(`frame ${number} in a block that is too short`);
    const index = type === PACKET_BLOCK ? this.#u16(EPB_INTERFACE) : this.#u32(EPB_INTERFACE);
    const captor = this.#interfaceOf(index);
    if (captor === undefined) return undefined;
    const { clock, fcsLength } = captor;
    const time = clock(this.#u32(EPB_TIME_HIGH), this.#u32(EPB_TIME_LOW));
    if (Number.isNaN(time)) throw source.malformed(`frame ${number} has a time that is out of range`);
    const captured = this.#captured(EPB_DATA, this.#u32(EPB_CAPTURED_LENGTH), length);
    let comment: string | undefined;
    let second: string | undefined;
    let flags = 0;
    this.#options(EPB_DATA + padded(captured.length), length, (code, at, size) => {
      if (code === OPT_COMMENT) {
        if (comment === undefined) comment = optionText(source.bytes, at, size);
        else second ??= optionText(source.bytes, at, size);
      } else if (code === EPB_FLAGS && size === 4) flags = source.view.getUint32(at, this.#littleEndian);
    });
    // Bits 5 to 8 of epb_flags are the length of this frame's check sequence in bytes, 0 = not given (section 4.3.1).
    const fcs = (flags >>> 5) & 0xf || fcsLength;
    return capturedFrame(number, time, index, captured, this.#u32(EPB_ORIGINAL_LENGTH), fcs, comment, second);
  }

  /** Section 4.4: a frame of interface 0 without a time, cut at the interface's snapshot length. */
  #simplePacket(length: number): CapturedFrame | undefined {
    const source = this.#source;
    const number = this.#number + 1;
    if (length < SPB_DATA + BLOCK_TRAILER) throw source.malformed(`frame ${number} in a block that is too short`);
    const captor = this.#interfaceOf(0);
    if (captor === undefined) return undefined;
    const { snaplen, fcsLength } = captor;
    const originalLength = this.#u32(SPB_ORIGINAL_LENGTH);
    const capturedLength = snaplen === 0 ? originalLength : Math.min(originalLength, snaplen);
    const captured = this.#captured(SPB_DATA, capturedLength, length);
    return capturedFrame(number, this.#time, 0, captured, originalLength, fcsLength, undefined);
  }

  /** The interface of a frame; undefined, and counted, when it is not Ethernet. */
  #interfaceOf(index: number): Interface | undefined {
    const found = this.#interfaces[index];
    if (found === undefined) throw this.#source.malformed(`a frame of interface ${index}, which is not described`);
    if (found.linkType === LINKTYPE_ETHERNET) return found;
    this.#skippedFrames++;
    this.#otherLinkTypes.set(index, found.linkType);
    return undefined;
  }

  #captured(data: number, capturedLength: number, length: number): Uint8Array {
    const source = this.#source;
    const fits = capturedLength <= MAXIMUM_CAPTURED_LENGTH && data + padded(capturedLength) + BLOCK_TRAILER <= length;
    if (!fits) throw source.malformed(`frame ${this.#number + 1} claims ${capturedLength} captured bytes`);
    return source.bytes.subarray(source.position + data, source.position + data + capturedLength);
  }

  #options(from: number, length: number, visit: (code: number, at: number, size: number) => void): void {
    const { view, position } = this.#source;
    const end = position + length - BLOCK_TRAILER;
    if (!eachOption(view, position + from, end, this.#littleEndian, visit)) {
      throw this.#source.malformed("an option that runs past its block");
    }
  }

  /** Returns the next block's total length, checked. */
  #totalLength(): number {
    const length = this.#u32(BLOCK_LENGTH);
    if (length < BLOCK_HEADER + BLOCK_TRAILER || length % 4 !== 0) {
      throw this.#source.malformed(`a block with a length of ${length}`);
    }
    return length;
  }

  /** Reads the whole next block into the window and returns its total length; the block is `what` in errors. */
  #wholeBlock(what: string): number {
    const source = this.#source;
    const length = this.#totalLength();
    if (length > WINDOW) throw source.malformed(`${what} in a block of ${length} bytes`);
    if (!source.ensure(length)) throw source.truncated(what);
    if (this.#u32(length - BLOCK_TRAILER) !== length) throw source.malformed("a block whose two lengths differ");
    return length;
  }

  #stepOver(): void {
    const source = this.#source;
    const length = this.#totalLength();
    if (!source.skip(length - BLOCK_TRAILER) || !source.ensure(BLOCK_TRAILER)) throw source.truncated("a block");
    if (this.#u32(0) !== length) throw source.malformed("a block whose two lengths differ");
    source.position += BLOCK_TRAILER;
  }

  #u16(offset: number): number {
    return this.#source.view.getUint16(this.#source.position + offset, this.#littleEndian);
  }

  #u32(offset: number): number {
    return this.#source.view.getUint32(this.#source.position + offset, this.#littleEndian);
  }
}
