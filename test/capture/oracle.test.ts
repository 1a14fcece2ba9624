/** The same files through independent programs: what they write we read, what we write they read, and both agree. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join as path } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { CaptureWriter, openCapture } from "../../src/capture/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needs, run } from "../support/tools.ts";
import {
  arpFrame,
  block,
  description,
  enhanced,
  join,
  obsolete,
  option,
  pack,
  pcap,
  section,
  simple,
  u32,
  u64,
} from "./build.ts";

const SECONDS = 1_700_000_000;
const records = [1, 999_999_999, 123_456_789].map((fraction, index) => ({
  seconds: SECONDS + index,
  fraction,
  bytes: arpFrame(index * 7),
}));
/** What any program makes of these records, with time rounded down to microseconds. */
const expected = records.map(({ seconds, fraction, bytes }, index) => ({
  number: index + 1,
  time: seconds * 1_000_000 + Math.floor(fraction / 1000),
  interfaceIndex: 0,
  bytes,
  originalLength: bytes.length,
}));

const read = (name: string) => [...openCapture(name)].map((each) => ({ ...each, bytes: Uint8Array.from(each.bytes) }));

function prepared(context: TestContext): { input: string; output: string; folder: string } {
  const folder = temporaryFolder(context);
  const input = path(folder, "input.pcap");
  writeFileSync(input, pcap(false, true, records));
  return { input, output: path(folder, "output"), folder };
}

for (const precision of ["micro", "nano"]) {
  test(`reads what tcpdump writes with ${precision}seconds`, needs("tcpdump"), (t) => {
    const { input, output } = prepared(t);
    run("tcpdump", `--time-stamp-precision=${precision}`, "-r", input, "-w", output);
    assert.equal(openCapture(output).format, "pcap");
    assert.deepEqual(read(output), expected);
  });
}

for (const format of ["pcap", "nsecpcap", "pcapng"]) {
  test(`reads what editcap writes as ${format}`, needs("editcap"), (t) => {
    const { input, output } = prepared(t);
    run("editcap", "-F", format, "-s", "45", input, output);
    assert.equal(openCapture(output).format, format === "pcapng" ? "pcapng" : "pcap");
    const cut = expected.map((each) => ({ ...each, bytes: each.bytes.subarray(0, 45) }));
    assert.deepEqual(read(output), cut);
  });
}

test("reads the comments that editcap writes", needs("editcap"), (t) => {
  const { input, output } = prepared(t);
  run("editcap", "-F", "pcapng", "-a", "2:arp.sender-address", input, output);
  const comments = read(output).map(({ comment }) => comment);
  assert.deepEqual(comments, [undefined, "arp.sender-address", undefined]);
});

test("reads the interfaces of files that mergecap joins", needs("mergecap", "editcap"), (t) => {
  const { input, output, folder } = prepared(t);
  const later = path(folder, "later.pcap");
  run("editcap", "-F", "pcap", "-t", "0.1", input, later);
  run("mergecap", "-F", "pcapng", "-I", "none", "-w", output, input, later);
  const seen = read(output).map(({ interfaceIndex }) => interfaceIndex);
  assert.deepEqual(seen, [0, 1, 0, 1, 0, 1]);
});

for (const [type, number] of [
  ["rawip", 101],
  ["ieee-802-11", 105],
  ["linux-sll", 113],
] as const) {
  test(`names the link type of a file of ${type}`, needs("editcap"), (t) => {
    const { input, output } = prepared(t);
    for (const format of ["pcap", "pcapng"]) {
      run("editcap", "-F", format, "-T", type, input, output);
      const message = new RegExp(`link type ${number} \\([^)]+\\) is not Ethernet`);
      assert.throws(() => read(output), { code: "CAPTURE_LINK_TYPE", message });
    }
  });
}

/** What tshark makes of a file: one array of texts for each frame. */
function dissect(name: string, ...fields: readonly string[]): string[][] {
  const lines = run("tshark", "-n", "-r", name, "-T", "fields", ...fields.flatMap((field) => ["-e", field]));
  return lines
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t"));
}

/** Microseconds of `1700000000.123456789`, with as many digits as the interface's clock has. */
function epochMicroseconds(text: string): number {
  const [seconds, fraction = ""] = text.split(".");
  return Number(seconds) * 1_000_000 + Number(fraction.slice(0, 6).padEnd(6, "0"));
}

// A type for experiments (IEEE 802): tshark shows the payload as it is.
const frameBytes = fc
  .uint8Array({ minLength: 1, maxLength: 70 })
  .map((payload) => join(arpFrame().subarray(0, 12), Uint8Array.of(0x88, 0xb5), payload));

interface Generated {
  readonly little: boolean;
  readonly resolutions: readonly (readonly [code: number, perSecond: bigint, offset: number])[];
  readonly packets: readonly {
    readonly kind: "enhanced" | "obsolete" | "simple" | "other";
    readonly interface: number;
    readonly second: number;
    readonly part: bigint;
    readonly bytes: Uint8Array;
    readonly beyond: number;
    readonly comment: string;
  }[];
}

const resolution = fc.oneof(
  fc.nat(9).map((power) => [power, 10n ** BigInt(power)] as const),
  fc.nat(30).map((power) => [0x80 | power, 2n ** BigInt(power)] as const),
);
const generatedSection: fc.Arbitrary<Generated> = fc.record({
  little: fc.boolean(),
  resolutions: fc.array(
    fc
      .tuple(resolution, fc.integer({ min: -1000, max: 1000 }))
      .map(([[code, per], offset]) => [code, per, offset] as const),
    { minLength: 1, maxLength: 3 },
  ),
  packets: fc.array(
    fc.record({
      kind: fc.constantFrom("enhanced", "enhanced", "obsolete", "simple", "other"),
      interface: fc.nat(2),
      second: fc.integer({ min: 2000, max: 2_000_000_000 }),
      part: fc.bigInt({ min: 0n, max: 2n ** 30n }),
      bytes: frameBytes,
      beyond: fc.nat(9),
      comment: fc.stringMatching(/^[a-z.-]{0,20}$/),
    }),
    { maxLength: 12 },
  ),
});

