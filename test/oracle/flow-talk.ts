/**
 * Scenarios of connections for the comparison of the two guards: handshakes both ways and against each other, packets
 * in mid-stream, datagrams, echoes, ICMP errors true and forged, fragments, floods up to every limit, metadata services
 * that speak first, waits for every timeout, and policies that change meanwhile.
 */
import { addressText, BROADCAST, BROADCAST_MAC, be16, be32, type Ipv4Fields, ipv4Frame, join } from "./build.ts";
import { nextPolicy, openPolicy, SERVICES, somePolicy } from "./policies.ts";
import { type Connection, METADATA, type World } from "./world.ts";

type Scenario = (world: World) => void;

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

const ICMP = 1;
const TCP = 6;
const UDP = 17;

/** Scenario and weight. */
export const FLOW_SCENARIOS: readonly [Scenario, number][] = [
  [handshake, 14],
  [simultaneousOpen, 3],
  [anything, 16],
  [datagrams, 8],
  [echoes, 8],
  [errors, 12],
  [synFlood, 0.5],
  [answeredFlood, 0.6],
  [refusals, 5],
  [closings, 10],
  [idle, 4],
  [metadataSpeaks, 5],
  [changedMind, 4],
  [echoFlood, 0.8],
  [deniedFlood, 0.6],
  [newPolicy, 14],
  [cut, 5],
  [questions, 5],
  [wait, 10],
];

// Connections and their packets

export function newConnection(world: World, protocol: number, fromVm: boolean): Connection {
  const { random } = world;
  const remote = random.chance(0.9) ? random.pick(world.remotes) : world.someAddress();
  const service = random.pick(SERVICES);
  const own = random.between(40_000, 40_003);
  const connection = {
    protocol,
    remote,
    remotePort: fromVm ? service : own,
    vmPort: fromVm ? own : service,
    fromVm,
  };
  world.connections.push(connection);
  if (world.connections.length > 10) world.connections.shift();
  return connection;
}

export function someConnection(world: World, protocol?: number): Connection {
  const { random } = world;
  const known = world.connections.filter((one) => protocol === undefined || one.protocol === protocol);
  if (known.length > 0 && random.chance(0.75)) return random.pick(known);
  return newConnection(world, protocol ?? random.pick([TCP, TCP, UDP, ICMP]), random.chance(0.5));
}

export function send(world: World, remote: number, fromVm: boolean, fields: Partial<Ipv4Fields>, label: string): void {
  const { random } = world;
  const address = world.address ?? world.lastAddress;
  const group = remote === BROADCAST || Math.floor(remote / 2 ** 28) === 14;
  world.emit(
    fromVm ? "egress" : "ingress",
    ipv4Frame({
      ethernetDestination: fromVm
        ? random.chance(group ? 0.7 : 0.03)
          ? BROADCAST_MAC
          : world.gatewayMac
        : world.vmMac,
      ethernetSource: fromVm ? world.vmMac : world.gatewayMac,
      version: 4,
      options: new Uint8Array(0),
      totalLengthError: 0,
      identification: random.below(65536),
      flags: random.chance(0.5) ? 2 : 0,
      offset: 0,
      ttl: 64,
      protocol: TCP,
      badChecksum: false,
      source: fromVm ? address : remote,
      destination: fromVm ? remote : address,
      payload: new Uint8Array(0),
      padding: random.chance(0.2) ? random.below(20) : 0,
      ...fields,
    }),
    label,
  );
}

function tcpSegment(world: World, connection: Connection, fromVm: boolean, flags: number): Uint8Array {
  const { random } = world;
  const ports = fromVm ? [connection.vmPort, connection.remotePort] : [connection.remotePort, connection.vmPort];
  const data = random.chance(0.3) ? random.bytes(random.below(30)) : new Uint8Array(0);
  const sequence = random.chance(0.1) ? random.pick([0, 0xffffffff, 0xfffffff0]) : random.uint32();
  const options = random.chance(0.2) ? new Uint8Array(4 * random.between(1, 3)) : new Uint8Array(0);
  const length = random.chance(0.02) ? random.below(16) : 5 + options.length / 4;
  return join(
    ...ports.map(be16),
    be32(sequence),
    be32(random.uint32()),
    [length * 16, flags],
    random.bytes(6),
    options,
    data,
  );
}

