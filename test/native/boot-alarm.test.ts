import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeBootAlarm } from "../../src/native/linux/boot-alarm.ts";
import { libc } from "../support/sockets.ts";

test("an alarm wakes once after each time that is set, and not after one that is cleared", async () => {
  let wakes = 0;
  let woken = (): void => {};
  const wake = (): void => {
    wakes++;
    setImmediate(woken); // a watch's callback does not run what is awaited (native/poll.ts)
  };
  const next = (): Promise<void> => new Promise((resolve) => (woken = resolve));
  const alarm = makeBootAlarm(libc, wake)!;
  for (const milliseconds of [1, 0, 0.5, 30, 1001]) {
    const begin = performance.now();
    alarm.set(milliseconds);
    await next();
    assert.ok(performance.now() - begin >= milliseconds - 1, `${milliseconds} ms`);
  }
  assert.equal(wakes, 5);
  alarm.set(30);
  alarm.set(3_000_000);
  await sleep(100);
  alarm.set(30);
  alarm.clear();
  await sleep(100);
  assert.equal(wakes, 5);
  alarm.set(1);
  alarm.close();
  await sleep(50);
  assert.equal(wakes, 5);
});

test("the alarm's clock goes on while the machine sleeps", () => {
  const fd = libc.timerfd_create(7, 0);
  assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"), /^clockid: 7$/m);
  libc.close(fd);
});
