/** pcapng time stamps, against the plain definition computed with exact fractions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { clockOf } from "../../src/capture/clock.ts";

const BITS = 0xffffffffn;

function microseconds(resolution: number, offset: bigint, stamp: bigint): number {
  return clockOf(resolution, offset)(Number(stamp >> 32n), Number(stamp & BITS));
}

test("microseconds are exact up to the largest number that is", () => {
  const largest = BigInt(Number.MAX_SAFE_INTEGER);
  assert.equal(microseconds(6, 0n, largest), Number.MAX_SAFE_INTEGER);
  assert.ok(Number.isNaN(microseconds(6, 0n, largest + 1n)));
});

test("any resolution is rounded down and never inexact", () => {
  const resolution = fc.integer({ min: 0, max: 255 });
  const offset = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const stamp = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const small = fc.bigInt({ min: -4_000_000_000n, max: 4_000_000_000n });
  fc.assert(
    fc.property(resolution, fc.oneof(offset, small, fc.constant(0n)), stamp, (code, seconds, units) => {
      const perSecond = code < 128 ? 10n ** BigInt(code) : 2n ** BigInt(code - 128);
      const result = microseconds(code, seconds, units);
      if (Number.isNaN(result)) {
        const whole = (units * 1_000_000n) / perSecond + seconds * 1_000_000n;
        assert.ok(whole > BigInt(Number.MAX_SAFE_INTEGER) || whole < BigInt(Number.MIN_SAFE_INTEGER));
        return;
      }
      assert.ok(Number.isSafeInteger(result));
      // result ≤ exact < result + 1, both sides multiplied by perSecond
      const exact = units * 1_000_000n + seconds * 1_000_000n * perSecond;
      assert.ok(BigInt(result) * perSecond <= exact && exact < (BigInt(result) + 1n) * perSecond);
    }),
    { numRuns: 2000 },
  );
});
