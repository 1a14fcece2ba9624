/**
 * Hostile virtio-net headers, with a real kernel behind the check: what passes is written to one TAP, the kernel carries it
 * over a bridge to another one that takes no offloads, cuts it and completes its checksums on the way, and what comes
 * out is what both guards pass frame by frame. The kernel takes everything that passes, and warns of nothing.
 *
 * From a million frames on, the second test shows every value of every field.
 *
 * SOFTNET_OFFLOAD_FRAMES=2000000 SOFTNET_OFFLOAD_SEED=7 node scripts/test.ts test/ports/offload-kernel.test.ts
 */
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { addToSum, checksumOf } from "../../src/wire/checksum.ts";
import { udpDestinationPort } from "../../src/wire/udp.ts";
import { ELSEWHERE, readVirtioNetHeader } from "../../src/wire/virtio-net.ts";
import { udp } from "../guard/support.ts";
import { enterFreshNamespace } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsTun } from "../support/tools.ts";
import { Comparison } from "./offload-comparison.ts";
import { SWEEP, swept } from "./offload-sweep.ts";
import { Dice, type Offered, offer } from "./offload-talk.ts";
import { kernelWarnings, Wire } from "./offload-wire.ts";

const FRAMES = Number(
  process.env.SOFTNET_OFFLOAD_FRAMES ?? (process.env.SOFTNET_TEST_ALL === "1" ? 1_000_000 : 20_000),
);
const SEED = Number(process.env.SOFTNET_OFFLOAD_SEED ?? 1);

const skip = { ...needsTun(), ...needs("ip", "bridge") };

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

function* thrown(frames: number): Generator<Offered> {
  const dice = new Dice(SEED);
  for (let index = 0; index < frames; index++) yield offer(dice);
}

/** All of the sweep, or as many of it as fit, which the seed picks. */
function* sweep(): Generator<Offered> {
  const dice = new Dice(SEED);
  const all = FRAMES >= 1_000_000;
  const count = all ? SWEEP : Math.min(FRAMES, SWEEP);
  for (let index = 0; index < count; index++) yield swept(all ? index : dice.below(SWEEP));
}

/** Compares all that is offered, and returns how often each thing was said. */
function compare(t: TestContext, name: string, offers: Iterable<Offered>): ReadonlyMap<string, number> {
  const warnings = kernelWarnings();
  const comparison = new Comparison(new Wire(t, name));
  let index = 0;
  for (const offered of offers) {
    try {
      comparison.step(offered);
    } catch (cause) {
      const [header, frame] = [offered.header, offered.frame].map((part) => Buffer.from(part).toString("hex"));
      throw new Error(`seed ${SEED}, frame ${index}, ${offered.direction}: ${header} ${frame!.slice(0, 200)}`, {
        cause,
      });
    }
    index++;
  }
  const { counts } = comparison;
  t.diagnostic([...counts].map(([what, count]) => `${what} ${count}`).join(", "));
  assert.deepEqual(
    kernelWarnings().filter((line) => !warnings.includes(line)),
    [],
    "the kernel warns",
  );
  return counts;
}

test("L11 what the check is for: with a header passed on as it came, the kernel writes another port", skip, (t) => {
  const wire = new Wire(t, "raw");
  const frame = udp(40_000, 443, {}, Uint8Array.of(0, 0));
  // The checksum goes where the destination port is, and the payload makes it 53.
  const header = Buffer.from("01000000000022000200", "hex");
  const rest = checksumOf(addToSum(53, frame, 34, frame.length - 34));
  frame.set([rest >>> 8, rest & 255], frame.length - 2);
  const at = wire.batch.slotOffset(0);
  wire.batch.bytes.set(header, at - header.length);
  wire.batch.bytes.set(frame, at);
  const length = header.length + frame.length;
  assert.equal(libc.write(wire.from.device.fd, wire.batch.address + at - header.length, length), length);
  const [written] = wire.receive(1);
  assert.equal(udpDestinationPort(written!, 34), 53);
  assert.equal(readVirtioNetHeader(header, 0), ELSEWHERE);
});

test(
  `L11 ${FRAMES.toLocaleString("en")} hostile headers: what passes comes out as what passes frame by frame`,
  skip,
  (t) => {
    const counts = compare(t, "fuzz", thrown(FRAMES));
    for (const what of ["pass", "partial", "large", "frame.offload", "frame.long", "policy.block", "flow.unknown"]) {
      assert.ok((counts.get(what) ?? 0) > FRAMES / 2000, `few of the kind ${what}`);
    }
  },
);

test(
  "L11 every value of each field and every length: what passes comes out as what passes frame by frame",
  skip,
  (t) => {
    const counts = compare(t, "sweep", sweep());
    for (const what of ["pass", "partial", "large", "frame.offload", "frame.long", "ipv4.format"]) {
      assert.ok(counts.has(what), `none of the kind ${what}`);
    }
  },
);
