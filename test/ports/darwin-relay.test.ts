/** Darwin's two ports with the relay between them: full receivers, silent ends, both directions at once. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { continuousClock } from "../../src/native/darwin/clock.ts";
import { loadDarwinLibc } from "../../src/native/darwin/libc.ts";
import { darwinFeatures } from "../../src/native/darwin/release.ts";
import { SOCK_DGRAM } from "../../src/native/linux/libc.ts";
import { VmnetInterface } from "../../src/networks/vmnet/interface.ts";
import { DarwinDatagramPort } from "../../src/ports/darwin-datagram.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { SEND_TIMEOUT } from "../../src/relay/delivery.ts";
import { PortClosed } from "../../src/relay/port.ts";
import { Relay, type RelayEnd } from "../../src/relay/relay.ts";
import { until } from "../support/running.ts";
import { type End, frame, pair } from "../support/sockets.ts";
import { assertNothingHeld, inject, needsTwin, twin } from "../support/twin.ts";

interface Setup {
  readonly end: End;
  readonly relay: Relay;
  /** How the relay ended, if it did. */
  readonly ended: () => RelayEnd | undefined;
}

/** A relay that passes everything, between a VM's socket and a vmnet interface. */
async function setUp(t: TestContext): Promise<Setup> {
  const { native, libraries } = twin();
  const libc = loadDarwinLibc(libraries.system);
  const { fd, end } = pair(SOCK_DGRAM);
  const vm = new DarwinDatagramPort(libc, darwinFeatures("25.0.0"), "--vm-fd", fd);
  const vmnet = await VmnetInterface.start(native, { label: "vmnet", on: { mode: 1001 }, isolated: true });
  const slabs = [allocateSlab(1514), allocateSlab(1514)] as const;
  let ended: RelayEnd | undefined;
  const relay = new Relay({
    vm,
    network: vmnet.port,
    guard: { advance: () => {}, judgeEgress: () => 0, judgeIngress: () => 0 },
    clock: continuousClock(libc),
    batches: [slabs[0].batch, slabs[1].batch],
    onEnd: (end) => {
      ended = end;
    },
  });
  relay.start();
  t.after(async () => {
    relay.stop();
    assert.equal(await vmnet.stop(), undefined);
    vm.close();
    end.close();
    for (const { free } of slabs) free();
    while (twin().control.take() !== undefined) {}
    await assertNothingHeld();
  });
  return { end, relay, ended: () => ended };
}

function take(all: Uint8Array[]): number {
  for (let one = twin().control.take(); one !== undefined; one = twin().control.take()) all.push(one);
  return all.length;
}

test(
  "thousands of frames each way, while calls move parts, fail for a while and events come in storms",
  needsTwin(),
  async (t) => {
    const { end, relay, ended } = await setUp(t);
    for (const [what, value] of [
      ["write cap", 5],
      ["read cap", 9],
      ["send cap", 3],
      ["receive cap", 4],
    ] as const) {
      inject(t, what, value);
    }
    const FRAMES = 3000;
    const out: Uint8Array[] = [];
    const back: Buffer[] = [];
    for (let sent = 0; sent < FRAMES; ) {
      for (let burst = 0; burst < 50 && sent < FRAMES; burst++, sent++) {
        assert.equal(end.send(frame(sent, 100)), 100);
        assert.ok(twin().control.deliver(frame(sent, 200)));
      }
      if (sent % 500 === 0) {
        twin().control.inject("write exhausted", 9);
        twin().control.inject("send full", 9);
        twin().control.inject("event storm", 30);
      }
      await until("this burst, both ways", () => {
        back.push(...end.receiveAll());
        return take(out) === sent && back.length === sent;
      });
    }
    const numbers = (all: readonly Uint8Array[]) => all.map((one) => Buffer.from(one).readUInt32BE());
    const wanted = Array.from({ length: FRAMES }, (_, index) => index);
    assert.deepEqual(numbers(out), wanted);
    assert.deepEqual(numbers(back), wanted);
    assert.deepEqual(relay.counters.snapshot().egress, {
      frames: FRAMES,
      bytes: FRAMES * 100,
      large: 0,
      undelivered: 0,
      unsendable: 0,
      drops: {},
    });
    assert.equal(ended(), undefined);
  },
);

test(
  "a VM that takes nothing loses its frames after a while, and nobody else's; then it goes on",
  needsTwin(),
  async (t) => {
    const { end, relay } = await setUp(t);
    inject(t, "send full", 1_000_000_000);
    for (let index = 0; index < 10; index++) twin().control.deliver(frame(index, 100));
    const out: Uint8Array[] = [];
    for (let index = 0; index < 10; index++) end.send(frame(index, 100));
    await until("the other direction", () => take(out) === 10);
    await until("the waiting frames are given up", () => relay.counters.snapshot().ingress.undelivered === 10);
    twin().control.inject("send full", 0);
    twin().control.deliver(frame(99, 100));
    let received: Buffer[] = [];
    await until("frames again", () => {
      received = [...received, ...end.receiveAll()];
      return received.length > 0;
    });
    assert.deepEqual(received, [frame(99, 100)]);
  },
);

test(
  "a network whose buffers stay full loses the VM's frames after a while, and none of its own",
  needsTwin(),
  async (t) => {
    const { end, relay } = await setUp(t);
    inject(t, "write exhausted", 1_000_000_000);
    const writes = twin().control.count("writes");
    for (let index = 0; index < 10; index++) end.send(frame(index, 100));
    for (let index = 0; index < 10; index++) twin().control.deliver(frame(index, 100));
    const received: Buffer[] = [];
    await until("the other direction", () => {
      received.push(...end.receiveAll());
      return received.length === 10;
    });
    await until("the waiting frames are given up", () => relay.counters.snapshot().egress.undelivered === 10);
    // It asked again, and not as fast as it could.
    const asked = twin().control.count("writes") - writes;
    assert.ok(asked > 1 && asked < 20 * SEND_TIMEOUT, `${asked} calls`);
  },
);

test(
  "the VM goes away without a word, while nothing moves: the relay ends, and says who went",
  needsTwin(),
  async (t) => {
    const { end, ended } = await setUp(t);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(ended(), undefined);
    end.close();
    await until("the end", () => ended() !== undefined);
    assert.equal(ended()!.side, "vm");
    assert.ok(ended()!.error instanceof PortClosed);
  },
);

test(
  "a failure of vmnet's ends the relay on the network's side, also from within its own event",
  needsTwin(),
  async (t) => {
    const { ended } = await setUp(t);
    twin().control.inject("read status", 1004);
    twin().control.deliver(frame(1, 100));
    await until("the end", () => ended() !== undefined);
    assert.equal(ended()!.side, "network");
    assert.match(ended()!.error.message, /VMNET_SETUP_INCOMPLETE/);
  },
);
