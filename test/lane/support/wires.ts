/**
 * The lane's programs at real interfaces, all of them TAPs whose other ends the test holds: what a VM or a far machine
 * writes, with whatever virtio-net header, and what arrives. In the middle stands a guard as the relay has it.
 *
 *     vm ── lane_from_vm ──► net ──► bridge ── far          far ── bridge ──► net ── lane_from_network ──► vm
 *               └──► relay ─ guard ─► net                                      └──► guard ──► relay ──► vm
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import type { Guard } from "../../../src/guard/guard.ts";
import { completeDhcp } from "../../../src/guard/offload.ts";
import { PASS } from "../../../src/guard/reasons.ts";
import { FROM_RELAY } from "../../../src/lane/bytecode.ts";
import { loadBytecode } from "../../../src/lane/load.ts";
import { BOTH_LANE, IPV4_LANE, type LaneCode } from "../../../src/lane/relay-tap.ts";
import { attachFirst } from "../../../src/native/linux/tcx.ts";
import { allocate } from "../../../src/native/memory.ts";
import { allocateLargeSlab, type Slab } from "../../../src/ports/slab.ts";
import { openVmTap, type TapPort } from "../../../src/ports/tap.ts";
import type { Batch } from "../../../src/relay/batch.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { ip } from "../../support/namespace.ts";
import { PATIENCE } from "../../support/patience.ts";
import { libc } from "../../support/sockets.ts";
import { clearIdentification } from "./identification.ts";
import { KernelLane } from "./kernel-lane.ts";

const ENDS = ["vm", "relay", "net", "far"] as const;
type End = (typeof ENDS)[number];

/** What became of one frame. */
export interface Outcome {
  /** Whether the kernel passed it without the guard. */
  readonly express: boolean;
  /** What the guard said; PASS where it was not asked, since the kernel dropped or passed the frame. */
  readonly verdict: number;
  /** What arrived, with every checksum completed and every large frame cut, in hexadecimal; IPv6's identification is 0. */
  readonly arrived: readonly string[];
}

const HEADER = 10;
const LONGEST = 1 << 17;
/** Milliseconds to wait for what has passed in the kernel. */
const LOST = 40;
/** The same, for a frame that a changed program may lead elsewhere. */
const LOST_ELSEWHERE = 5_000;
/** Frames that wait at a TAP: the kernel itself makes more than a thousand of one where a size is 1. */
const QUEUE = "70000";
/** Of frames that mark what was written before them; no frame of the tests has this type and these bytes. */
const MARK = "0806c0ffee";

export class Wires {
  readonly kernel: KernelLane;
  readonly #taps: Readonly<Record<End, TapPort>>;
  readonly #slabs: readonly Slab[];
  readonly #memory = allocate(LONGEST);
  readonly #fromRelay: number;
  readonly #patience: number;
  #marks = 0;

