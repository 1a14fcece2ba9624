/** Capture files: reading pcap and pcapng, writing pcapng. */
export { CaptureError, type CaptureErrorCode } from "./errors.ts";
export type { CapturedFrame } from "./frame.ts";
export type { SkippedFrames } from "./linktype.ts";
export { type CaptureFormat, type CaptureReader, captureOf, openCapture } from "./read.ts";
export type { InterfaceDescription } from "./section.ts";
export { CaptureWriter, type CaptureWriterOptions } from "./writer.ts";
