/**
 * Sessions for the express lane: mostly connections that are established, with everything around them that takes a flow out of
 * the lane, or must: one changed field, replays, ends of connections, patience that runs out, policies, leases, full buckets.
 */

import { addressText } from "../../oracle/build.ts";
import { newPolicy } from "../../oracle/flow-talk.ts";
import type { Session } from "../../oracle/generate.ts";
import { boot, bootQuietly, rebind, release, renew } from "../../oracle/generate-dhcp.ts";
import { traffic } from "../../oracle/generate-ipv4.ts";
import { sleeper } from "../../oracle/generate-sleepers.ts";
import { Random } from "../../oracle/random.ts";
import { type FrameStep, type Step, World } from "../../oracle/world.ts";
import { alike, collision, fullBucket } from "./buckets.ts";
import { changeOne } from "./one-field.ts";
import { FAR, OPEN, Play, type Scenario, weighted } from "./play.ts";
import {
  ACK,
  burst,
  establish,
  FIN,
  inParts,
  moment,
  oddPacket,
  PSH,
  packet,
  put,
  RST,
  SYN,
  say,
  TCP,
  UDP,
} from "./steady.ts";

/** Seconds that a flow may be silent, by its state, and those after which its place is in danger. */
const PATIENCE = [30, 60, 120, 240, 300, 7440];
const SECOND = 1_000_000;

const NOBODY = ["ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:00", "00:00:00:00:00:00"];

/** The VM's own connections, and no others. */
const OUT_ONLY = { allow: ["out 0.0.0.0/0"], block: ["in 0.0.0.0/0"] };
/** Everything passes that has ports, and nothing else does. */
const BY_PORT = {
  allow: ["out 0.0.0.0/0:1-65535", "in 0.0.0.0/0:1-65535"],
  block: ["out 0.0.0.0/0", "in 0.0.0.0/0"],
};
const STATELESS = { allow: ["0.0.0.0/0"], block: [] };

const SCENARIOS: readonly [Scenario, number][] = [
  [goOn, 30],
  [steady, 6],
  [changed, 30],
  [again, 8],
  [silence, 10],
  [ends, 8],
  [(play) => oddPacket(play.world, play.some()), 4],
  [policy, 6],
  [lease, 4],
  [(play) => inParts(play.world, play.some()), 3],
  [collision, 2],
  [fullBucket, 2],
  [alike, 2],
  [(play) => traffic(play.world), 1],
];

export function generateLaneSession(seed: number): Session<Step> {
  const play = new Play(new World(seed, "flows"));
  const { world } = play;
  const { random } = world;
  if (!world.static || random.chance(0.3)) bootQuietly(world);
  if (random.chance(0.85)) world.setPolicy(random.pick([OPEN, BY_PORT, STATELESS, OUT_ONLY]));
  const scenarios = random.between(10, 40);
  for (let count = 0; count < scenarios; count++) {
    world.expire();
    if (world.address === undefined && random.chance(0.8)) bootQuietly(world);
    weighted(random, SCENARIOS)(play);
  }
  return { seed, options: world.options, steps: world.steps };
}

/** A session in which frames come twice or three times, so that the lane has something to pass. */
export function repeated({ seed, options, steps }: Session<Step>): Session<Step> {
  const random = new Random(seed);
  const more = steps.flatMap((step) =>
    step.kind === "frame" && random.chance(0.4) ? Array<Step>(random.between(2, 3)).fill(step) : [step],
  );
  return { seed, options, steps: more };
}

/** A connection between ports that no other has: nothing of before keeps its packets from passing in the kernel. */
function steady(play: Play): void {
  const { random } = play.world;
  const protocol = random.pick([TCP, UDP]);
  const ports = { remotePort: random.pick([80, 443, 5000]), vmPort: random.between(1024, 65_535) };
  const connection = { protocol, remote: FAR, ...ports, fromVm: true };
  burst(play.world, play.begin(connection), 30, "steady");
}

export function goOn(play: Play): void {
  burst(play.world, play.some(), 20);
}

/** One field is another one, in a packet that would pass; then the connection goes on. */
function changed(play: Play): void {
  const { world } = play;
  const { random } = world;
  const connection = play.some();
  if (random.chance(0.5)) burst(world, connection, 4);
  const macs = [world.vmMac, world.gatewayMac, ...world.peerMacs, ...NOBODY];
  const count = random.between(1, 12);
  for (let turn = 0; turn < count; turn++) {
    const fromVm = random.chance(0.5);
    const original = packet(world, connection, fromVm, {
      data: random.pick([0, 4, 40]),
      padding: random.pick([0, 0, 9]),
    });
    const { frame, label } = changeOne(random, original, macs, (world.options.mtu ?? 1500) + 14);
    put(world, random.chance(0.97) ? fromVm : !fromVm, frame, `changed: ${label}`);
    if (random.chance(0.3)) say(world, connection, random.chance(0.5));
    moment(world);
  }
}

