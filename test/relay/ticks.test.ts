/** When the relay's tick comes: after whatever happens, at deadlines, and hardly at all while nothing happens. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { Relay, type RelayOptions } from "../../src/relay/relay.ts";
import { TICK } from "../../src/relay/ticks.ts";
import { until } from "../support/patience.ts";
import { FakeGuard, FakePort, plainBatch } from "./fakes.ts";

const now = (): number => Math.floor(performance.now() * 1000);

interface Scene {
  vm: FakePort;
  network: FakePort;
  guard: FakeGuard;
  relay: Relay;
  /** When onTick was called, on the relay's clock. */
  ticks: number[];
}

/** A relay whose ports tell everything by events. */
function setUp(t: TestContext, more: Partial<RelayOptions> = {}): Scene {
  const vm = new FakePort("vm");
  const network = new FakePort("network");
  vm.checkInterval = network.checkInterval = Number.POSITIVE_INFINITY;
  const guard = new FakeGuard();
  const ticks: number[] = [];
  const batches = [plainBatch(), plainBatch()] as const;
  const onTick = (time: number): void => void ticks.push(time);
  const relay = new Relay({ vm, network, guard, clock: now, batches, onTick, onEnd: () => {}, ...more });
  t.after(() => relay.stop());
  return { vm, network, guard, relay, ticks };
}

/** Starts it, and waits for the tick that follows the start. */
async function idle(scene: Scene): Promise<void> {
  scene.relay.start();
  await until("ticks", () => scene.ticks.length > 0);
  scene.ticks.length = 0;
}

test("while nothing happens nothing is asked", async (t) => {
  const scene = setUp(t);
  await idle(scene);
  const { checks } = scene.vm;
  await sleep(TICK * 10);
  assert.deepEqual(scene.ticks, []);
  assert.equal(scene.vm.checks, checks);
});

test("a port that must be asked is asked soon after a frame, and ever more seldom down to what it says", async (t) => {
  const scene = setUp(t);
  scene.network.checkInterval = 6 * TICK;
  await idle(scene);
  scene.vm.waiting = [[0, 1]];
  scene.vm.wake(true, false);
  const begin = now();
  await until("ticks", () => scene.ticks.length >= 12);
  const gaps = scene.ticks.map((time, index) => (time - (scene.ticks[index - 1] ?? begin)) / 1000);
  assert.ok(
    gaps.slice(-4).every((gap) => gap >= 6 * TICK - 10),
    gaps.join(" "),
  );
  assert.ok((scene.ticks[4]! - begin) / 1000 < 4 * 6 * TICK, gaps.join(" "));
});

test("a frame is followed by a tick, and then there is rest again", async (t) => {
  const scene = setUp(t);
  await idle(scene);
  for (let round = 1; round <= 3; round++) {
    scene.vm.waiting = [[0, round]];
    scene.vm.wake(true, false);
    await until("ticks", () => scene.ticks.length === round);
    await sleep(TICK * 3);
    assert.equal(scene.ticks.length, round);
  }
});

test("a wake without a frame is followed by a tick: a port may have to be watched again", async (t) => {
  const scene = setUp(t);
  await idle(scene);
  scene.network.wake(true, true);
  await until("ticks", () => scene.ticks.length === 1);
});

test("whoever asks for a tick gets one", async (t) => {
  const scene = setUp(t);
  await idle(scene);
  scene.relay.tickSoon();
  scene.relay.tickSoon();
  await until("ticks", () => scene.ticks.length === 1);
  await sleep(TICK * 3);
  assert.equal(scene.ticks.length, 1);
});

test("the guard hears the time when its deadline is over, without any frame", async (t) => {
  const scene = setUp(t);
  scene.guard.deadline = now() + 400_000;
  const { deadline } = scene.guard;
  await idle(scene);
  await until("a tick behind the deadline", () => scene.guard.times.some((time) => time >= deadline));
  scene.guard.deadline = Number.POSITIVE_INFINITY;
  assert.ok(
    scene.ticks.every((time) => time >= deadline - 2_000),
    "not before",
  );
});

test("onTick is called at its deadline", async (t) => {
  let deadline = now() + 300_000;
  const scene = setUp(t, { deadline: () => deadline });
  await idle(scene);
  await until("ticks", () => scene.ticks.length > 0);
  assert.ok(scene.ticks[0]! >= deadline - 2_000);
  deadline = Number.POSITIVE_INFINITY;
});

test("a deadline that is over does not spin", async (t) => {
  const scene = setUp(t, { deadline: () => 0 });
  await idle(scene);
  await sleep(100);
  assert.ok(scene.ticks.length <= 110, `${scene.ticks.length} ticks`);
});

test("traffic without end does not starve ticks", async (t) => {
  const scene = setUp(t);
  await idle(scene);
  let running = true;
  const feed = async (): Promise<void> => {
    while (running) {
      scene.vm.waiting = Array.from({ length: 200 }, () => [0, 1]);
      scene.vm.wake(true, false);
      scene.network.taken.length = 0;
      await turn();
    }
  };
  const feeding = feed();
  await until("ticks", () => scene.ticks.length >= 4);
  running = false;
  await feeding;
});

test("what waits for a full receiver keeps the ticks going", async (t) => {
  const scene = setUp(t);
  await idle(scene);
  scene.network.room = 0;
  scene.vm.waiting = [[0, 1]];
  scene.vm.wake(true, false);
  await until("ticks", () => scene.ticks.length >= 2);
});

/** An alarm that wakes when the test says so. */
class FakeAlarm {
  readonly times: (number | undefined)[] = [];
  closed = false;
  wake = (): void => {};

  readonly make = (wake: () => void): FakeAlarm => {
    this.wake = wake;
    return this;
  };

  set(milliseconds: number): void {
    this.times.push(milliseconds);
  }

  clear(): void {
    this.times.push(undefined);
  }

  close(): void {
    this.closed = true;
  }
}

test("a tick that is far away is an alarm's, which goes on while the machine sleeps", async (t) => {
  const alarm = new FakeAlarm();
  const scene = setUp(t, { makeAlarm: alarm.make });
  await idle(scene);
  assert.deepEqual(alarm.times, [300_000], "nothing is due: it is looked at some day all the same");
  scene.guard.deadline = now() + 100_000_000;
  alarm.wake();
  assert.equal(scene.ticks.length, 1);
  const due = alarm.times.at(-1)!;
  assert.ok(due > 90_000 && due <= 100_000, `${due} ms`);
  scene.vm.waiting = [[0, 1]];
  scene.vm.wake(true, false);
  assert.equal(alarm.times.at(-1), undefined, "a frame's tick comes before");
  await until("ticks", () => scene.ticks.length >= 2);
  scene.relay.stop();
  assert.ok(alarm.closed);
});

test("where there can be no alarm a tick comes by the timer", async (t) => {
  let asked = 0;
  const scene = setUp(t, { makeAlarm: () => void asked++ as undefined });
  await idle(scene);
  assert.ok(asked > 0);
  scene.guard.deadline = now() + 200_000;
  scene.relay.tickSoon();
  await until("ticks", () => scene.ticks.length >= 2);
});
