import type { GuardOptions } from "../../src/index.ts";
import { formatIPv4, parseIPv4 } from "../../src/wire/address.ts";
import {
  ADDRESS,
  arp,
  arpProbe,
  arpReply,
  bytes,
  Client,
  DNS_SERVER,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  hex,
  ICMP,
  icmp,
  join,
  mac,
  NEIGHBOUR,
  NOBODY,
  OTHER_MAC,
  packet,
  patch,
  Server,
  tcp,
  udp,
  VM,
  withChecksum,
} from "./support.ts";

/** Small, fast and deterministic (mulberry32). */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1) >>> 0;
  }
  number(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  }
  below(bound: number): number {
    return Math.floor((this.number() / 2 ** 32) * bound);
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

export type Direction = "egress" | "ingress";
export type Step = readonly [direction: Direction, frame: Uint8Array];

/* The traffic */

const ADDRESSES = [
  ...[ADDRESS, "192.168.64.6", GATEWAY, NEIGHBOUR, GLOBAL, DNS_SERVER, NOBODY, EVERYONE],
  ...["224.0.0.251", "127.0.0.1", "169.254.169.254", "192.168.64.255"],
];
const WANTED = [ADDRESS, "192.168.64.6", "192.168.64.7", NEIGHBOUR];
const SERVERS = [
  new Server({ lease: 120 }),
  new Server({ lease: 0xffffffff, address: "192.168.64.2", mac: "02:00:00:00:00:02" }),
  new Server({ lease: 0 }),
  new Server({ lease: 1, address: "192.168.64.66", mac: OTHER_MAC, router: "192.168.64.66", dns: [NEIGHBOUR] }),
];

/** A client and its servers, who mostly say what fits, and sometimes what does not. */
export class Conversation {
  readonly #dice: Dice;
  readonly #clients: readonly Client[];
  readonly #transactions: number;
  #server = SERVERS[0]!;
  #wanted = ADDRESS;

  constructor(dice: Dice) {
    this.#dice = dice;
    this.#transactions = dice.pick([4, 12, 60]);
    const name = dice.pick(["guest", "GUEST.lan", "wpad", ""]);
    const options = [
      ...(dice.chance(30) ? ([[80, bytes()]] as const) : []),
      ...(dice.chance(20) ? ([[12, Uint8Array.from(Buffer.from(name))]] as const) : []),
    ];
    const identifiers = [{}, { identifier: mac(VM) }, ...[1, 2, 3, 4].map((last) => ({ identifier: bytes(0, last) }))];
    this.#clients = identifiers.map((words) => new Client({ ...words, broadcast: dice.chance(30), options }));
  }

  next(own: string | undefined): Step {
    const dice = this.#dice;
    const client = dice.chance(90) ? this.#clients[0]! : dice.pick(this.#clients);
    if (dice.chance(15)) client.xid = 1 + dice.below(this.#transactions);
    if (dice.chance(10)) this.#server = dice.pick(SERVERS);
    if (dice.chance(10)) this.#wanted = dice.pick(WANTED);
    const server = this.#server;
    const wanted = this.#wanted;
    const held = own ?? wanted;
    switch (dice.below(16)) {
      case 0:
      case 1:
        return ["egress", client.discover()];
      case 2:
      case 3:
        return ["ingress", server.offer(client, wanted)];
      case 4:
      case 5:
        return ["egress", client.select(wanted, server.identifier)];
      case 6:
      case 7:
        return ["ingress", server.ack(client, wanted, dice.chance(30) ? { options: [[80, bytes()]] } : {})];
      case 8:
        return ["egress", client.renew(held, server.identifier)];
      case 9:
        return ["egress", client.rebind(held, dice.chance(40) ? { source: NOBODY } : {})];
      case 10:
        return ["ingress", server.ack(client, held)];
      case 11:
        return ["egress", client.reboot(wanted)];
      case 12:
        return dice.chance(50) ? ["egress", client.inform(held)] : ["ingress", server.ackInform(client, held)];
      case 13:
        return dice.chance(30) ? ["ingress", server.nak(client)] : ["ingress", server.offer(client, NOBODY)];
      case 14:
        return dice.chance(30) ? ["egress", client.release(held, server.identifier)] : ["egress", client.discover()];
      default:
        return dice.chance(30) ? ["egress", client.decline(wanted, server.identifier)] : ["egress", client.discover()];
    }
  }
}

export function traffic(dice: Dice, own: string | undefined): Step {
  const source = dice.chance(85) ? (own ?? ADDRESS) : dice.pick(ADDRESSES);
  const destination = dice.pick(ADDRESSES);
  const words = { source, destination, more: dice.chance(10), offset: dice.chance(10) ? dice.below(8192) : 0 };
  const from = dice.pick([GATEWAY_MAC, OTHER_MAC]);
  const incoming = { ...words, source: destination, destination: source, from, to: dice.pick([VM, EVERYONE_MAC]) };
  switch (dice.below(16)) {
    case 12: {
      const direction = dice.pick(["egress", "ingress"] as const);
      const quoted = udp(40_000, 443, dice.pick([words, incoming])).subarray(14, 14 + 28);
      const quoting = join(bytes(dice.pick([3, 4, 11, 12]), 3, 0, 0, 0, 0, 0, 0), quoted);
      return [direction, packet(ICMP, quoting, direction === "egress" ? words : incoming)];
    }
    case 13:
      return ["ingress", icmp(dice.pick([0, 8]), incoming)];
    case 14:
      // The middle of a connection.
      return ["egress", patch(tcp(443, { source, destination: GLOBAL }), 47, 0x10)];
    case 0:
      return ["egress", tcp(dice.pick([53, 80, 443]), words)];
    case 1:
      return ["egress", udp(dice.pick([67, 68, 40_000]), dice.pick([53, 67, 68, 443]), words)];
    case 2:
      return ["egress", icmp(dice.pick([0, 5, 8, 9]), words)];
    case 3:
      return ["egress", packet(dice.below(256), new Uint8Array(dice.below(40)), words)];
    case 4:
      return ["egress", arp({ sender: source, target: destination, operation: 1 + dice.below(2) })];
    case 5:
      return ["egress", arpProbe(dice.pick([source, destination]))];
    case 6:
      return ["egress", arp({ sender: source, target: GATEWAY })];
    case 7:
      return ["ingress", arpReply(GATEWAY, from, { target: source })];
    case 8:
      return ["ingress", arp({ sender: destination, target: source, from, operation: 1 + dice.below(2) })];
    case 9:
      return ["ingress", udp(dice.pick([53, 67]), dice.pick([68, 40_000]), incoming)];
    case 10:
      return ["ingress", tcp(80, incoming)];
    case 11:
      return ["egress", withChecksum(patch(packet(2, hex("94040000 16000904e00000fb"), words), 14, 0x46))];
    default:
      return ["ingress", packet(dice.below(256), new Uint8Array(dice.below(40)), incoming)];
  }
}

/** Bytes from nowhere, with MAC addresses and a type that often let them get further than the first check. */
export function noise(dice: Dice): Step {
  const direction = dice.pick(["egress", "ingress"] as const);
  const frame = new Uint8Array(dice.chance(90) ? dice.below(120) : dice.below(1700));
  for (let at = 0; at < frame.length; at++) frame[at] = dice.number();
  const put = (at: number, ...values: readonly number[]) => {
    if (at + values.length <= frame.length && dice.chance(80)) frame.set(values, at);
  };
  put(0, ...mac(direction === "egress" ? GATEWAY_MAC : VM));
  put(6, ...mac(direction === "egress" ? VM : GATEWAY_MAC));
  if (dice.chance(30)) put(12, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + dice.below(2));
  else put(12, 8, 0, 0x45, 0, 0, Math.max(0, frame.length - 14) & 255, 0, 0, 0, 0, 64, dice.pick([1, 6, 17, 41]));
  return [direction, frame];
}

const TYPES = ["0800", "0806", "86dd", "8100", "88a8", "8035", "0040"].map(hex);
const INTERESTING = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x0f, 0x11, 0x20, 0x40, 0x43, 0x44, 0x45, 0x46, 0x7f, 0x80, 0xff];

/** Some bytes changed, cut off, added or moved; checksums mostly set right again, so that deeper checks are reached. */
export function mutated(dice: Dice, original: Uint8Array): Uint8Array {
  let frame: Uint8Array = original.slice();
  for (let count = 1 + dice.below(3); count > 0; count--) {
    const at = dice.below(frame.length);
    switch (dice.below(9)) {
      case 0:
        if (at < frame.length) frame[at] = frame[at]! ^ (1 << dice.below(8));
        break;
      case 1:
        if (at < frame.length) frame[at] = dice.pick(INTERESTING);
        break;
      case 2:
        if (frame.length > 0) frame[Math.min(frame.length - 1, 12 + dice.below(40))] = dice.number();
        break;
      case 3:
        frame = frame.slice(0, at);
        break;
      case 4: {
        const longer = new Uint8Array(frame.length + dice.below(dice.chance(5) ? 1600 : 40));
        longer.set(frame);
        frame = longer;
        break;
      }
      case 5:
        if (at + 4 <= frame.length) {
          const address = parseIPv4(dice.pick(ADDRESSES))!;
          frame.set([address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255], at);
        }
        break;
      case 6:
        if (at < frame.length) frame.copyWithin(dice.below(frame.length), at, at + dice.below(16));
        break;
      case 7:
        if (frame.length >= 14) frame.set(dice.pick(TYPES), 12);
        break;
      default: {
        // Into the options of a DHCP message.
        const place = 282 + dice.below(40);
        if (place < frame.length) frame[place] = dice.pick([0, 1, 3, 4, 6, 12, 50, 51, 52, 53, 54, 61, 80, 82, 255]);
      }
    }
  }
  if (frame.length >= 42 && frame[12] === 8 && frame[13] === 0 && dice.chance(85)) {
    if (frame[23] === 17) frame.set([0, 0], 40);
    const header = (frame[14]! & 15) * 4;
    if (header >= 20 && 14 + header <= frame.length) frame = withChecksum(frame);
  }
  return frame;
}

/** Another VM has one of the addresses that servers like to give here. */
const isHeld = (address: number) => formatIPv4(address) === "192.168.64.7";

export function optionsOf(dice: Dice): GuardOptions {
  return {
    macAddress: VM,
    ...(dice.chance(15) ? { address: ADDRESS } : {}),
    ...(dice.chance(20) ? { gateway: GATEWAY } : {}),
    ...(dice.chance(10) ? { gatewayMacAddress: GATEWAY_MAC } : {}),
    ...(dice.chance(15) ? { dhcpServer: GATEWAY } : {}),
    ...(dice.chance(10) ? { dhcpServerMacAddress: GATEWAY_MAC } : {}),
    ...(dice.chance(20) ? { hostname: "guest" } : {}),
    ...(dice.chance(15) ? { subnet: "192.168.64.0/24" } : {}),
    ...(dice.chance(25) ? { allow: ["0.0.0.0/0"] } : {}),
    ...(dice.chance(25) ? { block: ["10.0.0.0/8", "@host"] } : {}),
    ...(dice.chance(40) ? dice.pick(POLICIES) : {}),
    ...(dice.chance(30) ? { live: true } : {}),
    reject: dice.chance(50),
    ...(dice.chance(15) ? { heldElsewhere: isHeld } : {}),
  };
}

/** Policies by port and by flow. */
export const POLICIES: readonly { readonly allow: readonly string[]; readonly block: readonly string[] }[] = [
  { allow: ["out 0.0.0.0/0"], block: ["in 0.0.0.0/0"] },
  { allow: ["in 192.168.64.0/24:80", "@private:443"], block: ["in 0.0.0.0/0", "out @metadata"] },
  { allow: ["0.0.0.0/0:53-443"], block: ["@dns:53", "@global"] },
  { allow: ["in @host"], block: ["out 1.1.1.1/32:80"] },
  { allow: [], block: ["0.0.0.0/0:443", "in 10.0.0.0/8"] },
];

export function flooding(
  what: "arp" | "dhcp" | "ping" | "syn" | "fragments",
  source: string,
  index: number,
): Uint8Array {
  switch (what) {
    case "arp":
      return arp({ sender: source });
    case "dhcp":
      return new Client().discover();
    case "ping":
      return icmp(8, { source });
    case "syn":
      return tcp(index, { source });
    case "fragments":
      return udp(index, 443, { source, more: true });
  }
}
