/** IPv4 of a generated session, as guests and strangers send it, plausible and not. */
import { BROADCAST, BROADCAST_MAC, be16, type Ipv4Fields, ipv4Frame, join, udpPayload } from "./build.ts";
import type { World } from "./world.ts";

export function ipv4(world: World, direction: "egress" | "ingress", fields: Partial<Ipv4Fields>, label = "IPv4"): void {
  const { random } = world;
  const egress = direction === "egress";
  const address = world.address ?? world.lastAddress;
  const whole: Ipv4Fields = {
    ethernetDestination: egress ? world.gatewayMac : world.vmMac,
    ethernetSource: egress ? world.vmMac : world.gatewayMac,
    version: 4,
    options: new Uint8Array(0),
    totalLengthError: 0,
    identification: random.below(65536),
    flags: random.chance(0.5) ? 2 : 0,
    offset: 0,
    ttl: random.pick([0, 1, 64, 255]),
    protocol: 17,
    badChecksum: false,
    source: egress ? address : world.someAddress(),
    destination: egress ? world.someAddress() : address,
    payload: new Uint8Array(0),
    padding: random.chance(0.2) ? random.below(30) : 0,
    ...fields,
  };
  world.emit(direction, ipv4Frame(whole), label);
}

const PORTS = [53, 53, 80, 443, 67, 68, 4011, 123, 5353, 4789, 3544, 1023, 65535, 0];

export function transport(world: World, protocol: number, destinationPort?: number): Uint8Array {
  const { random } = world;
  const data = random.bytes(random.below(random.chance(0.05) ? 600 : 24));
  const sourcePort = random.chance(0.95) ? random.between(1024, 65535) : random.pick(PORTS);
  const port = destinationPort ?? random.pick(PORTS);
  switch (protocol) {
    case 6:
      return join(
        be16(sourcePort),
        be16(port),
        random.bytes(8),
        [0x50, random.pick([2, 16, 24, 4])],
        random.bytes(6),
        data,
      );
    case 17:
      return udpPayload({
        source: 0,
        destination: 0,
        sourcePort,
        destinationPort: port,
        lengthError: random.chance(0.05) ? 3 : 0,
        checksum: random.chance(0.3) ? "zero" : "right",
        data,
      });
    case 1:
      return join([random.pick([8, 0, 3, 5, 9, 10, 11, 13]), random.below(2)], random.bytes(6), data);
    default:
      return random.bytes(random.below(40));
  }
}

function someProtocol(world: World): number {
  return world.random.pick([6, 6, 6, 17, 17, 17, 1, 1, 0, 2, 4, 41, 47, 50, 132, 255]);
}

export function traffic(world: World): void {
  const count = world.random.between(1, 12);
  for (let turn = 0; turn < count; turn++) {
    const protocol = someProtocol(world);
    const source = world.random.chance(0.04) ? { source: world.someAddress() } : {};
    ipv4(world, "egress", { protocol, payload: transport(world, protocol), ...source });
  }
}

/** TCP from exposed ports and their neighbours, mostly to the gateway, with flags of all kinds. */
export function exposedTraffic(world: World): void {
  const { random } = world;
  const count = random.between(1, 6);
  const ports = world.options.exposedPorts ?? [22];
  for (let turn = 0; turn < count; turn++) {
    const port = (random.pick(ports) + random.pick([0, 0, 0, 0, 1])) % 65536;
    const flags = random.pick([0x02, 0x12, 0x10, 0x18, 0x11, 0x14, 0x04, 0x01, 0, 0x03, 0x06, 0xc2, 0x52, 0x3f, 0xff]);
    const payload = join(be16(port), be16(random.pick(PORTS)), random.bytes(8), [0x50, flags], random.bytes(10));
    const destination = random.chance(0.7) ? world.gateway : world.someAddress();
    const protocol = random.chance(0.95) ? 6 : someProtocol(world);
    const fragment = random.chance(0.1) ? { flags: random.below(2), offset: random.pick([0, 0, 2]) } : {};
    ipv4(world, "egress", { protocol, destination, payload, ...fragment });
  }
}

export function dnsTraffic(world: World): void {
  const { random } = world;
  const count = random.between(1, 5);
  for (let turn = 0; turn < count; turn++) {
    const protocol = random.pick([17, 17, 6, 1, 47]);
    const destination = world.dnsServers.length > 0 ? random.pick(world.dnsServers) : world.someAddress();
    const fragment = random.chance(0.2) ? { flags: 1, offset: random.pick([0, 0, 2, 3]) } : {};
    const payload = transport(world, protocol, random.chance(0.8) ? 53 : 853);
    ipv4(world, "egress", { protocol, destination, payload, ...fragment });
  }
}

