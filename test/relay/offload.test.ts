/** What a frame's sender has left to do travels with the frame: past the guard, past gaps, to the destination. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createGuard } from "../../src/guard/guard.ts";
import { Batch, strideFor } from "../../src/relay/batch.ts";
import { EGRESS } from "../../src/relay/direction.ts";
import { Relay, type RelayOptions } from "../../src/relay/relay.ts";
import { put16 } from "../../src/wire/bytes.ts";
import { COMPLETE, MALFORMED, PARTIAL_TCP, PARTIAL_UDP } from "../../src/wire/virtio-net.ts";
import { Client, VM } from "../guard/support.ts";
import { FakeGuard, FakePort } from "./fakes.ts";

const largeBatch = (): Batch => new Batch(new Uint8Array(8 * strideFor(2000)), 0, 8, strideFor(2000));

function setUp(t: TestContext, more: Partial<RelayOptions> = {}) {
  const [vm, network, guard] = [new FakePort("vm"), new FakePort("network"), new FakeGuard()];
  const relay = new Relay({
    vm,
    network,
    guard,
    clock: () => 0,
    batches: [largeBatch(), largeBatch()],
    onEnd: ({ error }) => assert.fail(error),
    ...more,
  });
  t.after(() => relay.stop());
  relay.start();
  return { vm, network, guard, relay };
}

test("the guard is told what is left to do, and the destination has it beside the frame, also behind a gap", (t) => {
  const seen: number[] = [];
  const { vm, network, guard, relay } = setUp(t, { onFrame: (...frame) => seen.push(frame[3].offload) });
  vm.waiting = [
    [3, 1],
    [0, 1],
    [3, 2],
    [0, 2],
    [0, 3],
  ];
  vm.left = [MALFORMED, PARTIAL_TCP, COMPLETE, PARTIAL_TCP | 1448, COMPLETE];
  vm.wake(true, false);
  const all = [MALFORMED, PARTIAL_TCP, COMPLETE, PARTIAL_TCP | 1448, COMPLETE];
  assert.deepEqual([guard.offloads, seen], [all, all]);
  assert.deepEqual(network.takenLeft, [PARTIAL_TCP, PARTIAL_TCP | 1448, COMPLETE]);
  assert.equal(relay.counters.snapshot().egress.large, 1);
  assert.equal(relay.counters.snapshot().egress.frames, 3);
});

test("it stays beside a frame that waits for a full destination", async (t) => {
  const { vm, network } = setUp(t);
  network.room = 1;
  vm.waiting = [
    [0, 1],
    [0, 2],
    [0, 3],
  ];
  vm.left = [PARTIAL_TCP, PARTIAL_UDP, PARTIAL_TCP | 1000];
  vm.wake(true, false);
  network.room = 10;
  network.wake(false, true);
  await sleep(1);
  assert.deepEqual(network.takenLeft, [PARTIAL_TCP, PARTIAL_UDP, PARTIAL_TCP | 1000]);
});

test("L11 D17 DHCP comes to the guard and to the destination with its checksum complete", (t) => {
  const { vm, network, relay } = setUp(t, { guard: createGuard({ macAddress: VM }) });
  const discover = new Client().discover();
  const partial = discover.slice();
  // 0.0.0.0 to 255.255.255.255, 17 and the length, folded.
  put16(partial, 40, 17 + discover.length - 34);
  vm.waiting = [[...partial]];
  vm.left = [PARTIAL_UDP];
  vm.wake(true, false);
  assert.deepEqual(network.taken, [[...discover]]);
  assert.deepEqual(network.takenLeft, [COMPLETE]);
  // From a port that has no such header it is a wrong checksum.
  vm.waiting = [[...partial]];
  vm.wake(true, false);
  assert.equal(relay.counters.snapshot().egress.drops["dhcp.checksum"], 1);
  assert.equal(relay.counters.frames[EGRESS], 1);
});
