/** Connections, echoes, errors, fragments and floods in IPv6 for the comparison of the two guards. */
import { be16, be32, join } from "../build.ts";
import { fragmentHeader, frame6, icmp6, udp6 } from "./build.ts";
import { address6, addressText6, isMulticast } from "./bytes.ts";
import { someHeaders } from "./nd-talk.ts";
import { NOTABLE6, type World6 } from "./world.ts";

type Scenario = (world: World6) => void;

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const TCP = 6;

export const TRAFFIC_SCENARIOS: readonly [Scenario, number][] = [
  [datagrams, 14],
  [handshake, 12],
  [anySegment, 10],
  [echoes, 8],
  [errors, 14],
  [fragments, 16],
  [strange, 8],
  [strangeToRouter, 2],
  [embedded, 10],
  [fromAfar, 5],
  [synFlood, 1.2],
  [exposedPort, 5],
  [echoFlood, 0.7],
  [fragmentFlood, 0.7],
  [deniedFlood, 0.7],
  [metadataSpeaks, 3],
  [cutTalk, 8],
];

const remoteOf = (world: World6): bigint => {
  const { random } = world;
  if (random.chance(0.15)) return random.pick(NOTABLE6);
  if (random.chance(0.1))
    return world.embedding(random.pick([...world.remotes, 0xa9fea9fe, 0x7f000001, random.uint32()]));
  return random.pick(world.remotes6);
};

const SERVICES = [22, 53, 53, 80, 443, 1000, 1001];
const service = (world: World6): number => world.random.pick(SERVICES);
const ephemeral = (world: World6): number => world.random.between(40_000, 40_003);

interface Connection {
  readonly own: bigint;
  readonly remote: bigint;
  readonly vmPort: number;
  readonly remotePort: number;
}

function connection(world: World6, fromVm = world.random.chance(0.6)): Connection {
  const own = world.ownAddress();
  const [one, other] = [ephemeral(world), service(world)];
  return { own, remote: remoteOf(world), vmPort: fromVm ? one : other, remotePort: fromVm ? other : one };
}

function tcpBytes(world: World6, ports: readonly [number, number], flags: number): Uint8Array {
  const { random } = world;
  const data = random.chance(0.3) ? random.bytes(random.below(1400)) : new Uint8Array(0);
  const words = random.chance(0.03) ? random.below(16) : 5;
  const numbers = join(be32(random.uint32()), be32(random.uint32()));
  return join(be16(ports[0]), be16(ports[1]), numbers, [words * 16, flags], random.bytes(6), data);
}

function tcp(
  world: World6,
  { own, remote, vmPort, remotePort }: Connection,
  fromVm: boolean,
  flags: number,
  more = {},
): void {
  const [source, destination] = fromVm ? [own, remote] : [remote, own];
  const payload = tcpBytes(world, fromVm ? [vmPort, remotePort] : [remotePort, vmPort], flags);
  world.packet(fromVm, { source, destination, protocol: TCP, payload, ...more }, `TCP ${flags}`);
}

function udp(world: World6, { own, remote, vmPort, remotePort }: Connection, fromVm: boolean, more = {}): void {
  const [source, destination] = fromVm ? [own, remote] : [remote, own];
  const ports = fromVm ? ([vmPort, remotePort] as const) : ([remotePort, vmPort] as const);
  world.udp(fromVm, source, destination, ports, new Uint8Array(world.random.below(40)), more);
}

function echo(world: World6, own: bigint, remote: bigint, fromVm: boolean, type: number, identifier: number): void {
  const [source, destination] = fromVm ? [own, remote] : [remote, own];
  world.icmp(fromVm, source, destination, type, join(be16(identifier), be16(1)));
}

function datagrams(world: World6): void {
  const { random } = world;
  const one = connection(world);
  const first = random.chance(0.7);
  udp(world, one, first);
  if (random.chance(0.5)) udp(world, one, !first);
  if (random.chance(0.3)) world.toBound(30, 31, 120, 121);
  if (random.chance(0.4)) udp(world, one, first);
}

