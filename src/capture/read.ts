/**
 * Opens a capture file and iterates over its frames, whatever its format. Reading is synchronous and in order, through
 * a buffer of fixed size, so files of any length and pipes can be read:
 *
 * ```ts
 * const capture = openCapture("ping.pcapng");
 * for (const frame of capture) console.log(frame.number, frame.time, frame.bytes.length);
 * ```
 *
 * A truncated file yields its whole frames and then throws CAPTURE_TRUNCATED. Frames of pcapng interfaces that are not
 * Ethernet are skipped and counted (`skipped`); if there are no others, CAPTURE_LINK_TYPE is thrown at the end.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { SECTION_HEADER_BLOCK } from "./blocks.ts";
import { CaptureError, systemError } from "./errors.ts";
import type { CapturedFrame } from "./frame.ts";
import type { SkippedFrames } from "./linktype.ts";
import { isPcap, PcapDecoder } from "./pcap.ts";
import { PcapngDecoder } from "./pcapng.ts";
import { ByteSource, type ReadBytes } from "./source.ts";

export type CaptureFormat = "pcap" | "pcapng";

/** A decoder of one file format. */
interface Decoder {
  readonly format: CaptureFormat;
  readonly writer: string | undefined;
  readonly interfaceNames: readonly string[];
  readonly skipped: SkippedFrames;
  next(): CapturedFrame | undefined;
}

export class CaptureReader implements Iterable<CapturedFrame> {
  readonly #decoder: Decoder;
  readonly #close: () => void;
  #closed = false;

  /** Throws CaptureError when the file does not begin as an Ethernet capture; `close` is called once in every case. */
  constructor(name: string, read: ReadBytes, close: () => void) {
    this.#close = close;
    try {
      this.#decoder = decoderOf(new ByteSource(name, read));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get format(): CaptureFormat {
    return this.#decoder.format;
  }

  /** The program that wrote the current pcapng section (shb_userappl), if the file names it. */
  get writer(): string | undefined {
    return this.#decoder.writer;
  }

  /**
   * Names of the current pcapng section's interfaces, by `interfaceIndex`; empty where unnamed. One empty name for
   * pcap.
   */
  get interfaceNames(): readonly string[] {
    return this.#decoder.interfaceNames;
  }

  /** Frames skipped so far, because their pcapng interfaces are not Ethernet. */
  get skipped(): SkippedFrames {
    return this.#decoder.skipped;
  }

  /** The next frame, undefined at the end. Its bytes are valid until the next call. Throws CaptureError. */
  next(): CapturedFrame | undefined {
    if (this.#closed) return undefined;
    try {
      const frame = this.#decoder.next();
      if (frame === undefined) this.close();
      return frame;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Iterates over the frames that are left; leaving the loop closes the file. */
  *[Symbol.iterator](): Generator<CapturedFrame, void> {
    try {
      for (let frame = this.next(); frame !== undefined; frame = this.next()) yield frame;
    } finally {
      this.close();
    }
  }

  /** Closes the file; reading to the end does so, too. Harmless when called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#close();
  }
}

/** Opens a pcap or pcapng file of Ethernet frames. Throws CaptureError, also while reading. */
export function openCapture(path: string): CaptureReader {
  const tried = <T>(call: () => T): T => {
    try {
      return call();
    } catch (error) {
      throw systemError("CAPTURE_UNREADABLE", path, error);
    }
  };
  const descriptor = tried(() => openSync(path, "r"));
  return new CaptureReader(
    path,
    (into, offset, length) => tried(() => readSync(descriptor, into, offset, length, null)),
    () => closeSync(descriptor),
  );
}

/** Reads a capture in memory; `name` is the file's name in errors. */
export function captureOf(bytes: Uint8Array, name = "capture"): CaptureReader {
  let position = 0;
  const read: ReadBytes = (into, offset, length) => {
    const part = bytes.subarray(position, position + length);
    into.set(part, offset);
    position += part.length;
    return part.length;
  };
  return new CaptureReader(name, read, () => {});
}

/** The file's first four bytes determine its format. */
function decoderOf(source: ByteSource): Decoder {
  const { name, view, position } = source;
  const refuse = (what: string, remedy: string) => new CaptureError("CAPTURE_FORMAT", name, what, remedy);
  if (!source.ensure(4)) {
    if (source.available === 0) throw refuse("the file is empty", "name a pcap or pcapng file");
    throw refuse("is neither pcap nor pcapng", "name a capture file");
  }
  if (isPcap(view, position)) return new PcapDecoder(source);
  if (view.getUint32(position) === SECTION_HEADER_BLOCK) return new PcapngDecoder(source);
  if (view.getUint16(position) === 0x1f8b) throw refuse("is compressed with gzip", "decompress it with gunzip first");
  if (view.getUint32(position) === 0x28b52ffd)
    throw refuse("is compressed with zstd", "decompress it with unzstd first");
  throw refuse("is neither pcap nor pcapng", "convert it with editcap -F pcapng");
}