/** What has passed comes once more, in either direction, at once or later. */
export function again(play: Play): void {
  const { world } = play;
  const { random } = world;
  const late = world.steps.slice(-60).filter((step): step is FrameStep => step.kind === "frame");
  if (random.chance(0.3)) world.jumpSeconds();
  for (let turn = random.between(1, 8); turn > 0 && late.length > 0; turn--) {
    const { direction, frame, label } = random.pick(late);
    put(world, random.chance(0.9) === (direction === "egress"), frame, `replayed: ${label}`);
    moment(world);
  }
}

/** Connections are silent for as long as they may be, or a little longer, each from its own last packet. */
function silence(play: Play): void {
  const { world } = play;
  const { random } = world;
  const silent = Array.from({ length: random.between(1, 4) }, () => play.some());
  for (const connection of silent) {
    const oneWay = random.chance(0.3);
    for (let turn = random.between(1, 4); turn > 0; turn--) say(world, connection, oneWay || random.chance(0.5));
    if (random.chance(0.4)) world.now += random.below(3 * SECOND);
  }
  // Past 300 s only a UDP flow is over, by its own time.
  const own = silent[0]!.protocol === UDP ? [30, 120] : [300];
  const patience = random.pick(random.chance(0.6) ? own : PATIENCE.slice(0, random.chance(0.1) ? 6 : 5));
  const seconds = Math.floor(world.now / SECOND) + patience;
  world.now = (seconds + random.pick([-1, 0, 0, 1])) * SECOND + random.pick([0, 1, SECOND / 2, SECOND - 1]);
  for (const connection of [...silent, play.some()]) {
    for (let turn = random.between(0, 2); turn > 0; turn--) say(world, connection, random.chance(0.5));
    if (random.chance(0.2)) world.now += SECOND;
  }
}

/** Connections end in any order of FIN and RST, and go on or begin again. */
function ends(play: Play): void {
  const { world } = play;
  const { random } = world;
  const connection = play.some();
  for (let turn = random.between(2, 9); turn > 0; turn--) {
    const flags = random.pick([FIN | ACK, FIN | ACK, RST, RST | ACK, ACK, ACK, ACK, SYN, SYN | ACK]);
    say(world, connection, random.chance(0.5), { flags });
    if (random.chance(0.1)) world.jumpSeconds(random.pick([60, 240, 300]));
    moment(world);
  }
  if (random.chance(0.4)) establish(world, connection);
  burst(world, connection, 4);
}

function policy(play: Play): void {
  const { world } = play;
  const { random } = world;
  for (let turn = random.between(1, 3); turn > 0; turn--) {
    const connection = play.some();
    // The acknowledgement number of what comes last counts, where there is one.
    if (random.chance(0.5)) say(world, connection, true, { flags: random.pick([PSH, 0, ACK]) });
    const target = `${addressText(connection.remote)}/32`;
    const block = [`${random.pick(["", "in ", "out "])}${target}${random.pick(["", "", ":443", ":40000-40003"])}`];
    if (random.chance(0.3)) newPolicy(world);
    else world.setPolicy(random.pick([OPEN, BY_PORT, STATELESS, { ...OPEN, block }, { ...STATELESS, block }]));
    for (let each = random.between(0, 4); each > 0; each--) burst(world, play.some(), 3);
  }
  if (random.chance(0.7)) world.setPolicy(random.pick([OPEN, BY_PORT, STATELESS, OUT_ONLY]));
}

/** A lease is renewed, lost, or runs out while connections go on; the address may be another one then. */
export function lease(play: Play): void {
  const { world } = play;
  const { random } = world;
  if (random.chance(0.4) && world.leaseEnd < Number.POSITIVE_INFINITY && world.leaseEnd > world.now) {
    world.now = world.leaseEnd + random.pick([-1, 0, 1, -SECOND, 1000]);
    for (let turn = 0; turn < 4; turn++) say(world, play.some(), random.chance(0.5));
    world.expire();
  } else {
    random.pick([renew, renew, rebind, release, boot, bootQuietly, sleeper])(world);
  }
  for (let turn = random.between(1, 4); turn > 0; turn--) burst(world, play.some(), 4);
}
