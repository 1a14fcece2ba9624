/** Conversations of a VM whose policy has names; what is sent depends on a seed alone. */
import type { GuardOptions } from "../../../src/guard/types.ts";
import { be16, be32, ipv4Frame, join, udpPayload } from "../build.ts";
import { addressNumber, onesComplementSum } from "../bytes.ts";
import { Random } from "../random.ts";
import { type Asked, someAnswer, someHead, someHello, someQuestion } from "./bytes.ts";

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
const NAMES = ["a.test", "b.test", "x.a.test", "y.x.a.test", "c.example", "d.c.example", "e_1.c.example", "test"];
const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16] as const;

export type NameStep =
  | {
      readonly kind: "frame";
      readonly direction: "egress" | "ingress";
      readonly frame: Uint8Array;
      readonly time: number;
      readonly label: string;
    }
  | { readonly kind: "policy"; readonly allow: readonly string[]; readonly block: readonly string[] };

export interface NameSession {
  readonly seed: number;
  readonly options: GuardOptions;
  readonly steps: readonly NameStep[];
}

interface Connection {
  readonly remote: number;
  readonly port: number;
  readonly own: number;
  /** Of the next byte from each side. */
  sequence: number;
  back: number;
  left: Uint8Array;
  sent: { at: number; data: Uint8Array }[];
}

function somePolicy(random: Random): { allow: string[]; block: string[] } {
  const allow: string[] = [];
  const block: string[] = [];
  const ports = () => random.pick(["", "", "", ":443", ":80", ":22", ":8000-9000", ":53", ":5353"]);
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
    block.push(random.pick(["1.1.1.1/32:443", "1.1.1.0/24:443", "8.8.8.8/32", "@private", "@metadata"]));
  return { allow, block };
}

