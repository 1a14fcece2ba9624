/** Connections of a generated session that are established, and the packets that they exchange. */
import { BROADCAST_MAC, be16, be32, ipv4Frame, join } from "../../oracle/build.ts";
import type { Connection, World } from "../../oracle/world.ts";
import { LONGEST } from "./test-run.ts";

export const TCP = 6;
export const UDP = 17;
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

const HEADERS = { [TCP]: 40, [UDP]: 28 } as Record<number, number>;

export interface Said {
  readonly flags?: number;
  readonly data?: number;
  readonly padding?: number;
  readonly flagBits?: number;
  readonly topic?: string;
  readonly to?: string;
}

/** The frame of a connection's packet. */
export function packet(world: World, connection: Connection, fromVm: boolean, said: Said = {}): Uint8Array {
  const { random } = world;
  const { protocol, remote, remotePort, vmPort } = connection;
  const own = world.address ?? world.lastAddress;
  const room = Math.min(world.options.mtu ?? 1500, LONGEST - 100) - HEADERS[protocol]!;
  const data = random.bytes(Math.max(0, Math.min(said.data ?? 0, room)));
  const ports = join(...(fromVm ? [vmPort, remotePort] : [remotePort, vmPort]).map(be16));
  const payload =
    protocol === TCP
      ? join(ports, be32(random.uint32()), be32(random.uint32()), [0x50, said.flags ?? ACK], random.bytes(6), data)
      : join(ports, be16(8 + data.length), [0, 0], data);
  return ipv4Frame({
    ethernetDestination: said.to ?? (fromVm ? world.gatewayMac : world.vmMac),
    ethernetSource: fromVm ? world.vmMac : world.gatewayMac,
    version: 4,
    options: new Uint8Array(0),
    totalLengthError: 0,
    identification: random.below(65536),
    flags: said.flagBits ?? 2,
    offset: 0,
    ttl: 64,
    protocol,
    badChecksum: false,
    source: fromVm ? own : remote,
    destination: fromVm ? remote : own,
    payload,
    padding: said.padding ?? 0,
  });
}

/** Records a frame as it is. */
export function put(world: World, fromVm: boolean, frame: Uint8Array, label: string, topic?: string): void {
  const direction = fromVm ? "egress" : "ingress";
  world.steps.push({ kind: "frame", direction, frame, time: world.now, label, ...(topic !== undefined && { topic }) });
  world.mark();
}

export function say(world: World, connection: Connection, fromVm: boolean, said: Said = {}): void {
  const name = connection.protocol === TCP ? `TCP ${said.flags ?? ACK}` : "UDP";
  put(world, fromVm, packet(world, connection, fromVm, said), name, said.topic);
}

/** Milliseconds at the most. */
export function moment(world: World): void {
  world.now += world.random.pick([0, 1, 100, 1000, 10_000]);
}

/** Opens a connection, from either side, so that packets both ways have passed where the policy lets them. */
export function establish(world: World, connection: Connection): void {
  const { random } = world;
  const { fromVm, protocol } = connection;
  if (protocol === TCP && random.chance(0.8)) {
    say(world, connection, fromVm, { flags: SYN });
    say(world, connection, !fromVm, { flags: SYN | ACK });
    moment(world);
    say(world, connection, fromVm);
  } else {
    say(world, connection, fromVm);
  }
  say(world, connection, !fromVm, { flags: ACK });
  say(world, connection, fromVm, { flags: ACK });
}

/** Packets in the middle of a connection. Behind the first one each way they have the topic, where there is one. */
export function burst(world: World, connection: Connection, most: number, topic?: string): void {
  const { random } = world;
  const count = random.between(1, most);
  const gone = [0, 0];
  for (let turn = 0; turn < count; turn++) {
    const fromVm = random.chance(0.5);
    const flags = random.pick([ACK, ACK, ACK | PSH, 0xc0 | ACK]);
    const data = random.pick([0, 0, 1, random.below(100), 1400, 9000]);
    const padding = data < 1000 && random.chance(0.2) ? random.below(20) : 0;
    const steady = topic !== undefined && gone.every((times) => times > 0);
    say(world, connection, fromVm, { flags, data, padding, ...(steady && { topic }) });
    gone[fromVm ? 1 : 0]!++;
    moment(world);
  }
}

/** Parts of a packet, or one for many: of a flow that is established, and none of the lane's. */
export function oddPacket(world: World, connection: Connection): void {
  const { random } = world;
  const fromVm = random.chance(0.5);
  const flags = random.pick([FIN | ACK, RST, RST | ACK, SYN, SYN | ACK, 0, PSH, FIN]);
  if (random.chance(0.5)) say(world, connection, fromVm, { flags, flagBits: random.pick([1, 2, 3, 4]) });
  else say(world, connection, fromVm, { flags: random.pick([flags, ACK]), to: BROADCAST_MAC });
}

/** A packet of a connection in two fragments, each of them in its turn. */
export function inParts(world: World, connection: Connection): void {
  const { random } = world;
  const fromVm = random.chance(0.5);
  const { protocol, remote } = connection;
  const own = world.address ?? world.lastAddress;
  const payload = packet(world, connection, fromVm, { data: 40 }).slice(34, 34 + 48);
  const identification = random.below(65536);
  for (const [from, to, flags] of [
    [0, 24, 1],
    [24, 48, 0],
  ] as const) {
    const frame = ipv4Frame({
      ethernetDestination: fromVm ? world.gatewayMac : world.vmMac,
      ethernetSource: fromVm ? world.vmMac : world.gatewayMac,
      version: 4,
      options: new Uint8Array(0),
      totalLengthError: 0,
      identification,
      flags,
      offset: from / 8,
      ttl: 64,
      protocol,
      badChecksum: false,
      source: fromVm ? own : remote,
      destination: fromVm ? remote : own,
      payload: payload.slice(from, to),
      padding: 0,
    });
    put(world, fromVm, frame, `part ${from}`);
  }
}
