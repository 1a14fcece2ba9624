/** Writing a running softnet's frames: what is read back, limits, failing disks, and that nothing is allocated. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join as path } from "node:path";
import { type TestContext, test } from "node:test";
import v8 from "node:v8";
import fc from "fast-check";
import { CaptureWriter, type CaptureWriterOptions, openCapture } from "../../src/capture/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { arpFrame } from "./build.ts";

const interfaces = [
  { name: "vm", description: "the VM" },
  { name: "network", description: "" },
];

const settings = (name: string): CaptureWriterOptions => ({
  path: name,
  application: "softnet 0.1.0",
  maximumSize: 1_000_000_000,
  maximumFrame: 1515,
  interfaces,
});

const fresh = (context: TestContext) => path(temporaryFolder(context), "capture.pcapng");
const ascii = new TextEncoder();

test("what is written is read back", (t) => {
  const name = fresh(t);
  const frame = fc.record({
    interfaceIndex: fc.nat(1),
    time: fc.oneof(fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })),
    bytes: fc.uint8Array({ maxLength: 1515 }),
    comment: fc.option(fc.string({ unit: "grapheme-ascii", maxLength: 255 }), { nil: undefined }),
    offset: fc.nat(20),
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 30 }), (frames) => {
      const writer = new CaptureWriter(settings(name));
      for (const { interfaceIndex, time, bytes, comment, offset } of frames) {
        const slab = new Uint8Array(offset + bytes.length + 7).fill(0xee);
        slab.set(bytes, offset);
        const text = comment === undefined ? undefined : ascii.encode(comment);
        assert.equal(writer.write(interfaceIndex, time, slab, offset, bytes.length, text), true);
      }
      writer.close();
      assert.equal(writer.size, statSync(name).size);
      const capture = openCapture(name);
      assert.equal(capture.writer, "softnet 0.1.0");
      assert.deepEqual(capture.interfaceNames, ["vm", "network"]);
      let number = 0;
      for (const read of capture) {
        const { interfaceIndex, time, bytes, comment } = frames[number++]!;
        const expected = { number, time, interfaceIndex, bytes, originalLength: bytes.length };
        const got = { ...read, bytes: Uint8Array.from(read.bytes) };
        assert.deepEqual(got, comment ? { ...expected, comment } : expected);
      }
      assert.equal(number, frames.length);
    }),
    { numRuns: 200 },
  );
});

test("frames wait in the buffer until flush, and every flush leaves a valid file", (t) => {
  const name = fresh(t);
  const writer = new CaptureWriter(settings(name));
  const count = () => [...openCapture(name)].length;
  assert.equal(count(), 0);
  writer.write(0, 1, arpFrame(), 0, 42, undefined);
  assert.equal(count(), 0);
  writer.flush();
  assert.equal(count(), 1);
  const frame = new Uint8Array(1514);
  for (let index = 0; index < 500; index++) writer.write(1, 2, frame, 0, frame.length, undefined);
  assert.ok(count() > 300, "a full buffer was written by itself");
  writer.close();
  assert.equal(count(), 501);
  assert.equal(writer.write(0, 1, frame, 0, 42, undefined), false);
  writer.flush();
  writer.close();
});

test("bytes of earlier frames never show in the padding of later ones", (t) => {
  const name = fresh(t);
  const writer = new CaptureWriter(settings(name));
  const secret = new Uint8Array(1000).fill(0x77);
  const head = statSync(name).size;
  // As many as fill the buffer, and one more for the flush: then it is used again from its beginning.
  for (let index = 0; index < 300; index++) writer.write(0, 0, secret, 0, 1000, secret.subarray(0, 200));
  writer.flush();
  const before = statSync(name).size;
  assert.ok(before > head);
  for (let length = 0; length < 8; length++) {
    writer.write(0, 0, new Uint8Array(8), 0, length, new Uint8Array(length).fill(0x20));
  }
  writer.close();
  assert.equal(readFileSync(name).subarray(before).includes(0x77), false);
});

test("a frame longer than the maximum is cut, and so is a comment", (t) => {
  const name = fresh(t);
  const writer = new CaptureWriter({ ...settings(name), maximumFrame: 60 });
  writer.write(0, 0, new Uint8Array(5000), 0, 5000, ascii.encode("x".repeat(300)));
  writer.close();
  const [frame] = [...openCapture(name)];
  assert.deepEqual([frame?.bytes.length, frame?.originalLength, frame?.comment], [60, 5000, "x".repeat(255)]);
});

test("the maximum size ends the capture for good, with a whole number of frames, and is told once", (t) => {
  const name = fresh(t);
  const stops: boolean[] = [];
  const onStop = (writer: CaptureWriter) => stops.push(writer.full);
  const writer = new CaptureWriter({ ...settings(name), maximumSize: 2000, onStop });
  const results = [300, 300, 300, 300, 300, 300, 1, 1].map((length) =>
    writer.write(0, 0, new Uint8Array(300), 0, length, undefined),
  );
  assert.deepEqual(results, [true, true, true, true, true, false, false, false]);
  assert.equal(writer.full, true);
  assert.equal([...openCapture(name)].length, 5, "all is in the file already");
  writer.flush();
  writer.close();
  assert.deepEqual(stops, [true]);
  assert.equal(writer.failure, undefined);
  assert.ok(statSync(name).size <= 2000);
});

test("a frame that fills the file exactly is written", (t) => {
  const name = fresh(t);
  const head = new CaptureWriter(settings(name));
  head.close();
  const writer = new CaptureWriter({ ...settings(name), maximumSize: head.size + 32 + 60 });
  assert.equal(writer.write(0, 0, new Uint8Array(60), 0, 60, undefined), true);
  assert.equal(writer.write(0, 0, new Uint8Array(60), 0, 0, undefined), false);
  writer.close();
  assert.equal(statSync(name).size, head.size + 92);
});

test("the file is its owner's alone, and an older one is replaced", (t) => {
  const name = fresh(t);
  new CaptureWriter(settings(name)).close();
  assert.equal(statSync(name).mode & 0o777, 0o600);
  const length = statSync(name).size;
  writeFileSync(name, new Uint8Array(5000));
  new CaptureWriter(settings(name)).close();
  assert.equal(statSync(name).size, length);
});

test("a file that cannot be created: one line that names it and says what to do", (t) => {
  const folder = temporaryFolder(t);
  symlinkSync(path(folder, "elsewhere"), path(folder, "link"));
  const cases: readonly (readonly [string, RegExp])[] = [
    ["absent/capture", /: the folder does not exist; create it first$/],
    [".", /: is a directory; /],
    ["link", /: is a symbolic link, which is not followed; /],
  ];
  for (const [name, message] of cases) {
    const make = () => new CaptureWriter(settings(path(folder, name)));
    assert.throws(make, { name: "CaptureError", code: "CAPTURE_UNWRITABLE", message });
  }
  const small = { ...settings(path(folder, "small")), maximumSize: 100 };
  assert.throws(() => new CaptureWriter(small), { code: "CAPTURE_UNWRITABLE", message: /100 bytes has no room/ });
});

test("a disk that is full at the start is an error at the start", { skip: process.platform !== "linux" }, () => {
  const expected = {
    code: "CAPTURE_UNWRITABLE",
    message: "/dev/full: the disk is full; free some space and start again",
  };
  assert.throws(() => new CaptureWriter(settings("/dev/full")), expected);
});

test("a disk that fills up ends the capture at the last whole frame, is told once, and never throws", (t) => {
  const name = fresh(t);
  const module = new URL("../../src/capture/index.ts", import.meta.url).href;
  // The limit of 2 × 1,024 (or 512) bytes makes the write of three frames stop in the middle of one.
  const program = `import { CaptureWriter } from ${JSON.stringify(module)};
    let stops = 0;
    const options = { ...${JSON.stringify(settings(name))}, onStop: () => stops++ };
    const writer = new CaptureWriter(options);
    const frame = new Uint8Array(400);
    for (let index = 0; index < 9; index++) writer.write(0, index, frame, 0, 400, undefined);
    writer.flush();
    const after = writer.write(0, 0, frame, 0, 60, undefined);
    writer.flush();
    writer.close();
    console.log(JSON.stringify([writer.full, writer.failure.code, after, stops, writer.size]));`;
  const script = 'ulimit -f 2; exec "$0" --input-type=module -e "$1"';
  // Where coverage is measured, the child would write its own file against the limit too.
  const env = { ...process.env, NODE_V8_COVERAGE: "" };
  const { stdout, stderr } = spawnSync("/bin/sh", ["-c", script, process.execPath, program], { encoding: "utf8", env });
  assert.equal(stderr, "");
  const size = statSync(name).size;
  assert.deepEqual(JSON.parse(stdout), [false, "CAPTURE_UNWRITABLE", false, 1, size]);
  const frames = [...openCapture(name)].length;
  assert.ok(frames >= 1 && frames < 9);
});

test("a pipe that nobody reads is an error at once; one that is read too slowly ends the capture, not the relay", (t) => {
  const name = fresh(t);
  assert.equal(spawnSync("mkfifo", [name]).status, 0);
  assert.throws(() => new CaptureWriter(settings(name)), { message: /: nothing reads from this pipe; / });
  const reader = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => closeSync(reader));
  let stops = 0;
  const writer = new CaptureWriter({ ...settings(name), onStop: () => stops++ });
  const frame = new Uint8Array(1514);
  let written = 0;
  while (written < 10_000 && writer.write(0, 0, frame, 0, frame.length, undefined)) written++;
  assert.ok(written > 0 && written < 1000);
  writer.close();
  assert.match(String(writer.failure), /: the program that reads this pipe is too slow; /);
  assert.equal(stops, 1);
});

test("a descriptor is written to and closed", (t) => {
  const name = fresh(t);
  const descriptor = openSync(name, "w");
  const writer = new CaptureWriter({ ...settings("descriptor 9"), descriptor });
  writer.write(0, 1, arpFrame(), 0, 42, undefined);
  writer.close();
  assert.throws(() => closeSync(descriptor), { code: "EBADF" });
  assert.equal([...openCapture(name)].length, 1);
  const again = { ...settings("descriptor 9"), descriptor };
  assert.throws(() => new CaptureWriter(again), { message: /^descriptor 9: the descriptor is closed or not open/ });
});

test("writing a frame allocates nothing", (t) => {
  const writer = new CaptureWriter(settings("/dev/null"));
  t.after(() => writer.close());
  const slab = new Uint8Array(65_536);
  const comment = ascii.encode("arp.sender-address");
  // One time for a batch, as the relay has it: a new number for every call would be an allocation of the caller's.
  const batch = (time: number) => {
    for (let index = 0; index < 64; index++) {
      writer.write(index & 1, time, slab, 16 + index, 60, (index & 3) === 0 ? comment : undefined);
    }
  };
  const allocated = () => {
    const statistics = v8.getHeapStatistics();
    return "total_allocated_bytes" in statistics ? Number(statistics.total_allocated_bytes) : 0;
  };
  // Rounds until the compiler is done with its work, for which it allocates too.
  const batches = 1000;
  let perFrame = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 100 && perFrame >= 1; round++) {
    const before = allocated();
    for (let index = 0; index < batches; index++) batch(1.7e15 + index);
    perFrame = (allocated() - before) / (64 * batches);
  }
  assert.ok(perFrame < 1, `${perFrame} bytes a frame`);
});
