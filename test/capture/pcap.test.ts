/** pcap: every magic, literal bytes, and what is tolerated. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { captureOf } from "../../src/capture/read.ts";
import { arpFrame, hex, join, pack, pcap, u16, u32 } from "./build.ts";

const FRAME = "ffffffffffff 7e1a00000001 88cc 01";

const literal = [
  [
    "little-endian, microseconds",
    `d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000
     78563412 40420f00 0f000000 3c000000 ${FRAME}`,
  ],
  [
    "big-endian, microseconds",
    `a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001
     12345678 000f4240 0000000f 0000003c ${FRAME}`,
  ],
  [
    "little-endian, nanoseconds",
    `4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000
     78563412 e7cd9a3b 0f000000 3c000000 ${FRAME}`,
  ],
  [
    "big-endian, nanoseconds",
    `a1b23c4d 0002 0004 00000000 00000000 00040000 00000001
     12345678 3b9acde7 0000000f 0000003c ${FRAME}`,
  ],
] as const;

for (const [name, file] of literal) {
  test(`reads ${name}`, () => {
    const capture = captureOf(hex(file));
    assert.equal(capture.format, "pcap");
    assert.equal(capture.writer, undefined);
    assert.deepEqual(capture.interfaceNames, [""]);
    const [frame, ...more] = [...capture].map((each) => ({ ...each, bytes: Uint8Array.from(each.bytes) }));
    // 0x3b9acde7 nanoseconds are 1,000,001.000 µs and 999 ns: rounded down.
    const fraction = name.endsWith("nanoseconds") ? 1_000_000 + Math.floor((0x3b9acde7 - 1e9) / 1000) : 1_000_000;
    assert.deepEqual(frame, {
      number: 1,
      time: 0x12345678 * 1_000_000 + fraction,
      interfaceIndex: 0,
      bytes: hex(FRAME),
      originalLength: 60,
    });
    assert.deepEqual(more, []);
  });
}

test("nanoseconds are rounded down, never up", () => {
  const file = pcap(true, true, [{ seconds: 1, fraction: 999_999_999, bytes: arpFrame() }]);
  assert.equal(captureOf(file).next()?.time, 1_999_999);
});

test("a time after 2038 is not taken for one before 1970", () => {
  const file = pcap(true, false, [{ seconds: 0xffffffff, fraction: 999_999, bytes: arpFrame() }]);
  assert.equal(captureOf(file).next()?.time, 0xffffffff * 1_000_000 + 999_999);
});

test("a frame of no bytes is a frame", () => {
  const file = pcap(true, false, [{ seconds: 1, fraction: 0, bytes: new Uint8Array(0), original: 60 }]);
  const frame = captureOf(file).next();
  assert.equal(frame?.bytes.length, 0);
  assert.equal(frame?.originalLength, 60);
});

test("more captured bytes than the frame had: the frame was that long", () => {
  const file = pcap(true, false, [{ seconds: 1, fraction: 0, bytes: arpFrame(), original: 7 }]);
  const frame = captureOf(file).next();
  assert.equal(frame?.bytes.length, 42);
  assert.equal(frame?.originalLength, 42);
});

test("a frame check sequence that the file declares is not part of the frame", () => {
  const declared = 0x2400_0001;
  const records = [
    { seconds: 1, fraction: 0, bytes: arpFrame(18 + 4) },
    { seconds: 1, fraction: 0, bytes: arpFrame(), original: 64 },
    { seconds: 1, fraction: 0, bytes: hex("0102"), original: 2 },
  ];
  const lengths = [...captureOf(pcap(false, false, records, declared))].map((each) => [
    each.bytes.length,
    each.originalLength,
  ]);
  assert.deepEqual(lengths, [
    [60, 60],
    [42, 60],
    [0, 0],
  ]);
});

test("the largest captured length is read, one byte more is refused", () => {
  const bytes = new Uint8Array(262_144);
  assert.equal(captureOf(pcap(true, false, [{ seconds: 0, fraction: 0, bytes }])).next()?.bytes.length, 262_144);
  const larger = pcap(true, false, [{ seconds: 0, fraction: 0, bytes: new Uint8Array(262_145) }]);
  assert.throws(() => captureOf(larger).next(), { code: "CAPTURE_FORMAT", message: /^capture: at byte 24, .*262145/ });
});

test("a capture that breaks off yields its whole frames and then says so", () => {
  const records = [1, 2, 3].map((seconds) => ({ seconds, fraction: 0, bytes: arpFrame() }));
  const file = pcap(true, false, records);
  for (let cut = 1; cut < 16 + 42; cut++) {
    const seen: number[] = [];
    const read = () => {
      for (const frame of captureOf(file.subarray(0, file.length - cut))) seen.push(frame.number);
    };
    assert.throws(read, { code: "CAPTURE_TRUNCATED", message: /inside frame 3; / });
    assert.deepEqual(seen, [1, 2]);
  }
});

test("a header that breaks off", () => {
  assert.throws(() => captureOf(pcap(true, false, []).subarray(0, 23)), { code: "CAPTURE_TRUNCATED" });
  assert.deepEqual([...captureOf(pcap(true, false, []))], []);
});

test("another link type is named together with the remedy", () => {
  const expected = { code: "CAPTURE_LINK_TYPE", message: /link type 113 \(Linux cooked.*; capture on the VM's own/ };
  assert.throws(() => captureOf(pcap(true, false, [], 113)), expected);
  assert.throws(() => captureOf(pcap(true, false, [], 147)), { message: /link type 147 is not Ethernet; / });
});

/** A file of a version with one record, whose lengths stand as given. */
function versioned(major: number, minor: number, first: number, second: number, bytes: Uint8Array): Uint8Array {
  const header = pack(true, [u32(0xa1b2c3d4), u16(major), u16(minor), u32(0), u32(0), u32(65535), u32(1)]);
  return join(header, pack(true, [u32(1), u32(0), u32(first), u32(second), bytes]));
}

test("G23 versions before 2.3 have a record's two lengths the other way round", () => {
  for (const minor of [0, 1, 2]) {
    const [frame] = captureOf(versioned(2, minor, 60, 42, arpFrame()));
    assert.deepEqual([frame?.bytes.length, frame?.originalLength], [42, 60]);
  }
  assert.throws(() => [...captureOf(versioned(2, 2, 42, 60, arpFrame()))], { code: "CAPTURE_TRUNCATED" });
});

test("G23 version 2.3 has them either way: the captured one is not the larger", () => {
  for (const [first, second] of [
    [60, 42],
    [42, 60],
  ] as const) {
    const [frame] = captureOf(versioned(2, 3, first, second, arpFrame()));
    assert.deepEqual([frame?.bytes.length, frame?.originalLength], [42, 60]);
  }
});

test("versions after 2.4 are read like it, other main versions are refused", () => {
  assert.equal([...captureOf(versioned(2, 5, 42, 60, arpFrame()))][0]?.originalLength, 60);
  for (const major of [0, 1, 3, 543]) {
    const message = new RegExp(`version ${major}\\.0 is not known`);
    assert.throws(() => captureOf(versioned(major, 0, 42, 42, arpFrame())), { code: "CAPTURE_FORMAT", message });
  }
});
