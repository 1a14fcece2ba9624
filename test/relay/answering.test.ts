/** What the relay does with the guard's answers: to the VM, behind its frames, a few at a time. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Batch } from "../../src/relay/batch.ts";
import { PortClosed } from "../../src/relay/port.ts";
import { Relay, type RelayEnd, type RelayOptions } from "../../src/relay/relay.ts";
import { TICK } from "../../src/relay/ticks.ts";
import { until } from "../support/patience.ts";
import { AnsweringGuard, FakeGuard, FakePort, plainBatch } from "./fakes.ts";

const SLOTS = 3;

function setUp(t: TestContext, more: Partial<RelayOptions> = {}) {
  const vm = new FakePort("vm");
  const network = new FakePort("network");
  const guard = new AnsweringGuard();
  const ends: RelayEnd[] = [];
  const relay = new Relay({
    vm,
    network,
    guard,
    clock: () => Math.floor(performance.now() * 1000),
    batches: [plainBatch(8), plainBatch(8)],
    answers: plainBatch(SLOTS),
    onEnd: (end) => ends.push(end),
    ...more,
  });
  t.after(() => relay.stop());
  relay.start();
  return { vm, network, guard, relay, ends };
}

const answerTo = ([verdict, ...rest]: number[]): number[] => [0xa, verdict!, ...rest];

test("a dropped frame of the VM's is answered at once, to the VM only, and neither counted nor observed", (t) => {
  const seen: number[] = [];
  const { vm, network, relay } = setUp(t, { onFrame: (direction) => seen.push(direction) });
  vm.waiting = [[0, 1], [3, 7], [0, 2], [4]];
  vm.wake(true, false);
  assert.deepEqual(network.taken, [
    [0, 1],
    [0, 2],
  ]);
  assert.deepEqual(vm.taken, [answerTo([3, 7])]);
  const { egress, ingress } = relay.counters.snapshot();
  assert.equal(egress.frames, 2);
  assert.equal(ingress.frames, 0);
  assert.deepEqual(seen, [0, 0, 0, 0]);
});

test("a dropped frame of the network's is not answered", (t) => {
  const { vm, network } = setUp(t);
  network.waiting = [[3, 7]];
  network.wake(true, false);
  assert.deepEqual(vm.taken, []);
  assert.deepEqual(network.taken, []);
});

test("without a batch for answers the guard is not asked for any", async (t) => {
  const guard = new AnsweringGuard();
  const vm = new FakePort("vm");
  const network = new FakePort("network");
  const clock = () => Math.floor(performance.now() * 1000);
  const relay = new Relay({ vm, network, guard, clock, batches: [plainBatch(), plainBatch()], onEnd: () => {} });
  t.after(() => relay.stop());
  relay.start();
  guard.resets = 5;
  vm.waiting = [[3, 7]];
  vm.wake(true, false);
  await until("a tick", () => vm.checks >= 2);
  assert.equal(guard.asked, 0);
  assert.deepEqual(vm.taken, []);
});

test("a turn answers as many frames as there are slots, and the next turn goes on", (t) => {
  const { vm } = setUp(t);
  vm.waiting = Array.from({ length: 8 }, (_, index) => [3, index]);
  vm.wake(true, false);
  assert.deepEqual(
    vm.taken,
    [0, 1, 2].map((index) => answerTo([3, index])),
  );
  vm.waiting = [[3, 9]];
  vm.wake(true, false);
  assert.deepEqual(vm.taken.at(-1), answerTo([3, 9]));
});

test("while frames wait for the VM no answer is sent; what fits into the slots follows them", (t) => {
  const { vm, network } = setUp(t);
  vm.room = 1;
  network.waiting = [
    [0, 1],
    [0, 2],
  ];
  network.wake(true, false);
  vm.waiting = [[3, 7]];
  vm.wake(true, false);
  assert.deepEqual(vm.taken, [[0, 1]]);
  vm.room = 10;
  vm.wake(false, true);
  assert.deepEqual(vm.taken, [[0, 1], [0, 2], answerTo([3, 7])]);
});

test("a VM without room keeps nothing waiting: frames go on, answers are bounded", (t) => {
  const { vm, network, relay } = setUp(t);
  vm.room = 0;
  for (let round = 0; round < 50; round++) {
    vm.waiting = [
      [3, round],
      [0, round],
    ];
    vm.wake(true, false);
  }
  assert.equal(network.taken.length, 50);
  vm.room = 100;
  vm.waiting = [[0, 99]];
  vm.wake(true, false);
  assert.deepEqual(
    vm.taken,
    [0, 1, 2].map((round) => answerTo([3, round])),
  );
  assert.equal(relay.counters.snapshot().egress.frames, 51);
});

test("RSTs of ended flows are sent by the tick, in bounded portions, without any frame", async (t) => {
  const { vm, guard } = setUp(t);
  guard.resets = 60;
  let most = 0;
  let before = 0;
  await until("a tick", () => {
    most = Math.max(most, vm.taken.length - before);
    before = vm.taken.length;
    return before === 60;
  });
  assert.deepEqual(
    vm.taken,
    Array.from({ length: 60 }, (_, index) => [0xb, 60 - index]),
  );
  assert.ok(most < 60, "not all at once");
  assert.ok(TICK <= 100, "a flow that is cut hears of it within 100 ms");
});

test("an answer that the VM's port cannot take because it is closed ends the relay at the VM's side", (t) => {
  const { vm, ends } = setUp(t);
  vm.failSend = new PortClosed("vm", "is gone");
  vm.waiting = [[3, 7]];
  vm.wake(true, false);
  assert.deepEqual(
    ends.map(({ side }) => side),
    ["vm"],
  );
});

test("an observer that stops the relay at a dropped frame keeps its answer back", (t) => {
  const { vm, relay } = setUp(t, { onDrop: () => relay.stop() });
  vm.waiting = [[3, 7]];
  vm.wake(true, false);
  assert.deepEqual(vm.taken, []);
});

test("a question to the VM goes out without any frame, behind RSTs, and to the VM only", async (t) => {
  const { vm, network, guard } = setUp(t);
  guard.resets = 1;
  guard.probes = 4;
  await until("all are sent", () => vm.taken.length === 5);
  assert.deepEqual(vm.taken, [
    [0xb, 1],
    [0xc, 4],
    [0xc, 3],
    [0xc, 2],
    [0xc, 1],
  ]);
  assert.ok(!network.taken.some(([first]) => first === 0xc));
});

test("a guard that answers nothing, or a batch too small for answers, is a programmer's mistake", () => {
  const ports = { vm: new FakePort("vm"), network: new FakePort("network") };
  const rest = { clock: () => 0, batches: [plainBatch(), plainBatch()] as const, onEnd: () => {} };
  const small = new Batch(new Uint8Array(256), 0, 2, 80);
  assert.throws(() => new Relay({ ...ports, ...rest, guard: new FakeGuard(), answers: plainBatch() }));
  assert.throws(() => new Relay({ ...ports, ...rest, guard: new AnsweringGuard(), answers: small }), RangeError);
});
