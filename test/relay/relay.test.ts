import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { DROP_REASONS } from "../../src/guard/reasons.ts";
import { SEND_TIMEOUT } from "../../src/relay/delivery.ts";
import { EGRESS, INGRESS } from "../../src/relay/direction.ts";
import { type FramePort, PortClosed, PortFailed } from "../../src/relay/port.ts";
import { Relay, type RelayEnd, type RelayOptions } from "../../src/relay/relay.ts";
import type { FrameView } from "../../src/wire/frame-view.ts";
import { until } from "../support/patience.ts";
import { FakeGuard, FakePort, plainBatch } from "./fakes.ts";

interface Scene {
  vm: FakePort;
  network: FakePort;
  guard: FakeGuard;
  ends: RelayEnd[];
  relay: Relay;
}

function setUp(t: TestContext, more: Partial<RelayOptions> = {}): Scene {
  const vm = new FakePort("vm");
  const network = new FakePort("network");
  const guard = new FakeGuard();
  const ends: RelayEnd[] = [];
  const relay = new Relay({
    vm,
    network,
    guard,
    clock: () => Math.floor(performance.now() * 1000),
    batches: [plainBatch(), plainBatch()],
    onEnd: (end) => ends.push(end),
    ...more,
  });
  t.after(() => relay.stop());
  relay.start();
  return { vm, network, guard, ends, relay };
}

/** Frame number n that the guard passes. */
const passed = (number: number): number[] => [0, number];

test("frames that the guard passes go through in both directions, the others are counted by reason", (t) => {
  const { vm, network, guard, relay, ends } = setUp(t);
  vm.waiting = [passed(1), [3, 9, 9], passed(2)];
  vm.wake(true, false);
  network.waiting = [[5, 1], passed(3), [5, 2]];
  network.wake(true, false);
  assert.deepEqual(network.taken, [passed(1), passed(2)]);
  assert.deepEqual(vm.taken, [passed(3)]);
  assert.deepEqual(guard.judged, [
    "egress 0,1",
    "egress 3,9,9",
    "egress 0,2",
    "ingress 5,1",
    "ingress 0,3",
    "ingress 5,2",
  ]);
  assert.deepEqual(relay.counters.snapshot(), {
    egress: { frames: 2, bytes: 4, large: 0, undelivered: 0, unsendable: 0, drops: { [DROP_REASONS[2].name]: 1 } },
    ingress: { frames: 1, bytes: 2, large: 0, undelivered: 0, unsendable: 0, drops: { [DROP_REASONS[4].name]: 2 } },
  });
  assert.deepEqual(ends, []);
});

test("a batch that is not full means that the source is drained", (t) => {
  const { vm } = setUp(t);
  vm.waiting = [passed(1), passed(2), passed(3)];
  vm.wake(true, false);
  assert.equal(vm.receives, 1);
  vm.waiting = Array.from({ length: 6 }, (_, index) => passed(index));
  vm.wake(true, false);
  assert.equal(vm.receives, 3);
});

test("a source without end gives the other direction and the event loop their turns", async (t) => {
  const { vm, network } = setUp(t);
  vm.waiting = Array.from({ length: 1000 }, () => passed(1));
  network.waiting = [passed(2)]; // without any event
  vm.wake(true, false);
  assert.deepEqual(vm.taken, [passed(2)]);
  assert.ok(network.taken.length < 200);
  const receives = vm.receives;
  vm.wake(true, false);
  assert.equal(vm.receives, receives); // it goes on by itself, so an event adds nothing
  for (let round = 0; round < 30; round++) await turn();
  assert.equal(network.taken.length, 1000);
});

test("a full receiver stops its source and gets the rest, in order, when it has room", (t) => {
  const { vm, network, relay } = setUp(t);
  network.room = 2;
  vm.waiting = Array.from({ length: 7 }, (_, index) => passed(index));
  vm.wake(true, false);
  assert.deepEqual(network.taken, [passed(0), passed(1)]);
  assert.deepEqual(vm.interest, { readable: false, writable: false });
  assert.deepEqual(network.interest, { readable: true, writable: true });
  const receives = vm.receives;
  vm.wake(true, false);
  assert.equal(vm.receives, receives);
  network.room = 100;
  network.wake(false, true);
  assert.deepEqual(
    network.taken,
    Array.from({ length: 7 }, (_, index) => passed(index)),
  );
  assert.deepEqual(vm.interest, { readable: true, writable: false });
  assert.deepEqual(network.interest, { readable: true, writable: false });
  assert.equal(relay.counters.undelivered[EGRESS], 0);
});

