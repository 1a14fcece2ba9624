/** A limit's buckets, against a count of what passes in a long time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RateLimit } from "../../src/relay/rate-limit.ts";

const SECOND = 1_000_000;
const NONE = { bytes: undefined, packets: undefined };

/** Bytes that pass in so many seconds, where frames of one size always wait and the limit is asked every `step` microseconds. */
function passed(limit: RateLimit, seconds: number, frame: number, step: number): number {
  let bytes = 0;
  for (let time = 0; time < seconds * SECOND; time += step) {
    while (limit.allows(time)) {
      limit.charge(frame, 1);
      bytes += frame;
    }
  }
  return bytes;
}

test("over a long time the rate passes, and once the burst", () => {
  for (const [frame, step] of [
    [60, 100],
    [1514, 1000],
    [65_549, 4000],
  ] as const) {
    const limit = new RateLimit({ ...NONE, bytes: { rate: 10_000_000, burst: 1_000_000 } }, 0);
    const bytes = passed(limit, 20, frame, step);
    assert.ok(Math.abs(bytes - 201_000_000) <= 2 * 65_549 + 10_000_000 * (step / SECOND), `${frame}: ${bytes}`);
  }
});

test("a frame that is larger than the burst passes once, and is paid off before the next one", () => {
  const limit = new RateLimit({ ...NONE, bytes: { rate: 1000, burst: 20 } }, 0);
  assert.ok(limit.allows(0));
  limit.charge(60_000, 1);
  assert.equal(limit.allows(SECOND), false);
  assert.ok(Math.abs(limit.wait - 58.981 * SECOND) < 2000, String(limit.wait));
  assert.equal(limit.allows(59.9 * SECOND), false);
  assert.ok(limit.allows(60 * SECOND));
});

test("packets have a bucket of their own, and both must have something", () => {
  const limit = new RateLimit({ bytes: { rate: 1e6, burst: 1e6 }, packets: { rate: 10, burst: 2 } }, 0);
  for (const expected of [true, true, false]) {
    assert.equal(limit.allows(0), expected);
    if (expected) limit.charge(100, 1);
  }
  assert.ok(limit.wait > 0 && limit.wait <= SECOND / 10);
  assert.ok(limit.allows(limit.wait));
});

test("what was charged and not sent is given back", () => {
  const limit = new RateLimit({ ...NONE, packets: { rate: 1, burst: 1 } }, 0);
  limit.charge(0, 1);
  assert.equal(limit.allows(0), false);
  limit.charge(0, -1);
  assert.ok(limit.allows(0));
});

test("a clock that stands still or jumps far ahead saves no more than the burst", () => {
  const limit = new RateLimit({ ...NONE, packets: { rate: 1000, burst: 20 } }, 0);
  assert.ok(limit.allows(1e15));
  let count = 0;
  while (limit.allows(1e15)) {
    limit.charge(0, 1);
    count++;
  }
  assert.equal(count, 20);
});
