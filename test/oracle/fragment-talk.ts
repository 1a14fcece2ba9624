/**
 * Fragmented packets of generated sessions: in order, out of order, twice, never complete, more of them than are noted,
 * from and to few remote sides and many, and more than the bucket holds.
 */
import { addressText, be16, join } from "./build.ts";
import { maybeWait, newPolicy, packetOf, send, someConnection } from "./flow-talk.ts";
import { openPolicy } from "./policies.ts";
import type { World } from "./world.ts";

type Scenario = (world: World) => void;

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ACK = 16;

/** Scenario and weight. */
export const FRAGMENT_SCENARIOS: readonly [Scenario, number][] = [
  [splitPackets, 5],
  [mixedFragments, 3],
  [wholePackets, 12],
  [firstFragmentFlood, 0.5],
  [tokenFlood, 0.5],
];

interface Piece {
  readonly remote: number;
  readonly identification: number;
  readonly protocol: number;
  readonly flags: number;
  readonly offset: number;
  readonly payload: Uint8Array;
}

/** A packet's fragments in their order. */
function piecesOf(world: World, remote: number, identification: number): Piece[] {
  const { random } = world;
  const protocol = random.pick([UDP, UDP, UDP, TCP, ICMP, 47]);
  const size = random.pick([24, 24, 32, 48]);
  const count = random.between(2, 5);
  return Array.from({ length: count }, (_, index) => {
    const last = index === count - 1;
    const payload = random.bytes(last ? random.between(0, size) : size + (random.chance(0.03) ? 1 : 0));
    if (index === 0) {
      payload.set(join(be16(40_000), be16(random.pick([53, 443, 80])), random.bytes(8), [0x50, ACK]));
      if (protocol === ICMP) payload.set([8, 0]);
    }
    const offset = index === 0 ? 0 : (index * size) / 8;
    return { remote, identification, protocol, payload, offset, flags: last ? 0 : 1 };
  });
}

/** One or two packets at once, each in order or not, with pieces lost or doubled, and some of both once more. */
export function wholePackets(world: World): void {
  const { random } = world;
  if (random.chance(0.3)) world.setPolicy(openPolicy(world));
  const fromVm = random.chance(0.7);
  const first = random.between(10, 13);
  const remotes = [random.pick(world.remotes), random.pick(world.remotes)];
  const rows = Array.from({ length: random.between(1, 2) }, (_, index) =>
    piecesOf(world, remotes[index]!, first + index),
  );
  const pieces =
    rows.length === 1 || random.chance(0.5)
      ? rows.flat()
      : rows[0]!.flatMap((one, at) => [one, ...(rows[1]![at] ? [rows[1]![at]!] : [])]);
  if (random.chance(0.3)) {
    const [moved] = pieces.splice(random.below(pieces.length), 1);
    pieces.splice(random.below(pieces.length + 1), 0, moved!);
  }
  if (random.chance(0.3)) pieces.splice(random.below(pieces.length + 1), 0, random.pick(pieces));
  if (random.chance(0.2)) pieces.splice(random.below(pieces.length), 1);
  if (random.chance(0.3)) pieces.push(random.pick(pieces), random.pick(pieces));
  for (const { remote, ...fields } of pieces) {
    send(world, remote, fromVm, fields, fields.offset === 0 ? "a first fragment" : "a later fragment");
    if (random.chance(0.03)) world.jumpSeconds(30);
    if (random.chance(0.02)) newPolicy(world);
  }
}

/** Fragments of packets that never become whole, until the bucket is empty, and what else passes then. */
export function tokenFlood(world: World): void {
  const { random } = world;
  world.setPolicy(random.pick([{ allow: ["0.0.0.0/0"], block: [] }, openPolicy(world)]));
  const remote = random.pick(world.remotes);
  const payload = join(be16(40_000), be16(53), random.bytes(20));
  const begin = (identification: number) =>
    send(world, remote, true, { protocol: 47, identification, flags: 1, payload }, "a first fragment");
  const end = (identification: number, offset = 3) =>
    send(
      world,
      remote,
      true,
      { protocol: 47, identification, offset, payload: payload.slice(0, 8) },
      "a later fragment",
    );
  const instant = world.now;
  for (let turn = 0; turn < 500; turn++) {
    if (turn < 2 || random.chance(0.5)) begin(turn % 40);
    else end(random.below(40), random.chance(0.01) ? 3 : 9);
    world.now = instant;
  }
  for (let turn = 0; turn < 12; turn++) {
    world.now += random.pick([0, 1, 49_999, 50_000, 50_001, 150_000]);
    const before = world.now;
    const deed = random.below(5);
    if (deed === 0) begin(50 + turn);
    else if (deed === 1) end(random.below(40));
    else if (deed === 2) end(90);
    else if (deed === 3) send(world, remote, true, { protocol: 47, payload }, "in one piece");
    else for (const step of [begin, end]) step(60 + turn);
    world.now = before;
  }
  if (random.chance(0.3)) world.setPolicy({ allow: [], block: [`${addressText(remote)}/32`] });
  begin(70);
}

