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
import { createGuard } from "../../src/guard/guard.ts";
import { completeDhcp } from "../../src/guard/offload.ts";
import { PASS } from "../../src/guard/reasons.ts";
import { addToSum, checksumOf } from "../../src/wire/checksum.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { udpDestinationPort, udpLength } from "../../src/wire/udp.ts";
import { COMPLETE, ELSEWHERE, readVirtioNetHeader, segmentSizeOf } from "../../src/wire/virtio-net.ts";
import { ADDRESS, UDP, udp, VM } from "../guard/support.ts";
import { enterFreshNamespace } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsTun } from "../support/tools.ts";
import { Comparison } from "./offload-comparison.ts";
import { cut, hasPseudoSum } from "./offload-cut.ts";
import { Host } from "./offload-host.ts";
import { SWEEP, swept } from "./offload-sweep.ts";
import { Dice, type Offered, offer, takeHeader } from "./offload-talk.ts";
import { kernelWarnings, Wire } from "./offload-wire.ts";

/** With a million and more, all of the sweep. */
const FRAMES = Number(process.env.SOFTNET_OFFLOAD_FRAMES ?? (process.env.SOFTNET_TEST_ALL === "1" ? 200_000 : 20_000));
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
  assertNoWarning(warnings);
  return counts;
}

function assertNoWarning(before: readonly string[]): void {
  const since = kernelWarnings().filter((line) => !before.includes(line));
  assert.deepEqual(since, [], "the kernel warns");
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

test(
  `L11 ${FRAMES.toLocaleString("en")} hostile headers: a program on the host reads what the guard judged`,
  skip,
  (t) => {
    const warnings = kernelWarnings();
    const host = new Host(t, "host");
    const guard = createGuard({ macAddress: VM, address: ADDRESS, allow: ["0.0.0.0/0"] });
    const ordinary = udp(1, 443);
    let datagrams = 0;
    for (const offered of thrown(FRAMES)) {
      if (offered.direction !== "egress") continue;
      const { frame, offload } = takeHeader(offered);
      const view = FrameView.of(frame, 0, frame.length, offload);
      completeDhcp(view);
      if (guard.judgeEgress(view) !== PASS || view.offload === COMPLETE) continue;
      const same = (from: number, to: number): boolean =>
        Buffer.compare(frame.subarray(from, to), ordinary.subarray(from, to)) === 0;
      const isFor = frame[23] === UDP && same(0, 6) && same(30, 34) && same(36, 38);
      const wanted = isFor
        ? cut(frame, segmentSizeOf(view.offload) || frame.length).map((piece) => piece.subarray(42))
        : [];
      // With another sum or length the stack takes none of it, or less.
      const right = hasPseudoSum(frame) && udpLength(frame, 34) === frame.length - 34;
      host.send(frame, view.offload);
      const came = host.receive(right ? wanted.length : 0);
      if (right) assert.deepEqual(came, wanted);
      else for (const [index, part] of came.entries()) assert.deepEqual(part, wanted[index]?.subarray(0, part.length));
      datagrams += came.length;
    }
    t.diagnostic(`${datagrams} datagrams`);
    assert.ok(datagrams > FRAMES / 5, "few datagrams");
    assertNoWarning(warnings);
  },
);