function handshake(world: World6): void {
  const { random } = world;
  const fromVm = random.chance(0.6);
  const one = connection(world, fromVm);
  tcp(world, one, fromVm, SYN);
  if (random.chance(0.85)) tcp(world, one, !fromVm, SYN + ACK);
  if (random.chance(0.85)) tcp(world, one, fromVm, ACK);
  if (random.chance(0.5)) tcp(world, one, !fromVm, ACK);
  if (random.chance(0.3)) tcp(world, one, fromVm, FIN + ACK);
  if (random.chance(0.3)) tcp(world, one, !fromVm, random.pick([FIN + ACK, RST]));
  if (random.chance(0.2)) world.toBound(60, 61, 240, 241);
  if (random.chance(0.3)) tcp(world, one, random.chance(0.5), random.pick([ACK, SYN, RST]));
}

function anySegment(world: World6): void {
  const { random } = world;
  tcp(
    world,
    connection(world),
    random.chance(0.6),
    random.pick([SYN, SYN, ACK, ACK, RST, FIN + ACK, SYN + FIN, SYN + RST, 0]),
  );
}

function echoes(world: World6): void {
  const { random } = world;
  const own = world.ownAddress();
  const remote = remoteOf(world);
  const fromVm = random.chance(0.6);
  const identifier = random.below(3);
  if (random.chance(0.9)) echo(world, own, remote, fromVm, 128, identifier);
  if (random.chance(0.7)) echo(world, own, remote, !fromVm, 129, identifier);
  if (random.chance(0.2)) world.toBound(60, 61);
  if (random.chance(0.3)) echo(world, own, remote, random.chance(0.5), random.pick([128, 129]), identifier);
}

/** Errors true and forged about a packet that went the other way. */
function errors(world: World6): void {
  const { random } = world;
  const one = connection(world, true);
  const fromVm = random.chance(0.35);
  const kind = random.below(3);
  if (random.chance(0.7)) {
    if (kind === 0) udp(world, one, !fromVm);
    else if (kind === 1) tcp(world, one, !fromVm, SYN);
    else echo(world, one.own, one.remote, !fromVm, 128, 1);
  }
  const [source, destination] = fromVm ? [one.remote, one.own] : [one.own, one.remote];
  const ports = fromVm ? ([one.remotePort, one.vmPort] as const) : ([one.vmPort, one.remotePort] as const);
  const payload =
    kind === 0
      ? udp6(source, destination, ports, [1, 2])
      : kind === 1
        ? tcpBytes(world, ports, SYN)
        : icmp6(source, destination, 128, join(be16(1), be16(1)));
  const headers = random.pick([
    [],
    [],
    [],
    [fragmentHeader(0, random.chance(0.5), 1)],
    [fragmentHeader(8, false, 1)],
    someHeaders(world),
  ]);
  const quoted = frame6({
    ...{ ethernetDestination: world.vmMac, ethernetSource: world.vmMac, version: random.chance(0.95) ? 6 : 4 },
    ...{ lengthError: random.chance(0.1) ? 20 : 0, hopLimit: 1, source, destination, headers, padding: 0 },
    protocol: random.chance(0.95) ? [17, 6, 58][kind]! : 50,
    payload,
  }).slice(14);
  const cut = random.chance(0.15) ? quoted.slice(0, random.pick([39, 40, 47, 48, 55, 56])) : quoted.slice(0, 1232);
  const type = random.pick([1, 2, 2, 3, 4]);
  const mtu = type === 2 ? random.pick([1280, 1280, 1279, 1400, 0, 0xffffffff]) : 0;
  const from = random.chance(0.7)
    ? fromVm
      ? one.own
      : world.remotes6[3]!
    : fromVm
      ? random.pick(world.own)
      : one.remote;
  const to = random.chance(0.93) ? source : random.pick(world.own);
  const outer = random.chance(0.05) ? { headers: someHeaders(world) } : {};
  world.icmp(fromVm, from, to, type, join(be32(mtu), cut), outer);
}

