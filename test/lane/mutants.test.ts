/**
 * Each check of the lane's programs is needed, and the tests see it: with one taken out, they fail. support/mutants.ts lists
 * them with what finds each; those that only real frames show are run by offloads.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard } from "../../src/guard/guard.ts";
import { IPV4_LANE } from "../../src/lane/relay-tap.ts";
import { ADDRESS, udp, VM } from "../guard/support.ts";
import { generateLaneSession } from "./support/generate.ts";
import { openLane, suiteOfMutants } from "./support/mutant-suite.ts";
import { MUTANTS, type Mutant } from "./support/mutants.ts";
import { MUTANTS_6 } from "./support/mutants-6.ts";

suiteOfMutants({
  name: "the express lane's checks, each taken out",
  code: IPV4_LANE,
  defines: [],
  mutants: MUTANTS,
  frames: 100_000,
  generate: generateLaneSession,
  flow: (kernel) => [createGuard({ macAddress: VM, address: ADDRESS }, openLane(kernel)), udp(40_000, 443)],
  flows: (kernel) => kernel.flows,
  words: 8,
});

test("the list of mutants names each check once", () => {
  const all = [...MUTANTS, ...MUTANTS_6];
  const names = all.map(({ name }: Mutant) => name);
  assert.deepEqual(names, [...new Set(names)]);
  for (const { name, finder, unseen } of all) assert.ok((finder === undefined) !== (unseen === undefined), name);
});
