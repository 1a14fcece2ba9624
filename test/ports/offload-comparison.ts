/**
 * A large frame against the frames that a kernel makes of it. Both guards, softnet's own and the second one
 * (test/oracle), are there twice, with the same past: one pair judges frames with their headers, the other judges what comes
 * out of the kernel, frame by frame. All four must say the same of one frame.
 */
import assert from "node:assert/strict";
import { createGuard, type Guard, verdictObject } from "../../src/guard/guard.ts";
import { completeDhcp } from "../../src/guard/offload.ts";
import { PASS } from "../../src/guard/reasons.ts";
import type { GuardOptions } from "../../src/index.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { COMPLETE, segmentSizeOf, VERIFIED_TCP } from "../../src/wire/virtio-net.ts";
import { OTHER, OWN } from "../guard/ipv6/support.ts";
import { ADDRESS, NEIGHBOUR, VM } from "../guard/support.ts";
import { OracleGuard } from "../oracle/guard.ts";
import { cut, hasPseudoSum, hasRightChecksums, strip } from "./offload-cut.ts";
import { type Direction, type Offered, takeHeader } from "./offload-talk.ts";
import type { Wire } from "./offload-wire.ts";

/** With an MTU of 1,500. */
const LONGEST = 1514;

/** A policy by flows, so that what a large frame teaches the guards is compared too; by IP version. */
const OPTIONS: Readonly<Record<4 | 6, GuardOptions>> = {
  4: {
    macAddress: VM,
    address: ADDRESS,
    allow: ["out 0.0.0.0/0:443", "in 0.0.0.0/0:80"],
    block: [`${NEIGHBOUR}/32`],
  },
  6: {
    macAddress: VM,
    ipv6: true,
    address6: OWN,
    allow: ["out [::/0]:443", "in [::/0]:80"],
    block: [`${OTHER}/128`],
  },
};

/** What is said only of a packet whose form and header are right. */
const BEHIND_THE_HEADER = /^(pass|policy\..*|flow\..*|ipv4\.(source|loopback|group-frame|unbound)|ipv6\.group-frame)$/;

/** Both guards behind one question. */
class Pair {
  readonly #first: Guard;
  readonly #second: OracleGuard;
  #time = 0;

  constructor(version: 4 | 6) {
    this.#first = createGuard(OPTIONS[version]);
    this.#second = new OracleGuard(OPTIONS[version]);
  }

  /** The time of what comes next, in microseconds. */
  advance(time: number): void {
    this.#first.advance(time);
    this.#time = time;
  }

  /** The first one's verdict, which the second one's must be too. `given`: the frame as it came, with its header if any. */
  judge(direction: Direction, view: FrameView, given: { frame: Uint8Array; header?: Uint8Array }): number {
    const egress = direction === "egress";
    const verdict = egress ? this.#first.judgeEgress(view) : this.#first.judgeIngress(view);
    const said = this.#second[direction](given.frame, this.#time, given.header);
    assert.equal(said.reason ?? "pass", reasonOf(verdict), "the second guard says");
    return verdict;
  }

  get flows(): number {
    assert.equal(this.#second.flows, this.#first.flows, "flows of the second guard");
    return this.#first.flows;
  }
}

const reasonOf = (verdict: number): string => verdictObject(verdict).reason ?? "pass";

export class Comparison {
  readonly counts = new Map<string, number>();
  readonly #wire: Wire;
  readonly #large: Pair;
  readonly #small: Pair;
  #time = 0;

  /** `version`: of IP, which the frames are mostly of. */
  constructor(wire: Wire, version: 4 | 6) {
    this.#wire = wire;
    this.#large = new Pair(version);
    this.#small = new Pair(version);
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
    const verdict = this.#large.judge(direction, view, offered);
    const reason = reasonOf(verdict);
    this.#count(reason);
    // What the check refuses never gets to the kernel; what policy says of the rest must be what it says of the pieces.
    if (reason.startsWith("frame.")) return;
    if (offload === COMPLETE || !BEHIND_THE_HEADER.test(reason)) {
      const longer = bytes.length > LONGEST; // which is looked at first, where the frame is not said to be cut
      if (!longer) assert.equal(this.#judgeComplete(direction, bytes), verdict, "as a complete frame");
      return;
    }
    if (verdict === PASS) this.#count(segmentSizeOf(offload) === 0 ? "partial" : "large");
    this.#compare(direction, bytes, offload, verdict);
  }

  #judgeComplete(direction: Direction, frame: Uint8Array): number {
    return this.#small.judge(direction, FrameView.of(frame, 0, frame.length), { frame });
  }

  #compare(direction: Direction, frame: Uint8Array, offload: number, verdict: number): void {
    // The frame's own headers, ports among them, in front of its payload, piece by piece.
    const wanted = cut(frame, segmentSizeOf(offload) || frame.length);
    assert.ok(wanted.length <= 256, `${wanted.length} frames of one`);
    this.#wire.send(frame, offload);
    const pieces = this.#wire.receive(wanted.length);
    assert.equal(pieces.length, wanted.length, "pieces");
    const right = (offload & VERIFIED_TCP) !== 0 || hasPseudoSum(frame);
    for (const [index, piece] of pieces.entries()) {
      if (Buffer.compare(strip(piece), wanted[index]!) !== 0) assert.deepEqual(strip(piece), wanted[index]);
      if (right) assert.ok(hasRightChecksums(piece), `checksum of piece ${index}`);
      assert.ok(piece.length <= LONGEST);
      assert.equal(this.#judgeComplete(direction, piece), verdict, `piece ${index}`);
    }
    this.#count("pieces", pieces.length);
    assert.equal(this.#large.flows, this.#small.flows);
  }

  #count(what: string, many = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + many);
  }
}
