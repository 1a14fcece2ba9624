/**
 * Writes the frames of a running softnet as pcapng, so that Wireshark shows which passed and why the others did not.
 *
 * `write` is called for every frame that is forwarded. It copies the frame into a buffer made at the start, allocates
 * nothing and makes a system call only when the buffer is full; the caller empties the buffer with `flush` on its tick.
 * The buffer contains whole blocks only, so the file ends with a whole frame after every flush. A capture that reaches
 * its maximum size, or whose disk fails, does not disturb the relay: `write` returns false from then on, and `onStop`
 * is called once. With several files (files.ts) a full one is followed by the next, which is emptied first, so that the
 * last frames are always kept.
 *
 * One section, little-endian; the given interfaces in order, Ethernet, microseconds. A frame's comment is its drop
 * reason.
 */
import { ftruncateSync, writeSync } from "node:fs";
import {
  BLOCK_HEADER,
  BLOCK_TRAILER,
  ENHANCED_PACKET_BLOCK,
  OPT_COMMENT,
  OPT_ENDOFOPT,
  OPTION_HEADER,
  padded,
} from "./blocks.ts";
import { CaptureError, systemError } from "./errors.ts";
import { CaptureFiles } from "./files.ts";
import { type InterfaceDescription, sectionStart } from "./section.ts";
import { MAXIMUM_CAPTURED_LENGTH } from "./source.ts";

export interface CaptureWriterOptions {
  /** The file; it is created or emptied. Used in errors only where `descriptor` is given. */
  readonly path: string;
  /**
   * A descriptor of an empty file or a pipe, to write to instead of opening `path`. The writer closes it.
   */
  readonly descriptor?: number;
  /** The writing program, `softnet 0.1.0`. */
  readonly application: string;
  /** Largest size of a file in bytes. */
  readonly maximumSize: number;
  /** How many files are written in turn, default 1. With a `descriptor` there is only that one. */
  readonly files?: number;
  /** Longest frame in bytes that is written whole, at most 262,144; longer ones are cut. */
  readonly maximumFrame: number;
  readonly interfaces: readonly InterfaceDescription[];
  /** Called once when the capture ends by itself: `full` or `failure` is the reason. Must not throw. */
  readonly onStop?: (writer: CaptureWriter) => void;
}

/** Bytes collected before they are written. */
const BUFFER = 262_144;

/** Longest comment in bytes; longer ones are cut. */
export const MAXIMUM_COMMENT = 255;

/** Enhanced packet block, offsets in bytes (section 4.3). */
const INTERFACE = 8;
const TIME_HIGH = 12;
const TIME_LOW = 16;
const CAPTURED_LENGTH = 20;
const ORIGINAL_LENGTH = 24;
const DATA = 28;

// Copies a part of one array into another; subarray would allocate a view for each frame.
const copy = Buffer.prototype.copy;

export class CaptureWriter {
  /** True once a frame would have made the file larger than its maximum. */
  full = false;
  /** The error that ended the capture. */
  failure: CaptureError | undefined;
  /** Bytes in the file, those in the buffer included. */
  size = 0;
  readonly #files: CaptureFiles;
  readonly #head: Uint8Array;
  readonly #maximumSize: number;
  readonly #maximumFrame: number;
  readonly #interfaceCount: number;
  readonly #onStop: ((writer: CaptureWriter) => void) | undefined;
  readonly #buffer: Buffer;
  readonly #view: DataView;
  /** Bytes in the buffer. */
  #used = 0;
  #closed = false;

