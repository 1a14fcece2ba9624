/** Conversations of a VM whose policy has names; what is sent depends on a seed alone. */
import type { GuardOptions } from "../../../src/guard/types.ts";
import { be16, be32, ipv4Frame, join, udpPayload } from "../build.ts";
import { addressNumber, onesComplementSum } from "../bytes.ts";
import {
  advertisement,
  dnsOption,
  fragmentHeader,
  frame6,
  icmp6,
  linkOption,
  nat64Option,
  optionsHeader,
  prefixOption,
  udp6,
} from "../ipv6/build.ts";
import { ALL_NODES, address6, multicastMac, sum6 } from "../ipv6/bytes.ts";
import { Random } from "../random.ts";
import {
  type Asked,
  plainAnswer,
  plainQuestion,
  someAnswer,
  someBehind,
  someHead,
  someHello,
  someQuestion,
  someReply,
} from "./bytes.ts";

const SECOND = 1_000_000;
export const VM_MAC = "7e:1a:00:00:00:01";
const PEER = "02:00:00:00:00:01";
const VM = addressNumber("192.168.64.5");
const GATEWAY = addressNumber("192.168.64.1");
const DNS = ["192.168.64.1", "9.9.9.9"].map(addressNumber);
const ADDRESSES = [
  ...["1.1.1.1", "1.1.1.1", "8.8.8.8", "8.8.4.4", "151.101.1.1", "151.101.1.2"],
  ...["10.0.0.1", "169.254.169.254", "127.0.0.1", "224.0.0.1"],
].map(addressNumber);
const VM6 = address6("2a05:5::5");
const ROUTER6 = address6("fe80::1");
const DNS6 = ["fd00:53::53", "2620:fe::fe"].map(address6);
const ON_LINK = address6("2a05:1::");
const NAT64 = address6("2a06:64::");
/** Options of a SYN: ordinary ones, Multipath TCP alone, behind others, behind the end and in another's data, and malformed ones. */
const SYN_OPTIONS: readonly (readonly number[])[] = [
  ...[
    [2, 4, 5, 180],
    [2, 4, 5, 180, 4, 2, 1, 1],
    [30, 4, 1, 1],
    [1, 1, 30, 2],
    [2, 4, 30, 30, 30, 4, 1, 1],
  ],
  ...[
    [0, 0, 0, 0, 30, 4, 1, 1],
    [34, 6, 30, 4, 1, 1, 1, 1],
    [2, 1, 1, 1],
    [2, 0, 1, 1],
    [2, 9, 1, 1],
    [1, 1, 1, 2],
  ],
];
/** What names often have, and what they should not have. */
const USUAL6 = ["2606:4700::1111", "2001:4860:4860::8888", "64:ff9b::808:808"];
const ADDRESSES6 = [
  ...Array.from({ length: 12 }, () => USUAL6).flat(),
  ...["2001:4860:4860::8844", "2a04:4e42::1"],
  ...["64:ff9b::808:808", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2a06:64::808:808", "2a06:64::a00:1"],
  ...["2a05:1::7", "2002:808:808::1", "fd00::1", "fd00:ec2::254", "fe80::9", "fe80::1", "::1", "::", "::ffff:1.1.1.1"],
  ...["::1.1.1.1", "2001:0:1::1", "2001:db8::9", "ff02::5", "2620:fe::fe"],
].map(address6);
const NAMES = ["a.test", "b.test", "x.a.test", "y.x.a.test", "c.example", "d.c.example", "e_1.c.example", "test"];
const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16] as const;

export type NameStep =
  | {
      readonly kind: "frame";
      readonly direction: "egress" | "ingress";
      readonly frame: Uint8Array;
      readonly time: number;
      /** The virtio-net header in front of it. */
      readonly header?: Uint8Array;
      readonly label: string;
    }
  | { readonly kind: "policy"; readonly allow: readonly string[]; readonly block: readonly string[] };

export interface NameSession {
  readonly seed: number;
  readonly options: GuardOptions;
  readonly steps: readonly NameStep[];
}

type Address = number | bigint;
const ANSWERED = { four: ADDRESSES, six: ADDRESSES6 };

