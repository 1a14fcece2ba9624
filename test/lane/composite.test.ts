/**
 * What the kernel's programs pass, the guard would pass, too, and what it knows afterwards is the same: sessions of frames
 * through the programs (BPF_PROG_TEST_RUN) and a guard behind them, against a guard that sees everything. And of what has no
 * reason to be left to the guard, nearly all passes in the kernel.
 *
 * SOFTNET_LANE_FRAMES=10000000 SOFTNET_LANE_SEED=1000 node scripts/test.ts test/lane/composite.test.ts
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { BOTH_LANE, IPV4_LANE } from "../../src/lane/relay-tap.ts";
import { generateFullTable } from "../oracle/full-table.ts";
import { generateFlowSession, generateSession, type Session } from "../oracle/generate.ts";
import { generateSession6 } from "../oracle/ipv6/generate.ts";
import type { Step } from "../oracle/world.ts";
import { LIMIT } from "../support/patience.ts";
import { Composite, type Figures, noFigures } from "./support/composite.ts";
import { generateLaneSession, repeated } from "./support/generate.ts";
import { generateLaneSession6 } from "./support/generate-6.ts";
import { KernelLane, needsLane } from "./support/kernel-lane.ts";

const FRAMES = Number(process.env.SOFTNET_LANE_FRAMES ?? 300_000);
const FIRST_SEED = Number(process.env.SOFTNET_LANE_SEED ?? 1);
/** Of ten million frames: half an hour on a busy machine. */
const options = { ...needsLane(), timeout: LIMIT.timeout * Math.max(1, FRAMES / 5_000_000) };

/** Where the machine was so busy that a run ended in another second than it began, the session says nothing. */
const MOST_DISTURBED = 0.02;
/** Of the packets of steady flows. What is missing are flows that other ones have taken the place of. */
const LEAST_STEADY = 0.98;

interface Kind {
  readonly name: string;
  readonly generate: (seed: number) => Session<Step>;
  /** Of all frames. */
  readonly share: number;
  /** The least share of its frames that passes in the kernel. */
  readonly express: number;
  /** With programs that pass IPv6, too. */
  readonly ipv6?: true;
}

const KINDS: readonly Kind[] = [
  { name: "established connections", generate: generateLaneSession, share: 0.6, express: 0.3 },
  {
    name: "connections of all kinds",
    generate: (seed) => repeated(generateFlowSession(seed)),
    share: 0.2,
    express: 0.01,
  },
  { name: "DHCP and ARP", generate: (seed) => repeated(generateSession(seed)), share: 0.1, express: 0 },
  { name: "a full table", generate: (seed) => repeated(generateFullTable(seed)), share: 0.1, express: 0.05 },
  { name: "both families", generate: generateLaneSession6, share: 0.7, express: 0.2, ipv6: true },
  {
    name: "IPv6 of all kinds",
    generate: (seed) => repeated(generateSession6(seed)),
    share: 0.15,
    express: 0.001,
    ipv6: true,
  },
  {
    name: "IPv4 with the programs for both",
    generate: generateLaneSession,
    share: 0.1,
    express: 0.3,
    ipv6: true,
  },
];

function play(t: TestContext, { generate, share, ipv6 }: Kind): Figures {
  const kernel = new KernelLane(ipv6 ? BOTH_LANE : IPV4_LANE);
  const figures = noFigures();
  const begin = performance.now();
  let disturbedSessions = 0;
  for (let seed = FIRST_SEED; figures.frames < FRAMES * share; seed++) {
    const session = generate(seed);
    const { disturbed } = kernel;
    const difference = new Composite(kernel, session, seed % 2 === 0 ? "usual" : "open", figures).run(session);
    if (kernel.disturbed > disturbed) disturbedSessions++;
    else if (difference !== undefined) assert.fail(`${difference.kind}: ${difference.text}`);
  }
  const { untestable } = kernel;
  kernel.free();
  const text = Object.entries({ ...figures, untestable, disturbedSessions }).map(([what, count]) => `${what} ${count}`);
  t.diagnostic(`${text.join(", ")}; ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  assert.ok(disturbedSessions <= 1 + figures.sessions * MOST_DISTURBED, "the machine is too busy");
  return figures;
}

for (const kind of KINDS) {
  test(`the lane and the guard behind it say what the guard alone says: ${kind.name}`, options, (t) => {
    const { frames, express, steady, steadyExpress } = play(t, kind);
    assert.ok(express >= frames * kind.express, `${express} of ${frames} frames passed in the kernel`);
    if (steady > 0) {
      const share = steadyExpress / steady;
      assert.ok(share >= LEAST_STEADY, `${(100 * share).toFixed(1)} % of ${steady} packets of steady flows`);
    }
  });
}
