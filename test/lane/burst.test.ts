import assert from "node:assert/strict";
import { test } from "node:test";
import { Burst } from "../../src/lane/burst.ts";

/** As many flows, so many microseconds one from the other, the last one at 1 s. */
function after(count: number, apart: number): Burst {
  const burst = new Burst();
  for (let index = count - 1; index >= 0; index--) burst.note(1_000_000 - index * apart);
  return burst;
}

test("sixteen flows within 8 ms are a burst, until 8 ms after the first of them", () => {
  const burst = after(16, 100);
  assert.ok(burst.isAt(1_000_000));
  assert.ok(burst.isAt(1_000_000 - 1_500 + 7_999));
  assert.ok(!burst.isAt(1_000_000 - 1_500 + 8_000));
});

test("fewer are none, nor are as many that come slowly; the last sixteen count", () => {
  assert.ok(!new Burst().isAt(1_000_000));
  assert.ok(!after(15, 100).isAt(1_000_000));
  assert.ok(!after(1_000, 550).isAt(1_000_000));
  assert.ok(after(1_000, 500).isAt(1_000_000));
});