interface Connection {
  readonly remote: Address;
  readonly port: number;
  readonly own: number;
  /** Of the next byte from each side. */
  sequence: number;
  back: number;
  left: Uint8Array;
  /** What the other side says. */
  reply: Uint8Array;
  sent: { at: number; data: Uint8Array }[];
}

/** Rules about IPv6 addresses. */
function addRules6(random: Random, allow: string[], block: string[]): void {
  if (random.chance(0.6)) block.push(random.pick(["::/0", "out ::/0"]));
  if (random.chance(0.25))
    allow.push(random.pick(["2001:4860::/32", "[2001:4860:4860::8888/128]:443", "out [2606::/16]:22"]));
  if (random.chance(0.05)) allow.push(random.pick(["64:ff9b::/96", "fd00::/8"]));
  if (random.chance(0.3))
    block.push(
      random.pick([
        "[2606:4700::1111/128]:443",
        "[2606:4700::1111/128]:443",
        "[2606:4700::/32]:443",
        "2606:4700::1111/128",
        "64:ff9b::/96",
      ]),
    );
}

function somePolicy(random: Random, six: boolean): { allow: string[]; block: string[] } {
  const allow: string[] = [];
  const block: string[] = [];
  const ports = () => random.pick(["", "", "", ":443", ":80", ":22", ":8000-9000", ":53", ":5353"]);
  if (six) addRules6(random, allow, block);
  if (random.chance(0.05)) return { allow: random.chance(0.5) ? ["1.1.1.1/32:443"] : [], block: [] };
  for (let turn = random.between(1, 4); turn > 0; turn--)
    (random.chance(0.8) ? allow : block).push(
      `${random.pick(["", "", "*."])}${random.pick(NAMES.slice(0, 6))}${ports()}`,
    );
  if (random.chance(0.7)) {
    block.push(random.pick(["0.0.0.0/0", "@global", "out 0.0.0.0/0"]));
    if (random.chance(0.85)) allow.push(random.pick(["@dns:53", "@dns", "out @dns:53"]));
  }
  if (random.chance(0.3)) allow.push(random.pick(["8.8.8.0/24", "8.8.8.8/32:443", "out 1.0.0.0/8:22"]));
  if (random.chance(0.2))
    block.push(
      random.pick(["1.1.1.1/32:443", "1.1.1.0/24:443", "8.8.8.8/32", "8.8.8.8/32:443", "@private", "@metadata"]),
    );
  return { allow, block };
}

class Talk {
  readonly random: Random;
  readonly steps: NameStep[] = [];
  time = 1000 * SECOND;
  readonly asked: { question: Asked; server: Address; port: number }[] = [];
  readonly connections: Connection[] = [];
  readonly dns: Connection[] = [];
  /** What was looked up and where it was. */
  readonly visited: { remote: Address; port: number; name: string }[] = [];

  /** IPv6 is on. */
  readonly six: boolean;
  /** Allow rules with names that are in force. */
  names: readonly string[] = [];

  constructor(random: Random, six: boolean) {
    this.random = random;
    this.six = six;
  }

