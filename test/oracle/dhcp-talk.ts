/** DHCP as VM and servers speak it in a generated session: plausible messages, and one thing wrong with many of them. */
import {
  BROADCAST,
  BROADCAST_MAC,
  be32,
  type DhcpFields,
  dhcpMessage,
  type Ipv4Fields,
  ipv4Frame,
  join,
  optionBytes,
  type UdpFields,
  udpPayload,
} from "./build.ts";
import type { Server, World } from "./world.ts";

interface Layers {
  dhcp: DhcpFields;
  udp: UdpFields;
  ip: Ipv4Fields;
}

export type ClientKind =
  | "DISCOVER"
  | "SELECTING"
  | "INIT-REBOOT"
  | "RENEWING"
  | "REBINDING"
  | "INFORM"
  | "RELEASE"
  | "DECLINE";

const TYPES: Record<ClientKind, number> = {
  DISCOVER: 1,
  SELECTING: 3,
  "INIT-REBOOT": 3,
  RENEWING: 3,
  REBINDING: 3,
  INFORM: 8,
  RELEASE: 7,
  DECLINE: 4,
};

export interface ClientWords {
  /** Option 50; or the address used when renewing. */
  address?: number;
  /** Option 54. */
  server?: Server;
  xid?: number;
  rapidCommit?: boolean;
  /** REBINDING and RENEWING come from 0.0.0.0, as some clients' do. */
  fromNobody?: boolean;
  /** Wrong in one place with this probability. */
  wrong?: number;
}

/** Sends a message of the VM. */
export function say(world: World, kind: ClientKind, words: ClientWords = {}): void {
  const { random } = world;
  const address = words.address ?? world.address ?? world.lastAddress;
  const server = words.server ?? world.server;
  const bound = kind === "RENEWING" || kind === "REBINDING" || kind === "INFORM" || kind === "RELEASE";
  const unicast = kind === "RENEWING" || kind === "RELEASE" || (kind === "INFORM" && random.chance(0.5));
  const layers = blank(world, words.xid ?? world.xid);
  const { dhcp, ip } = layers;
  if (bound !== random.chance(0.02)) dhcp.ciaddr = address;
  // Some clients keep their former address in ciaddr.
  if (kind === "DISCOVER" && random.chance(0.05)) dhcp.ciaddr = world.lastAddress;
  ip.source = bound && !words.fromNobody ? address : 0;
  ip.destination = unicast ? server.id : BROADCAST;
  ip.ethernetDestination = unicast ? server.mac : BROADCAST_MAC;
  ip.ethernetSource = world.vmMac;
  if (kind === "RELEASE" && random.chance(0.15)) {
    [ip.destination, ip.ethernetDestination] = [BROADCAST, BROADCAST_MAC];
  }
  if (random.chance(0.3)) dhcp.flags = 0x8000;

  dhcp.options.push({ code: 53, data: [TYPES[kind]] });
  if (world.identifier.length > 0) dhcp.options.push({ code: 61, data: world.identifier });
  if (
    kind === "SELECTING" ||
    kind === "INIT-REBOOT" ||
    kind === "DECLINE" ||
    (kind === "DISCOVER" && random.chance(0.3))
  ) {
    dhcp.options.push({ code: 50, data: be32(address) });
  }
  if (kind === "SELECTING" || kind === "DECLINE" || kind === "RELEASE" || random.chance(0.03)) {
    dhcp.options.push({ code: 54, data: be32(server.id) });
  }
  if (words.rapidCommit) dhcp.options.push({ code: 80, data: [] });
  const strange = random.chance(0.3);
  if (random.chance(0.3))
    dhcp.options.push({ code: 12, data: [...Buffer.from(strange ? random.pick(NAMES) : "guest")] });
  if (random.chance(0.12)) dhcp.options.push({ code: 81, data: fullName(world, strange) });
  if (random.chance(0.5)) dhcp.options.push({ code: 55, data: [1, 3, 6, 15, 51, 54] });
  finish(world, layers, words.wrong ?? 0.08, false);
  world.emit("egress", build(layers), kind);
}

const NAMES = [
  ...["guest", "GUEST", "guest.", "guest..", "guest\0\0", "guest.\0", "guest.lan", "guest.la n", "guestx", "wpad", ""],
  ...[
    "\0",
    ".",
    "a",
    "A",
    "a.b-c_d",
    "a..",
    "web1",
    "web1.example.com",
    "Web1.Example.Com.",
    "web1.example.com.x",
    "g\u00fcest",
  ],
];