export function tcp(world: World, connection: Connection, fromVm: boolean, flags: number, fields = {}): void {
  const payload = tcpSegment(world, connection, fromVm, flags);
  const names = [
    [FIN, "FIN"],
    [SYN, "SYN"],
    [RST, "RST"],
    [ACK, "ACK"],
  ] as const;
  const label = names
    .filter(([bit]) => (flags & bit) !== 0)
    .map(([, name]) => name)
    .join(" ");
  send(world, connection.remote, fromVm, { protocol: TCP, payload, ...fields }, `TCP ${label}`);
}

export function udp(world: World, connection: Connection, fromVm: boolean, fields = {}): void {
  const { random } = world;
  const ports = fromVm ? [connection.vmPort, connection.remotePort] : [connection.remotePort, connection.vmPort];
  const data = random.bytes(random.below(20));
  const payload = join(...ports.map(be16), be16(8 + data.length), [0, 0], data);
  send(world, connection.remote, fromVm, { protocol: UDP, payload, ...fields }, "UDP");
}

/** The identifier is the remote port's number, so that both ways use the same ones. */
function echo(world: World, connection: Connection, fromVm: boolean, request: boolean, fields = {}): void {
  const { random } = world;
  const identifier = Math.max(connection.remotePort, connection.vmPort) % 40_000;
  const payload = join([request ? 8 : 0, random.below(2), 0, 0], be16(identifier), be16(random.below(9)));
  send(
    world,
    connection.remote,
    fromVm,
    { protocol: ICMP, payload, ...fields },
    `echo ${request ? "request" : "answer"}`,
  );
}

/** A packet of a connection, the opening one or any other. */
export function packetOf(world: World, connection: Connection, fromVm: boolean, fields = {}): void {
  const { random } = world;
  if (connection.protocol === UDP) {
    udp(world, connection, fromVm, fields);
  } else if (connection.protocol === ICMP) {
    echo(world, connection, fromVm, random.chance(0.6), fields);
  } else {
    const usual = [ACK, ACK, ACK, SYN, SYN | ACK, SYN | ACK];
    const odd = [FIN | ACK, RST, RST | ACK, 0, FIN, SYN | FIN, SYN | RST, SYN | ACK | RST];
    tcp(world, connection, fromVm, random.chance(0.75) ? random.pick(usual) : random.pick(odd), fields);
  }
}

export function maybeWait(world: World, probability: number): void {
  if (world.random.chance(probability)) world.jumpSeconds();
}

// Scenarios

/** SYN, SYN with ACK, ACK, data, end: with steps missing, doubled, late. */
function handshake(world: World): void {
  const { random } = world;
  const opener = random.chance(0.5);
  const connection = random.chance(0.7) ? newConnection(world, TCP, opener) : someConnection(world, TCP);
  const steps: [boolean, number][] = [
    [opener, SYN],
    [!opener, SYN | ACK],
    [opener, ACK],
    [opener, ACK],
    [!opener, ACK],
  ];
  if (random.chance(0.3)) steps.push([random.chance(0.5), random.pick([FIN | ACK, RST])]);
  const last = random.chance(0.3) ? random.below(steps.length) : steps.length;
  for (const [fromVm, flags] of steps.slice(0, last)) {
    if (random.chance(0.06)) continue;
    tcp(world, connection, fromVm, flags);
    if (random.chance(0.1)) tcp(world, connection, fromVm, flags);
    maybeWait(world, 0.08);
    if (random.chance(0.04)) newPolicy(world);
  }
}