  policy(): { allow: string[]; block: string[] } {
    const policy = somePolicy(this.random, this.six);
    this.names = policy.allow.filter((rule) => /^[*a-z]/.test(rule) && !/^out|\//.test(rule));
    return policy;
  }

  /** One of this family's: of IPv6 in some of the packets, where it is on. */
  some<T>(four: readonly T[], six: readonly T[]): T {
    return this.random.pick(this.six && this.random.chance(0.6) ? six : four);
  }

  get dnsServer(): Address {
    return this.some<Address>(DNS, DNS6);
  }

  get address(): Address {
    return this.some<Address>(ADDRESSES, ADDRESSES6);
  }

  /** An advertisement of the router's, which teaches DNS servers, a neighbours' prefix and one for NAT64. */
  advertise(whole: boolean): void {
    const { random } = this;
    const lifetime = whole ? 9000 : random.pick([9000, 30, 0]);
    const options = [
      dnsOption(whole ? DNS6 : DNS6.slice(random.below(2)), lifetime),
      ...(whole || random.chance(0.5) ? [prefixOption(ON_LINK, 64, 0x80, random.pick([0, 60, 9000]))] : []),
      ...(whole || random.chance(0.5) ? [nat64Option(NAT64, 0, random.pick([0, 64, 9000]))] : []),
    ];
    const body = advertisement(9000, linkOption(1, PEER), ...options);
    const frame = frame6({
      ...{ ethernetDestination: multicastMac(ALL_NODES), ethernetSource: PEER, version: 6, lengthError: 0 },
      ...{ hopLimit: 255, source: ROUTER6, destination: ALL_NODES, headers: [], protocol: 58, padding: 0 },
      payload: icmp6(ROUTER6, ALL_NODES, 134, body),
    });
    this.steps.push({ kind: "frame", direction: "ingress", frame, time: this.time, label: "RA" });
  }

  #frame6(out: boolean, remote: bigint, protocol: number, payload: Uint8Array, label: string, more: boolean): void {
    const { random } = this;
    const headers = [
      ...(random.chance(0.03) ? [optionsHeader(0, [])] : []),
      ...(random.chance(0.06) ? [optionsHeader(60, new Uint8Array(random.below(20)))] : []),
      ...(more ? [fragmentHeader(0, true, random.below(4))] : []),
    ];
    const frame = frame6({
      ...{ ethernetDestination: out ? PEER : VM_MAC, ethernetSource: out ? VM_MAC : PEER, version: 6, lengthError: 0 },
      ...{ hopLimit: 64, source: out ? VM6 : remote, destination: out ? remote : VM6, headers },
      ...{ protocol, payload: more ? payload.slice(0, payload.length - (payload.length % 8)) : payload },
      padding: random.chance(0.05) ? 6 : 0,
    });
    const direction = out ? "egress" : "ingress";
    this.steps.push({ kind: "frame", direction, frame, time: this.time, label });
    this.time += random.pick([0, 1, 50, 1000, 30_000]);
  }

  frame(out: boolean, remote: Address, protocol: number, payload: Uint8Array, label: string, more = false): void {
    const { random } = this;
    if (typeof remote === "bigint") {
      this.#frame6(out, remote, protocol, payload, label, more);
      return;
    }
    const frame = ipv4Frame({
      ...{ ethernetDestination: out ? PEER : VM_MAC, ethernetSource: out ? VM_MAC : PEER, version: 4 },
      ...{
        options: new Uint8Array(0),
        totalLengthError: 0,
        identification: random.below(4),
        flags: more ? 1 : 0,
        offset: 0,
      },
      ...{ ttl: 64, protocol, badChecksum: false, source: out ? VM : remote, destination: out ? remote : VM },
      ...{ payload, padding: random.chance(0.05) ? 6 : 0 },
    });
    const direction = out ? "egress" : "ingress";
    this.steps.push({ kind: "frame", direction, frame, time: this.time, label });
    this.time += random.pick([0, 1, 50, 1000, 30_000]);
  }

  udp(out: boolean, remote: Address, ports: readonly [number, number], data: Uint8Array, label: string): void {
    const { random } = this;
    if (typeof remote === "bigint") {
      this.#udp6(out, remote, ports, data, label);
      return;
    }
    const cut = random.chance(0.03);
    const payload = udpPayload({
      ...{ source: out ? VM : remote, destination: out ? remote : VM, sourcePort: ports[0], destinationPort: ports[1] },
      lengthError: random.chance(0.01) ? -1 : 0,
      checksum: random.chance(0.9) ? "right" : random.pick(["zero", "wrong"]),
      data,
    });
    this.frame(out, remote, 17, payload, label, !cut && random.chance(0.01));
    if (cut) this.#leaveToCut(34);
  }