/** Option 81 (RFC 4702): flags, two bytes of old, the name as text or as labels. */
function fullName(world: World, strange: boolean): number[] {
  const { random } = world;
  if (random.chance(0.04)) return Array.from({ length: random.below(3) }, () => 0);
  const name = strange ? random.pick(NAMES) : random.pick(["guest", "guest.lan"]);
  if (random.chance(0.5)) return [random.pick([0, 1, 2, 8]), 0, 0, ...Buffer.from(name, "latin1")];
  const labels = name.split(".").flatMap((label) => [label.length, ...Buffer.from(label, "latin1")]);
  const end = random.pick([[], [0], [0], [0, 0], [64], [9, 103]]);
  return [random.pick([4, 5, 6, 12]), 0, 0, ...labels, ...end];
}

export interface ServerWords {
  type: "OFFER" | "ACK" | "NAK";
  address: number;
  server?: Server;
  xid?: number;
  rapidCommit?: boolean;
  lease?: number;
  /** Options 1, 3 and 6 are left out with this probability each. */
  terse?: number;
  /** Options that are left out. */
  without?: readonly number[];
  /** Routers and DNS servers are no good with this probability each. */
  rogue?: number;
  /** The client to which the message goes, when it is not the VM. */
  client?: string;
  wrong?: number;
}

/** Sends a server's message to the VM. */
export function answer(world: World, words: ServerWords): void {
  const { random } = world;
  const server = words.server ?? world.server;
  const layers = blank(world, words.xid ?? world.xid);
  const { dhcp, ip, udp } = layers;
  dhcp.op = 2;
  dhcp.chaddr = words.client ?? world.vmMac;
  dhcp.yiaddr = words.type === "NAK" ? 0 : words.address;
  if (random.chance(0.1)) dhcp.giaddr = world.gateway;
  if (random.chance(0.1)) dhcp.hops = 1;
  [udp.sourcePort, udp.destinationPort] = [67, 68];
  const broadcast = words.type === "NAK" || random.chance(0.3);
  ip.source = server.source;
  ip.destination = broadcast ? BROADCAST : words.address;
  if (random.chance(0.03)) ip.destination = random.pick([world.address ?? 0, world.hostAddress(), 0]);
  ip.ethernetDestination = broadcast ? BROADCAST_MAC : world.vmMac;
  ip.ethernetSource = server.mac;
  if (random.chance(0.04)) ip.source = random.pick([server.id, world.gateway, world.impostor(), world.someAddress()]);

  dhcp.options.push({ code: 53, data: [{ OFFER: 2, ACK: 5, NAK: 6 }[words.type]] });
  if (words.type !== "NAK" || !random.chance(0.25)) dhcp.options.push({ code: 54, data: be32(server.id) });
  if (words.type !== "NAK" && random.chance(0.06)) {
    // To everybody in the subnet, in place of everybody.
    const size = 2 ** (32 - world.subnet.length);
    ip.destination = world.subnet.address + size - 1;
    ip.ethernetDestination = random.chance(0.9) ? BROADCAST_MAC : world.vmMac;
  }
  if (words.type !== "NAK") {
    const terse = words.terse ?? 0.1;
    if (words.lease !== -1) dhcp.options.push({ code: 51, data: be32(words.lease ?? world.lease()) });
    const rogue = words.rogue ?? 0.05;
    if (!random.chance(terse)) dhcp.options.push({ code: 1, data: netmask(world, words.address, rogue) });
    if (!random.chance(terse)) dhcp.options.push({ code: 3, data: routers(world, rogue) });
    const dnsServers = nameServers(world, rogue);
    if (random.chance(0.03)) {
      const pairs = Array.from({ length: random.below(3) }, () => [
        ...random.bytes(4),
        ...be32(random.pick([world.gateway, world.gateway, 0, world.impostor()])),
      ]);
      dhcp.options.push({ code: 33, data: random.chance(0.9) ? pairs.flat() : [1, 2, 3] });
    }
    if (random.chance(0.12)) {
      dhcp.options.push({ code: random.pick([121, 121, 249]), data: routes(world, rogue) });
    }
    if (!random.chance(terse) && dnsServers.length > 0) dhcp.options.push({ code: 6, data: dnsServers.flatMap(be32) });
    if (words.rapidCommit) dhcp.options.push({ code: 80, data: [] });
    if (random.chance(0.1)) dhcp.options.push({ code: 82, data: [1, 2, 3, 4] });
  }
  for (const code of words.without ?? []) dropOption(dhcp, code);
  finish(world, layers, words.wrong ?? 0.08, true);
  world.emit("ingress", build(layers), `${words.type} from server`);
}