/** First and later fragments: in order, overlapping, unknown, of odd sizes. */
function fragments(world: World6): void {
  const { random } = world;
  const fromVm = random.chance(0.7);
  const one = connection(world);
  const identification = random.below(random.chance(0.8) ? 6 : 2 ** 31);
  const [source, destination] = fromVm ? [one.own, one.remote] : [one.remote, one.own];
  const ports = fromVm ? ([one.vmPort, one.remotePort] as const) : ([one.remotePort, one.vmPort] as const);
  const sizes = [24, 40, 64, 64, 64, 48, 8, 20];
  const whole = random.chance(0.6)
    ? udp6(source, destination, ports, new Uint8Array(200))
    : random.chance(0.8)
      ? join(tcpBytes(world, ports, random.pick([SYN, ACK])), new Uint8Array(200))
      : icmp6(source, destination, 128, new Uint8Array(200));
  const protocol = whole.length === 208 ? 17 : whole[0] === 128 ? 58 : TCP;
  let at = 0;
  const count = random.between(1, 4);
  for (let index = 0; index < count; index++) {
    const size = random.pick(sizes);
    const more = index < count - 1 || random.chance(0.3);
    const offset = random.chance(0.85) ? at : random.pick([8, 16, 0, at - 8, at - 8, at + 8, 65_528, 65_496]);
    const payload = whole.slice(at, at + size);
    const headers = [
      ...(random.chance(0.07) ? someHeaders(world) : []),
      fragmentHeader(Math.max(0, offset), more, identification),
    ];
    if (!random.chance(0.1))
      world.packet(fromVm, { source, destination, headers, protocol, payload }, `fragment ${offset}`);
    at += size;
    if (random.chance(0.05)) world.toBound(30, 31);
  }
}

/** Headers and upper layers that ordinary hosts seldom send. */
function strange(world: World6): void {
  const { random } = world;
  const fromVm = random.chance(0.6);
  const [own, remote] = [world.ownAddress(), remoteOf(world)];
  const [source, destination] = fromVm ? [own, remote] : [remote, own];
  const protocol = random.pick([6, 17, 58, 50, 41, 47, 132, 59, 51, 1, 2, 135, 139, 140, 253, 254, 103, 0, 60, 44, 43]);
  const payload = random.bytes(random.pick([0, 1, 4, 7, 8, 12, 19, 20, 24, 40]));
  const headers = random.chance(0.6) ? someHeaders(world) : [];
  const group = random.chance(0.1)
    ? { ethernetDestination: random.pick(["33:33:00:00:00:01", "ff:ff:ff:ff:ff:ff"]) }
    : {};
  const version = random.chance(0.97) ? 6 : 4;
  const lengthError = random.chance(0.95) ? 0 : random.pick([-1, 1, 1000]);
  const odd = { version, lengthError, ...group };
  world.packet(fromVm, { source, destination, headers, protocol, payload, ...odd }, `protocol ${protocol}`);
}

/** Neither TCP, UDP nor ICMPv6 to the router. */
function strangeToRouter(world: World6): void {
  const { random } = world;
  const [source, destination] = [world.ownAddress(), random.pick([world.router.address, world.prefixes[0]! + 1n])];
  world.packet(
    true,
    { source, destination, protocol: random.pick([50, 47, 132]), payload: new Uint8Array(8) },
    "strange",
  );
}

/** Remote addresses that embed an IPv4 one. */
function embedded(world: World6): void {
  const { random } = world;
  const four = random.pick([...world.remotes, 0x0a010101, 0xa9fea9fe, 0x7f000001, 0x01010101, 0x08080808]);
  const one = { ...connection(world), remote: world.embedding(four) };
  const fromVm = random.chance(0.75);
  if (random.chance(0.5)) udp(world, one, fromVm);
  else if (random.chance(0.6)) tcp(world, one, fromVm, random.pick([SYN, ACK]));
  else echo(world, one.own, one.remote, fromVm, 128, 1);
  if (random.chance(0.3)) udp(world, one, !fromVm);
}

/** To addresses of nobody's, of many, of the VM's. */
function fromAfar(world: World6): void {
  const { random } = world;
  const to = random.pick([...world.own, address6("ff02::1"), address6("ff02::fb"), world.newAddress(), ...NOTABLE6]);
  const from = random.chance(0.8) ? remoteOf(world) : random.pick(world.own);
  const more = isMulticast(to) || random.chance(0.9) ? {} : { ethernetDestination: "33:33:00:00:00:01" };
  world.udp(false, from, to, [service(world), ephemeral(world)], new Uint8Array(4), more);
}