function simultaneousOpen(world: World): void {
  const { random } = world;
  const connection = newConnection(world, TCP, true);
  const first = random.chance(0.5);
  tcp(world, connection, first, SYN);
  tcp(world, connection, !first, SYN);
  tcp(world, connection, first, SYN | ACK);
  if (random.chance(0.7)) tcp(world, connection, !first, SYN | ACK);
  maybeWait(world, 0.3);
  tcp(world, connection, random.chance(0.5), ACK);
  maybeWait(world, 0.5);
  tcp(world, connection, random.chance(0.5), ACK);
}

/** Any packets of old or new connections, from either side. */
function anything(world: World): void {
  const { random } = world;
  const count = random.between(1, 8);
  for (let turn = 0; turn < count; turn++) {
    packetOf(world, someConnection(world), random.chance(0.5));
    maybeWait(world, 0.15);
  }
}

function datagrams(world: World): void {
  const { random } = world;
  const connection = someConnection(world, UDP);
  const count = random.between(1, 6);
  for (let turn = 0; turn < count; turn++) {
    udp(world, connection, turn === 0 ? connection.fromVm : random.chance(0.5));
    maybeWait(world, 0.3);
  }
}

/** Requests and answers from both sides with the same identifiers. */
function echoes(world: World): void {
  const { random } = world;
  const connection = someConnection(world, ICMP);
  const count = random.between(1, 6);
  for (let turn = 0; turn < count; turn++) {
    echo(world, connection, random.chance(0.5), random.chance(0.6));
    maybeWait(world, 0.2);
  }
}

/** ICMP errors about connections, most of them right, the others with one thing forged. */
export function errors(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const connection = someConnection(world);
    if (random.chance(0.4)) packetOf(world, connection, connection.fromVm);
    maybeWait(world, 0.1);
    const fromVm = random.chance(0.4);
    const own = world.address ?? world.lastAddress;
    // What is quoted went the other way.
    const [source, destination] = fromVm ? [connection.remote, own] : [own, connection.remote];
    let inner: Uint8Array;
    if (connection.protocol === ICMP) {
      const identifier = Math.max(connection.remotePort, connection.vmPort) % 40_000;
      inner = join([random.chance(0.7) ? 8 : 0, 0, 0, 0], be16(identifier), [0, 1]);
    } else {
      const ports = fromVm ? [connection.remotePort, connection.vmPort] : [connection.vmPort, connection.remotePort];
      inner = join(...ports.map(be16), random.bytes(4));
    }
    const quoted = join(
      [0x45, 0],
      be16(28 + random.below(100)),
      be16(random.below(65536)),
      be16(random.pick([0, 0x4000, 0x2000])),
      [random.below(65), connection.protocol, 0, 0],
      be32(source),
      be32(destination),
      inner,
    );
    let cut = quoted.length;
    if (random.chance(0.35)) {
      switch (random.below(9)) {
        case 0:
          quoted[0] = random.pick([0x46, 0x44, 0x55, 0x65, 0]);
          break;
        case 1:
          quoted.set(be16(random.pick([1, 0x2001, 0x1fff])), 6);
          break;
        case 2:
          quoted[9] = random.pick([ICMP, TCP, UDP, 47, 0]);
          break;
        case 3:
          quoted.set(be32(random.pick([...world.remotes, own + 1])), 12);
          break;
        case 4:
          quoted.set(be32(random.pick([...world.remotes, own + 1])), 16);
          break;
        case 5:
          quoted.set([...quoted.slice(16, 20), ...quoted.slice(12, 16)], 12);
          break;
        case 6:
          quoted.set(be16(random.pick([...SERVICES, 40_000])), random.pick([20, 22, 24]));
          break;
        case 7:
          quoted[20] = random.pick([0, 3, 8, 11, 13]);
          break;
        default:
          cut = random.pick([0, 1, 19, 20, 27]);
      }
    }
    const type = random.pick([3, 3, 3, 4, 11, 12, 5, 13]);
    const payload = join(
      [type, random.below(14), 0, 0],
      random.bytes(4),
      quoted.slice(0, cut),
      random.bytes(random.below(9)),
    );
    const whole = cut < quoted.length ? payload.slice(0, 8 + cut) : payload;
    // An error to the VM may come from any router on the way.
    const from = random.chance(0.6) ? connection.remote : random.pick(world.remotes);
    const to = random.chance(0.06) ? { destination: random.pick([BROADCAST, own + 1, 0xe00000fb]) } : {};
    const part = random.chance(0.12) ? { flags: 1 } : {};
    if (fromVm) send(world, connection.remote, true, { protocol: ICMP, payload: whole, ...part }, "ICMP error");
    else send(world, from, false, { protocol: ICMP, payload: whole, ...to, ...part }, "ICMP error");
  }
}