test("a receiver that stays full loses what waits, counted, and the other direction goes on meanwhile", async (t) => {
  const { vm, network, relay, ends } = setUp(t);
  network.room = 1;
  vm.waiting = [passed(1), passed(2), passed(3)];
  vm.wake(true, false);
  for (let round = 0; round < 5; round++) {
    network.waiting = [passed(round)];
    network.wake(true, false);
  }
  assert.equal(vm.taken.length, 5);
  await sleep(SEND_TIMEOUT * 4);
  assert.equal(relay.counters.undelivered[EGRESS], 2);
  assert.equal(relay.counters.undelivered[INGRESS], 0);
  assert.deepEqual(vm.interest, { readable: true, writable: false });
  network.room = 10;
  vm.waiting = [passed(4)];
  vm.wake(true, false);
  assert.deepEqual(network.taken, [passed(1), passed(4)]);
  assert.deepEqual(ends, []);
});

test("once a full receiver has lost what waited, the source is read on without any event", async (t) => {
  // A port may hold frames that it has read already, of which no event tells (port.ts, receive).
  const { vm, network } = setUp(t);
  network.room = 0;
  vm.waiting = Array.from({ length: 6 }, (_, index) => passed(index)); // the batch takes four
  vm.wake(true, false);
  assert.equal(vm.waiting.length, 2);
  for (let waited = 0; vm.waiting.length > 0; waited += 10) {
    assert.ok(waited < 20_000);
    await sleep(10);
  }
  assert.equal(network.taken.length, 0);
});

test("a receiver that takes a frame now and then is waited for", async (t) => {
  const { vm, network, relay } = setUp(t);
  network.room = 0;
  vm.waiting = Array.from({ length: 4 }, (_, index) => passed(index));
  vm.wake(true, false);
  for (let round = 0; round < 3; round++) {
    await sleep(SEND_TIMEOUT * 0.6);
    network.room = 1;
    network.wake(false, true);
  }
  network.room = 10;
  network.wake(false, true);
  assert.equal(network.taken.length, 4);
  assert.equal(relay.counters.undelivered[EGRESS], 0);
});

test("both directions can be blocked at once", (t) => {
  const { vm, network } = setUp(t);
  vm.room = 0;
  network.room = 0;
  vm.waiting = [passed(1)];
  network.waiting = [passed(2)];
  vm.wake(true, false);
  network.wake(true, false);
  assert.deepEqual(vm.interest, { readable: false, writable: true });
  assert.deepEqual(network.interest, { readable: false, writable: true });
  vm.room = 10;
  vm.wake(false, true);
  assert.deepEqual(vm.taken, [passed(2)]);
  assert.deepEqual(vm.interest, { readable: false, writable: false });
  assert.deepEqual(network.interest, { readable: true, writable: true });
});

test("observers see every frame with its verdict, drops by themselves, and ticks", async (t) => {
  const seen: string[] = [];
  let ticks = 0;
  const note =
    (name: string) =>
    (direction: number, verdict: number, _time: number, { bytes, frame, length }: FrameView): void => {
      seen.push(`${name} ${direction} ${verdict} ${bytes.subarray(frame, frame + length).join(",")}`);
    };
  const { vm, network, guard } = setUp(t, { onFrame: note("frame"), onDrop: note("drop"), onTick: () => ticks++ });
  vm.waiting = [passed(1), [3, 7]];
  vm.wake(true, false);
  network.waiting = [[4]];
  network.wake(true, false);
  assert.deepEqual(seen, ["frame 0 0 0,1", "drop 0 3 3,7", "frame 0 3 3,7", "drop 1 4 4", "frame 1 4 4"]);
  await until("two ticks", () => ticks >= 2);
  assert.ok(vm.checks >= 2 && network.checks >= 2);
  assert.ok(
    guard.times.length >= 4 && guard.times.every((time, index) => index === 0 || time >= guard.times[index - 1]),
  );
});

test("whether frames are observed is asked once a batch, and drops are seen all the same", (t) => {
  const seen: number[] = [];
  const drops: number[] = [];
  let asked = 0;
  let observed = false;
  const { vm } = setUp(t, {
    observesFrames: () => {
      asked++;
      return observed;
    },
    onFrame: (_direction, verdict) => seen.push(verdict),
    onDrop: (_direction, verdict) => drops.push(verdict),
  });
  vm.waiting = [passed(1), [3], passed(2)];
  vm.wake(true, false);
  assert.deepEqual([asked, seen, drops], [1, [], [3]]);
  observed = true;
  vm.waiting = [passed(1), [3]];
  vm.wake(true, false);
  assert.deepEqual([asked, seen, drops], [2, [0, 3], [3, 3]]);
});