/** An exposed port answers clients that appear to it as the router, which a rule blocks. */
function exposedPort(world: World6): void {
  const { random } = world;
  const port = random.pick(world.options6.exposedPorts ?? [22]);
  const own = world.ownAddress();
  const one = {
    own,
    remote: random.pick([world.router.address, world.prefixes[0]! + 1n]),
    vmPort: port,
    remotePort: 40_001,
  };
  if (random.chance(0.7)) world.setPolicy({ allow: ["out ::/0"].slice(random.below(2)), block: ["@host"] });
  if (random.chance(0.5)) tcp(world, one, false, SYN);
  tcp(world, one, true, random.pick([SYN + ACK, ACK, SYN]));
}

/** Half-open connections with one /64, or with many. */
function synFlood(world: World6): void {
  const { random } = world;
  const own = random.pick(world.own);
  const fromVm = random.chance(0.6);
  if (random.chance(0.8)) world.setPolicy({ allow: ["out ::/0", "in ::/0"], block: [] });
  const prefix = random.pick([address6("2606:4700:1::"), world.remotes6[3]!]);
  const { now } = world;
  for (let count = 0; count < 262; count++) {
    world.now = now + count;
    const remote = prefix + BigInt(count % 50) + (BigInt(random.chance(0.01) ? 1 : 0) << 64n);
    const port = 1024 + count;
    tcp(world, { own, remote, vmPort: fromVm ? port : 80, remotePort: fromVm ? 80 : port }, fromVm, SYN);
  }
}

function echoFlood(world: World6): void {
  const own = random1(world);
  const { now } = world;
  for (let count = 0; count < 215; count++) {
    world.now = now + count;
    echo(world, own, world.remotes6[0]!, true, world.random.pick([128, 129]), 1);
  }
}

const random1 = (world: World6): bigint => world.random.pick(world.own);

function fragmentFlood(world: World6): void {
  const source = random1(world);
  const destination = world.remotes6[0]!;
  const { now } = world;
  const payload = udp6(source, destination, [40_000, 53], new Uint8Array(16));
  for (let count = 0; count < 410; count++) {
    world.now = now + count;
    const headers = [fragmentHeader(0, true, count)];
    world.packet(true, { source, destination, headers, protocol: 17, payload }, "first fragment");
  }
}

function deniedFlood(world: World6): void {
  const one = { ...connection(world, true), remote: address6("fd00:9::1") };
  const { now } = world;
  for (let count = 0; count < 210; count++) {
    world.now = now + count;
    tcp(world, one, true, SYN);
  }
}

function metadataSpeaks(world: World6): void {
  const { random } = world;
  const remotes = ["fd00:ec2::254", "fd20:ce::254", "64:ff9b::169.254.169.254"].map(address6);
  const one = { ...connection(world), remote: random.pick(remotes) };
  udp(world, one, false);
  udp(world, one, true);
  if (random.chance(0.5)) tcp(world, one, false, SYN);
  if (random.chance(0.5)) tcp(world, one, true, SYN + ACK);
}

/** A flow that another policy cuts, and both ends that go on. */
function cutTalk(world: World6): void {
  const { random } = world;
  const one = connection(world, true);
  const fromVm = random.chance(0.7);
  if (random.chance(0.6)) {
    tcp(world, one, fromVm, SYN);
    tcp(world, one, !fromVm, SYN + ACK);
    tcp(world, one, fromVm, ACK);
  } else {
    udp(world, one, fromVm);
  }
  const bits = random.pick([128, 64, 0]);
  const block = [`${random.pick(["out ", "", "in "])}${addressText6(one.remote)}/${bits}`];
  world.setPolicy(random.chance(0.5) ? world.rules6() : { allow: ["in ::/0", "out 0.0.0.0/0"], block });
  for (let count = 3; count > 0; count--) {
    if (random.chance(0.5)) tcp(world, one, random.chance(0.5), random.pick([ACK, ACK, SYN, RST]));
    else udp(world, one, random.chance(0.5));
    if (random.chance(0.2)) world.setPolicy(world.rules6());
  }
}
