/** As buckets.ts, of IPv6: flows that want the same bucket of the lane's, or differ in one address only. */
import { wordOf } from "../../../src/wire/ipv6-address.ts";
import { addressText6 } from "../../oracle/ipv6/bytes.ts";
import { detect } from "../../oracle/ipv6/nd-frames.ts";
import { SECRET } from "./kernel-lane.ts";
import { FAR6, OPEN6, type Play6 } from "./play-6.ts";
import { ACK, RST, TCP, UDP } from "./steady.ts";
import { burst6, type Connection6, establish6, inParts6, say6 } from "./steady-6.ts";

const SECOND = 1_000_000;

/** bucket_of6 in src/lane/bpf/ipv6.h. */
function bucketOf6({ remote, remotePort, vmPort, protocol }: Connection6): number {
  const ports = (remotePort << 16) | vmPort;
  const words = [0, 1, 2, 3].map((word) => wordOf(remote, word));
  let hash = Math.imul(words[0]! ^ SECRET[0], 0x9e3779b1);
  const rest = [words[1]! ^ SECRET[1], words[2]!, words[3]!, ports];
  for (const [index, word] of rest.entries()) {
    hash = Math.imul(hash ^ (hash >>> 15) ^ word, [0x85ebca77, 0xc2b2ae3d, 0x9e3779b1, 0x85ebca77][index]!);
  }
  return Math.imul(hash ^ (hash >>> 13) ^ (protocol === UDP ? 4 : 0), 0xc2b2ae3d) >>> 19;
}

/** Connections whose flows want the same bucket, which differ in the VM's port. */
function colliding(play: Play6, count: number, given: Partial<Connection6> = {}): Connection6[] {
  const { random } = play.world;
  const one = play.connection({ protocol: random.pick([TCP, UDP]), remotePort: 443, ...given });
  const found: Connection6[] = [];
  let wanted: number | undefined;
  for (let vmPort = random.between(1024, 8000); vmPort < 65_536 && found.length < count; vmPort++) {
    const connection = { ...one, vmPort, fromVm: true };
    const bucket = bucketOf6(connection);
    wanted ??= bucket;
    if (bucket === wanted) found.push(connection);
  }
  return found;
}

/** The same ports: with a remote address whose flow wants the same bucket, the last word of which is the same now and then. */
function withOtherRemote(play: Play6, connection: Connection6): Connection6 {
  const wanted = bucketOf6(connection);
  const shift = BigInt(32 * play.world.random.below(4));
  for (let step = 1n; ; step++) {
    const remote = BigInt.asUintN(128, connection.remote ^ (step << shift));
    if (bucketOf6({ ...connection, remote }) === wanted) return { ...connection, remote };
  }
}

/** As many flows as a bucket has places for: each has its own. */
export function fullBucket6(play: Play6): void {
  const connections = colliding(play, 4, { remote: FAR6 });
  const { own } = connections[0]!;
  detect(play.world, own);
  play.world.now += SECOND;
  for (const connection of connections) establish6(play.world, connection);
  for (const connection of connections) burst6(play.world, connection, 8, "steady");
}

/** More flows than a bucket has places for, that take them from each other. */
export function collision6(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const connections = colliding(play, random.between(5, 7));
  for (const connection of connections) play.begin(connection);
  for (let turn = random.between(5, 30); turn > 0 && connections.length > 0; turn--) {
    const connection = random.pick(connections);
    if (random.chance(0.1)) inParts6(world, connection);
    say6(world, connection, random.chance(0.5), { flags: random.chance(0.05) ? RST : ACK });
    if (random.chance(0.3)) world.now += random.pick([SECOND, 2 * SECOND, 29 * SECOND]);
  }
}

/** A flow is established, and what is not of it wants the same bucket and differs from it in one address only. */
export function alike6(play: Play6): void {
  const { world } = play;
  const { random } = world;
  const one = play.some();
  const own = random.pick(world.own);
  const other = random.chance(0.5) ? withOtherRemote(play, one) : { ...one, own };
  establish6(world, one);
  burst6(world, one, 4);
  if (random.chance(0.3)) {
    world.setPolicy({ ...OPEN6, block: [`[${addressText6(other.remote)}/128]:${one.remotePort}`] });
  }
  for (let turn = random.between(1, 4); turn > 0; turn--) say6(world, other, random.chance(0.5));
  burst6(world, one, 4);
  if (random.chance(0.5)) establish6(world, other);
  for (let turn = random.between(1, 4); turn > 0; turn--) {
    say6(world, other, random.chance(0.5));
    say6(world, one, random.chance(0.5));
  }
}