export function fragments(world: World): void {
  const { random } = world;
  const count = random.between(1, 6);
  const identification = random.below(65536);
  const direction = random.chance(0.75) ? "egress" : "ingress";
  for (let turn = 0; turn < count; turn++) {
    const protocol = someProtocol(world);
    const whole = transport(world, protocol, random.chance(0.2) ? 67 : undefined);
    const offset = random.pick([0, 0, 1, 1, 2, 3, 100, 8187, 8188, 8189, 8190, 8191]);
    // Around the last byte that a packet can have, or around the ends of transport headers.
    const last = 65_515 - offset * 8;
    const ends = offset > 8000 ? [last - 1, last, last + 1, last + 2] : [0, 1, 7, 8, 16, 19, 20];
    const payload = random.chance(0.5) ? join(whole, random.bytes(40)).slice(0, random.pick(ends)) : whole;
    ipv4(world, direction, { identification, protocol, payload, flags: random.pick([0, 1, 1, 3, 4]), offset });
  }
}

/** Headers that lie, are cut short, carry options or have a wrong checksum. */
export function strangeIpv4(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const protocol = someProtocol(world);
    const whole = transport(world, protocol);
    const odd: Partial<Ipv4Fields>[] = [
      { version: random.pick([0, 5, 6, 15]) },
      {
        options: random
          .pick([
            [0x94, 4, 0, 0],
            [7, 7, 4, 0, 0, 0, 0, 0],
            [1, 1, 1, 0],
          ])
          .map(Number) as never,
      },
      {
        totalLengthError: random.pick([1, -1, 100, -20, -whole.length, -whole.length - 1]),
        padding: random.pick([0, 120]),
      },
      { badChecksum: true },
      { payload: whole.slice(0, random.below(21)) },
      { destination: BROADCAST, ethernetDestination: BROADCAST_MAC },
      { destination: 0xe00000fb, ethernetDestination: "01:00:5e:00:00:fb" },
      { ethernetDestination: world.someMac() },
      { ethernetSource: world.someMac() },
    ];
    const chosen = random.pick(odd);
    if (chosen.options !== undefined) chosen.options = new Uint8Array(chosen.options);
    ipv4(world, random.chance(0.75) ? "egress" : "ingress", { protocol, payload: whole, ...chosen });
  }
}

/** Membership reports and queries, most with the router alert option (RFC 2236). */
export function igmp(world: World): void {
  const { random } = world;
  const count = random.between(1, 3);
  for (let turn = 0; turn < count; turn++) {
    const options = random.pick([[0x94, 4, 0, 0], [0x94, 4, 0, 0], [0x94, 4, 0, 0, 1, 1, 1, 0], []]);
    const protocol = random.pick([2, 2, 2, 17, 3]);
    const group = random.pick([0xe0000016, 0xe0000001, 0xe00000fb, world.gateway]);
    ipv4(world, random.chance(0.6) ? "egress" : "ingress", {
      protocol,
      options: new Uint8Array(options),
      destination: group,
      ethernetDestination: "01:00:5e:00:00:16",
      payload: random.bytes(8),
      badChecksum: random.chance(0.1),
    });
  }
}

export function inbound(world: World): void {
  const { random } = world;
  const count = random.between(1, 4);
  for (let turn = 0; turn < count; turn++) {
    const protocol = someProtocol(world);
    const group = random.chance(0.2) ? { ethernetDestination: random.pick([BROADCAST_MAC, "01:00:5e:00:00:fb"]) } : {};
    const stranger = random.chance(0.15) ? { ethernetDestination: world.someMac() } : {};
    const from = random.chance(0.15) ? { ethernetSource: world.someMac() } : {};
    ipv4(world, "ingress", { protocol, payload: transport(world, protocol), ...group, ...stranger, ...from });
  }
}

/** Group frames with packets for one host, for several and for the VM's own subnet, both ways. */
export function groupFrames(world: World): void {
  const { random } = world;
  const count = random.between(2, 6);
  const size = 2 ** (32 - world.subnet.length);
  for (let turn = 0; turn < count; turn++) {
    const own = world.address ?? world.lastAddress;
    const last = world.subnet.address + size - 1;
    const destination = random.pick([
      own,
      own,
      world.hostAddress(),
      last,
      last,
      BROADCAST,
      0xe00000fb,
      world.someAddress(),
    ]);
    const protocol = random.pick([6, 17, 17, 1, 47]);
    const egress = random.chance(0.5);
    ipv4(world, egress ? "egress" : "ingress", {
      protocol,
      destination: egress && destination === own ? world.gateway : destination,
      payload: transport(world, protocol),
      ethernetDestination: random.pick([BROADCAST_MAC, BROADCAST_MAC, "01:00:5e:00:00:fb", world.gatewayMac]),
      ...(random.chance(0.1) && { flags: 1 }),
    });
  }
}
