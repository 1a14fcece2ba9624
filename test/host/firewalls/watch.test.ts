/** When other firewalls are looked at again: after their changes, not during them, and seldom. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FirewallWatch } from "../../../src/host/firewalls/watch.ts";

const TIMES = { pause: 50, interval: 300 };
/** Milliseconds that a timer may come early: it counts whole ones. */
const EARLY = 2;

/** A watch, and when it looked. */
function watched(look: () => Promise<void> = async () => {}): {
  readonly watch: FirewallWatch;
  readonly looks: number[];
} {
  const looks: number[] = [];
  const watch = new FirewallWatch(async () => {
    looks.push(performance.now());
    await look();
  }, TIMES);
  return { watch, looks };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, "too late");
    await sleep(5);
  }
}

test("many changes are one look, after a pause", async () => {
  const { watch, looks } = watched();
  const begin = performance.now();
  for (let change = 0; change < 1000; change++) watch.changed();
  assert.equal(looks.length, 0);
  await until(() => looks.length === 1);
  assert.ok(looks[0]! - begin >= TIMES.pause - EARLY);
  await sleep(2 * TIMES.interval);
  assert.equal(looks.length, 1);
});

test("changes without a pause are looked at all the same", async () => {
  const { watch, looks } = watched();
  const changes = setInterval(() => watch.changed(), 5);
  try {
    await until(() => looks.length >= 3);
  } finally {
    clearInterval(changes);
    watch.close();
  }
  for (let look = 1; look < looks.length; look++) {
    assert.ok(looks[look]! - looks[look - 1]! >= TIMES.interval - EARLY, "two looks too soon after each other");
  }
});

test("a change during a look is seen by the next", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { watch, looks } = watched(() => promise);
  watch.changed();
  await until(() => looks.length === 1);
  watch.changed();
  await sleep(2 * TIMES.interval);
  assert.equal(looks.length, 1, "one look at a time");
  resolve();
  await until(() => looks.length === 2);
});

test("closed, it looks no more", async () => {
  const { watch, looks } = watched();
  watch.changed();
  watch.close();
  await sleep(2 * TIMES.interval);
  watch.changed();
  await sleep(2 * TIMES.interval);
  assert.equal(looks.length, 0);
});