test("what a port can never send is counted in the direction that leads to it", async (t) => {
  const { vm, network, relay } = setUp(t);
  network.unsendable = 3;
  vm.unsendable = 1;
  await sleep(80);
  assert.equal(relay.counters.snapshot().egress.unsendable, 3);
  assert.equal(relay.counters.snapshot().ingress.unsendable, 1);
});

test("what a port drops by itself is in the counters after a tick and at the end", async (t) => {
  const { vm, network, relay } = setUp(t);
  let dropped = 2;
  (network as FramePort).countDrops = (count) => {
    count(INGRESS, 3, dropped);
    dropped = 0;
  };
  (vm as FramePort).countDrops = (count) => count(EGRESS, 4, 0);
  const drops = (): object => relay.counters.snapshot().ingress.drops;
  for (let waited = 0; Object.keys(drops()).length === 0; waited += 10) {
    assert.ok(waited < 20_000);
    await sleep(10);
  }
  assert.deepEqual(drops(), { [DROP_REASONS[2].name]: 2 });
  dropped = 1;
  relay.stop();
  assert.deepEqual(drops(), { [DROP_REASONS[2].name]: 3 });
  assert.deepEqual(relay.counters.snapshot().egress.drops, {});
});

const closed = new PortClosed("port", "is gone");
for (const [what, side, fail] of [
  ["receiving from the VM", "vm", ({ vm }: Scene) => (vm.failReceive = closed)],
  [
    "receiving from the network",
    "network",
    ({ network }: Scene) => (network.failReceive = new PortFailed("port", "x")),
  ],
  ["sending to the VM", "vm", ({ vm }: Scene) => (vm.failSend = closed)],
  ["sending to the network", "network", ({ network }: Scene) => (network.failSend = closed)],
  ["looking after the VM", "vm", ({ vm }: Scene) => (vm.failCheck = closed)],
  ["looking after the network", "network", ({ network }: Scene) => (network.failCheck = closed)],
  ["judging", undefined, ({ guard }: Scene) => (guard.fail = true)],
] as const) {
  test(`an error while ${what} ends the relay once, and no frame passes afterwards`, async (t) => {
    const scene = setUp(t);
    const { vm, network, ends } = scene;
    fail(scene);
    vm.waiting = Array.from({ length: 20 }, () => passed(1));
    network.waiting = Array.from({ length: 20 }, () => passed(2));
    vm.wake(true, false);
    network.wake(true, false);
    await sleep(120);
    assert.equal(ends.length, 1);
    assert.equal(ends[0].side, side);
    const before = [vm.taken.length, network.taken.length, vm.receives, network.receives, vm.checks];
    vm.failReceive =
      vm.failSend =
      vm.failCheck =
      network.failReceive =
      network.failSend =
      network.failCheck =
        undefined;
    scene.guard.fail = false;
    vm.wake(true, true);
    network.wake(true, true);
    await sleep(120);
    assert.deepEqual([vm.taken.length, network.taken.length, vm.receives, network.receives, vm.checks], before);
    assert.deepEqual(vm.interest, { readable: false, writable: false });
    assert.deepEqual(network.interest, { readable: false, writable: false });
    assert.equal(ends.length, 1);
  });
}

test("the frames of a batch in which the guard fails are not forwarded, not even the ones before", (t) => {
  const { vm, network, ends } = setUp(t, {
    onFrame: (_direction, _verdict, _time, { bytes, frame }) => {
      if (bytes[frame + 1] === 2) throw new Error("an observer's fault");
    },
  });
  vm.waiting = [passed(1), passed(2), passed(3)];
  vm.wake(true, false);
  assert.deepEqual(network.taken, []);
  assert.equal(ends.length, 1);
  assert.equal(ends[0].side, undefined);
  assert.match(ends[0].error.message, /observer/);
});

test("a verdict that is no number passes nothing", (t) => {
  const { vm, network, guard } = setUp(t);
  guard.judgeEgress = () => undefined as unknown as number;
  vm.waiting = [passed(1)];
  vm.wake(true, false);
  assert.deepEqual(network.taken, []);
});

test("stop is silent, counts what waited, and holds also from inside an observer", async (t) => {
  const { vm, network, relay, ends } = setUp(t, { onDrop: () => relay.stop() });
  network.room = 0;
  network.waiting = [];
  vm.waiting = [passed(1), passed(2)];
  vm.wake(true, false);
  network.waiting = [passed(3), [4], passed(5)];
  network.wake(true, false);
  assert.deepEqual(vm.taken, []);
  assert.equal(relay.counters.undelivered[EGRESS], 2);
  relay.stop();
  await sleep(120);
  assert.deepEqual(ends, []);
  assert.equal(vm.checks, 0);
  assert.throws(() => relay.start());
});