function routers(world: World, rogue: number): number[] {
  const { random } = world;
  if (random.chance(rogue)) {
    const router = random.chance(0.1) ? 0 : world.impostor();
    world.tell(router);
    return [...be32(router), ...(random.chance(0.3) ? be32(world.gateway) : [])];
  }
  if (random.chance(0.9)) return be32(world.gateway);
  if (random.chance(0.5)) return [...be32(world.gateway), ...be32(world.hostAddress())];
  return be32(world.hostAddress());
}

/** Classless static routes (RFC 3442), with the one to everywhere more often than not. */
function routes(world: World, rogue: number): number[] {
  const { random } = world;
  const router = (): number[] => {
    if (random.chance(rogue)) return be32(random.chance(0.2) ? 0 : world.impostor());
    return be32(random.chance(0.7) ? world.gateway : world.hostAddress());
  };
  const count = random.between(0, 3);
  const all: number[][] = [];
  for (let number = 0; number < count; number++) {
    const length = random.pick([0, 1, 8, 9, 24, 32]);
    all.push([length, ...random.bytes(Math.ceil(length / 8)), ...router()]);
  }
  if (random.chance(0.7)) all.splice(random.below(all.length + 1), 0, [0, ...router()]);
  const bytes = all.flat();
  if (random.chance(0.04)) return [...bytes, random.pick([0, 33, 24, 255])];
  if (random.chance(0.02))
    return Array.from({ length: 52 }, () => [8, 10, ...router()])
      .flat()
      .slice(0, 255);
  return bytes;
}

const PRIVATE_DNS = 0x0a010200; // 10.1.2.0

function nameServers(world: World, rogue: number): number[] {
  const { random } = world;
  if (!random.chance(rogue)) return [...world.dnsServers];
  const others = Array.from({ length: random.between(1, 4) }, () => world.impostor());
  if (random.chance(0.3)) {
    // More than are remembered.
    for (let number = random.below(4); number < 9; number++) others.push(PRIVATE_DNS + number);
  }
  world.tell(...others.slice(0, 2), ...others.slice(5, 10));
  return random.chance(0.5) ? others : [...others, ...world.dnsServers];
}

/** The subnet's netmask, or another one. */
function netmask(world: World, address: number, rogue: number): number[] {
  const { random } = world;
  if (!random.chance(rogue)) return be32(2 ** 32 - 2 ** (32 - world.subnet.length));
  if (random.chance(0.15)) return be32(random.pick([0, 0xff00ff00, 0xffffff01, 0x00ffffff]));
  const length = random.pick([world.subnet.length - 1, world.subnet.length + 1, 8, 16, 29, 30, 31, 32]);
  const size = 2 ** (32 - Math.min(length, 32));
  const first = Math.floor(address / size) * size;
  world.tell(first, first + size - 1);
  return be32(2 ** 32 - size);
}

function blank(world: World, xid: number): Layers {
  return {
    dhcp: {
      op: 1,
      htype: 1,
      hlen: 6,
      hops: 0,
      xid,
      secs: 0,
      flags: 0,
      ciaddr: 0,
      yiaddr: 0,
      siaddr: 0,
      giaddr: 0,
      chaddr: world.vmMac,
      sname: new Uint8Array(64),
      file: new Uint8Array(128),
      cookie: 0x63825363,
      options: [],
      tail: [255],
    },
    udp: {
      source: 0,
      destination: 0,
      sourcePort: 68,
      destinationPort: 67,
      lengthError: 0,
      checksum: "right",
      data: new Uint8Array(0),
    },
    ip: {
      ethernetDestination: BROADCAST_MAC,
      ethernetSource: world.vmMac,
      version: 4,
      options: new Uint8Array(0),
      totalLengthError: 0,
      identification: world.random.below(65536),
      flags: 0,
      offset: 0,
      ttl: 64,
      protocol: 17,
      badChecksum: false,
      source: 0,
      destination: BROADCAST,
      payload: new Uint8Array(0),
      padding: 0,
    },
  };
}

function build({ dhcp, udp, ip }: Layers): Uint8Array {
  udp.data = dhcpMessage(dhcp);
  udp.source = ip.source;
  udp.destination = ip.destination;
  ip.payload = udpPayload(udp);
  return ipv4Frame(ip);
}

