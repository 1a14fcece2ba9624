/** What stands between verdict and send: it holds frames back, or takes them out, and the relay knows no more of it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Batch } from "../../src/relay/batch.ts";
import { EGRESS } from "../../src/relay/direction.ts";
import { Relay, type RelayEnd } from "../../src/relay/relay.ts";
import type { Stage } from "../../src/relay/stage.ts";
import { FakeGuard, FakePort, plainBatch } from "./fakes.ts";

const clock = (): number => Math.floor(performance.now() * 1000);
const passed = (number: number): number[] => [0, number];
const numbers = (count: number): number[][] => Array.from({ length: count }, (_, index) => passed(index));

/** Admits so many frames every `interval` microseconds. */
class Limit implements Stage {
  holdsUntil = 0;
  readonly asked: number[] = [];
  readonly #each: number;
  readonly #interval: number;

  constructor(each: number, interval: number) {
    this.#each = each;
    this.#interval = interval;
  }

  admit(batch: Batch, first: number, time: number): number {
    this.asked.push(first);
    if (time < this.holdsUntil) return first;
    this.holdsUntil = time + this.#interval;
    return Math.min(batch.count, first + this.#each);
  }
}

function setUp(t: TestContext, stage: Stage) {
  const [vm, network] = [new FakePort("vm"), new FakePort("network")];
  const ends: RelayEnd[] = [];
  const relay = new Relay({
    vm,
    network,
    guard: new FakeGuard(),
    clock,
    batches: [plainBatch(), plainBatch()],
    stages: [stage, undefined],
    onEnd: (end) => ends.push(end),
  });
  t.after(() => relay.stop());
  relay.start();
  return { vm, network, relay, ends };
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    assert.ok(waited < 20_000);
    await sleep(5);
  }
}

test("frames that a stage holds back are sent when it admits them, in order, and the source is not read meanwhile", async (t) => {
  const stage = new Limit(1, 20_000);
  const { vm, network, relay, ends } = setUp(t, stage);
  vm.waiting = numbers(7);
  vm.wake(true, false);
  assert.deepEqual(network.taken, [passed(0)]);
  assert.deepEqual(vm.interest, { readable: false, writable: false });
  assert.deepEqual(network.interest, { readable: true, writable: false }); // it has room: nothing to wait for
  assert.equal(vm.receives, 1);
  vm.wake(true, false);
  assert.equal(vm.receives, 1);
  network.waiting = [passed(9)];
  network.wake(true, false);
  assert.deepEqual(vm.taken, [passed(9)]); // the other direction is not concerned
  await until(() => network.taken.length === 7);
  assert.deepEqual(network.taken, numbers(7));
  await until(() => vm.interest.readable);
  assert.equal(relay.counters.undelivered[EGRESS], 0);
  assert.deepEqual(ends, []);
});

test("what was admitted and met a full receiver is not asked about again", async (t) => {
  const stage = new Limit(2, 1_000);
  const { vm, network, ends } = setUp(t, stage);
  network.room = 1;
  vm.waiting = numbers(4);
  vm.wake(true, false);
  assert.deepEqual(stage.asked, [0]);
  assert.deepEqual(network.interest, { readable: true, writable: true });
  network.room = 10;
  network.wake(false, true);
  await until(() => network.taken.length === 4);
  assert.deepEqual(network.taken, numbers(4));
  assert.ok(!stage.asked.includes(1));
  assert.deepEqual(ends, []);
});

test("a receiver that stays full behind a stage loses what waits, counted", async (t) => {
  const { vm, network, relay } = setUp(t, new Limit(1, 5_000));
  vm.waiting = numbers(3);
  network.room = 1;
  vm.wake(true, false);
  await until(() => relay.counters.undelivered[EGRESS] > 0);
  assert.equal(relay.counters.undelivered[EGRESS], 2);
  assert.deepEqual(network.taken, [passed(0)]);
});

test("a stage may take frames out of the batch", (t) => {
  const odd: Stage = {
    holdsUntil: 0,
    admit: (batch, first) => {
      let kept = first;
      for (let index = first; index < batch.count; index++) {
        if (batch.bytes[batch.offset[index]! + 1]! % 2 === 1) batch.keep(index, kept++);
      }
      batch.count = kept;
      return kept;
    },
  };
  const { vm, network } = setUp(t, odd);
  vm.waiting = numbers(4);
  vm.wake(true, false);
  assert.deepEqual(network.taken, [passed(1), passed(3)]);
});

test("frames that a stage holds when the relay stops are counted as undelivered", (t) => {
  const { vm, relay } = setUp(t, new Limit(1, 1_000_000));
  vm.waiting = numbers(3);
  vm.wake(true, false);
  relay.stop();
  assert.equal(relay.counters.undelivered[EGRESS], 2);
});

test("a stage that throws ends the relay, and neither port is at fault", (t) => {
  const fault = new Error("a fault in the stage");
  const { vm, network, ends } = setUp(t, {
    holdsUntil: 0,
    admit: () => {
      throw fault;
    },
  });
  vm.waiting = numbers(1);
  vm.wake(true, false);
  assert.deepEqual(network.taken, []);
  assert.deepEqual(ends, [{ error: fault }]);
});