/** Half-open connections with one remote address until there are 256 of them, and then some. */
function synFlood(world: World): void {
  const { random } = world;
  if (random.chance(0.8)) world.setPolicy(openPolicy(world));
  const remote = random.pick(world.remotes);
  const fromVm = random.chance(0.5);
  const at = (port: number): Connection => ({ protocol: TCP, remote, remotePort: 443, vmPort: port, fromVm });
  const standing = at(30_000);
  for (const [way, flags] of [
    [fromVm, SYN],
    [!fromVm, SYN | ACK],
    [fromVm, ACK],
  ] as const) {
    tcp(world, standing, way, flags);
  }
  const instant = world.now;
  // Some are lost on the way.
  const count = random.between(254, fromVm ? 285 : 262);
  for (let port = 0; port < count; port++) {
    tcp(world, at(31_000 + port), fromVm, SYN);
    world.now = instant;
  }
  tcp(world, standing, random.chance(0.5), ACK);
  udp(world, at(31_000), fromVm);
  tcp(world, at(32_000), fromVm, ACK);
  if (random.chance(0.5)) {
    tcp(world, at(31_003), !fromVm, SYN | ACK);
    if (random.chance(0.8)) tcp(world, at(31_003), fromVm, random.pick([ACK, RST, SYN]));
  }
  if (random.chance(0.3)) newPolicy(world);
  for (const [index, seconds] of [0, 60, 61].entries()) {
    const target = (Math.floor(instant / 1_000_000) + seconds) * 1_000_000;
    world.now = Math.max(world.now, target);
    tcp(world, at(33_000 + index), !fromVm, SYN);
    tcp(world, at(33_010 + index), fromVm, SYN);
    tcp(world, standing, fromVm, ACK);
  }
}

/**
 * Segments of many connections from one side, which the other side resets, acknowledges or leaves alone, and then some
 * more from both sides: now, and when those that are half-open are about to be over.
 */
function answeredFlood(world: World): void {
  const { random } = world;
  if (random.chance(0.9)) world.setPolicy(openPolicy(world));
  const remote = random.pick(world.remotes);
  const fromVm = random.chance(0.25);
  const at = (port: number): Connection => ({ protocol: TCP, remote, remotePort: 443, vmPort: port, fromVm });
  const opening = random.pick([SYN, SYN, ACK, ACK, SYN | ACK, FIN | ACK, RST, RST | ACK, 0]);
  const answers = random.pick([[undefined], [undefined], [RST | ACK], [RST], [ACK], [undefined, RST], [RST, ACK]]);
  const instant = world.now;
  // Some are lost on the way.
  const count = random.between(254, fromVm ? 285 : 262);
  for (let port = 0; port < count; port++) {
    tcp(world, at(34_000 + port), fromVm, opening);
    const flags = random.pick(answers);
    if (flags !== undefined) tcp(world, at(34_000 + port), !fromVm, flags);
    world.now = instant;
  }
  for (const [index, seconds] of [0, 60, 61].entries()) {
    world.now = Math.max(world.now, (Math.floor(instant / 1_000_000) + seconds) * 1_000_000);
    for (const side of [fromVm, !fromVm]) {
      tcp(world, at(35_000 + index), side, random.pick([opening, SYN, ACK]));
      tcp(world, at(35_010 + index), side, ACK);
    }
    const known = at(34_000 + random.below(count));
    tcp(world, known, random.chance(0.5), random.pick([ACK, RST, SYN, SYN | ACK, SYN | RST]));
    if (random.chance(0.3)) newPolicy(world);
  }
}

