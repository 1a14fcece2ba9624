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
import { OWN, udp6 } from "../guard/ipv6/support.ts";
import { ADDRESS, UDP, udp, VM } from "../guard/support.ts";
import { enterFreshNamespace } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsTun } from "../support/tools.ts";
import { Comparison } from "./offload-comparison.ts";
import { cut, hasPseudoSum } from "./offload-cut.ts";
import { Host } from "./offload-host.ts";
import { IPV4, IPV6 } from "./offload-layout.ts";
import { sweepSize, swept } from "./offload-sweep.ts";
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

type Version = 4 | 6;
const VERSIONS = [4, 6] as const;

function* thrown(version: Version): Generator<Offered> {
  const dice = new Dice(SEED);
  for (let index = 0; index < FRAMES; index++) yield offer(dice, version);
}

/** All of the sweep, or as many of it as fit, which the seed picks. */
function* sweep(version: Version): Generator<Offered> {
  const dice = new Dice(SEED);
  const all = FRAMES >= 1_000_000;
  const size = sweepSize(version);
  const count = all ? size : Math.min(FRAMES, size);
  for (let index = 0; index < count; index++) yield swept(version, all ? index : dice.below(size));
}

/** Compares all that is offered, and returns how often each thing was said. */
function compare(
  t: TestContext,
  name: string,
  version: Version,
  offers: Iterable<Offered>,
): ReadonlyMap<string, number> {
  const warnings = kernelWarnings();
  const comparison = new Comparison(new Wire(t, name), version);
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

const NUMBER = FRAMES.toLocaleString("en");

for (const version of VERSIONS) {
  const { transport, protocol } = version === 4 ? IPV4 : IPV6;

  test(
    `L11 ${NUMBER} hostile headers of IPv${version}: what passes comes out as what passes frame by frame`,
    skip,
    (t) => {
      const counts = compare(t, `fuzz${version}`, version, thrown(version));
      for (const what of ["pass", "partial", "large", "frame.offload", "frame.long", "policy.block", "flow.unknown"]) {
        assert.ok((counts.get(what) ?? 0) > FRAMES / 2000, `few of the kind ${what}`);
      }
    },
  );

  test(
    `L11 every value of each field and every length, IPv${version}: what passes comes out as what passes frame by frame`,
    skip,
    (t) => {
      const counts = compare(t, `sweep${version}`, version, sweep(version));
      for (const what of ["pass", "partial", "large", "frame.offload", "frame.long", `ipv${version}.format`]) {
        assert.ok(counts.has(what), `none of the kind ${what}`);
      }
    },
  );

  test(
    `L11 ${NUMBER} hostile headers of IPv${version}: a program on the host reads what the guard judged`,
    skip,
    (t) => {
      const warnings = kernelWarnings();
      const host = new Host(t, `host${version}`, version);
      const guard = createGuard(
        version === 4
          ? { macAddress: VM, address: ADDRESS, allow: ["0.0.0.0/0"] }
          : { macAddress: VM, ipv6: true, address6: OWN, allow: ["::/0"] },
      );
      const ordinary = version === 4 ? udp(1, 443) : udp6(1, 443, new Uint8Array(0));
      let datagrams = 0;
      for (const offered of thrown(version)) {
        if (offered.direction !== "egress") continue;
        const { frame, offload } = takeHeader(offered);
        const view = FrameView.of(frame, 0, frame.length, offload);
        completeDhcp(view);
        if (guard.judgeEgress(view) !== PASS || view.offload === COMPLETE) continue;
        const same = (from: number, to: number): boolean =>
          Buffer.compare(frame.subarray(from, to), ordinary.subarray(from, to)) === 0;
        const middle = transport - (version === 4 ? 4 : 16);
        const isFor = frame[protocol] === UDP && same(0, 6) && same(middle, transport);
        const wanted =
          isFor && same(transport + 2, transport + 4)
            ? cut(frame, segmentSizeOf(view.offload) || frame.length).map((piece) => piece.subarray(transport + 8))
            : [];
        // With another sum or length the stack takes none of it, or less.
        const carried = frame.length - transport;
        const right = hasPseudoSum(frame) && udpLength(frame, transport) === carried;
        host.send(frame, view.offload);
        const came = host.receive(right ? wanted.length : 0);
        if (right) assert.deepEqual(came, wanted);
        else
          for (const [index, part] of came.entries()) assert.deepEqual(part, wanted[index]?.subarray(0, part.length));
        datagrams += came.length;
      }
      t.diagnostic(`${datagrams} datagrams`);
      assert.ok(datagrams > FRAMES / 5, "few datagrams");
      assertNoWarning(warnings);
    },
  );
}
