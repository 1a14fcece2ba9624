/**
 * Hostile virtio-net headers, with a real kernel behind the check: what passes is written to one TAP, the kernel carries it
 * over a bridge to another one that takes no offloads, cuts it and completes its checksums on the way, and what comes
 * out is what the guard passes frame by frame. The kernel takes everything that passes, and warns of nothing.
 *
 * SOFTNET_OFFLOAD_FRAMES=2000000 SOFTNET_OFFLOAD_SEED=7 node scripts/test.ts test/ports/offload-kernel.test.ts
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, type TestContext, test } from "node:test";
import { createGuard, type Guard, verdictObject } from "../../src/guard/guard.ts";
import { completeDhcp } from "../../src/guard/ipv4/offload.ts";
import { PASS } from "../../src/guard/reasons.ts";
import { allocateLargeSlab, type Slab } from "../../src/ports/slab.ts";
import { openVmTap, type TapPort } from "../../src/ports/tap.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { addToSum, checksumOf } from "../../src/wire/checksum.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { udpDestinationPort } from "../../src/wire/udp.ts";
import {
  COMPLETE,
  ELSEWHERE,
  offloadKind,
  readVirtioNetHeader,
  segmentSizeOf,
  VERIFIED_TCP,
} from "../../src/wire/virtio-net.ts";
import { ADDRESS, NEIGHBOUR, udp, VM } from "../guard/support.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsTun } from "../support/tools.ts";
import {
  cut,
  Dice,
  type Direction,
  hasPseudoSum,
  hasRightChecksums,
  type Offered,
  offer,
  strip,
  takeHeader,
} from "./offload-talk.ts";

const FRAMES = Number(
  process.env.SOFTNET_OFFLOAD_FRAMES ?? (process.env.SOFTNET_TEST_ALL === "1" ? 1_000_000 : 20_000),
);
const SEED = Number(process.env.SOFTNET_OFFLOAD_SEED ?? 1);

const skip = { ...needsTun(), ...needs("ip", "bridge") };

/** Waits for so many milliseconds at the most for what the kernel still has to bring. */
const PATIENCE = 5000;

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

/** A bridge with two TAPs; what is written to `from` comes out of `to`. */
interface Wire {
  readonly from: TapPort;
  readonly to: TapPort;
  readonly batch: Batch;
  readonly received: Batch;
}

