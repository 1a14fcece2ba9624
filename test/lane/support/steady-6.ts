/** Connections of a generated session over IPv6 that are established, and the packets that they exchange. */
import { be16, be32, join } from "../../oracle/build.ts";
import { fragmentHeader, frame6, type Header, udp6 } from "../../oracle/ipv6/build.ts";
import type { World6 } from "../../oracle/ipv6/world.ts";
import { ACK, moment, PSH, put, SYN, TCP } from "./steady.ts";
import { LONGEST } from "./test-run.ts";

const IPV6_HEADER = 40;

export interface Connection6 {
  readonly protocol: number;
  readonly own: bigint;
  readonly remote: bigint;
  readonly remotePort: number;
  readonly vmPort: number;
  readonly fromVm: boolean;
}

export interface Said6 {
  readonly flags?: number;
  readonly data?: number;
  readonly padding?: number;
  readonly headers?: readonly Header[];
  readonly topic?: string;
  readonly to?: string;
}

/** The frame of a connection's packet. */
export function packet6(world: World6, connection: Connection6, fromVm: boolean, said: Said6 = {}): Uint8Array {
  const { random } = world;
  const { protocol, own, remote, remotePort, vmPort } = connection;
  const [source, destination] = fromVm ? [own, remote] : [remote, own];
  const ports = fromVm ? ([vmPort, remotePort] as const) : ([remotePort, vmPort] as const);
  const room = Math.min(world.options6.mtu ?? 1500, LONGEST - 100) - IPV6_HEADER - (protocol === TCP ? 20 : 8);
  const data = random.bytes(Math.max(0, Math.min(said.data ?? 0, room)));
  const numbers = join(be32(random.uint32()), be32(random.uint32()));
  const payload =
    protocol === TCP
      ? join(be16(ports[0]), be16(ports[1]), numbers, [0x50, said.flags ?? ACK], random.bytes(6), data)
      : udp6(source, destination, ports, data);
  return frame6({
    ethernetDestination: said.to ?? (fromVm ? world.router.mac : world.vmMac),
    ethernetSource: fromVm ? world.vmMac : world.router.mac,
    version: 6,
    lengthError: 0,
    hopLimit: 64,
    source,
    destination,
    headers: said.headers ?? [],
    protocol,
    payload,
    padding: said.padding ?? 0,
  });
}

export function say6(world: World6, connection: Connection6, fromVm: boolean, said: Said6 = {}): void {
  const name = connection.protocol === TCP ? `TCP6 ${said.flags ?? ACK}` : "UDP6";
  put(world, fromVm, packet6(world, connection, fromVm, said), name, said.topic);
}

/** Opens a connection, from either side, so that packets both ways have passed where the policy lets them. */
export function establish6(world: World6, connection: Connection6): void {
  const { random } = world;
  const { fromVm, protocol } = connection;
  if (protocol === TCP && random.chance(0.8)) {
    say6(world, connection, fromVm, { flags: SYN });
    say6(world, connection, !fromVm, { flags: SYN | ACK });
    moment(world);
  }
  say6(world, connection, fromVm);
  say6(world, connection, !fromVm);
  say6(world, connection, fromVm);
}

/** Packets in the middle of a connection. Behind the first one each way they have the topic, where there is one. */
export function burst6(world: World6, connection: Connection6, most: number, topic?: string): void {
  const { random } = world;
  const gone = [0, 0];
  for (let turn = random.between(1, most); turn > 0; turn--) {
    const fromVm = random.chance(0.5);
    const flags = random.pick([ACK, ACK, ACK | PSH, 0xc0 | ACK]);
    const data = random.pick([0, 0, 1, random.below(100), 1400, 9000]);
    const padding = topic === undefined && random.chance(0.05) ? random.below(20) : 0;
    const steady = topic !== undefined && gone.every((times) => times > 0);
    say6(world, connection, fromVm, { flags, data, padding, ...(steady && { topic }) });
    gone[fromVm ? 1 : 0]!++;
    moment(world);
  }
}

/** A packet of a connection in two fragments. */
export function inParts6(world: World6, connection: Connection6): void {
  const { random } = world;
  const fromVm = random.chance(0.5);
  const { protocol, own, remote } = connection;
  const whole = packet6(world, connection, fromVm, { data: 40 }).slice(54, 54 + 48);
  const identification = random.uint32();
  const [source, destination] = fromVm ? [own, remote] : [remote, own];
  for (const [from, to, more] of [
    [0, 24, true],
    [24, 48, false],
  ] as const) {
    const headers = [fragmentHeader(from, more, identification)];
    world.packet(fromVm, { source, destination, headers, protocol, payload: whole.slice(from, to) }, `part ${from}`);
  }
}
