import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { bootClock } from "../../src/native/linux/clock.ts";
import { libc } from "../support/sockets.ts";

test("the clock tells whole microseconds since boot and never goes back", () => {
  const clock = bootClock(libc);
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  let last = clock();
  assert.ok(Math.abs(last / 1e6 - uptime) < 1, `${last} µs, /proc/uptime says ${uptime} s`);
  for (let round = 0; round < 10_000; round++) {
    const now = clock();
    assert.ok(Number.isSafeInteger(now) && now >= last);
    last = now;
  }
});
