/**
 * Sessions for the express lane with both families: as generate.ts over IPv6, with addresses that are detected, leased, used,
 * idle and lost, routers that come and go, and the other family's traffic in between.
 */

import type { Session } from "../../oracle/generate.ts";
import { bootQuietly } from "../../oracle/generate-dhcp.ts";
import { addressText6 } from "../../oracle/ipv6/bytes.ts";
import { DHCP_SCENARIOS } from "../../oracle/ipv6/dhcp-talk.ts";
import { detect, settle } from "../../oracle/ipv6/nd-frames.ts";
import { join6, ND_SCENARIOS, revive } from "../../oracle/ipv6/nd-talk.ts";
import { TRAFFIC_SCENARIOS } from "../../oracle/ipv6/traffic-talk.ts";
import { World6 } from "../../oracle/ipv6/world.ts";
import type { Step } from "../../oracle/world.ts";
import { alike6, collision6, fullBucket6 } from "./buckets-6.ts";
import { again, goOn, lease } from "./generate.ts";
import { changeOne6 } from "./one-field-6.ts";
import { Play, weighted } from "./play.ts";
import { FAR6, OPEN6, Play6, type Scenario6 } from "./play-6.ts";
import { ACK, FIN, moment, PSH, put, RST, SYN, TCP, UDP } from "./steady.ts";
import { burst6, type Connection6, establish6, inParts6, packet6, say6 } from "./steady-6.ts";

const SECOND = 1_000_000;
/** Seconds that a flow may be silent, by its state, and those after which its place is in danger. */
const PATIENCE = [30, 60, 120, 240, 300];
/** Seconds after which an unused address is asked about, and is over. */
const IDLE = [300, 301, 302, 303];

/** Behind 146 years a session may jump over the end of all leases, and of the kernel's nanoseconds; microseconds. */
const LAST_YEAR = 2 ** 62 / 1000;

const OUT_ONLY = { allow: ["out ::/0", "out 0.0.0.0/0"], block: ["in ::/0"] };
const BY_PORT = {
  allow: ["out [::/0]:1-65535", "in [::/0]:1-65535", "out 0.0.0.0/0:1-65535", "in 0.0.0.0/0:1-65535"],
  block: ["out ::/0", "in ::/0"],
};
const STATELESS = { allow: ["::/0", "0.0.0.0/0"], block: [] };
const POLICIES = [OPEN6, OPEN6, BY_PORT, STATELESS, OUT_ONLY];