  /**
   * To be called in a network namespace of the test's own; `name`: of the bridge, at most six letters; `code`: other programs
   * than softnet's; `ipv6`: those that pass IPv6, too.
   */
  constructor(name: string, code?: LaneCode, mtu = 1500, ipv6 = false) {
    this.#patience = code === undefined ? PATIENCE : LOST_ELSEWHERE;
    const taps = ENDS.map((end, index) => {
      spawnSync("sysctl", ["-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
      return [end, openVmTap(libc, "--vm-tap", `${name}${end}`, Uint8Array.of(2, 0, 0, 0, 1, index))] as const;
    });
    this.#taps = Object.fromEntries(taps) as Record<End, TapPort>;
    this.#slabs = [allocateLargeSlab(), allocateLargeSlab()];
    ip("link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0");
    for (const end of ["net", "far"]) ip("link", "set", `${name}${end}`, "master", name);
    for (const link of [name, ...ENDS.map((end) => name + end)])
      ip("link", "set", link, "mtu", `${mtu}`, "txqueuelen", QUEUE, "up");
    for (const end of ["net", "far"]) {
      assert.equal(spawnSync("bridge", ["link", "set", "dev", name + end, "learning", "off"]).status, 0);
    }
    for (const end of ["relay", "net"] as const) assert.ok(this.#taps[end].enableOffloads(ipv6));
    const numbers = ENDS.map((end) => libc.if_nametoindex(name + end));
    const [vm, relay, network] = numbers as [number, number, number, number];
    this.kernel = new KernelLane(code ?? (ipv6 ? BOTH_LANE : IPV4_LANE), { vm, relay, network }, ipv6);
    const { programs, interfaces } = this.kernel;
    this.#fromRelay = loadBytecode(libc, FROM_RELAY, { interfaces });
    for (const [index, hook, program] of [
      [vm, "ingress", programs.fromVm],
      [vm, "egress", programs.toVm],
      [relay, "ingress", this.#fromRelay],
      [network, "egress", programs.fromNetwork],
    ] as const) {
      assert.ok(attachFirst(libc, index, hook, program), "the kernel has no tcx");
    }
    for (const end of ENDS) this.#drain(this.#taps[end]);
  }

  /** Writes a frame with its header, and lets a guard judge what comes to the relay. */
  pass(fromVm: boolean, header: Uint8Array, frame: Uint8Array, guard: Guard): Outcome {
    const [from, middle, on, to] = (fromVm ? ["vm", "relay", "net", "far"] : ["far", "net", "relay", "vm"]) as End[];
    const { counted } = this.kernel;
    this.#write(from!, header, frame);
    const verdict = this.#judge(middle!, on!, fromVm, guard, this.#mark(from!));
    const express = this.kernel.counted > counted;
    if (express && verdict !== undefined) throw new Error("the kernel counts as passed what comes to the relay");
    // What passes in the kernel may take a moment; and the kernel may have dropped it behind the lane.
    const first = express ? this.#wait(() => this.#drain(this.#taps[to!]), LOST) : [];
    return { express, verdict: verdict ?? PASS, arrived: [...first, ...this.#until(to!, this.#mark(on!))] };
  }

  #write(end: End, header: Uint8Array, frame: Uint8Array): boolean {
    this.#memory.bytes.set(header);
    this.#memory.bytes.set(frame, HEADER);
    const length = HEADER + frame.length;
    return libc.write(this.#taps[end].device.fd, this.#memory.address, length) === length;
  }

  /** Writes a frame that nothing passes but by the relay; returns it. */
  #mark(end: End): string {
    const frame = Buffer.alloc(60);
    frame.fill(0xff, 0, 6);
    frame.set([2, 0xc0, 0xff, 0xee, 0, 0], 6);
    frame.write(MARK, 12, "hex");
    frame.writeUInt32BE(++this.#marks, 20);
    assert.ok(this.#write(end, new Uint8Array(HEADER), frame));
    return frame.toString("hex");
  }

  /** What the guard says of what came in front of the mark, which it passes on if it passes; undefined where nothing came. */
  #judge(end: End, on: End, fromVm: boolean, guard: Guard, mark: string): number | undefined {
    const { batch } = this.#slabs[0]!;
    let verdict: number | undefined;
    for (const limit = performance.now() + this.#patience; performance.now() < limit; ) {
      this.#taps[end].receive(batch);
      for (let index = 0; index < batch.count; index++) {
        const at = batch.offset[index]!;
        const length = batch.length[index]!;
        if (hex(batch.bytes.subarray(at, at + length)) === mark) return verdict;
        const view = FrameView.of(batch.bytes, at, length, batch.offload[index]);
        completeDhcp(view);
        verdict = fromVm ? guard.judgeEgress(view) : guard.judgeIngress(view);
        if (verdict === PASS) this.#send(on, batch, at, length, view.offload);
      }
    }
    throw new Error(`the mark does not come to ${end}`);
  }

  #send(end: End, from: Batch, start: number, length: number, offload: number): void {
    const { batch } = this.#slabs[1]!;
    const at = batch.slotOffset(0);
    batch.bytes.set(from.bytes.subarray(start, start + length), at);
    batch.offset[0] = at;
    batch.length[0] = length;
    batch.offload[0] = offload;
    batch.count = 1;
    assert.equal(this.#taps[end].send(batch, 0), 1);
  }

  /** What arrives in front of the mark. */
  #until(end: End, mark: string): string[] {
    const arrived: string[] = [];
    for (const limit = performance.now() + this.#patience; performance.now() < limit; ) {
      arrived.push(...this.#drain(this.#taps[end]));
      if (arrived.at(-1) === mark) return arrived.slice(0, -1);
    }
    throw new Error(`the mark does not come to ${end}`);
  }

  #wait(take: () => string[], milliseconds: number): string[] {
    for (const limit = performance.now() + milliseconds; performance.now() < limit; ) {
      const taken = take();
      if (taken.length > 0) return taken;
    }
    return [];
  }

  #drain(port: TapPort): string[] {
    const { batch } = this.#slabs[1]!;
    const frames: string[] = [];
    while (port.receive(batch) > 0) {
      for (let index = 0; index < batch.count; index++) {
        const at = batch.offset[index]!;
        frames.push(hex(clearIdentification(batch.bytes.subarray(at, at + batch.length[index]!))));
      }
    }
    return frames;
  }

  close(name: string): void {
    for (const port of Object.values(this.#taps)) port.close();
    ip("link", "delete", name);
    libc.close(this.#fromRelay);
    for (const slab of this.#slabs) slab.free();
    this.#memory.free();
    this.kernel.free();
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
