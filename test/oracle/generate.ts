/**
 * Traffic sessions for the comparison of the two guards: each is made from one seed, plays a random row of scenarios in
 * one world, and is a list of frames with direction and time, and in sessions of flows of changed policies.
 */
import type { GuardOptions } from "../../src/guard/types.ts";
import { before } from "./before.ts";
import { errors, FLOW_SCENARIOS } from "./flow-talk.ts";
import { FRAGMENT_SCENARIOS, wholePackets } from "./fragment-talk.ts";
import { arpGateway, arpOdd, arpProbe, arpTalk } from "./generate-arp.ts";
import {
  boot,
  bootQuietly,
  changedMind,
  decline,
  inform,
  initReboot,
  lateAnswer,
  manyRenewals,
  otherXid,
  proxyOffer,
  rapidCommit,
  rebind,
  release,
  renew,
} from "./generate-dhcp.ts";
import {
  dayOfDeclines,
  dhcpFlood,
  manyIdentifiers,
  manyOffers,
  manyProbes,
  manyTransactions,
  tenMinutes,
} from "./generate-dhcp-limits.ts";
import { farAnswers, otherClients, race, rogueNetwork, rogueServer } from "./generate-dhcp-rogues.ts";
import { layerTwo, noise, replay } from "./generate-frames.ts";
import { arpFlood, contestedGateway, gatewayIntroducesItself, gatewayMoves } from "./generate-gateway.ts";
import {
  dnsTraffic,
  exposedTraffic,
  fragments,
  groupFrames,
  igmp,
  inbound,
  strangeIpv4,
  traffic,
} from "./generate-ipv4.ts";
import { sleeper, sleepsAmongServers } from "./generate-sleepers.ts";
import { type FrameStep, type Step, World } from "./world.ts";

export type { FrameStep, Step } from "./world.ts";

export interface Session<Kind extends Step = FrameStep> {
  readonly seed: number;
  readonly options: GuardOptions;
  readonly steps: readonly Kind[];
}

/** Frames only, under one policy, with much DHCP and ARP. */
export function generateSession(seed: number): Session {
  const world = new World(seed);
  const { random } = world;
  const options = { ...world.options, ...before(world) };
  if (random.chance(options.restored ? 0.2 : 0.8)) boot(world);
  const scenarios = random.between(3, 22);
  for (let count = 0; count < scenarios; count++) {
    world.expire();
    const scenario = world.address === undefined && random.chance(0.6) ? boot : pick(world, SCENARIOS);
    scenario(world);
    if (random.chance(0.35)) world.jump();
  }
  return { seed, options, steps: framesOf(world) };
}

/** Mostly connections, with policies that change and questions in between. */
export function generateFlowSession(seed: number): Session<Step> {
  const world = new World(seed, "flows");
  const { random } = world;
  if (random.chance(0.9)) bootQuietly(world);
  const scenarios = random.between(6, 30);
  for (let count = 0; count < scenarios; count++) {
    world.expire();
    const scenario = world.address === undefined && random.chance(0.85) ? bootQuietly : pick(world, FLOW_MIX);
    scenario(world);
    if (random.chance(0.05)) world.jump();
  }
  return { seed, options: world.options, steps: world.steps };
}

function framesOf(world: World): FrameStep[] {
  return world.steps.filter((step) => step.kind === "frame");
}

type Scenario = (world: World) => void;

/** Scenario and weight. */
const SCENARIOS: readonly [Scenario, number][] = [
  [boot, 10],
  [initReboot, 6],
  [renew, 8],
  [rebind, 7],
  [sleeper, 9],
  [sleepsAmongServers, 36],
  [otherXid, 4],
  [manyRenewals, 1],
  [inform, 5],
  [release, 2],
  [race, 5],
  [rogueNetwork, 8],
  [rogueServer, 3],
  [otherClients, 3],
  [farAnswers, 4],
  [gatewayIntroducesItself, 4],
  [igmp, 2],
  [decline, 4],
  [tenMinutes, 2],
  [dayOfDeclines, 0.6],
  [rapidCommit, 4],
  [proxyOffer, 3],
  [lateAnswer, 4],
  [changedMind, 3],
  [manyIdentifiers, 2],
  [manyTransactions, 2],
  [manyOffers, 2],
  [arpTalk, 10],
  [arpProbe, 6],
  [arpGateway, 8],
  [gatewayMoves, 6],
  [contestedGateway, 5],
  [arpOdd, 4],
  [traffic, 16],
  [fragments, 6],
  [wholePackets, 5],
  [groupFrames, 5],
  [errors, 5],
  [strangeIpv4, 5],
  [dnsTraffic, 5],
  [exposedTraffic, 4],
  [inbound, 5],
  [layerTwo, 5],
  [noise, 3],
  [replay, 6],
  [manyProbes, 1.5],
  [arpFlood, 0.5],
  [dhcpFlood, 1],
];

/** Connections, and enough of everything else that the binding, gateway and DNS servers change beneath them. */
const FLOW_MIX: readonly [Scenario, number][] = [
  ...FLOW_SCENARIOS,
  ...FRAGMENT_SCENARIOS,
  [groupFrames, 2],
  [boot, 0.7],
  [bootQuietly, 1],
  [initReboot, 1],
  [renew, 3],
  [rebind, 1],
  [sleeper, 1],
  [release, 0.7],
  [rogueNetwork, 3],
  [race, 0.5],
  [arpTalk, 1],
  [traffic, 5],
  [dnsTraffic, 4],
  [fragments, 3],
  [inbound, 4],
  [strangeIpv4, 1],
  [noise, 0.5],
  [replay, 5],
];

function pick(world: World, scenarios: readonly [Scenario, number][]): Scenario {
  const total = scenarios.reduce((sum, [, weight]) => sum + weight, 0);
  let left = (world.random.uint32() / 2 ** 32) * total;
  for (const [scenario, weight] of scenarios) {
    left -= weight;
    if (left < 0) return scenario;
  }
  return traffic;
}
