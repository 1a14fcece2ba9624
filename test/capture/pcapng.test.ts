/** pcapng: byte orders, sections, interfaces, every packet block, options, and lengths that lie. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CapturedFrame, captureOf } from "../../src/capture/index.ts";
import {
  arpFrame,
  ascii,
  block,
  description,
  enhanced,
  hex,
  join,
  obsolete,
  option,
  pack,
  section,
  simple,
  u16,
  u32,
  u64,
} from "./build.ts";

const frames = (file: Uint8Array): CapturedFrame[] =>
  [...captureOf(file)].map((each) => ({ ...each, bytes: Uint8Array.from(each.bytes) }));

test("reads literal bytes", () => {
  const capture = captureOf(
    hex(`0a0d0d0a 2c000000 4d3c2b1a 0100 0000 ffffffffffffffff  0400 0700 74657374 20312e00  00000000 2c000000
         01000000 2c000000 0100 0000 00000400  0200 0200 766d0000  0900 0100 06000000  00000000  0000 0000 2c000000`),
  );
  assert.equal(capture.format, "pcapng");
  assert.equal(capture.writer, "test 1.");
  assert.deepEqual(capture.interfaceNames, ["vm"]);
  assert.deepEqual([...capture], []);
});

for (const little of [true, false]) {
  describe(little ? "little-endian" : "big-endian", () => {
    const start = join(section(little), description(little, 1, 0));
    const bytes = arpFrame(1);

    test("an enhanced packet block with a comment", () => {
      const options = [
        option(little, 1, "arp.sender-address"),
        option(little, 1, "a second one"),
        option(little, 0, ""),
      ];
      const file = join(start, enhanced(little, { stamp: 1_700_000_000_123_456n, bytes, original: 99, options }));
      assert.deepEqual(frames(file), [
        {
          number: 1,
          time: 1_700_000_000_123_456,
          interfaceIndex: 0,
          bytes,
          originalLength: 99,
          comment: "arp.sender-address",
          secondComment: "a second one",
        },
      ]);
    });

    test("a simple packet block has the time of the frame before it", () => {
      const file = join(start, simple(little, bytes), enhanced(little, { stamp: 77n, bytes }), simple(little, bytes));
      assert.deepEqual(
        frames(file).map((each) => [each.number, each.time, each.bytes.length]),
        [
          [1, 0, 43],
          [2, 77, 43],
          [3, 77, 43],
        ],
      );
    });

    test("a simple packet block is cut at its interface's snapshot length", () => {
      const file = join(section(little), description(little, 1, 16), simple(little, bytes.subarray(0, 16), 43));
      const [frame] = frames(file);
      assert.deepEqual(frame?.bytes, bytes.subarray(0, 16));
      assert.equal(frame?.originalLength, 43);
    });

    test("an obsolete packet block", () => {
      const file = join(start, description(little, 1, 0), obsolete(little, { interface: 1, stamp: 5n, bytes }));
      assert.deepEqual(frames(file), [{ number: 1, time: 5, interfaceIndex: 1, bytes, originalLength: 43 }]);
    });

    test("if_tsresol and if_tsoffset, each interface with its own", () => {
      const interfaces = [
        [option(little, 9, Uint8Array.of(9))],
        [option(little, 9, Uint8Array.of(0x80 | 10)), option(little, 14, pack(little, [u64(-5n)]))],
        [option(little, 9, Uint8Array.of(0)), option(little, 14, pack(little, [u64(1_000_000_000n)]))],
      ].map((options) => description(little, 1, 0, ...options));
      const stamps = [1_700_000_000_123_456_789n, 1024n * 1_700_000_000n + 1n, 700_000_000n];
      const packets = stamps.map((stamp, index) => enhanced(little, { interface: index, stamp, bytes }));
      assert.deepEqual(
        frames(join(section(little), ...interfaces, ...packets)).map((each) => each.time),
        [1_700_000_000_123_456, 1_699_999_995_000_976, 1_700_000_000_000_000],
      );
    });

    test("a frame check sequence that interface or packet declares is not part of the frame", () => {
      const bits = description(little, 1, 0, option(little, 13, Uint8Array.of(32)));
      const own = [option(little, 2, pack(little, [u32(2 << 5)]))];
      const file = join(section(little), bits, enhanced(little, { bytes }), enhanced(little, { bytes, options: own }));
      assert.deepEqual(
        frames(file).map((each) => [each.bytes.length, each.originalLength]),
        [
          [39, 39],
          [41, 41],
        ],
      );
    });

    test("unknown blocks are stepped over, even those larger than the reader's window", () => {
      const statistics = block(little, 5, u32(0), u64(0));
      const custom = block(little, 0x0bad, new Uint8Array(700_000));
      const file = join(start, custom, statistics, enhanced(little, { stamp: 1n, bytes }), custom, statistics);
      assert.deepEqual(
        frames(file).map((each) => each.time),
        [1],
      );
    });

    test("a section in the other byte order starts its interfaces anew; frames go on being counted", () => {
      const other = join(
        section(!little, option(!little, 4, "second")),
        description(!little, 1, 0, option(!little, 2, "eth9"), option(!little, 9, Uint8Array.of(3))),
        enhanced(!little, { stamp: 2n, bytes }),
      );
      const capture = captureOf(
        join(
          section(little, option(little, 4, "first")),
          description(little, 1, 0, option(little, 2, "eth0")),
          enhanced(little, { stamp: 1n, bytes }),
          other,
        ),
      );
      assert.deepEqual([capture.writer, capture.interfaceNames], ["first", ["eth0"]]);
      assert.equal(capture.next()?.time, 1);
      const second = capture.next();
      assert.deepEqual([second?.number, second?.time], [2, 2000]);
      assert.deepEqual([capture.writer, capture.interfaceNames], ["second", ["eth9"]]);
      assert.equal(capture.next(), undefined);
    });
  });
}

test("a name keeps no zero bytes and no more than 255 bytes", () => {
  const interfaces = [
    description(true, 1, 0, option(true, 2, "vm\0\0")),
    description(true, 1, 0, option(true, 2, "x".repeat(60_000))),
  ];
  assert.deepEqual(captureOf(join(section(true), ...interfaces)).interfaceNames, ["vm", "x".repeat(255)]);
});

test("G23 frames of an interface that is not Ethernet are left out, and counted", () => {
  const start = join(section(true), description(true, 276, 0), description(true, 1, 0));
  const good = enhanced(true, { interface: 1, bytes: arpFrame() });
  const other = enhanced(true, { interface: 0, bytes: arpFrame() });
  const capture = captureOf(join(start, other, good, other, simple(true, arpFrame()), good, start, other));
  assert.deepEqual(
    [...capture].map(({ number, interfaceIndex }) => [number, interfaceIndex]),
    [
      [2, 1],
      [5, 1],
    ],
  );
  assert.equal(capture.skipped.frames, 4);
  assert.deepEqual([...capture.skipped.linkTypes], [[0, 276]]);
});

test("G23 a file with frames, but none of Ethernet, is an error that names what it holds", () => {
  const start = join(section(true), description(true, 276, 0), description(true, 1, 0));
  assert.equal(frames(start).length, 0);
  const capture = captureOf(join(start, enhanced(true, { interface: 0, bytes: arpFrame() })));
  assert.throws(() => capture.next(), { code: "CAPTURE_LINK_TYPE", message: /link type 276 \(Linux cooked/ });
  assert.equal(capture.next(), undefined);
});

test("G23 what is left out must be whole blocks all the same", () => {
  const start = join(section(true), description(true, 276, 0), description(true, 1, 0));
  const other = enhanced(true, { interface: 0, bytes: arpFrame() });
  assert.throws(() => frames(join(start, other.subarray(0, -4))), { code: "CAPTURE_TRUNCATED" });
  assert.throws(() => frames(join(start, block(true, 6, u32(0)))), { code: "CAPTURE_FORMAT" });
});

test("a capture that breaks off yields its whole frames and then says so", () => {
  const packet = enhanced(true, { bytes: arpFrame(), options: [option(true, 1, "comment")] });
  const file = join(section(true), description(true, 1, 0), packet, packet);
  for (let cut = 1; cut < packet.length; cut++) {
    const capture = captureOf(file.subarray(0, file.length - cut));
    assert.equal(capture.next()?.number, 1);
    assert.throws(() => capture.next(), {
      code: "CAPTURE_TRUNCATED",
      message: /breaks off inside (frame 2|a block's header); /,
    });
  }
});

const start = join(section(true), description(true, 1, 0));
const lying: readonly (readonly [string, Uint8Array])[] = [
  ["a block shorter than its own frame", pack(true, [u32(6), u32(8), u32(8)])],
  ["a block of length 0", pack(true, [u32(6), u32(0)])],
  ["an unknown block of length 0", pack(true, [u32(0x77), u32(0)])],
  ["a length that is no multiple of 4", pack(true, [u32(0x77), u32(13), hex("00"), u32(13)])],
  ["two lengths that differ", pack(true, [u32(0x77), u32(16), u32(0), u32(20)])],
  ["a packet block whose two lengths differ", pack(true, [u32(3), u32(16), u32(0), u32(20)])],
  ["a packet block without room for its header", block(true, 6, u32(0), u32(0))],
  ["a simple packet block without a length", block(true, 3)],
  ["a packet block larger than any", pack(true, [u32(6), u32(0x7fff_fffc)])],
  ["more captured bytes than the block", block(true, 6, u32(0), u64(0), u32(5), u32(5), u32(0))],
  ["as many captured bytes as 32 bits can tell", block(true, 6, u32(0), u64(0), u32(0xffff_ffff), u32(5), u32(0))],
  ["a simple packet larger than its block", block(true, 3, u32(64), u32(0))],
  [
    "an option that runs past the block",
    enhanced(true, { bytes: arpFrame(), options: [pack(true, [u16(1), u16(99)])] }),
  ],
  ["an interface that was never described", enhanced(true, { interface: 1, bytes: arpFrame() })],
  ["a time that no clock shows", enhanced(true, { stamp: 0xffff_ffff_ffff_ffffn, bytes: arpFrame() })],
  ["if_tsresol of two bytes", description(true, 1, 0, option(true, 9, "66"))],
  ["if_tsoffset of four bytes", description(true, 1, 0, option(true, 14, "1234"))],
  ["an interface description without a snapshot length", block(true, 1, u32(1))],
  ["a section header without magic", block(true, 0x0a0d0d0a, u32(0), u64(0), u64(0))],
  ["a section header that is too short", block(true, 0x0a0d0d0a, u32(0x1a2b3c4d), u32(1))],
  ["a section of another version", block(true, 0x0a0d0d0a, u32(0x1a2b3c4d), u16(2), u16(0), u64(-1n))],
  ["more interfaces than anyone has", join(...Array<Uint8Array>(4096).fill(description(true, 1, 0)))],
];
for (const [what, bytes] of lying) {
  test(`refuses ${what}`, () => {
    const read = () => frames(join(start, bytes, enhanced(true, { bytes: arpFrame() })));
    assert.throws(read, { name: "CaptureError", code: "CAPTURE_FORMAT", message: /^capture: [^\n]*; [^\n]*$/ });
  });
}

test("a frame before any interface is refused", () => {
  assert.throws(() => frames(join(section(true), simple(true, arpFrame()))), { code: "CAPTURE_FORMAT" });
});

test("a comment that is no UTF-8 is still text", () => {
  const options = [option(true, 1, join(ascii("a"), hex("ff"), ascii("b")))];
  assert.equal(frames(join(start, enhanced(true, { bytes: arpFrame(), options })))[0]?.comment, "a\ufffdb");
});
