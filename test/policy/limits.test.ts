/** The grammar of limits: docs/limits.md. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatLimits, NO_LIMITS, parseLimits } from "../../src/policy/limits.ts";

test("an item of each kind, in powers of 1,000, with a burst of a tenth of a second where none is given", () => {
  const limits = parseLimits("out 10M/s, in 800Mbit/s burst 50M, out 5000p/s, in 2Kp/s burst 100, flows 100/s");
  assert.deepEqual(limits, {
    out: { bytes: { rate: 10_000_000, burst: 1_000_000 }, packets: { rate: 5000, burst: 500 } },
    in: { bytes: { rate: 100_000_000, burst: 50_000_000 }, packets: { rate: 2000, burst: 100 } },
    flows: { rate: 100, burst: 100 },
  });
});

test("a slow limit saves two large frames, 64 packets or 50 flows", () => {
  assert.equal(parseLimits("out 1K/s").out.bytes!.burst, 131_072);
  assert.equal(parseLimits("out 10p/s").out.packets!.burst, 64);
  assert.equal(parseLimits("flows 1/s").flows!.burst, 50);
});

test("an empty list is no limit", () => {
  assert.deepEqual(parseLimits(" "), { ...NO_LIMITS });
  assert.deepEqual(formatLimits(NO_LIMITS), []);
});

test("the normal form is read again as the same limits", () => {
  for (const text of ["out 10M/s", "in 1G/s burst 2G, flows 3/s", "out 1234567bit/s, out 7p/s burst 9", "IN 5k/S"]) {
    const limits = parseLimits(text);
    assert.deepEqual(parseLimits(formatLimits(limits).join(",")), limits, text);
  }
  assert.deepEqual(formatLimits(parseLimits("out 80Mbit/s")), ["out 10M/s burst 1M"]);
});

test("a mistake is one line that names the item and the remedy", () => {
  for (const [text, message] of [
    ["out 10MB/s", /^limit "out 10MB\/s" is not possible: give for example out 10M\/s/],
    ["out 10M", /give for example/],
    ["out 10M/s,", /^limit "" is not possible/],
    ["out 10M/s, out 20M/s", /"out 20M\/s" .*second limit of its kind/],
    ["flows 10p/s", /flows are counted as such/],
    ["out 999/s", /range: 1000 to 1000000000000 a second/],
    ["out 0p/s", /range: 1 to/],
    ["flows 2M/s", /range: 1 to 1000000 a second/],
    ["out 100M/s burst 1M", /the burst is out of range: 2000000 to/],
    ["in 10M/s burst", /give for example/],
  ] as const) {
    assert.throws(() => parseLimits(text), { name: "UserError", message }, text);
  }
});
