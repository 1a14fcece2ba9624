/**
 * Scenarios of flows that want the same bucket of the lane's (src/lane/admitted-flows.ts). Nobody outside can choose them, since
 * the hash has a secret: here it is known.
 */
import { addressText } from "../../oracle/build.ts";
import { send } from "../../oracle/flow-talk.ts";
import type { Connection, World } from "../../oracle/world.ts";
import { SECRET } from "./kernel-lane.ts";
import { FAR, OPEN, type Play } from "./play.ts";
import { ACK, burst, establish, RST, say, TCP, UDP } from "./steady.ts";

const SECOND = 1_000_000;

/** bucket_of in src/lane/bpf/lane.bpf.c. */
function bucketOf({ remote, remotePort, vmPort, protocol }: Connection): number {
  const ports = (remotePort << 16) | vmPort;
  let hash = Math.imul(remote ^ SECRET[0], 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ ports ^ SECRET[1], 0x85ebca77);
  hash = Math.imul(hash ^ (hash >>> 13) ^ (protocol === UDP ? 4 : 0), 0xc2b2ae3d);
  return hash >>> 19;
}

/** Connections whose flows want the same bucket of the lane's, which differ in the VM's port. */
function colliding({ random }: World, count: number, remote: number): Connection[] {
  const protocol = random.pick([TCP, UDP]);
  const found: Connection[] = [];
  let wanted: number | undefined;
  for (let vmPort = random.between(1024, 8000); vmPort < 65_536 && found.length < count; vmPort++) {
    const connection = { protocol, remote, remotePort: 443, vmPort, fromVm: true };
    const bucket = bucketOf(connection);
    wanted ??= bucket;
    if (bucket === wanted) found.push(connection);
  }
  return found;
}

/** The same ports: with a remote address whose flow wants the same bucket. */
function withOtherRemote(connection: Connection): Connection {
  const wanted = bucketOf(connection);
  for (let remote = 0x08000001; ; remote++) {
    const other = { ...connection, remote };
    if (remote !== connection.remote && bucketOf(other) === wanted) return other;
  }
}

/** As many flows as a bucket has places for: each has its own. */
export function fullBucket(play: Play): void {
  const { world } = play;
  const connections = colliding(world, 4, FAR);
  for (const connection of connections) establish(world, connection);
  for (const connection of connections) burst(world, connection, 8, "steady");
}

/** A flow is established, and what is not of it wants the same bucket and differs from it in one thing only. */
export function alike(play: Play): void {
  const { world } = play;
  const { random } = world;
  const one = play.some();
  const other = withOtherRemote(one);
  establish(world, one);
  burst(world, one, 4);
  if (random.chance(0.5)) world.setPolicy({ ...OPEN, block: [`${addressText(other.remote)}/32:443`] });
  for (let turn = random.between(1, 4); turn > 0; turn--) say(world, other, random.chance(0.5));
  burst(world, one, 4);
  if (random.chance(0.5)) establish(world, other);
  say(world, other, random.chance(0.5));
}

/** More flows than a bucket has places for, that take them from each other. */
export function collision(play: Play): void {
  const { world } = play;
  const { random } = world;
  const connections = colliding(world, random.between(5, 7), random.pick(world.remotes));
  for (const connection of connections) play.begin(connection);
  for (let turn = random.between(5, 30); turn > 0 && connections.length > 0; turn--) {
    const connection = random.pick(connections);
    if (random.chance(0.1)) send(world, connection.remote, true, { protocol: connection.protocol, offset: 3 }, "part");
    say(world, connection, random.chance(0.5), { flags: random.chance(0.05) ? RST : ACK });
    if (random.chance(0.3)) world.now += random.pick([SECOND, 2 * SECOND, 29 * SECOND]);
  }
}