  /** The last frame, UDP, is to be cut into datagrams when it leaves. */
  #leaveToCut(transport: number): void {
    const step = this.steps.pop() as Extract<NameStep, { kind: "frame" }>;
    const header = join([1, 5, 0, 0, this.random.between(20, 200), 0, transport, 0, 6, 0]);
    this.steps.push({ ...step, header });
  }

  #udp6(out: boolean, remote: bigint, ports: readonly [number, number], data: Uint8Array, label: string): void {
    const { random } = this;
    const payload = out ? udp6(VM6, remote, ports, data) : udp6(remote, VM6, ports, data);
    if (random.chance(0.01)) payload.set(be16(payload.length - 1), 4);
    if (random.chance(0.1)) payload.set(random.chance(0.5) ? [0, 0] : [1, 2], 6);
    const cut = random.chance(0.03);
    this.frame(out, remote, 17, payload, label, !cut && random.chance(0.01));
    if (cut) this.#leaveToCut(54);
  }

  tcp(out: boolean, one: Connection, flags: number, sequence: number, data: Uint8Array = new Uint8Array(0)): void {
    const { random } = this;
    const ports = out ? [one.own, one.port] : [one.port, one.own];
    const acknowledged = flags & ACK ? (out ? one.back : random.chance(0.1) ? one.sequence - 3 : one.sequence) : 0;
    const offset = random.chance(0.005) ? random.pick([4, 15]) : 5;
    const bits = flags | (random.chance(0.005) ? 32 : 0);
    const options = flags & SYN && random.chance(0.3) ? random.pick(SYN_OPTIONS) : [];
    const words = (offset + options.length / 4) % 16;
    const head = join(...ports.map(be16), be32(sequence), be32(acknowledged), [words * 16, bits, 1, 0, 0, 0, 0, 0]);
    const segment = join(head, options, data);
    const { remote } = one;
    const sum =
      typeof remote === "bigint"
        ? sum6(VM6, remote, 6, segment)
        : onesComplementSum(join(be32(VM), be32(remote), [0, 6], be16(segment.length), segment));
    segment.set(be16((0xffff - sum) ^ (random.chance(0.005) ? 0x0101 : 0)), 16);
    this.frame(out, one.remote, 6, segment, `TCP ${flags} ${one.own}>${one.port} ${data.length}`);
  }

  ask(): void {
    const { random } = this;
    const question = someQuestion(random, random.pick(NAMES), this.six);
    const server = this.dnsServer;
    const port = 40_000 + random.below(3);
    this.udp(true, server, [port, 53], question.bytes, `question ${question.name} ${question.type}`);
    this.asked.push({ question, server, port });
    if (this.asked.length > 6) this.asked.shift();
    if (random.chance(0.75)) this.tell(this.asked.at(-1));
  }

  tell(one = this.random.pick(this.asked)): void {
    if (one === undefined) return;
    const { random } = this;
    const server = random.chance(0.03) ? random.pick([this.dnsServer, ADDRESSES[0]!]) : one.server;
    const data = someAnswer(random, one.question, ANSWERED);
    this.udp(false, server, [53, one.port + (random.chance(0.02) ? 1 : 0)], data, `answer ${one.question.name}`);
  }

  /** What a job does: looks a name of the policy's up, and connects to the address that it got. */
  visit(): void {
    const { random } = this;
    const rule = random.pick(this.names);
    if (rule === undefined) return;
    const [target, ports] = rule.split(":");
    const name = target!.replace("*", random.pick(["x", "y.x"]));
    const six = this.six && random.chance(0.6);
    const server = this.dnsServer;
    const question = plainQuestion(random.below(5), name, six ? 28 : 1);
    const addresses = [
      random.pick<Address>(six ? ADDRESSES6 : ADDRESSES),
      random.pick<Address>(six ? ADDRESSES6 : ADDRESSES),
    ];
    const data = plainAnswer(question, addresses, random.pick([5, 60, 300, 7200, 2 ** 31]));
    if (random.chance(0.8)) this.udp(true, server, [40_000, 53], question.bytes, `question ${name} ${question.type}`);
    this.udp(false, server, [53, 40_000], data, `answer ${name}`);
    const port = ports === undefined || random.chance(0.3) ? random.pick([443, 443, 80]) : Number(ports.split("-")[0]);
    for (const remote of addresses) this.visited.push({ remote, port, name });
    this.visited.splice(0, this.visited.length - 12);
    for (let turn = random.between(1, 2); turn > 0; turn--) this.#connect(random.pick(addresses), port, name);
  }

  /** Also one that was looked up long ago. */
  revisit(): void {
    const { remote, port, name } = this.random.pick(this.visited) ?? {};
    if (remote === undefined) this.visit();
    else this.#connect(remote, this.random.chance(0.8) ? port! : 443, name!);
  }

  #connect(remote: Address, port: number, name: string): void {
    const { random } = this;
    this.open(false, { remote, port, name: random.chance(0.7) ? name : random.pick(NAMES) });
  }

  open(dns: boolean, to?: { readonly remote: Address; readonly port: number; readonly name: string }): void {
    const { random } = this;
    const one: Connection = {
      remote: to?.remote ?? (dns ? this.dnsServer : this.address),
      port: to?.port ?? (dns ? 53 : random.pick([443, 443, 443, 80, 80, 22, 8080, 25, 53, 853])),
      own: dns && random.chance(0.3) ? 40_000 : 50_000 + random.below(random.chance(0.5) ? 3 : 1000),
      sequence: random.pick([random.uint32(), 0xffffffff, 0xfffffff0]),
      ...{ back: random.uint32(), left: new Uint8Array(0), reply: someReply(random), sent: [] },
    };
    one.left = dns ? this.#messages(one) : this.#first(to?.name);
    this.tcp(
      true,
      one,
      random.chance(0.03) ? SYN | FIN : SYN,
      one.sequence,
      random.chance(0.03) ? new Uint8Array(3) : undefined,
    );
    one.sequence = (one.sequence + 1) >>> 0;
    const list = dns ? this.dns : this.connections;
    list.push(one);
    if (list.length > 5) list.shift();
    if (random.chance(0.9)) {
      this.tcp(false, one, SYN | ACK, one.back);
      one.back = (one.back + 1) >>> 0;
    }
    for (let turn = random.below(8); turn > 0; turn--) this.go(one);
  }

  #first(given?: string): Uint8Array {
    const { random } = this;
    const name = random.chance(0.93)
      ? (given ?? random.pick(NAMES))
      : random.pick(["-a.test", "a..test", "1.2.3.4", "a.77", "A.TEST", "a.test."]);
    const kind = random.below(10);
    const bytes =
      kind < 6 ? someHello(random, name) : kind < 9 ? someHead(random, name) : random.bytes(random.between(1, 40));
    if (random.chance(0.05)) bytes[random.below(bytes.length)] = random.below(256);
    if (kind < 6 && random.chance(0.4)) return join(bytes, someBehind(random, name, random.pick(NAMES)));
    return random.chance(0.2) ? join(bytes, random.bytes(9)) : bytes;
  }

  #messages({ remote, own }: Connection): Uint8Array {
    const { random } = this;
    const all: Uint8Array[] = [];
    for (let turn = random.between(1, 3); turn > 0; turn--) {
      const question = someQuestion(random, random.pick(NAMES), this.six);
      this.asked.push({ question, server: remote, port: own });
      all.push(join(be16(random.chance(0.01) ? 600 : question.bytes.length), question.bytes));
    }
    return join(...all);
  }

  /** A segment of a connection, the next one in most cases. */
  go(one: Connection | undefined): void {
    if (one === undefined) return;
    const { random } = this;
    const kind = random.below(100);
    if (kind < 55 && one.left.length > 0) {
      const size = random.chance(0.5) ? one.left.length : random.between(1, one.left.length);
      const data = one.left.slice(0, size);
      this.tcp(true, one, ACK | (random.chance(0.5) ? PSH : 0) | (random.chance(0.03) ? FIN : 0), one.sequence, data);
      one.sent.push({ at: one.sequence, data });
      one.sequence = (one.sequence + size) >>> 0;
      one.left = one.left.slice(size);
    } else if (kind < 63 && one.sent.length > 0) {
      const { at, data } = random.pick(one.sent);
      const bytes = join(data, random.chance(0.2) ? one.left.slice(0, 4) : []);
      if (random.chance(0.25)) bytes[random.below(bytes.length)]! ^= 1;
      this.tcp(true, one, ACK, at, bytes);
    } else if (kind < 67)
      this.tcp(true, one, ACK, (one.sequence + random.pick([-1, 1, 5, -40, 2 ** 31])) >>> 0, random.bytes(4));
    else if (kind < 70) this.tcp(true, one, SYN, (one.sequence - 1 + (random.chance(0.3) ? random.below(9) : 0)) >>> 0);
    else if (kind < 74) this.tcp(true, one, random.pick([RST, RST | ACK, FIN | ACK, FIN]), one.sequence);
    else if (kind < 78) this.tcp(false, one, random.pick([RST | ACK, FIN | ACK, SYN | ACK, SYN]), one.back);
    else if (kind < 84) this.tcp(true, one, ACK, one.sequence);
    else if (one.port === 53 && this.asked.length > 0) this.#tellByTcp(one);
    else this.#reply(one);
  }

  /** An acknowledgement, in most cases with the next of the other side's bytes, or others. */
  #reply(one: Connection): void {
    const { random } = this;
    const { reply } = one;
    const size = random.chance(0.25) ? 0 : random.chance(0.6) ? reply.length : random.between(0, reply.length);
    const at = (one.back + (random.chance(0.05) ? random.pick([-1, 1, 7]) : 0)) >>> 0;
    this.tcp(false, one, ACK, at, reply.slice(0, size));
    if (random.chance(0.1)) return;
    one.back = (one.back + size) >>> 0;
    one.reply = reply.slice(size);
  }

  #tellByTcp(one: Connection): void {
    const { random } = this;
    const { question } = random.chance(0.7) ? this.asked.at(-1)! : random.pick(this.asked);
    const message = someAnswer(random, question, ANSWERED);
    const whole = join(be16(message.length), message);
    const cut = random.chance(0.3) ? random.below(whole.length) : whole.length;
    for (const data of [whole.slice(0, cut), whole.slice(cut)]) {
      if (data.length === 0) continue;
      this.tcp(false, one, ACK, random.chance(0.03) ? one.back + 1 : one.back, data);
      one.back = (one.back + data.length) >>> 0;
    }
  }

  wait(): void {
    const { random } = this;
    const seconds = random.pick([1, 5, 6, 10, 11, 30, 60, 61, 121, 300, 3600, 3601, 7441]);
    this.time += seconds * SECOND - (random.chance(0.3) ? random.between(1, 3000) : 0);
    if (this.six && random.chance(0.6)) this.advertise(true);
  }

  turn(): void {
    const { random } = this;
    const kind = random.below(100);
    if (kind < 15) this.ask();
    else if (kind < 26) this.visit();
    else if (kind < 32) this.revisit();
    else if (kind < 34) this.tell();
    else if (kind < 60) this.open(false);
    else if (kind < 72) this.go(random.pick(this.connections));
    else if (kind < 80) this.open(true);
    else if (kind < 85) this.go(random.pick(this.dns));
    else if (kind < 91) {
      const remote = random.chance(0.2) ? this.dnsServer : this.address;
      const port = random.pick([443, 53, 80, 853, 5353, 137, 22, 8080, 9]);
      this.udp(true, remote, [41_000, port], random.bytes(9), `UDP ${port}`);
      if (random.chance(0.4)) this.udp(false, remote, [port, 41_000], random.bytes(9), "UDP back");
    } else if (kind < 92) this.#echo();
    else if (kind < 96) this.wait();
    else if (kind < 99) this.#setPolicy();
    else for (let turn = 0; turn < 110; turn++) this.ask();
  }

  #setPolicy(): void {
    if (this.six && this.random.chance(0.25)) this.advertise(false);
    else this.steps.push({ kind: "policy", ...this.policy() });
  }

  #echo(): void {
    const { address } = this;
    const body = new Uint8Array([0, 1, 0, 1]);
    if (typeof address === "bigint") this.frame(true, address, 58, icmp6(VM6, address, 128, body), "echo");
    else this.frame(true, address, 1, join([8, 0, 0, 0], body), "echo");
  }
}

export function generateNames(seed: number): NameSession {
  const random = new Random(seed);
  const six = random.chance(0.6);
  const talk = new Talk(random, six);
  const policy = talk.policy();
  const restored = {
    ...{ family: "ipv4" as const, address: VM, server: GATEWAY, expiry: Number.POSITIVE_INFINITY },
    ...{ netmask: addressNumber("255.255.255.0"), router: GATEWAY, dnsServers: DNS },
  };
  const options: GuardOptions = {
    ...{ macAddress: VM_MAC, ...policy, live: true, restored: { addresses: [restored] } },
    ...(six && { ipv6: true, address6: "2a05:5::5", router6: "fe80::1", router6MacAddress: PEER }),
  };
  if (six) talk.advertise(true);
  while (talk.steps.length < 400) talk.turn();
  return { seed, options, steps: talk.steps };
}