function build(sections: readonly Generated[]): Uint8Array {
  const parts = sections.flatMap(({ little, resolutions, packets }, sectionIndex) => [
    section(little, option(little, 4, "somebody")),
    ...resolutions.map(([code, , offset], index) =>
      description(
        little,
        1,
        0,
        option(little, 2, `if${sectionIndex}-${index}`),
        option(little, 9, Uint8Array.of(code)),
        option(little, 14, pack(little, [u64(offset)])),
      ),
    ),
    ...packets.map(({ kind, bytes, beyond, comment, ...packet }) => {
      const index = packet.interface % resolutions.length;
      const [, perSecond] = resolutions[index]!;
      const stamp = BigInt(packet.second) * perSecond + (packet.part % perSecond);
      const options = comment === "" ? [] : [option(little, 1, comment), option(little, 0, "")];
      const whole = { interface: index, stamp, bytes, original: bytes.length + beyond, options };
      if (kind === "simple") return simple(little, bytes);
      if (kind === "other") return block(little, 0x7777, u32(32473), bytes.subarray(0, bytes.length & ~3));
      return kind === "enhanced" ? enhanced(little, whole) : obsolete(little, whole);
    }),
  ]);
  return join(...parts);
}

test("agrees with tshark on sections, byte orders, clocks, blocks and comments", needs("tshark"), (t) => {
  const name = path(temporaryFolder(t), "generated.pcapng");
  fc.assert(
    fc.property(fc.array(generatedSection, { minLength: 1, maxLength: 4 }), (sections) => {
      writeFileSync(name, build(sections));
      const capture = openCapture(name);
      const ours: unknown[] = [];
      const simples: boolean[] = [];
      for (const { number, time, interfaceIndex, bytes, originalLength, comment } of capture) {
        const payload = Buffer.from(bytes.subarray(14)).toString("hex");
        const lengths = [bytes.length, originalLength];
        // Over several sections, tshark names each interface after the first section's, so numbers are compared there.
        const label = sections.length === 1 ? capture.interfaceNames[interfaceIndex] : String(interfaceIndex);
        ours.push([number, time, label, ...lengths, comment ?? "", payload]);
      }
      for (const { packets } of sections) {
        for (const { kind } of packets) if (kind !== "other") simples.push(kind === "simple");
      }
      const label = sections.length === 1 ? "interface_name" : "interface_id";
      const fields = ["number", "time_epoch", label, "cap_len", "len", "comment"];
      const theirs = dissect(name, ...fields.map((field) => `frame.${field}`), "data.data").map(
        ([number, epoch, interfaceName, captured, original, comment, payload], index) => [
          Number(number),
          // tshark has no time for a simple packet; ours is that of the frame before it.
          simples[index] ? (ours[index] as unknown[])[1] : epochMicroseconds(epoch!),
          interfaceName,
          Number(captured),
          Number(original),
          comment,
          payload,
        ],
      );
      assert.deepEqual(ours, theirs);
    }),
    { numRuns: 8, endOnFailure: true },
  );
});

const interfaces = [
  { name: "vm", description: "the VM" },
  { name: "network", description: "TAP softnet0" },
];

test("tshark, capinfos and tcpdump read what we write", needs("tshark", "capinfos", "tcpdump"), (t) => {
  const name = path(temporaryFolder(t), "ours.pcapng");
  const settings = { path: name, application: "softnet 0.1.0", maximumSize: 100_000, maximumFrame: 60, interfaces };
  const writer = new CaptureWriter(settings);
  const comment = new TextEncoder().encode("arp.sender-address");
  const time = SECONDS * 1_000_000 + 123_456;
  writer.write(0, time, arpFrame(), 0, 42, comment);
  writer.write(1, time + 1, arpFrame(1), 0, 43, undefined);
  writer.write(0, time + 1_000_000, arpFrame(18), 0, 60, comment.subarray(0, 3));
  writer.write(1, time + 1_000_001, arpFrame(58), 0, 100, undefined);
  writer.close();

  const fields = ["time_epoch", "interface_id", "interface_name", "interface_description", "cap_len", "len", "comment"];
  assert.deepEqual(
    dissect(name, ...fields.map((field) => `frame.${field}`), "arp.src.proto_ipv4").map((line) => line.join(" ")),
    [
      "1700000000.123456000 0 vm the VM 42 42 arp.sender-address 192.168.64.9",
      "1700000000.123457000 1 network TAP softnet0 43 43  192.168.64.9",
      "1700000001.123456000 0 vm the VM 60 60 arp 192.168.64.9",
      "1700000001.123457000 1 network TAP softnet0 60 100  192.168.64.9",
    ],
  );
  assert.match(
    run("capinfos", name),
    /Capture application: +softnet 0\.1\.0\n(.*\n)*.*Time precision = microseconds \(6\)/,
  );
  const lines = run("tcpdump", "-tt", "-nr", name).trim().split("\n");
  assert.deepEqual(
    lines.map((line) => line.split(" ")[0]),
    ["1700000000.123456", "1700000000.123457", "1700000001.123456", "1700000001.123457"],
  );
});
