/** Where the next frame is near, sources are read on for a moment instead of waiting for an event. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Relay } from "../../src/relay/relay.ts";
import { FakeGuard, FakePort, plainBatch } from "./fakes.ts";

/** A port whose far side answers what it is sent, some receives later. */
class AnsweringPort extends FakePort {
  readonly #delay: number;
  #answerAt = Number.POSITIVE_INFINITY;

  constructor(label: string, delay: number) {
    super(label);
    this.#delay = delay;
  }

  override send(...args: Parameters<FakePort["send"]>): number {
    this.#answerAt = this.receives + this.#delay;
    return super.send(...args);
  }

  override receive(...args: Parameters<FakePort["receive"]>): number {
    if (this.receives >= this.#answerAt) {
      this.#answerAt = Number.POSITIVE_INFINITY;
      this.waiting.push([0, 7]);
    }
    return super.receive(...args);
  }
}

/** One frame comes from the VM. The clock goes on by a microsecond whenever it is read. */
function play(t: TestContext, readsOn: boolean | undefined) {
  const vm = new FakePort("vm");
  const network = new AnsweringPort("network", 40);
  let time = 0;
  const asked: number[] = [];
  const relay = new Relay({
    vm,
    network,
    guard: new FakeGuard(),
    clock: () => ++time,
    batches: [plainBatch(), plainBatch()],
    ...(readsOn !== undefined && {
      readsOn: (now: number) => {
        asked.push(now);
        return readsOn;
      },
    }),
    onEnd: ({ error }) => assert.fail(error),
  });
  t.after(() => relay.stop());
  relay.start();
  vm.waiting = [[0, 1]];
  vm.wake(true, false);
  return { vm, network, asked, relay };
}

/** As many turns of the event loop as end every reading on. */
async function turns(): Promise<void> {
  for (let count = 0; count < 200; count++) await turn();
}

test("an answer that comes soon is moved without an event", async (t) => {
  const { vm, network } = play(t, true);
  assert.deepEqual(network.taken, [[0, 1]]);
  await turns();
  assert.deepEqual(vm.taken, [[0, 7]]);
});

test("200 µs after the last frame it waits for an event again", async (t) => {
  const { vm, network, asked } = play(t, true);
  await turns();
  const { receives } = network;
  await turns();
  assert.equal(network.receives, receives);
  assert.ok(asked.at(-1)! - asked[0]! > 200, "the answer was a frame, too");
  assert.ok(asked.at(-1)! < 500, `asked until ${asked.at(-1)}`);
  vm.waiting = [[0, 2]];
  vm.wake(true, false);
  assert.deepEqual(network.taken, [
    [0, 1],
    [0, 2],
  ]);
});

test("meanwhile the event loop turns", (t) => {
  const { network } = play(t, true);
  // What is read in one go: both sources, 16 times.
  assert.ok(network.receives > 0 && network.receives <= 16, `${network.receives} receives at once`);
});

for (const readsOn of [false, undefined]) {
  test(`it waits for an event where readsOn ${readsOn === false ? "says so" : "is missing"}`, async (t) => {
    const { vm, network } = play(t, readsOn);
    await turns();
    assert.deepEqual(vm.taken, []);
    assert.equal(network.receives, 0);
    network.waiting = [[0, 7]];
    network.wake(true, false);
    assert.deepEqual(vm.taken, [[0, 7]]);
  });
}

test("a relay that was stopped meanwhile reads nothing more", async (t) => {
  const { network, relay } = play(t, true);
  relay.stop();
  const { receives } = network;
  await turns();
  assert.equal(network.receives, receives);
});