/** First and later fragments in any order, of few identifications, with waits around their 30 seconds. */
function splitPackets(world: World): void {
  const { random } = world;
  const connection = someConnection(world);
  const count = random.between(2, 8);
  const fromVm = random.chance(0.5);
  for (let turn = 0; turn < count; turn++) {
    const direction = random.chance(0.9) ? fromVm : !fromVm;
    const identification = random.between(1, 2);
    if (random.chance(0.45)) {
      packetOf(world, connection, direction, { identification, flags: 1, offset: 0 });
    } else {
      const flags = random.pick([0, 1]);
      const offset = random.pick([2, 3, 100, 1]);
      const protocol = random.chance(0.9) ? connection.protocol : random.pick([ICMP, TCP, UDP, 47]);
      const payload = random.bytes(random.between(1, 24));
      const remote = random.chance(0.9) ? connection.remote : random.pick(world.remotes);
      send(world, remote, direction, { protocol, identification, flags, offset, payload }, "a later fragment");
    }
    maybeWait(world, 0.12);
    if (random.chance(0.04)) newPolicy(world);
  }
}

/** First fragments of many packets, from or to many, with time between them; then the later ones of all, while some are over. */
function mixedFragments(world: World): void {
  const { random } = world;
  if (random.chance(0.7)) world.setPolicy(openPolicy(world));
  const fromVm = random.chance(0.3);
  const packets = Array.from({ length: random.between(3, 9) }, () => ({
    remote: random.pick(world.remotes),
    identification: random.between(1, 3),
    protocol: random.pick([UDP, UDP, 47, TCP]),
  }));
  for (const { remote, ...fields } of packets) {
    const payload = join(be16(40_000), be16(443), random.bytes(8), [0x50, ACK], random.bytes(6));
    send(world, remote, fromVm, { ...fields, payload, flags: 1 }, "a first fragment");
    if (random.chance(0.5)) world.now += random.below(5_000_000);
  }
  for (let turn = 0; turn < 2; turn++) {
    for (let count = 0; count < packets.length; count++) {
      const { remote, ...fields } = random.pick(packets);
      send(world, remote, fromVm, { ...fields, payload: random.bytes(9), offset: 3 }, "a later fragment");
    }
    world.jumpSeconds();
  }
}

/** More first fragments than are noted, of one remote side or of several, and later ones of the first and the last. */
export function firstFragmentFlood(world: World): void {
  const { random } = world;
  if (random.chance(0.8)) world.setPolicy(openPolicy(world));
  const fromVm = random.chance(0.5);
  const protocol = random.pick([UDP, TCP, 47]);
  const sides = random.pick([1, 4, 5, 6, 40]);
  const remoteOf = (index: number) => (sides === 1 ? world.remotes[0]! : 0x05050500 + (index % sides));
  const payload = join(be16(40_000), be16(443), random.bytes(8), [0x50, ACK], random.bytes(10));
  const instant = world.now;
  const count = sides === 1 ? random.between(62, 72) : random.between(250, 285);
  const begin = (index: number) =>
    send(world, remoteOf(index), fromVm, { protocol, identification: index, flags: 1, payload }, "a first fragment");
  const follow = (index: number) =>
    send(world, remoteOf(index), fromVm, { protocol, identification: index, offset: 9, payload }, "a later fragment");
  for (let index = 0; index < count; index++) {
    begin(index);
    if (random.chance(0.02)) begin(random.below(index + 1));
    world.now = instant + (index < 40 ? 0 : 1_000_000);
  }
  for (const seconds of [0, 30, 31, 32]) {
    world.now = Math.max(world.now, (Math.floor(instant / 1_000_000) + seconds) * 1_000_000);
    for (let index = 0; index < 9; index++) follow(index);
    follow(count - 1);
    follow(random.below(count));
    begin(random.below(count));
    begin(400 + seconds);
  }
}