/** One connection that is reset at once, or begins in the middle, with all that either side may still say. */
function refusals(world: World): void {
  const { random } = world;
  if (random.chance(0.5)) world.setPolicy(openPolicy(world));
  const connection = random.chance(0.8) ? newConnection(world, TCP, random.chance(0.4)) : someConnection(world, TCP);
  const { fromVm } = connection;
  tcp(world, connection, fromVm, random.pick([SYN, SYN, ACK, SYN | ACK, RST]));
  if (random.chance(0.2)) tcp(world, connection, !fromVm, SYN | ACK);
  const back = random.pick([RST, RST | ACK, RST | ACK, SYN | RST, SYN | ACK | RST, ACK, FIN | ACK, SYN]);
  tcp(world, connection, !fromVm, back);
  maybeWait(world, 0.3);
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    tcp(world, connection, random.chance(0.5), random.pick([ACK, ACK, RST, SYN, SYN | ACK, RST | ACK]));
    maybeWait(world, 0.3);
    if (random.chance(0.08)) newPolicy(world);
  }
}

/** A connection ends, with FIN and RST from both sides in any order, and then it goes on, is opened anew or forgotten. */
function closings(world: World): void {
  const { random } = world;
  if (random.chance(0.6)) world.setPolicy(openPolicy(world));
  const connection = newConnection(world, TCP, random.chance(0.6));
  const { fromVm } = connection;
  if (random.chance(0.8)) {
    tcp(world, connection, fromVm, SYN);
    tcp(world, connection, !fromVm, random.chance(0.1) ? SYN | ACK | FIN : SYN | ACK);
    tcp(world, connection, fromVm, random.chance(0.1) ? FIN | ACK : ACK);
  } else {
    tcp(world, connection, fromVm, random.pick([ACK, FIN | ACK, RST, RST | ACK]));
  }
  const count = random.between(1, 6);
  for (let turn = 0; turn < count; turn++) {
    const flags = random.pick([FIN | ACK, FIN | ACK, FIN | ACK, FIN, ACK, ACK, RST, RST | ACK, FIN | RST, SYN | FIN]);
    tcp(world, connection, random.chance(0.5), flags);
    maybeWait(world, 0.05);
  }
  if (random.chance(0.4)) world.jumpSeconds(random.pick([60, 240, 240, 240, 7440]));
  const after = random.between(1, 4);
  for (let turn = 0; turn < after; turn++) {
    tcp(world, connection, random.chance(0.5), random.pick([SYN, SYN, ACK, SYN | ACK, RST, FIN | ACK]));
    maybeWait(world, 0.1);
    if (random.chance(0.06)) newPolicy(world);
  }
}

/** Connections of all kinds, and nothing of them for as long as they may be silent, or a little longer. */
function idle(world: World): void {
  const { random } = world;
  const connections = Array.from({ length: random.between(1, 4) }, () => someConnection(world));
  for (const connection of connections) {
    packetOf(world, connection, connection.fromVm);
    if (random.chance(0.6)) packetOf(world, connection, !connection.fromVm);
  }
  if (random.chance(0.5)) world.jumpSeconds(random.pick([30, 60, 120, 240, 300, 7440, 7440]));
  else world.now += random.pick([300, 301, 1000, 3700, 7439, 7441, 7500]) * 1_000_000;
  for (const connection of connections) packetOf(world, connection, random.chance(0.5));
}

