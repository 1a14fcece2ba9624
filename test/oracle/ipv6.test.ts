/**
 * The guard with IPv6 and the second, slow and obvious guard must say the same about every step of generated sessions:
 * verdict and reason, the VM's addresses, what softnet asks, what the VM is answered. A run counts only when it reached
 * every reason of docs/guard-ipv6.md and every kind of message that may pass.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DROP_REASONS } from "../../src/guard/reasons.ts";
import { FAULTS } from "./ipv6/faults.ts";
import { createFirst6 } from "./ipv6/first.ts";
import { generateSession6 } from "./ipv6/generate.ts";
import { createOracle6, judge6 } from "./ipv6/judge.ts";
import { MUST_DROP, MUST_PASS, MUST_REACH } from "./ipv6/must.ts";
import { Tally6 } from "./ipv6/tally.ts";

const STEPS = Number(process.env.SOFTNET_ORACLE_FRAMES ?? (process.env.SOFTNET_TEST_ALL === "1" ? 2_000_000 : 100_000));
const FIRST_SEED = Number(process.env.SOFTNET_ORACLE_SEED ?? 1);

test("both guards say the same about every step of IPv6, and the traffic reaches every reason", (t) => {
  const tally = new Tally6();
  for (let seed = FIRST_SEED; tally.steps < STEPS; seed++) tally.run(createFirst6, generateSession6(seed));
  tally.tell((text) => t.diagnostic(text));
  const { drops, passes, paths } = tally;
  const missing = [
    ...MUST_DROP.filter((name) => !drops.has(name)),
    ...MUST_PASS.filter((kind) => !passes.has(kind)),
    ...MUST_REACH.filter((path) => !paths.has(path)),
  ];
  assert.deepEqual(missing, [], "the generator must reach these too");
  const reasons = DROP_REASONS.map(({ name }) => name);
  assert.deepEqual(
    [...drops.keys()].filter((name) => !reasons.includes(name)),
    [],
    "reasons outside the closed list",
  );
});

/** Sessions among which each planted bug must show. */
const SESSIONS = 900;

test("each bug that is planted in the second guard is found by the same sessions", (t) => {
  let left: readonly string[] = FAULTS;
  for (let seed = FIRST_SEED; left.length > 0 && seed < FIRST_SEED + SESSIONS; seed++) {
    const { options, steps } = generateSession6(seed);
    const right = createOracle6(options);
    const expected = steps.map((step) => judge6(right, step));
    const isFound = (fault: string): boolean => {
      const wrong = createOracle6(options, new Set([fault]));
      return steps.some((step, index) => judge6(wrong, step) !== expected[index]);
    };
    const found = left.filter(isFound);
    for (const fault of found) t.diagnostic(`session ${seed - FIRST_SEED + 1}: ${fault}`);
    left = left.filter((fault) => !found.includes(fault));
  }
  assert.deepEqual(left, []);
});
