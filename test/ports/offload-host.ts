/**
 * A host's own stack behind a TAP: it is the VM's gateway, and the server that the VM talks to. What a socket reads there
 * shows what the stack made of a large frame.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import type { TestContext } from "node:test";
import { AF_INET, AF_INET6, MSG_DONTWAIT, SOCK_DGRAM } from "../../src/native/linux/libc.ts";
import { allocate } from "../../src/native/memory.ts";
import { allocateLargeSlab } from "../../src/ports/slab.ts";
import { openVmTap, type TapPort } from "../../src/ports/tap.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { GLOBAL6, OWN } from "../guard/ipv6/support.ts";
import { ADDRESS, GATEWAY_MAC, GLOBAL, mac, VM } from "../guard/support.ts";
import { ip } from "../support/namespace.ts";
import { PATIENCE } from "../support/patience.ts";
import { libc } from "../support/sockets.ts";

const PORT = 443;
// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;

export class Host {
  readonly #tap: TapPort;
  readonly #batch: Batch;
  readonly #fd: number;
  readonly #room = allocate(65_536);

  /**
   * Sets it up in this thread's network namespace, until the end of the test; a socket takes UDP to port 443. `version`: of
   * IP.
   */
  constructor(t: TestContext, name: string, version: 4 | 6) {
    this.#tap = openVmTap(libc, "--vm-tap", name, mac(GATEWAY_MAC));
    const slab = allocateLargeSlab();
    this.#batch = slab.batch;
    const six = version === 6;
    const [own, vm] = six ? [`${GLOBAL6}/128`, OWN] : [`${GLOBAL}/32`, ADDRESS];
    spawnSync("sysctl", ["-qw", `net.ipv6.conf.${name}.disable_ipv6=${six ? 0 : 1}`]);
    ip("address", "add", own, "dev", name, ...(six ? ["nodad"] : []));
    ip("link", "set", name, "up");
    ip("route", "add", six ? `${vm}/128` : `${vm}/32`, "dev", name);
    ip("neighbour", "replace", vm, "lladdr", VM, "nud", "permanent", "dev", name);
    const fd = libc.socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    this.#fd = fd;
    assert.equal(libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, [1 << 20], 4), 0);
    const address = new Uint8Array(six ? 28 : 16);
    address.set([six ? AF_INET6 : AF_INET, 0, PORT >>> 8, PORT & 255]);
    assert.equal(libc.bind(fd, address, address.length), 0);
    t.after(() => {
      libc.close(fd);
      this.#tap.close();
      slab.free();
      this.#room.free();
    });
  }

  /** Sends a frame with this offload to the host. */
  send(frame: Uint8Array, offload: number): void {
    const batch = this.#batch;
    const at = batch.slotOffset(0);
    batch.bytes.set(frame, at);
    batch.offset[0] = at;
    batch.length[0] = frame.length;
    batch.offload[0] = offload;
    batch.count = 1;
    assert.equal(this.#tap.send(batch, 0), 1);
    assert.equal(this.#tap.unsendable, 0, "the kernel does not take what passes");
  }

  /** The datagrams that a program reads, at least `count`. */
  receive(count: number): Uint8Array[] {
    const datagrams = this.#drain();
    for (const end = performance.now() + PATIENCE; datagrams.length < count && performance.now() < end; ) {
      datagrams.push(...this.#drain());
    }
    return datagrams;
  }

  #drain(): Uint8Array[] {
    const datagrams: Uint8Array[] = [];
    const { bytes, address } = this.#room;
    for (;;) {
      const length = libc.recv(this.#fd, address, bytes.length, MSG_DONTWAIT);
      if (length < 0) return datagrams;
      datagrams.push(bytes.slice(0, length));
    }
  }
}