/** Metadata services speak to the VM, which answers, with and without a rule about them. */
function metadataSpeaks(world: World): void {
  const { random } = world;
  const remote = random.pick(METADATA);
  const cidr = `${addressText(remote)}/32`;
  const targets = [cidr, "@metadata", "0.0.0.0/0", `${cidr}:80`, "@metadata:1-1023"];
  if (random.chance(0.85)) {
    const allow = [`${random.pick(["in ", "in ", "", "out "])}${random.pick(targets)}`, "out 1.1.1.1/32"];
    world.setPolicy(
      random.pick([
        { allow, block: [] },
        { allow, block: [] },
        { allow: [], block: ["in 10.0.0.0/8"] },
        { allow: ["0.0.0.0/0:22", "in 10.0.0.0/8"], block: [] },
        { allow, block: [`in ${cidr}:443`] },
        { allow: random.pick([[], ["0.0.0.0/0"], ["@metadata"]]), block: [] },
      ]),
    );
  }
  const count = random.between(1, 3);
  for (let turn = 0; turn < count; turn++) {
    const service = random.pick([80, 443, 22]);
    const protocol = random.pick([TCP, TCP, UDP, ICMP]);
    const fromVm = random.chance(0.2);
    const [vmPort, remotePort] = fromVm ? [40_001, service] : [service, 40_001];
    const connection = { protocol, remote, remotePort, vmPort, fromVm };
    if (random.chance(0.5)) world.connections.push(connection);
    if (protocol === ICMP) echo(world, connection, fromVm, true);
    else if (protocol === UDP) udp(world, connection, fromVm);
    else tcp(world, connection, fromVm, random.pick([SYN, ACK]));
    if (protocol === ICMP) echo(world, connection, !fromVm, random.chance(0.2));
    else packetOf(world, connection, !fromVm);
    packetOf(world, connection, random.chance(0.5));
    if (random.chance(0.2)) newPolicy(world);
    packetOf(world, connection, random.chance(0.5));
  }
}

/** Policies follow each other, and frames pass, before anyone takes the resets of what was cut. */
function changedMind(world: World): void {
  const { random } = world;
  const open = { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"], block: [] };
  if (random.chance(0.7)) world.setPolicy(open);
  const connections = Array.from({ length: random.between(1, 3) }, () => newConnection(world, TCP, random.chance(0.6)));
  for (const connection of connections) {
    tcp(world, connection, connection.fromVm, random.pick([ACK, SYN]));
    tcp(world, connection, !connection.fromVm, random.pick([ACK, SYN | ACK]));
  }
  world.holdsResets = true;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const way = random.pick(["out ", "in ", ""]);
    const target = random.chance(0.5) ? "0.0.0.0/0" : `${addressText(random.pick(connections).remote)}/32`;
    world.setPolicy({ allow: open.allow, block: [`${way}${target}`] });
    if (random.chance(0.4)) tcp(world, random.pick(connections), random.chance(0.3), random.pick([SYN, SYN, ACK, RST]));
    if (random.chance(0.15)) world.jumpSeconds();
    if (random.chance(0.5)) world.setPolicy(random.pick([open, open, { allow: ["0.0.0.0/0"], block: [] }]));
    if (random.chance(0.4)) tcp(world, random.pick(connections), random.chance(0.7), random.pick([ACK, RST, SYN]));
  }
  world.holdsResets = false;
  packetOf(world, random.pick(connections), random.chance(0.5));
}