  /** Creates the file and writes its head. Throws CaptureError (CAPTURE_UNWRITABLE), RangeError for invalid limits. */
  constructor(options: CaptureWriterOptions) {
    const { path, maximumFrame, maximumSize, interfaces } = options;
    if (!(maximumFrame >= 1 && maximumFrame <= MAXIMUM_CAPTURED_LENGTH)) throw new RangeError("maximumFrame");
    const head = sectionStart(options.application, maximumFrame, interfaces);
    if (head.length > maximumSize) {
      const what = `a maximum size of ${maximumSize} bytes has no room for a frame`;
      throw new CaptureError("CAPTURE_UNWRITABLE", path, what, "raise it");
    }
    this.#head = head;
    this.#maximumSize = maximumSize;
    this.#maximumFrame = maximumFrame;
    this.#interfaceCount = interfaces.length;
    this.#onStop = options.onStop;
    const largestBlock = DATA + padded(maximumFrame) + 2 * commentSize(MAXIMUM_COMMENT) + OPTION_HEADER + BLOCK_TRAILER;
    this.#buffer = Buffer.alloc(Math.max(BUFFER, largestBlock, head.length));
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.length);
    this.#files = new CaptureFiles(path, options.files ?? 1, head, options.descriptor);
    this.#begin();
    this.#empty();
    if (this.failure !== undefined) {
      this.#closeFiles();
      throw this.failure;
    }
  }

  /**
   * Adds the frame `bytes[offset] … bytes[offset + length - 1]`, seen on interface `interfaceIndex` at `time`
   * (microseconds since 1970, an integer). `comment` is UTF-8 text made beforehand; the first `noteLength` bytes of `note`
   * are a second comment, where they are not 0. Returns false when the capture has
   * ended. Does not throw when the disk fails, nor for any frame.
   */
  write(
    interfaceIndex: number,
    time: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    comment: Uint8Array | undefined,
    note?: Uint8Array,
    noteLength = 0,
  ): boolean {
    if (this.full || this.failure !== undefined || this.#closed) return false;
    if (interfaceIndex >= this.#interfaceCount) throw new RangeError(`no interface ${interfaceIndex}`);
    const captured = Math.min(length, this.#maximumFrame);
    const commentLength = comment === undefined ? 0 : Math.min(comment.length, MAXIMUM_COMMENT);
    const options = DATA + padded(captured);
    const comments = commentSize(commentLength) + commentSize(noteLength);
    const total = options + (comments === 0 ? 0 : comments + OPTION_HEADER) + BLOCK_TRAILER;
    if (this.size + total > this.#maximumSize && !this.#makeRoom(total)) return false;
    if (this.#used + total > this.#buffer.length) {
      this.flush();
      if (this.failure !== undefined) return false;
    }
    const view = this.#view;
    const at = this.#used;
    const timeHigh = Math.floor(time / 0x1_0000_0000);
    // Zeros after the frame, so that the padding does not contain bytes of an earlier frame; so for the comment below.
    view.setUint32(at + options - 4, 0, true);
    view.setUint32(at, ENHANCED_PACKET_BLOCK, true);
    view.setUint32(at + BLOCK_HEADER - 4, total, true);
    view.setUint32(at + INTERFACE, interfaceIndex, true);
    view.setUint32(at + TIME_HIGH, timeHigh, true);
    view.setUint32(at + TIME_LOW, time - timeHigh * 0x1_0000_0000, true);
    view.setUint32(at + CAPTURED_LENGTH, captured, true);
    view.setUint32(at + ORIGINAL_LENGTH, length, true);
    copy.call(bytes as Buffer, this.#buffer, at + DATA, offset, offset + captured);
    if (comments > 0) {
      const second = this.#putComment(at + options, comment, commentLength);
      view.setUint32(this.#putComment(second, note, noteLength), OPT_ENDOFOPT, true);
    }
    view.setUint32(at + total - BLOCK_TRAILER, total, true);
    this.#used += total;
    this.size += total;
    return true;
  }

  /** Puts an option into the buffer, unless it is empty; returns where the next one begins. */
  #putComment(option: number, text: Uint8Array | undefined, length: number): number {
    if (text === undefined || length === 0) return option;
    const view = this.#view;
    view.setUint16(option, OPT_COMMENT, true);
    view.setUint16(option + 2, length, true);
    view.setUint32(option + padded(length), 0, true);
    copy.call(text as Buffer, this.#buffer, option + OPTION_HEADER, 0, length);
    return option + OPTION_HEADER + padded(length);
  }

  /** Writes what the buffer holds. Never throws. */
  flush(): void {
    if (this.#used === 0 || this.failure !== undefined || this.#closed) return;
    this.#empty();
    if (this.failure !== undefined) this.#onStop?.(this);
  }

  /** Writes what the buffer holds and closes the file. Never throws; harmless when called twice. */
  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closeFiles();
  }

  /**
   * Opens the files anew that were moved away from their paths, and writes to them, also after the capture had ended.
   * Returns why a file could not be opened; then the old one stays in use.
   */
  reopen(): CaptureError | undefined {
    if (this.#closed) return undefined;
    this.flush();
    const { changed, failure } = this.#files.reopen();
    if (!changed) return failure;
    this.full = false;
    this.failure = undefined;
    this.#begin();
    this.#empty();
    return failure ?? this.failure;
  }

  #begin(): void {
    this.#buffer.set(this.#head);
    this.#used = this.size = this.#head.length;
  }

  /** Changes to the next file, if there are several; returns whether the block fits now. */
  #makeRoom(block: number): boolean {
    if (!this.#files.isRing) {
      this.full = true;
      this.#empty();
      this.#onStop?.(this);
      return false;
    }
    if (this.#head.length + block > this.#maximumSize) return false; // it is larger than any file may be
    this.flush();
    if (this.failure !== undefined) return false;
    try {
      this.#files.turn();
    } catch (error) {
      this.failure = systemError("CAPTURE_UNWRITABLE", this.#files.path, error);
      this.#onStop?.(this);
      return false;
    }
    this.#begin();
    return true;
  }

  /** Empties the buffer into the file; sets `failure` when that fails. */
  #empty(): void {
    let written = 0;
    try {
      while (written < this.#used) {
        written += writeSync(this.#files.descriptor, this.#buffer, written, this.#used - written);
      }
    } catch (error) {
      this.failure = systemError("CAPTURE_UNWRITABLE", this.#files.path, error);
      this.#cutToWholeBlocks(written);
    }
    this.#used = 0;
  }

  /** After a failed write: removes the last, incomplete block from the file. */
  #cutToWholeBlocks(written: number): void {
    let whole = 0;
    while (whole < written) {
      const next = whole + this.#view.getUint32(whole + BLOCK_HEADER - 4, true);
      if (next > written) break;
      whole = next;
    }
    this.size += whole - this.#used;
    try {
      ftruncateSync(this.#files.descriptor, this.size);
    } catch {
      // A pipe cannot be truncated; its reader gets a capture that ends in the middle of a block.
    }
  }

  #closeFiles(): void {
    this.#closed = true;
    try {
      this.#files.close();
    } catch (error) {
      this.failure ??= systemError("CAPTURE_UNWRITABLE", this.#files.path, error);
    }
  }
}

/** Bytes that a comment of `length` bytes takes; nothing for no comment. */
function commentSize(length: number): number {
  return length === 0 ? 0 : OPTION_HEADER + padded(length);
}