/** Variety that changes nothing, and with the given probability one thing (rarely two) that may. */
function finish(world: World, layers: Layers, wrong: number, fromServer: boolean): void {
  const { random } = world;
  const { dhcp, udp, ip } = layers;
  if (random.chance(0.15)) dhcp.options.reverse();
  if (random.chance(0.4)) dhcp.tail = join([255], new Uint8Array(random.below(64)));
  if (random.chance(0.05)) dhcp.tail = random.pick([[], [0], [255, 53, 1, 6]]);
  if (random.chance(0.1)) udp.checksum = "zero";
  if (random.chance(0.1)) ip.padding = random.below(20);
  if (random.chance(0.06)) overload(world, dhcp);
  if (!random.chance(wrong)) return;
  tamper(world, layers, fromServer);
  if (random.chance(0.15)) tamper(world, layers, fromServer);
}

/** Moves some options into sname and file, as option 52 says (RFC 2131, 4.1). */
function overload(world: World, dhcp: DhcpFields): void {
  const { random } = world;
  const value = random.between(1, 3);
  const areas = [dhcp.options, [] as typeof dhcp.options, [] as typeof dhcp.options] as const;
  const moved = dhcp.options.splice(0, random.below(dhcp.options.length + 1));
  for (const option of moved) {
    areas[random.chance(0.2) ? 0 : value === 3 ? random.between(1, 2) : value].push(option);
  }
  dhcp.options.splice(random.below(dhcp.options.length + 1), 0, { code: 52, data: [value] });
  const area = (options: typeof dhcp.options, size: number): Uint8Array => {
    const end = random.chance(0.8) ? [255] : [];
    const bytes = join(optionBytes(options), end);
    if (!random.chance(0.05)) return bytes;
    // Options that end exactly with the field, or run past it.
    const rest = size - bytes.length - 2 + (random.chance(0.5) ? 0 : 1);
    return rest < 0 || rest > 255 ? bytes : join(optionBytes(options), [43, rest], new Uint8Array(rest), end);
  };
  if (value === 1 || value === 3) dhcp.file = area(areas[1], 128);
  if (value === 2 || value === 3) dhcp.sname = area(areas[2], 64);
}