const NOBODY = ["ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "01:80:c2:00:00:00", "00:00:00:00:00:00"];

const SCENARIOS: readonly [Scenario6, number][] = [
  [(play) => burst6(play.world, play.some(), 20), 30],
  [steady, 8],
  [changed, 30],
  [(play) => again(new Play(play.world)), 8],
  [silence, 8],
  [ends, 8],
  [odd, 4],
  [policy, 6],
  [addresses, 8],
  [idle, 10],
  [(play) => inParts6(play.world, play.some()), 3],
  [collision6, 2],
  [fullBucket6, 2],
  [alike6, 5],
  [twins, 6],
  [leaseEnds, 4],
  [other, 6],
  [(play) => weighted(play.world.random, TRAFFIC_SCENARIOS)(play.world), 2],
];

export function generateLaneSession6(seed: number): Session<Step> {
  const world = new World6(seed);
  const { random } = world;
  const play = new Play6(world);
  if (random.chance(0.5)) bootQuietly(world);
  join6(world);
  if (random.chance(0.85)) world.setPolicy(random.pick(POLICIES));
  for (let count = random.between(10, 40); count > 0 && world.now < LAST_YEAR; count--) {
    const before = world.now;
    weighted(random, SCENARIOS)(play);
    if (world.now - before > 50 * SECOND && random.chance(0.7)) revive(world);
  }
  return { seed, options: world.options6, steps: world.steps };
}

/** A connection between ports that no other has: nothing of before keeps its packets from passing in the kernel. */
function steady(play: Play6): void {
  const { random } = play.world;
  const ports = { remotePort: random.pick([80, 443, 5000]), vmPort: random.between(1024, 65_535) };
  const connection = play.connection({ protocol: random.pick([TCP, UDP]), remote: FAR6, ...ports, fromVm: true });
  ready(play.world, connection.own);
  burst6(play.world, play.begin(connection), 30, "steady");
}

/** What the VM sends from an address that is not valid yet opens nothing. */
function ready(world: World6, own: bigint): void {
  detect(world, own);
  world.now += SECOND;
}

/** One field is another one, in a packet that would pass; then the connection goes on. */
function changed(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const connection = play.some();
  if (random.chance(0.5)) burst6(world, connection, 4);
  const macs = [world.vmMac, world.router.mac, ...world.peerMacs, ...NOBODY];
  for (let turn = random.between(1, 12); turn > 0; turn--) {
    const fromVm = random.chance(0.5);
    const original = packet6(world, connection, fromVm, { data: random.pick([0, 4, 40]) });
    const { frame, label } = changeOne6(world, original, macs);
    put(world, random.chance(0.97) ? fromVm : !fromVm, frame, `changed: ${label}`);
    if (random.chance(0.3)) say6(world, connection, random.chance(0.5));
    moment(world);
  }
}

/** To a second's bound so many seconds behind the last packet, or beside it. */
function wait({ world }: Play6, patience: number): void {
  const { random } = world;
  const seconds = Math.floor(world.now / SECOND) + patience;
  world.now = (seconds + random.pick([-1, 0, 0, 1, 1])) * SECOND + random.pick([0, 1, SECOND / 2, SECOND - 1]);
}

/** Connections are silent for as long as they may be, or a little longer; the VM's addresses are used by others meanwhile. */
function silence(play: Play6): void {
  const { world } = play;
  const { random } = world;
  // Where nobody else may begin, what comes in too late drops.
  if (random.chance(0.5)) world.setPolicy(OUT_ONLY);
  const own = (): Connection6 =>
    play.begin(play.connection({ protocol: random.pick([UDP, UDP, TCP]), fromVm: true, remote: FAR6 }));
  const silent = Array.from({ length: random.between(1, 4) }, () => (random.chance(0.5) ? own() : play.some()));
  for (const connection of silent) {
    for (let turn = random.between(1, 4); turn > 0; turn--) say6(world, connection, random.chance(0.5));
    if (random.chance(0.4)) world.now += random.below(3 * SECOND);
  }
  const usual = silent[0]!.protocol === UDP ? [30, 120, 120] : [300];
  wait(play, random.pick(random.chance(0.6) ? usual : PATIENCE));
  for (const connection of [...silent, play.some()]) {
    for (let turn = random.between(0, 2); turn > 0; turn--) say6(world, connection, random.chance(0.5));
    if (random.chance(0.2)) world.now += SECOND;
  }
}

/** Connections end in any order of FIN and RST, and go on or begin again. */
function ends(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const connection = play.some();
  for (let turn = random.between(2, 9); turn > 0; turn--) {
    const flags = random.pick([FIN | ACK, FIN | ACK, RST, RST | ACK, ACK, ACK, ACK, SYN, SYN | ACK]);
    say6(world, connection, random.chance(0.5), { flags });
    if (random.chance(0.1)) wait(play, random.pick([60, 240]));
    moment(world);
  }
  if (random.chance(0.4)) establish6(world, connection);
  burst6(world, connection, 4);
}

function odd(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const flags = random.pick([FIN | ACK, RST, RST | ACK, SYN, SYN | ACK, 0, PSH, FIN]);
  const to = random.chance(0.3) ? { to: random.pick(NOBODY) } : {};
  say6(world, play.some(), random.chance(0.5), { flags, ...to });
}

function policy(play: Play6): void {
  const { world } = play;
  const { random } = world;
  for (let turn = random.between(1, 3); turn > 0; turn--) {
    const connection = play.some();
    if (random.chance(0.5)) say6(world, connection, true, { flags: random.pick([PSH, 0, ACK]) });
    const target = `[${addressText6(connection.remote)}/${random.pick([128, 128, 64])}]`;
    const block = [`${random.pick(["", "in ", "out "])}${target}${random.pick(["", "", ":443", ":40000-40003"])}`];
    if (random.chance(0.3)) world.setPolicy(world.rules6());
    else world.setPolicy(random.pick([...POLICIES, { ...OPEN6, block }, { ...STATELESS, block }]));
    for (let each = random.between(0, 4); each > 0; each--) burst6(world, play.some(), 3);
  }
  if (random.chance(0.7)) world.setPolicy(random.pick(POLICIES));
}

/** Addresses and what the network says of itself change while connections go on. */
function addresses(play: Play6): void {
  const { world } = play;
  const { random } = world;
  if (random.chance(0.4)) {
    const address = world.newAddress();
    detect(world, address);
    world.learnOwn(address);
    settle(world);
    play.begin(play.connection({ own: address }));
  } else {
    weighted(random, random.chance(0.5) ? DHCP_SCENARIOS : ND_SCENARIOS)(world);
  }
  if (random.chance(0.3)) world.toBound();
  for (let turn = random.between(1, 4); turn > 0; turn--) burst6(world, play.some(), 4);
}

/**
 * Addresses are used in the lane, by one side or by both, or not at all, until just before or behind the time when they would
 * be asked about, and when they would be over.
 */
function idle(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const connections: Connection6[] = [play.some(), play.some()];
  for (const connection of connections) establish6(world, connection);
  const started = world.now;
  for (let turn = random.between(1, 5); turn > 0; turn--) {
    // A packet at the edge of a flow's own patience keeps it in the lane.
    world.now += random.pick([20, 100, 250, 299]) * SECOND + random.below(SECOND);
    const onlyIn = random.chance(0.4);
    for (const connection of connections)
      if (random.chance(0.7)) say6(world, connection, !onlyIn && random.chance(0.7));
  }
  const used = random.chance(0.5) ? started : world.now;
  const end = used + random.pick(IDLE) * SECOND + random.pick([-SECOND, -1000, -1, 0, 1, 1000]);
  if (end > world.now) world.now = end;
  for (let turn = random.between(1, 4); turn > 0; turn--) {
    say6(world, random.pick(connections), random.chance(0.6));
    if (random.chance(0.3)) world.now += random.pick([1000, SECOND]);
  }
}

/** Two addresses of the VM's talk to the same port of the same machine from the same port. */
function twins(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const ports = { remotePort: 443, vmPort: random.between(1024, 65_535), fromVm: true };
  const one = play.connection({ remote: FAR6, ...ports, own: world.own[0]! });
  const both = [one, { ...one, own: world.own.at(-1)! }];
  for (const { own } of both) ready(world, own);
  for (const each of both) establish6(world, each);
  for (const each of [...both, ...both]) burst6(world, each, 12, "steady");
}

/** An address that embeds the IPv4 gateway's, or a neighbour's, is judged by what IPv4's lease has taught, until that ends. */
function leaseEnds(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const four = new Play(world);
  bootQuietly(world);
  world.setPolicy(
    random.pick([
      { allow: ["::/0", "@host"], block: [] },
      { allow: ["::/0"], block: [] },
    ]),
  );
  const remote = (0x64n << 112n) + (0xff9bn << 96n) + BigInt(random.chance(0.7) ? world.gateway : world.hostAddress());
  const connection = play.begin(play.connection({ remote, fromVm: true }));
  burst6(world, connection, 4);
  const { leaseEnd } = world;
  if (leaseEnd === Number.POSITIVE_INFINITY || leaseEnd < world.now) {
    goOn(four);
    return;
  }
  // Shortly before, so that neither the flow nor the VM's address is over.
  world.now = Math.max(world.now, leaseEnd - SECOND);
  establish6(world, connection);
  burst6(world, connection, 3);
  world.now = Math.max(world.now, leaseEnd + random.pick([-1, 0, 1, 1000]));
  for (let turn = random.between(1, 4); turn > 0; turn--) say6(world, connection, random.chance(0.7));
  world.expire();
}

/** The other family's connections and leases. */
function other(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const four = new Play(world);
  if (world.address === undefined) bootQuietly(world);
  for (let turn = random.between(1, 3); turn > 0; turn--) goOn(four);
  if (random.chance(0.4)) lease(four);
  world.expire();
  for (let turn = random.between(0, 3); turn > 0; turn--) burst6(world, play.some(), 3);
}