class Talk {
  readonly random: Random;
  readonly steps: NameStep[] = [];
  time = 1000 * SECOND;
  readonly asked: { question: Asked; server: number; port: number }[] = [];
  readonly connections: Connection[] = [];
  readonly dns: Connection[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  frame(out: boolean, remote: number, protocol: number, payload: Uint8Array, label: string, more = false): void {
    const { random } = this;
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

  udp(out: boolean, remote: number, ports: readonly [number, number], data: Uint8Array, label: string): void {
    const { random } = this;
    const payload = udpPayload({
      ...{ source: out ? VM : remote, destination: out ? remote : VM, sourcePort: ports[0], destinationPort: ports[1] },
      lengthError: random.chance(0.01) ? -1 : 0,
      checksum: random.chance(0.9) ? "right" : random.pick(["zero", "wrong"]),
      data,
    });
    this.frame(out, remote, 17, payload, label, random.chance(0.01));
  }

  tcp(out: boolean, one: Connection, flags: number, sequence: number, data: Uint8Array = new Uint8Array(0)): void {
    const { random } = this;
    const ports = out ? [one.own, one.port] : [one.port, one.own];
    const acknowledged = flags & ACK ? (out ? one.back : random.chance(0.1) ? one.sequence - 3 : one.sequence) : 0;
    const offset = random.chance(0.005) ? random.pick([4, 15]) : 5;
    const bits = flags | (random.chance(0.005) ? 32 : 0);
    const head = join(...ports.map(be16), be32(sequence), be32(acknowledged), [offset * 16, bits, 1, 0, 0, 0, 0, 0]);
    const segment = join(head, data);
    const [source, destination] = out ? [VM, one.remote] : [one.remote, VM];
    const sum = onesComplementSum(join(be32(source), be32(destination), [0, 6], be16(segment.length), segment));
    segment.set(be16((0xffff - sum) ^ (random.chance(0.005) ? 0x0101 : 0)), 16);
    this.frame(out, one.remote, 6, segment, `TCP ${flags} ${one.own}>${one.port} ${data.length}`);
  }

  ask(): void {
    const { random } = this;
    const question = someQuestion(random, random.pick(NAMES));
    const server = random.pick(DNS);
    const port = 40_000 + random.below(3);
    this.udp(true, server, [port, 53], question.bytes, `question ${question.name} ${question.type}`);
    this.asked.push({ question, server, port });
    if (this.asked.length > 6) this.asked.shift();
    if (random.chance(0.75)) this.tell(this.asked.at(-1));
  }

  tell(one = this.random.pick(this.asked)): void {
    if (one === undefined) return;
    const { random } = this;
    const server = random.chance(0.03) ? random.pick([...DNS, ADDRESSES[0]!]) : one.server;
    const data = someAnswer(random, one.question, ADDRESSES);
    this.udp(false, server, [53, one.port + (random.chance(0.02) ? 1 : 0)], data, `answer ${one.question.name}`);
  }

  open(dns: boolean): void {
    const { random } = this;
    const one: Connection = {
      remote: dns ? random.pick(DNS) : random.pick(ADDRESSES),
      port: dns ? 53 : random.pick([443, 443, 443, 80, 80, 22, 8080, 25, 53, 853]),
      own: 50_000 + random.below(random.chance(0.5) ? 3 : 1000),
      sequence: random.pick([random.uint32(), 0xffffffff, 0xfffffff0]),
      ...{ back: random.uint32(), left: new Uint8Array(0), sent: [] },
    };
    one.left = dns ? this.#messages() : this.#first();
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

  #first(): Uint8Array {
    const { random } = this;
    const name = random.chance(0.93)
      ? random.pick(NAMES)
      : random.pick(["-a.test", "a..test", "1.2.3.4", "A.TEST", "a.test."]);
    const kind = random.below(10);
    const bytes =
      kind < 6 ? someHello(random, name) : kind < 9 ? someHead(random, name) : random.bytes(random.between(1, 40));
    if (random.chance(0.05)) bytes[random.below(bytes.length)] = random.below(256);
    return random.chance(0.2) ? join(bytes, random.bytes(9)) : bytes;
  }

  #messages(): Uint8Array {
    const { random } = this;
    const all: Uint8Array[] = [];
    for (let turn = random.between(1, 3); turn > 0; turn--) {
      const question = someQuestion(random, random.pick(NAMES));
      this.asked.push({ question, server: 0, port: 0 });
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
    else this.tcp(false, one, ACK, one.back);
  }

  #tellByTcp(one: Connection): void {
    const { random } = this;
    const { question } = random.chance(0.7) ? this.asked.at(-1)! : random.pick(this.asked);
    const message = someAnswer(random, question, ADDRESSES);
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
  }

  turn(): void {
    const { random } = this;
    const kind = random.below(100);
    if (kind < 30) this.ask();
    else if (kind < 34) this.tell();
    else if (kind < 60) this.open(false);
    else if (kind < 72) this.go(random.pick(this.connections));
    else if (kind < 80) this.open(true);
    else if (kind < 85) this.go(random.pick(this.dns));
    else if (kind < 91) {
      const remote = random.pick([...ADDRESSES, ...DNS]);
      const port = random.pick([443, 53, 80, 853, 5353, 137, 22, 8080, 9]);
      this.udp(true, remote, [41_000, port], random.bytes(9), `UDP ${port}`);
      if (random.chance(0.4)) this.udp(false, remote, [port, 41_000], random.bytes(9), "UDP back");
    } else if (kind < 92) this.frame(true, random.pick(ADDRESSES), 1, new Uint8Array([8, 0, 0, 0, 0, 1, 0, 1]), "echo");
    else if (kind < 96) this.wait();
    else if (kind < 99) this.steps.push({ kind: "policy", ...somePolicy(random) });
    else for (let turn = 0; turn < 110; turn++) this.ask();
  }
}

export function generateNames(seed: number): NameSession {
  const random = new Random(seed);
  const talk = new Talk(random);
  const policy = somePolicy(random);
  const restored = {
    ...{ family: "ipv4" as const, address: VM, server: GATEWAY, expiry: Number.POSITIVE_INFINITY },
    ...{ netmask: addressNumber("255.255.255.0"), router: GATEWAY, dnsServers: DNS },
  };
  const options: GuardOptions = { macAddress: VM_MAC, ...policy, live: true, restored: { addresses: [restored] } };
  while (talk.steps.length < 400) talk.turn();
  return { seed, options, steps: talk.steps };
}
