/** Captures made by someone who wants the reader to fail: it ends, in bounded memory, with frames or a CaptureError. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CaptureError, captureOf } from "../../src/capture/index.ts";
import { arpFrame, block, description, enhanced, join, obsolete, option, pcap, section, simple, u32 } from "./build.ts";

/** Reads all; what it throws must be a CaptureError, and no frame may be more than the file can hold. */
function survives(file: Uint8Array): CaptureError | undefined {
  let frames = 0;
  try {
    const capture = captureOf(file);
    for (const frame of capture) {
      frames++;
      assert.equal(frame.number, frames + capture.skipped.frames);
      assert.ok(Number.isSafeInteger(frame.time));
      assert.ok(frame.bytes.length <= file.length && frame.bytes.length <= frame.originalLength);
      assert.ok(frames * 12 <= file.length);
    }
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    assert.match(error.message, /^capture: [\x20-\x7e’]+; [\x20-\x7e]+$/);
    return error;
  }
  return undefined;
}

const packets = (little: boolean) => [
  enhanced(little, {
    bytes: arpFrame(3),
    stamp: 1n << 40n,
    options: [option(little, 1, "comment"), option(little, 0, "")],
  }),
  simple(little, arpFrame()),
  obsolete(little, { bytes: arpFrame(2), stamp: 99n }),
  block(little, 5, u32(0), u32(0), u32(0)),
];
const wholeSection = (little: boolean) =>
  join(
    section(little, option(little, 4, "writer")),
    description(little, 1, 0, option(little, 2, "vm"), option(little, 9, Uint8Array.of(9))),
    ...packets(little),
  );
const records = [1, 2, 3].map((seconds) => ({ seconds, fraction: 5, bytes: arpFrame(seconds) }));

const valid = fc.constantFrom(
  join(wholeSection(true), wholeSection(false)),
  wholeSection(false),
  pcap(true, false, records),
  pcap(false, true, records),
);

test("the valid files that are mutated here are valid", () => {
  for (const file of fc.sample(valid, 20)) assert.equal(survives(file), undefined);
});

test("a valid file cut anywhere ends with its whole frames, or says that it breaks off", () => {
  fc.assert(
    fc.property(valid, fc.nat(), (file, at) => {
      const length = at % file.length;
      const error = survives(file.subarray(0, length));
      if (error !== undefined && length >= 4) assert.equal(error.code, "CAPTURE_TRUNCATED");
    }),
    { numRuns: 500 },
  );
});

/** Values that turn lengths and counts around. */
const nasty = fc.constantFrom(0, 1, 3, 4, 11, 12, 13, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff);
const word = fc.tuple(fc.nat(), fc.oneof(nasty, fc.nat(0xffffffff)), fc.boolean());
const byte = fc.tuple(fc.nat(), fc.nat(255));

test("a valid file with bytes and words changed", () => {
  fc.assert(
    fc.property(valid, fc.array(word, { maxLength: 3 }), fc.array(byte, { maxLength: 4 }), (file, words, bytes) => {
      const changed = Uint8Array.from(file);
      const view = new DataView(changed.buffer);
      for (const [at, value, little] of words) view.setUint32(at % (changed.length - 3), value, little);
      for (const [at, value] of bytes) changed[at % changed.length] = value;
      survives(changed);
    }),
    { numRuns: 5000 },
  );
});

test("any bytes, also behind a valid beginning", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  const beginning = fc.oneof(fc.constant(new Uint8Array(0)), fc.constant(wholeSection(true)), valid);
  fc.assert(
    fc.property(beginning, bytes, (head, tail) => {
      survives(join(head, tail));
    }),
    { numRuns: 3000 },
  );
});