function setUp(t: TestContext, name: string): Wire {
  const ports = ["a", "b"].map((end) =>
    openVmTap(libc, "--vm-tap", `${name}${end}`, Uint8Array.of(2, 0, 0, 0, 0, end.charCodeAt(0))),
  );
  const slabs: Slab[] = [allocateLargeSlab(), allocateLargeSlab()];
  ip("link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0");
  spawnSync("sysctl", ["-qw", `net.ipv6.conf.${name}.disable_ipv6=1`]);
  ip("link", "set", name, "up");
  for (const end of ["a", "b"]) {
    spawnSync("sysctl", ["-qw", `net.ipv6.conf.${name}${end}.disable_ipv6=1`]);
    ip("link", "set", `${name}${end}`, "master", name, "txqueuelen", "1000", "up");
    const { status, stderr } = spawnSync("bridge", ["link", "set", "dev", `${name}${end}`, "learning", "off"], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
  }
  t.after(() => {
    for (const port of ports) port.close();
    for (const slab of slabs) slab.free();
    ip("link", "delete", name);
  });
  const [from, to] = ports as [TapPort, TapPort];
  drain(to, slabs[1]!.batch); // what a bridge says of itself
  return { from, to, batch: slabs[0]!.batch, received: slabs[1]!.batch };
}

function drain(port: TapPort, batch: Batch): Uint8Array[] {
  const frames: Uint8Array[] = [];
  while (port.receive(batch) > 0) {
    for (let index = 0; index < batch.count; index++) {
      assert.equal(batch.offload[index], COMPLETE, "something is left to do without offloads");
      frames.push(batch.bytes.slice(batch.offset[index], batch.offset[index]! + batch.length[index]!));
    }
  }
  return frames;
}

function send({ from, batch }: Wire, frame: Uint8Array, offload: number): void {
  const at = batch.slotOffset(0);
  batch.bytes.set(frame, at);
  batch.offset[0] = at;
  batch.length[0] = frame.length;
  batch.offload[0] = offload;
  batch.count = 1;
  const before = from.unsendable;
  assert.equal(from.send(batch, 0), 1);
  assert.equal(from.unsendable, before, "the kernel does not take what passes");
}

/** What comes out, at least `count` frames. */
function receive({ to, received }: Wire, count: number): Uint8Array[] {
  const frames = drain(to, received);
  for (const end = performance.now() + PATIENCE; frames.length < count && performance.now() < end; ) {
    frames.push(...drain(to, received));
  }
  return frames;
}

const judge = (guard: Guard, direction: Direction, frame: Uint8Array, offload: number): number =>
  direction === "egress"
    ? guard.judgeEgress(FrameView.of(frame, 0, frame.length, offload))
    : guard.judgeIngress(FrameView.of(frame, 0, frame.length, offload));

/** With an MTU of 1,500. */
const LONGEST = 1514;

/** A policy by flows, so that what a large frame teaches the guard is compared too. */
const OPTIONS = {
  macAddress: VM,
  address: ADDRESS,
  allow: ["out 0.0.0.0/0:443", "in 0.0.0.0/0:80"],
  block: [`${NEIGHBOUR}/32`],
};

class Comparison {
  readonly counts = new Map<string, number>();
  readonly #wire: Wire;
  readonly #large = createGuard(OPTIONS);
  readonly #small = createGuard(OPTIONS);
  #time = 0;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  step(offered: Offered): void {
    const { direction } = offered;
    this.#time += 1000;
    this.#large.advance(this.#time);
    this.#small.advance(this.#time);
    const { frame: bytes, offload: read } = takeHeader(offered);
    const view = FrameView.of(bytes, 0, bytes.length, read);
    completeDhcp(view);
    const { offload } = view;
    const verdict = judge(this.#large, direction, bytes, offload);
    const reason = verdictObject(verdict).reason ?? "pass";
    this.#count(reason);
    // What the check refuses never gets to the kernel; what policy says of the rest must be what it says of the pieces.
    if (reason.startsWith("frame.")) return;
    if (offload === COMPLETE || !BEHIND_THE_HEADER.test(reason)) {
      const longer = bytes.length > LONGEST; // which is looked at first, where the frame is not said to be cut
      if (!longer) assert.equal(judge(this.#small, direction, bytes, COMPLETE), verdict, "as a complete frame");
      return;
    }
    if (verdict === PASS) this.#count(segmentSizeOf(offload) === 0 ? "partial" : "large");
    this.#compare(direction, bytes, offload, verdict);
  }

  #compare(direction: Direction, frame: Uint8Array, offload: number, verdict: number): void {
    const size = segmentSizeOf(offload) || frame.length;
    const wanted = cut(frame, size);
    assert.ok(wanted.length <= 256, `${wanted.length} frames of one`);
    send(this.#wire, frame, offload);
    const pieces = receive(this.#wire, wanted.length);
    assert.equal(pieces.length, wanted.length, "pieces");
    const right = offloadKind(offload) === VERIFIED_TCP || hasPseudoSum(frame);
    for (const [index, piece] of pieces.entries()) {
      if (Buffer.compare(strip(piece), wanted[index]!) !== 0) assert.deepEqual(strip(piece), wanted[index]);
      if (right) assert.ok(hasRightChecksums(piece), `checksum of piece ${index}`);
      assert.ok(piece.length <= LONGEST);
      assert.equal(judge(this.#small, direction, piece, COMPLETE), verdict, `piece ${index}`);
    }
    assert.equal(this.#large.flows, this.#small.flows);
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}

/** What is said of a packet whose form and header are right. */
const BEHIND_THE_HEADER = /^(pass|policy\..*|flow\..*|ipv4\.(source|loopback|group-frame|unbound))$/;

test("L11 what the check is for: with a header passed on as it came, the kernel writes another port", skip, (t) => {
  const wire = setUp(t, "raw");
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
  const [written] = receive(wire, 1);
  assert.equal(udpDestinationPort(written!, 34), 53);
  assert.equal(readVirtioNetHeader(header, 0), ELSEWHERE);
});

/** Lines of the kernel's log that speak of a fault. */
function kernelWarnings(): string[] {
  const { stdout } = spawnSync("dmesg", [], { encoding: "utf8", maxBuffer: 1 << 26 });
  return (stdout ?? "").split("\n").filter((line) => /WARNING|BUG|Call Trace|bad.*(gso|csum|offload)|Oops/i.test(line));
}

test(
  `L11 ${FRAMES.toLocaleString("en")} hostile headers: what passes comes out as what passes frame by frame`,
  skip,
  (t) => {
    const warnings = kernelWarnings();
    const comparison = new Comparison(setUp(t, "fuzz"));
    const dice = new Dice(SEED);
    for (let index = 0; index < FRAMES; index++) {
      const offered = offer(dice);
      try {
        comparison.step(offered);
      } catch (cause) {
        const [header, frame] = [offered.header, offered.frame].map((part) => Buffer.from(part).toString("hex"));
        throw new Error(`seed ${SEED}, frame ${index}, ${offered.direction}: ${header} ${frame!.slice(0, 200)}`, {
          cause,
        });
      }
    }
    const { counts } = comparison;
    t.diagnostic([...counts].map(([what, count]) => `${what} ${count}`).join(", "));
    for (const what of ["pass", "partial", "large", "frame.offload", "frame.long", "policy.block", "flow.unknown"]) {
      assert.ok((counts.get(what) ?? 0) > FRAMES / 2000, `few of the kind ${what}`);
    }
    assert.deepEqual(
      kernelWarnings().filter((line) => !warnings.includes(line)),
      [],
      "the kernel warns",
    );
  },
);
