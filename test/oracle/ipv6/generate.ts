/** IPv6 sessions from seeds: rows of conversations in one world, as frames with their times and changed policies. */

import type { Session } from "../generate.ts";
import { bootQuietly } from "../generate-dhcp.ts";
import type { Step } from "../world.ts";
import { DHCP_SCENARIOS } from "./dhcp-talk.ts";
import { join6, ND_SCENARIOS } from "./nd-talk.ts";
import { TRAFFIC_SCENARIOS } from "./traffic-talk.ts";
import { World6 } from "./world.ts";

type Scenario = (world: World6) => void;

const SCENARIOS: readonly [Scenario, number][] = [
  ...ND_SCENARIOS,
  ...DHCP_SCENARIOS,
  ...TRAFFIC_SCENARIOS,
  [bootQuietly, 2],
  [(world) => world.setPolicy(world.rules6()), 5],
  [noise, 4],
];

export function generateSession6(seed: number): Session<Step> {
  const world = new World6(seed);
  const { random } = world;
  if (random.chance(0.4)) bootQuietly(world);
  if (random.chance(0.9)) join6(world);
  for (let count = random.between(6, 30); count > 0; count--) {
    pick(world)(world);
    if (random.chance(0.3)) world.toBound();
  }
  return { seed, options: world.options6, steps: world.steps };
}

/** Frames of before, with damage; and rubbish. */
function noise(world: World6): void {
  const { random } = world;
  const frames = world.steps.filter((step) => step.kind === "frame").filter(({ frame }) => frame.length < 600);
  for (let count = 6; count > 0 && frames.length > 0; count--) {
    const { direction, frame } = random.pick(frames);
    world.emit(direction, world.damage(frame), "damaged");
  }
  const head = new Uint8Array(14);
  head.set([0x86, 0xdd], 12);
  if (random.chance(0.3)) world.emit("egress", new Uint8Array([...head, ...random.bytes(random.below(60))]), "rubbish");
}

function pick(world: World6): Scenario {
  const total = SCENARIOS.reduce((sum, [, weight]) => sum + weight, 0);
  let left = (world.random.uint32() / 2 ** 32) * total;
  for (const [scenario, weight] of SCENARIOS) {
    left -= weight;
    if (left < 0) return scenario;
  }
  return noise;
}
