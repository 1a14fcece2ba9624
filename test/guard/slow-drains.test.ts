/**
 * A network outlives a day of one VM that takes four leases in ten minutes, each with a client identifier of its own, and
 * declines what it may, also while it is bound to another address, or does what it can to leave ACKs unheard (finding G16).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DISTRACTIONS, dayOf, declinesOffers, takes } from "./drain-support.ts";
import { HOUR } from "./support.ts";

for (const [size, what] of [
  [253, "a /24"],
  [10, "ten addresses"],
] as const) {
  for (const hours of [1, 12, 24]) {
    test(`G16 D2 D4 a pool of ${what} with leases of ${hours} h outlives a day of one VM's moves and DECLINEs`, (t) => {
      const day = dayOf(takes, size, hours * HOUR);
      t.diagnostic(`${what}, leases of ${hours} h: ${JSON.stringify(day)}`);
      assert.equal(day.leases, 576);
      assert.equal(day.declines, 8);
      assert.equal(day.full, 0);
      // Eight declined addresses, and the VM's own.
      assert.equal(day.most, 9);
    });
  }
  for (const [name, strategy] of Object.entries({
    "declines offers while it is bound": declinesOffers,
    ...DISTRACTIONS,
  })) {
    test(`G16 D2 D4 a pool of ${what} outlives a day of one VM that ${name}`, (t) => {
      const day = dayOf(strategy, size, 24 * HOUR);
      t.diagnostic(`${what}, ${name}: ${JSON.stringify(day)}`);
      assert.equal(day.full, 0, "the pool was empty");
      assert.ok(day.leases >= 560, `the VM took ${day.leases} leases`);
      assert.ok(day.most <= 9, `${day.most} addresses lost`);
    });
  }
}
