/** What softnet itself sends to the network: behind the VM's frames, a few at a time, and nothing while they wait. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Batch, HEADROOM, strideFor } from "../../src/relay/batch.ts";
import { LONGEST_OWN_FRAME } from "../../src/relay/own-frames.ts";
import { Relay } from "../../src/relay/relay.ts";
import { FakeGuard, FakePort, plainBatch } from "./fakes.ts";

function setUp(t: TestContext, waiting: number[][]) {
  const vm = new FakePort("vm");
  const network = new FakePort("network");
  const guard = new FakeGuard();
  const stride = strideFor(LONGEST_OWN_FRAME);
  const relay = new Relay({
    vm,
    network,
    guard,
    clock: () => Math.floor(performance.now() * 1000),
    batches: [plainBatch(), plainBatch()],
    ownFrames: {
      batch: new Batch(new Uint8Array(2 * stride + HEADROOM), 0, 2, stride),
      take: (out, at) => {
        const frame = waiting.shift() ?? [];
        out.set(frame, at);
        return frame.length;
      },
    },
    onEnd: () => {},
  });
  t.after(() => relay.stop());
  relay.start();
  return { vm, network, relay };
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    assert.ok(waited < 20_000);
    await sleep(10);
  }
}

test("own frames go to the network behind the frames of a turn, and are not counted as the VM's", (t) => {
  const waiting = [[9, 9]];
  const { vm, network, relay } = setUp(t, waiting);
  vm.waiting = [[0, 1]];
  vm.wake(true, false);
  assert.deepEqual(network.taken, [
    [0, 1],
    [9, 9],
  ]);
  assert.equal(relay.counters.snapshot().egress.frames, 1);
  network.waiting = [[0, 2]];
  waiting.push([8]);
  network.wake(true, false);
  assert.deepEqual(network.taken.at(-1), [8]);
});

test("a tick sends what waits though nothing happens", async (t) => {
  const waiting = [[9]];
  const { network, relay } = setUp(t, waiting);
  relay.tickSoon();
  await until(() => network.taken.length > 0);
  assert.deepEqual(network.taken, [[9]]);
});

test("while the VM's frames wait for the network, ownFrames do; none is lost and none sent twice", async (t) => {
  const waiting = [
    [9, 1],
    [9, 2],
    [9, 3],
  ];
  const { vm, network } = setUp(t, waiting);
  network.room = 0;
  vm.waiting = [[0, 1]];
  vm.wake(true, false);
  assert.equal(waiting.length, 3);
  network.room = 2;
  network.wake(false, true);
  await until(() => network.taken.length === 2);
  network.room = Number.POSITIVE_INFINITY;
  network.wake(false, true);
  await until(() => network.taken.length === 4);
  assert.deepEqual(network.taken, [
    [0, 1],
    [9, 1],
    [9, 2],
    [9, 3],
  ]);
});

test("a batch whose slots are too small for a RELEASE is refused", () => {
  const port = new FakePort("any");
  const options = { vm: port, network: port, guard: new FakeGuard(), clock: () => 0, onEnd: () => {} };
  const ownFrames = { batch: plainBatch(), take: () => 0 };
  assert.throws(() => new Relay({ ...options, batches: [plainBatch(), plainBatch()], ownFrames }), RangeError);
});
