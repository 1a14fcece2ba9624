/**
 * A bridge with a TAP at each end, for frames with a virtio-net header: what is written to one comes out of the other, which
 * takes no offloads, so the kernel cuts large frames and completes checksums on the way.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { allocateLargeSlab, type Slab } from "../../src/ports/slab.ts";
import { openVmTap, type TapPort } from "../../src/ports/tap.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { COMPLETE } from "../../src/wire/virtio-net.ts";
import { ip } from "../support/namespace.ts";
import { PATIENCE } from "../support/patience.ts";
import { libc } from "../support/sockets.ts";

export class Wire {
  readonly from: TapPort;
  readonly batch: Batch;
  readonly #to: TapPort;
  readonly #received: Batch;

  /** Makes the bridge `name` and its TAPs in this thread's network namespace, until the end of the test. */
  constructor(t: TestContext, name: string) {
    // The bridge keeps frames to its own ports' addresses: these are further from those of the frames than a bent byte.
    const ports = ["a", "b"].map((end) =>
      openVmTap(libc, "--vm-tap", `${name}${end}`, Uint8Array.of(0xae, 0xe5, 0x4d, 0x39, 0x9b, end.charCodeAt(0))),
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
    [this.from, this.#to] = ports as [TapPort, TapPort];
    [this.batch, this.#received] = [slabs[0]!.batch, slabs[1]!.batch];
    this.#drain(); // what a bridge says of itself
  }

  /** Sends a frame with this offload, as softnet does: with a header of its own. */
  send(frame: Uint8Array, offload: number): void {
    const { from, batch } = this;
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
  receive(count: number): Uint8Array[] {
    const frames = this.#drain();
    for (const end = performance.now() + PATIENCE; frames.length < count && performance.now() < end; ) {
      frames.push(...this.#drain());
    }
    return frames;
  }

  #drain(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    const batch = this.#received;
    while (this.#to.receive(batch) > 0) {
      for (let index = 0; index < batch.count; index++) {
        assert.equal(batch.offload[index], COMPLETE, "something is left to do without offloads");
        frames.push(batch.bytes.slice(batch.offset[index], batch.offset[index]! + batch.length[index]!));
      }
    }
    return frames;
  }
}

/** TAINT_WARN (admin-guide/tainted-kernels): the kernel has warned since it started. */
const TAINTED_BY_WARNING = 512;

/**
 * The kernel's warnings so far: lines of its log, where it may be read, and whether it says that there was one. A trace
 * alone is none: the end of a process of another test that had used up its memory writes one too.
 */
export function kernelWarnings(): string[] {
  const { stdout } = spawnSync("dmesg", [], { encoding: "utf8", maxBuffer: 1 << 26 });
  const fault = /WARNING|BUG|bad.*(gso|csum|offload)|unexpected GSO|Oops/i;
  const lines = (stdout ?? "").split("\n").filter((line) => fault.test(line));
  const tainted = Number(readFileSync("/proc/sys/kernel/tainted", "utf8")) & TAINTED_BY_WARNING;
  return tainted === 0 ? lines : [...lines, "the kernel is tainted by a warning"];
}
