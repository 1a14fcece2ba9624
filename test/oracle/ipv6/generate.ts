/** IPv6 sessions from seeds: rows of conversations in one world, as frames with their times and changed policies. */

import { be16, join } from "../build.ts";
import { onesComplementSum } from "../bytes.ts";
import type { Session } from "../generate.ts";
import { bootQuietly } from "../generate-dhcp.ts";
import type { Step } from "../world.ts";
import { DHCP_SCENARIOS } from "./dhcp-talk.ts";
import { join6, ND_SCENARIOS, revive } from "./nd-talk.ts";
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
    const before = world.now;
    pick(world)(world);
    if (random.chance(0.3)) world.toBound();
    if (world.now - before > 50_000_000 && random.chance(0.9)) revive(world);
  }
  return { seed, options: world.options6, steps: world.steps.map((step) => withHeader(world, step)) };
}

/** A few frames come with a virtio-net header: complete, with a checksum left to do, or with segments. */
function withHeader(world: World6, step: Step): Step {
  const { random } = world;
  if (step.kind !== "frame" || step.frame.length < 62 || step.frame[12] !== 0x86 || random.chance(0.97)) return step;
  const next = step.frame[20]!;
  const place = { 58: 2, 17: 6, 6: 16 }[next];
  if (place === undefined || random.chance(0.3)) {
    const bytes = random.pick([
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [1, 0, 0, 0, 0, 0, 34, 0, 16, 0],
      [1, 4, 0, 0, 100, 0, 54, 0, 16, 0],
      [1, 0, 0, 0, 0, 0, 54, 0, 250, 250],
      [2, 1, 0, 0, 100, 0, 0, 0, 0, 0],
      [4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    return { ...step, header: new Uint8Array(bytes) };
  }
  const frame = step.frame.slice();
  if (frame.length > 54 + place + 1 && random.chance(0.9)) frame.set(pseudoSum(frame, next), 54 + place);
  return { ...step, frame, header: new Uint8Array([1, 0, 0, 0, 0, 0, 54, 0, place, 0]) };
}

/** What a sender leaves in the field: the pseudo-header's sum (RFC 8200 8.1). */
function pseudoSum(frame: Uint8Array, next: number): number[] {
  const length = frame.slice(18, 20);
  return be16(onesComplementSum(join(frame.slice(22, 54), [0, 0], length, [0, 0, 0, next])));
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
