/**
 * Two ways to cost a network more than one's own address and eight declined ones in a day (finding G16): to decline an
 * offer while bound to another address, and to leave an ACK unheard.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dayOf, declinesOffers, leavesAcknowledgements } from "./drain-support.ts";
import { HOUR } from "./support.ts";

for (const [size, what] of [
  [253, "a /24"],
  [10, "ten addresses"],
] as const) {
  for (const strategy of [declinesOffers, leavesAcknowledgements]) {
    test(`G16 D2 D4 a pool of ${what} outlives a day of one VM that ${strategy.name}`, (t) => {
      const day = dayOf(strategy, size, 24 * HOUR);
      t.diagnostic(`${what}, ${strategy.name}: ${JSON.stringify(day)}`);
      assert.equal(day.full, 0, "the pool was empty");
      assert.ok(day.most <= 9, `${day.most} addresses lost`);
    });
  }
}