const WRONGS: readonly ((world: World, layers: Layers, fromServer: boolean) => void)[] = [
  (_, { dhcp }) => {
    dhcp.op = 3 - dhcp.op;
  },
  ({ random }, { dhcp }) => {
    dhcp.htype = random.pick([0, 6, 7]);
  },
  ({ random }, { dhcp }) => {
    dhcp.hlen = random.pick([0, 5, 7, 16]);
  },
  (world, { dhcp }) => {
    dhcp.chaddr = world.random.pick(world.peerMacs);
  },
  (world, { dhcp }) => {
    dhcp.chaddr = `${world.vmMac}:01:02:ff`;
  },
  (_, { dhcp }) => {
    dhcp.hops = 1;
  },
  (world, { dhcp }) => {
    dhcp.giaddr = world.someAddress();
  },
  ({ random }, { dhcp }) => {
    dhcp.xid = (dhcp.xid + random.pick([1, 256, 0x80000000])) % 2 ** 32;
  },
  (world, { dhcp }) => {
    dhcp.ciaddr = world.random.pick([0, world.someAddress(), world.address ?? 0, world.hostAddress()]);
  },
  (world, { dhcp }) => {
    dhcp.yiaddr = world.someAddress();
  },
  (world, { dhcp }) => {
    dhcp.yiaddr = world.hostAddress();
  },
  ({ random }, { dhcp }) => {
    dhcp.cookie = random.pick([0, 0x63825362, random.uint32()]);
  },
  ({ random }, { dhcp }) => {
    setOption(dhcp, 53, [random.below(20)]);
  },
  ({ random }, { dhcp }) => {
    dropOption(dhcp, random.pick([53, 54, 51, 50, 61, 1, 3, 6, 121]));
  },
  (world, { dhcp }) => {
    const code = world.random.pick([50, 51, 53, 54, 52]);
    dhcp.options.push({ code, data: code === 52 || code === 53 ? [1] : be32(world.someAddress()) });
  },
  ({ random }, { dhcp }) => {
    const option = random.pick(dhcp.options);
    dhcp.options.push({ code: option.code, data: [...option.data] });
  },
  ({ random }, { dhcp }) => {
    const option = random.pick(dhcp.options);
    option.data = [...option.data, random.below(256)];
  },
  ({ random }, { dhcp }) => {
    const option = random.pick(dhcp.options);
    option.data = [...option.data].slice(1);
  },
  (world, { dhcp }) => {
    setOption(dhcp, 54, be32(world.random.chance(0.6) ? world.random.pick(world.servers).id : world.someAddress()));
  },
  (world, { dhcp }) => {
    setOption(dhcp, 50, be32(world.random.chance(0.6) ? world.hostAddress() : world.someAddress()));
  },
  ({ random }, { dhcp }) => {
    setOption(dhcp, 51, be32(random.pick([0, 1, 0xffffffff, random.uint32()])));
  },
  ({ random }, { dhcp }) => {
    setOption(dhcp, 1, be32(random.pick([0, 0xffffffff, 0xffffff01, 0xfffffffe, 0xfffffffc, 0xff00ff00, 0xffff0000])));
  },
  (world, { dhcp }) => {
    const list = Array.from({ length: world.random.below(11) }, () => world.someAddress());
    setOption(dhcp, world.random.pick([3, 6]), list.flatMap(be32));
  },
  ({ random }, { dhcp }) => {
    setOption(dhcp, random.pick([1, 3, 6, 121, 249]), [...random.bytes(random.below(9))]);
  },
  ({ random }, { dhcp }) => {
    setOption(dhcp, 61, random.bytes(random.pick([0, 1, 254, 255, 256, 300])));
  },
  (world, { dhcp }) => {
    // The same identifier in pieces (RFC 3396).
    const whole = world.identifier;
    const cut = world.random.below(whole.length + 1);
    dropOption(dhcp, 61);
    dhcp.options.push({ code: 61, data: whole.slice(0, cut) }, { code: 61, data: whole.slice(cut) });
  },
  ({ random }, { dhcp }) => {
    dhcp.options.push({ code: 82, data: random.chance(0.5) ? [] : [1, 1, 7] });
  },
  (_, { dhcp }) => {
    dhcp.options.push({ code: 80, data: [] });
  },
  ({ random }, { dhcp }) => {
    dhcp.options.push({ code: 52, data: random.pick([[0], [4], [], [1, 1], [1], [2], [3]]) });
  },
  ({ random }, { dhcp }) => {
    dhcp.tail = random.pick([[12], [12, 1], [12, 5, 1, 2], [0, 0, 61], [12, 0], []]);
  },
  ({ random }, { dhcp }) => {
    dhcp.options.splice(random.below(dhcp.options.length), 0, { code: random.pick([0, 0, 255]), data: [] });
  },
  (world, { dhcp }) => {
    overload(world, dhcp);
    overload(world, dhcp);
  },
  (_, { dhcp }) => {
    dhcp.options = [];
    dhcp.tail = [];
  },
  ({ random }, { udp }) => {
    udp.lengthError = random.pick([-1, 1, 2, -8]);
  },
  (_, { udp }) => {
    udp.checksum = "wrong";
  },
  ({ random }, { udp }) => {
    const [source, destination] = random.pick([
      [67, 68],
      [68, 68],
      [67, 67],
      [68, 53],
      [1234, 67],
      [68, 67],
      [53, 68],
      [67, 5000],
      [4011, 68],
      [68, 4011],
    ]);
    udp.sourcePort = source!;
    udp.destinationPort = destination!;
  },
  (world, { ip }) => {
    ip.source = world.random.pick([0, world.address ?? 0, world.hostAddress(), world.someAddress()]);
  },
  (world, { ip }) => {
    ip.destination = world.random.pick([BROADCAST, world.server.id, world.someAddress(), world.gateway]);
  },
  (world, { ip }) => {
    ip.ethernetDestination = world.someMac();
  },
  (world, { ip }, fromServer) => {
    if (fromServer) ip.ethernetSource = world.someMac();
    else ip.ethernetDestination = world.gatewayMac;
  },
  ({ random }, { ip }) => {
    ip.flags = random.pick([1, 2, 3, 4]);
    if (random.chance(0.3)) ip.offset = random.pick([1, 2, 100, 8191]);
  },
  (_, { ip }) => {
    ip.options = new Uint8Array([0x94, 4, 0, 0]);
  },
  (_, { ip }) => {
    ip.badChecksum = true;
  },
  ({ random }, { ip }) => {
    ip.totalLengthError = random.pick([-1, 1, -300]);
  },
];

function tamper(world: World, layers: Layers, fromServer: boolean): void {
  if (layers.dhcp.options.length === 0) layers.dhcp.options.push({ code: 0, data: [] });
  world.random.pick(WRONGS)(world, layers, fromServer);
}

function setOption(dhcp: DhcpFields, code: number, data: Uint8Array | number[]): void {
  const found = dhcp.options.find((option) => option.code === code);
  if (found === undefined) dhcp.options.push({ code, data });
  else found.data = data;
}

function dropOption(dhcp: DhcpFields, code: number): void {
  dhcp.options = dhcp.options.filter((option) => option.code !== code);
}
