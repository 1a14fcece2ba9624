/**
 * Each check of the lane's programs is needed, and the tests see it: with one taken out, they fail. support/mutants.ts lists
 * them with what finds each; those that only real frames show are run by offloads.test.ts.
 */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { createGuard } from "../../src/guard/guard.ts";
import { IPV4_LANE } from "../../src/lane/relay-tap.ts";
import { parseMac } from "../../src/wire/address.ts";
import { ADDRESS, udp, VM } from "../guard/support.ts";
import type { Session } from "../oracle/generate.ts";
import type { Step } from "../oracle/world.ts";
import { LONG_LIMIT } from "../support/patience.ts";
import { needs } from "../support/tools.ts";
import { Composite, noFigures } from "./support/composite.ts";
import { generateLaneSession } from "./support/generate.ts";
import { KernelLane, needsLane } from "./support/kernel-lane.ts";
import { MUTANTS, type Mutant } from "./support/mutants.ts";
import { compileMutant } from "./support/mutate.ts";

/** Of the sessions that every mutant is shown. */
const FRAMES = 100_000;
/** Sessions for those that nothing finds. */
const FEW = 60;
/** Of the packets of steady flows: fewer than this, and the programs leave too much to the guard. */
const LEAST_STEADY = 0.98;

const sessions: Session<Step>[] = [];
let kernel: KernelLane;

function makeSessions(): void {
  let frames = 0;
  for (let seed = 1; frames < FRAMES; seed++) {
    const session = generateLaneSession(seed);
    sessions.push(session);
    frames += session.steps.length;
  }
}

/** What the loaded programs do wrong; undefined where the sessions show nothing. */
function find(most = sessions.length): string | undefined {
  const figures = noFigures();
  for (const session of sessions.slice(0, most)) {
    const { disturbed } = kernel;
    const difference = new Composite(kernel, session, session.seed % 2 === 0 ? "usual" : "open", figures).run(session);
    if (difference !== undefined && kernel.disturbed === disturbed) return `${difference.kind}, ${difference.text}`;
  }
  const share = figures.steadyExpress / figures.steady;
  return share < LEAST_STEADY ? `${(100 * share).toFixed(1)} % of the packets of steady flows pass` : undefined;
}

/** Whether a flow passes that softnet is changing. */
function passesWhatChanges(): boolean {
  const lane = kernel.open(parseMac(VM)!, 1500, () => 0);
  const guard = createGuard({ macAddress: VM, address: ADDRESS }, lane);
  const packet = udp(40_000, 443);
  guard.egress(packet, 0);
  guard.egress(packet, 0);
  const { flows } = kernel;
  const at = flows.findIndex((word, index) => index % 8 === 4 && word !== 0) - 4;
  assert.ok(kernel.passes(true, packet, 1000), "the flow is admitted");
  flows[at]! |= 1;
  const passed = kernel.passes(true, packet, 1000);
  flows[at]! += 1;
  assert.ok(kernel.passes(true, packet, 1000), "once it is changed, it passes");
  return passed;
}

const skip = { ...needs("clang"), ...needsLane() };

suite("the express lane's checks, each taken out", { ...skip, ...LONG_LIMIT }, () => {
  before(() => {
    makeSessions();
    kernel = new KernelLane();
  });
  after(() => kernel.free());

  test("with all of them nothing is found", () => {
    kernel.replace(IPV4_LANE);
    assert.equal(find(), undefined);
    assert.equal(passesWhatChanges(), false);
  });

  for (const mutant of MUTANTS.filter(({ finder }) => finder === "sessions")) {
    test(`sessions find it: ${mutant.name}`, (t) => {
      kernel.replace(compileMutant(mutant));
      const found = find();
      assert.ok(found !== undefined, "nothing is found");
      t.diagnostic(found.slice(0, 120));
    });
  }

  for (const mutant of MUTANTS.filter(({ finder }) => finder === "verifier")) {
    test(`the kernel does not load it: ${mutant.name}`, () => {
      const code = compileMutant(mutant);
      assert.throws(() => kernel.replace(code), /the kernel refuses an eBPF program/);
    });
  }

  for (const mutant of MUTANTS.filter(({ finder }) => finder === "flow in change")) {
    test(`a flow that softnet is changing shows it: ${mutant.name}`, () => {
      kernel.replace(compileMutant(mutant));
      assert.equal(passesWhatChanges(), true);
    });
  }

  for (const mutant of MUTANTS.filter(({ unseen }) => unseen !== undefined)) {
    test(`${mutant.name}: ${mutant.unseen}`, () => {
      kernel.replace(compileMutant(mutant));
      assert.equal(find(FEW), undefined, "this one has become one that can be found: say so in the list");
    });
  }
});

test("the list of mutants names each check once", () => {
  const names = MUTANTS.map(({ name }: Mutant) => name);
  assert.deepEqual(names, [...new Set(names)]);
  for (const { name, finder, unseen } of MUTANTS) assert.ok((finder === undefined) !== (unseen === undefined), name);
});