/** Echoes until the bucket is empty, among packets that look a little like echoes and must take no token. */
function echoFlood(world: World): void {
  const { random } = world;
  if (random.chance(0.7)) world.setPolicy(openPolicy(world));
  const connection = newConnection(world, ICMP, true);
  const { remote } = connection;
  const other = (): void => {
    const like = join([random.pick([8, 0]), 0], random.bytes(18));
    like[12] = 0x50;
    switch (random.below(4)) {
      case 0:
        send(world, remote, true, { protocol: ICMP, payload: like, flags: 1, offset: 4 }, "a later fragment");
        break;
      case 1:
        send(world, remote, true, { protocol: random.pick([TCP, UDP, 47]), payload: like }, "like an echo");
        break;
      case 2:
        send(world, remote, true, { protocol: ICMP, payload: join([13, 0], random.bytes(6)) }, "a timestamp request");
        break;
      default:
        echo(world, connection, false, random.chance(0.5));
    }
  };
  for (let turn = 0; turn < 222; turn++) {
    const before = world.now;
    if (random.chance(0.04)) other();
    else echo(world, connection, true, random.chance(0.8));
    world.now = before + (turn < 212 ? 0 : random.pick([0, 1, 9_999, 10_000, 10_001]));
  }
  echo(world, newConnection(world, ICMP, true), true, true);
  world.now += 1_000_000;
  echo(world, connection, false, false);
}

/** More is denied than is answered. */
function deniedFlood(world: World): void {
  const { random } = world;
  world.setPolicy({ allow: [], block: [random.pick(["0.0.0.0/0", "out 0.0.0.0/0"])] });
  const connection = someConnection(world);
  for (let turn = 0; turn < 215; turn++) {
    const before = world.now;
    if (random.chance(0.1)) tcp(world, connection, true, random.pick([RST, SYN]));
    else if (random.chance(0.05)) errors(world);
    else packetOf(world, connection, true);
    world.now = before + (turn < 200 ? 0 : random.pick([0, 1, 9_999, 10_000, 10_001]));
  }
}

export function newPolicy(world: World): void {
  const { random } = world;
  const policy = random.chance(0.15) ? openPolicy(world) : nextPolicy(world, world.policy);
  world.setPolicy(policy);
  if (random.chance(0.7)) packetOf(world, someConnection(world), random.chance(0.5));
  if (random.chance(0.1)) world.setPolicy(somePolicy(world));
}

/** A policy takes a connection away, both sides go on, and now and then it is given back. */
function cut(world: World): void {
  const { random } = world;
  const before = world.policy;
  const connection = someConnection(world);
  const { fromVm, remote } = connection;
  const open = { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"], block: [] };
  if (random.chance(0.7)) world.setPolicy(open);
  if (connection.protocol === TCP) tcp(world, connection, fromVm, random.pick([SYN, ACK]));
  else packetOf(world, connection, fromVm);
  if (random.chance(0.5)) packetOf(world, connection, !fromVm);
  const target = random.pick([`${addressText(remote)}/32`, "0.0.0.0/0", "@global"]);
  world.setPolicy({ allow: open.allow, block: [`${fromVm ? "out" : "in"} ${target}`] });
  const count = random.between(2, 8);
  for (let turn = 0; turn < count; turn++) {
    const side = random.chance(0.6) ? !fromVm : fromVm;
    if (connection.protocol === TCP && random.chance(0.2)) tcp(world, connection, side, SYN);
    else packetOf(world, connection, side);
    if (random.chance(0.15)) errors(world);
    maybeWait(world, 0.2);
    if (random.chance(0.08)) world.setPolicy(random.pick([open, before, { allow: ["0.0.0.0/0"], block: [] }]));
  }
}

function questions(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const protocol = random.pick([ICMP, TCP, TCP, UDP, UDP, 47]);
    const port = random.chance(0.8) ? random.pick(SERVICES) : undefined;
    const remote = random.chance(0.8) ? random.pick(world.remotes) : world.someAddress();
    world.ask({ way: random.pick(["in", "out"] as const), protocol, remote, port });
  }
}

/** Time goes by, to the edge of a timeout; then old connections go on. */
function wait(world: World): void {
  const { random } = world;
  world.jumpSeconds();
  const count = random.between(1, 3);
  for (let turn = 0; turn < count; turn++) packetOf(world, someConnection(world), random.chance(0.5));
}
