/** Each check of the lane's programs is needed, and the tests see it: with one taken out, they fail. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { Guard } from "../../../src/guard/guard.ts";
import type { ExpressLane } from "../../../src/lane/express-lane.ts";
import type { LaneCode } from "../../../src/lane/relay-tap.ts";
import { parseMac } from "../../../src/wire/address.ts";
import { VM } from "../../guard/support.ts";
import type { Session } from "../../oracle/generate.ts";
import type { Step } from "../../oracle/world.ts";
import { LONG_LIMIT } from "../../support/patience.ts";
import { needs } from "../../support/tools.ts";
import { Composite, noFigures } from "./composite.ts";
import { KernelLane, needsLane } from "./kernel-lane.ts";
import type { Mutant } from "./mutants.ts";
import { compileMutant } from "./mutate.ts";

/** Sessions for those that nothing finds. */
const FEW = 60;
/** Of the packets of steady flows: fewer than this, and the programs leave too much to the guard. */
const LEAST_STEADY = 0.98;

const skip = { ...needs("clang"), ...needsLane() };

/** Programs, their mutants, and what is shown to them. */
export interface Family {
  readonly name: string;
  readonly code: LaneCode;
  readonly defines: readonly string[];
  readonly mutants: readonly Mutant[];
  /** Of the sessions that every mutant is shown. */
  readonly frames: number;
  readonly generate: (seed: number) => Session<Step>;
  /** A guard, and a packet of a flow that it admits when it sees it twice. */
  readonly flow: (kernel: KernelLane) => readonly [Guard, Uint8Array];
  /** Flows, and words of one. */
  readonly flows: (kernel: KernelLane) => Int32Array;
  readonly words: number;
}

export const openLane = (kernel: KernelLane): ExpressLane => kernel.open(parseMac(VM)!, 1500, () => 0);

export function suiteOfMutants(family: Family): void {
  const { mutants, code, defines, generate } = family;
  const sessions: Session<Step>[] = [];
  let kernel: KernelLane;

  const makeSessions = (): void => {
    let frames = 0;
    for (let seed = 1; frames < family.frames; seed++) {
      const session = generate(seed);
      sessions.push(session);
      frames += session.steps.length;
    }
  };

  /** What the loaded programs do wrong; undefined where the sessions show nothing. */
  const find = (most = sessions.length): string | undefined => {
    const figures = noFigures();
    for (const session of sessions.slice(0, most)) {
      const { disturbed } = kernel;
      const difference = new Composite(kernel, session, session.seed % 2 === 0 ? "usual" : "open", figures).run(
        session,
      );
      if (difference !== undefined && kernel.disturbed === disturbed) return `${difference.kind}, ${difference.text}`;
    }
    const share = figures.steadyExpress / figures.steady;
    return share < LEAST_STEADY ? `${(100 * share).toFixed(1)} % of the packets of steady flows pass` : undefined;
  };

  /** Whether a flow passes that softnet is changing. */
  const passesWhatChanges = (): boolean => {
    const [guard, packet] = family.flow(kernel);
    guard.egress(packet, 0);
    guard.egress(packet, 0);
    const flows = family.flows(kernel);
    const at = flows.findIndex((word, index) => index % family.words === 4 && word !== 0) - 4;
    assert.ok(kernel.passes(true, packet, 1000), "the flow is admitted");
    flows[at]! |= 1;
    const passed = kernel.passes(true, packet, 1000);
    flows[at]! += 1;
    assert.ok(kernel.passes(true, packet, 1000), "once it is changed, it passes");
    return passed;
  };

  suite(family.name, { ...skip, ...LONG_LIMIT }, () => {
    before(() => {
      makeSessions();
      kernel = new KernelLane(code);
    });
    after(() => kernel.free());

    test("with all of them nothing is found", () => {
      kernel.replace(code);
      assert.equal(find(), undefined);
      assert.equal(passesWhatChanges(), false);
    });

    for (const mutant of mutants.filter(({ finder }) => finder === "sessions")) {
      test(`sessions find it: ${mutant.name}`, (t) => {
        kernel.replace(compileMutant(mutant, ...defines));
        const found = find();
        assert.ok(found !== undefined, "nothing is found");
        t.diagnostic(found.slice(0, 120));
      });
    }

    for (const mutant of mutants.filter(({ finder }) => finder === "verifier")) {
      test(`the kernel does not load it: ${mutant.name}`, () => {
        const changed = compileMutant(mutant, ...defines);
        assert.throws(() => kernel.replace(changed), /the kernel refuses an eBPF program/);
      });
    }

    for (const mutant of mutants.filter(({ finder }) => finder === "flow in change")) {
      test(`a flow that softnet is changing shows it: ${mutant.name}`, () => {
        kernel.replace(compileMutant(mutant, ...defines));
        assert.equal(passesWhatChanges(), true);
      });
    }

    for (const mutant of mutants.filter(({ unseen }) => unseen !== undefined)) {
      test(`${mutant.name}: ${mutant.unseen}`, () => {
        kernel.replace(compileMutant(mutant, ...defines));
        assert.equal(find(FEW), undefined, "this one has become one that can be found: say so in the list");
      });
    }
  });
}
