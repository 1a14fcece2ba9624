/**
 * However a VM cuts, repeats, reorders, overlaps, truncates or fragments what it sends, and whatever the other side says, no
 * receiver can put a hello together that asks for a name which is not allowed: of what the whole guard lets pass, in both
 * families. Receivers differ in which of two overlapping bytes they keep, so both kinds are tried.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createGuard, type Guard } from "../../../src/guard/guard.ts";
import { be16, be32, ipv4Frame, join } from "../../oracle/build.ts";
import { addressNumber, onesComplementSum } from "../../oracle/bytes.ts";
import { type Fields6, fragmentHeader, frame6, optionsHeader } from "../../oracle/ipv6/build.ts";
import { address6, sum6 } from "../../oracle/ipv6/bytes.ts";
import { plainAnswer, plainQuestion } from "../../oracle/names/bytes.ts";
import { readTls } from "../../oracle/names/hello.ts";
import { helloFor, text } from "./segments.ts";

const SECOND = 1_000_000;
const VM_MAC = "7e:1a:00:00:00:01";
const ROUTER_MAC = "02:00:00:00:00:01";
const NAME = "good.example.com";
const OTHER = "evil.example.com";
/** The second one is the first but for the name, so that a hello of mixed pieces is one, too. */
const GOOD = await helloFor(NAME);
const EVIL = withName(GOOD, OTHER);
const [FIN, SYN, RST, PSH, ACK, URG] = [1, 2, 4, 8, 16, 32] as const;

function withName(hello: Uint8Array, name: string): Uint8Array {
  const at = Buffer.from(hello).indexOf(NAME);
  const other = hello.slice();
  other.set(text(name), at);
  return other;
}

/** One thing that happens to the stream. */
interface Step {
  readonly kind: "send" | "syn" | "from the other side" | "end";
  readonly evil: boolean;
  /** From where the stream stands. */
  readonly offset: number;
  readonly length: number;
  /** What is odd about the packet. */
  readonly odd:
    | "no"
    | "short IP"
    | "short frame"
    | "checksum"
    | "urgent"
    | "options"
    | "header"
    | "fragments"
    | "padding";
  readonly flag: number;
}

const odds = ["short IP", "short frame", "checksum", "urgent", "options", "header", "fragments", "padding"] as const;
const steps = fc.array(
  fc.record<Step>({
    kind: fc.oneof(
      { weight: 12, arbitrary: fc.constant("send" as const) },
      { weight: 1, arbitrary: fc.constantFrom("syn" as const, "end" as const) },
      { weight: 2, arbitrary: fc.constant("from the other side" as const) },
    ),
    evil: fc.boolean(),
    offset: fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      { weight: 2, arbitrary: fc.integer({ min: -300, max: 40 }) },
    ),
    length: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 2000 })),
    odd: fc.oneof(
      { weight: 3, arbitrary: fc.constant("no" as const) },
      { weight: 1, arbitrary: fc.constantFrom(...odds) },
    ),
    flag: fc.constantFrom(0, PSH, PSH, FIN),
  }),
  { minLength: 1, maxLength: 40 },
);

/** What differs between the families: addresses, frames, and the pseudo-header. */
interface Family {
  readonly title: string;
  readonly own: number | bigint;
  readonly remote: number | bigint;
  readonly server: number | bigint;
  readonly type: number;
  /** `cut`: bytes that the packet's length leaves out; `headers`: with extension headers or options. */
  frame(words: Words): Uint8Array;
  sum(out: boolean, remote: number | bigint, protocol: number, payload: Uint8Array): number;
}

interface Words {
  readonly out: boolean;
  readonly remote: number | bigint;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly cut?: number;
  readonly headers?: boolean;
  readonly padding?: number;
  /** Of a fragment: its place, and whether more follow. */
  readonly fragment?: readonly [offset: number, more: boolean, identification: number];
}

const VM = addressNumber("192.168.64.5");
const GATEWAY = addressNumber("192.168.64.1");
const RESOLVER = addressNumber("9.9.9.9");
const macs = (out: boolean) => ({
  ethernetDestination: out ? ROUTER_MAC : VM_MAC,
  ethernetSource: out ? VM_MAC : ROUTER_MAC,
});

const four: Family = {
  ...{ title: "IPv4", own: VM, remote: addressNumber("104.16.0.1"), server: RESOLVER, type: 1 },
  frame: ({ out, remote, protocol, payload, cut = 0, padding = 0, fragment }) =>
    ipv4Frame({
      ...macs(out),
      ...{ version: 4, options: new Uint8Array(0), totalLengthError: -cut, ttl: 64, protocol, badChecksum: false },
      ...{ identification: fragment?.[2] ?? 0, flags: fragment?.[1] ? 1 : 0, offset: (fragment?.[0] ?? 0) / 8 },
      ...{ source: Number(out ? VM : remote), destination: Number(out ? remote : VM), payload, padding },
    }),
  sum: (out, remote, protocol, payload) => {
    const ends = out ? [VM, Number(remote)] : [Number(remote), VM];
    return onesComplementSum(join(...ends.map(be32), [0, protocol], be16(payload.length), payload));
  },
};

const VM6 = address6("2a05:5::5");
const six: Family = {
  ...{ title: "IPv6", own: VM6, remote: address6("2606:4700::1111"), server: RESOLVER, type: 28 },
  frame: ({ out, remote, protocol, payload, cut = 0, headers = false, padding = 0, fragment }) => {
    const ends = { source: out ? VM6 : BigInt(remote), destination: out ? BigInt(remote) : VM6 };
    const chain: Fields6["headers"] = [
      ...(headers ? [optionsHeader(0, []), optionsHeader(60, new Uint8Array(9))] : []),
      ...(fragment === undefined ? [] : [fragmentHeader(...fragment)]),
    ];
    const fields = { version: 6, lengthError: -cut, hopLimit: 64, headers: chain, protocol, payload, padding };
    return frame6({ ...macs(out), ...ends, ...fields });
  },
  sum: (out, remote, protocol, payload) =>
    out ? sum6(VM6, BigInt(remote), protocol, payload) : sum6(BigInt(remote), VM6, protocol, payload),
};

/** The other side: what it can have got of the stream, by both ways to treat bytes that came twice. */
class Receiver {
  #start: number;
  readonly #first: number[] = [];
  readonly #last: number[] = [];
  #acknowledged = 0;

  constructor(start: number) {
    this.#start = start;
  }

  take(sequence: number, data: Uint8Array): void {
    const at = (sequence - this.#start) | 0;
    for (const [index, byte] of data.entries()) {
      if (at + index < 0) continue;
      this.#first[at + index] ??= byte;
      if (at + index >= this.#acknowledged) this.#last[at + index] = byte;
    }
  }

  /** The sequence number of the byte that it waits for. */
  get next(): number {
    const hole = Array.from(this.#first, (byte) => byte ?? -1).indexOf(-1);
    return (this.#start + (hole < 0 ? this.#first.length : hole)) >>> 0;
  }

  /** Says `next`; what is before it stays as it is. */
  acknowledge(): number {
    this.#acknowledged = (this.next - this.#start) >>> 0;
    return this.next;
  }

  /** The names that its hellos ask for. */
  get names(): string[] {
    return [this.#first, this.#last].flatMap((bytes) => {
      const hole = Array.from(bytes, (byte) => byte ?? -1).indexOf(-1);
      const read = readTls(Uint8Array.from(hole < 0 ? bytes : bytes.slice(0, hole)));
      return read.kind === "name" ? [read.name.join(".")] : [];
    });
  }
}

class World {
  readonly #family: Family;
  readonly #guard: Guard;
  #time = 1000 * SECOND;
  #port = 1023;
  #identification = 0;

  constructor(family: Family) {
    this.#family = family;
    const address = { family: "ipv4" as const, address: VM, server: GATEWAY, expiry: Number.POSITIVE_INFINITY };
    const network = { netmask: addressNumber("255.255.255.0"), router: GATEWAY, dnsServers: [RESOLVER] };
    this.#guard = createGuard({
      ...{ macAddress: VM_MAC, allow: [NAME, "out @dns:53"], block: ["out 0.0.0.0/0", "out ::/0"], mtu: 4000 },
      ...{ ipv6: true, address6: "2a05:5::5", router6: "fe80::1", router6MacAddress: ROUTER_MAC },
      restored: { addresses: [{ ...address, ...network }] },
    });
  }

  /** Plays the steps in a connection of their own; returns the names of hellos that the other side could read. */
  play(list: readonly Step[]): { readonly names: string[]; readonly passed: number } {
    this.#time += 6 * SECOND;
    this.#port = this.#port === 60_000 ? 1024 : this.#port + 1;
    this.#lookUp();
    const { remote } = this.#family;
    const names: string[] = [];
    let start = 0xffff_ff00;
    let at = 0;
    let passed = 0;
    /** The SYN that the other side goes by. */
    let taken = start;
    assert.equal(this.#send(SYN, start, new Uint8Array(0), "no"), true);
    let receiver = new Receiver((start + 1) >>> 0);
    const back = this.#segment(false, SYN | ACK, 5000, start + 1, new Uint8Array(0));
    this.#in(this.#family.frame({ out: false, remote, protocol: 6, payload: back }));
    for (const step of list) {
      this.#time += 1000;
      if (step.kind === "from the other side") {
        const payload = this.#segment(false, ACK | step.flag, 5001, receiver.acknowledge(), new Uint8Array(0));
        this.#in(this.#family.frame({ out: false, remote, protocol: 6, payload }));
      } else if (step.kind === "end") {
        this.#send(step.evil ? RST : FIN | ACK, (start + 1 + at) >>> 0, new Uint8Array(0), "no");
      } else if (step.kind === "syn") {
        const again = (start + step.offset) >>> 0;
        if (!this.#send(SYN, again, new Uint8Array(0), "no")) continue;
        [start, at] = [again, 0];
        // The other side begins anew with it, or says what it has (RFC 9293 3.10.7.4): its SYN again, or an ACK.
        if (step.flag === FIN) {
          names.push(...receiver.names);
          receiver = new Receiver((again + 1) >>> 0);
          taken = again;
        }
        const flags = receiver.next === (taken + 1) >>> 0 && step.evil ? SYN | ACK : ACK;
        const payload = this.#segment(false, flags, 5000, receiver.acknowledge(), new Uint8Array(0));
        this.#in(this.#family.frame({ out: false, remote, protocol: 6, payload }));
      } else {
        const from = Math.max(0, at + step.offset);
        const data = (step.evil ? EVIL : GOOD).slice(from, from + step.length);
        const sequence = (start + 1 + from) >>> 0;
        if (!this.#send(ACK | step.flag, sequence, data, step.odd)) continue;
        passed++;
        const whole = step.odd === "short IP" ? data.slice(0, -1) : data;
        // Bytes that the other side reads from another place than the guard could be another hello there.
        if (whole.length > 0 && start !== taken) names.push("read from elsewhere");
        receiver.take(sequence, whole);
        at = Math.max(at, from + data.length);
      }
    }
    return { names: [...names, ...receiver.names], passed };
  }

  #lookUp(): void {
    const { server, type, remote } = this.#family;
    const question = plainQuestion(7, NAME, type);
    const answer = plainAnswer(question, [remote], 300);
    const port = 40_000;
    for (const [out, ports, data] of [
      [true, [port, 53], question.bytes],
      [false, [53, port], answer],
    ] as const) {
      const payload = join(be16(ports[0]), be16(ports[1]), be16(8 + data.length), [0, 0], data);
      const frame = four.frame({ out, remote: server, protocol: 17, payload });
      const verdict = out ? this.#guard.egress(frame, this.#time) : this.#guard.ingress(frame, this.#time);
      assert.equal(verdict.reason, undefined);
    }
  }

  /** Whether all of it passes. */
  #send(flags: number, sequence: number, data: Uint8Array, odd: Step["odd"]): boolean {
    const { remote } = this.#family;
    const urgent = odd === "urgent" ? URG : 0;
    const cut = odd === "short IP" ? 1 : 0;
    const payload = this.#segment(true, flags | urgent, sequence, 5001, data, odd === "options" ? 3 : 0, cut);
    if (odd === "checksum") payload[16]! ^= 1;
    const common = { out: true, remote, protocol: 6 } as const;
    if (odd === "fragments") {
      const identification = ++this.#identification % 60_000;
      const whole = payload.length - (payload.length % 8 || 8);
      return [
        this.#family.frame({ ...common, payload: payload.slice(0, whole), fragment: [0, true, identification] }),
        this.#family.frame({ ...common, payload: payload.slice(whole), fragment: [whole, false, identification] }),
      ]
        .map((frame) => this.#out(frame))
        .every(Boolean);
    }
    const padding = odd === "padding" ? 9 : 0;
    const frame = this.#family.frame({ ...common, payload, cut, headers: odd === "header", padding });
    return this.#out(odd === "short frame" ? frame.slice(0, -1) : frame);
  }

  /** With the checksum of what is left without its last `cut` bytes. */
  #segment(
    out: boolean,
    flags: number,
    sequence: number,
    acknowledgement: number,
    data: Uint8Array,
    options = 0,
    cut = 0,
  ): Uint8Array {
    const ports = out ? [this.#port, 443] : [443, this.#port];
    const head = join(
      ...[...ports.map(be16), be32(sequence >>> 0), be32(flags & ACK ? acknowledgement : 0)],
      [(5 + options) * 16, flags, 255, 255, 0, 0, 0, 0],
      new Uint8Array(options * 4).fill(1),
    );
    const segment = join(head, data);
    const left = segment.slice(0, segment.length - cut);
    segment.set(be16(0xffff - this.#family.sum(out, this.#family.remote, 6, left)), 16);
    return segment;
  }

  #out(frame: Uint8Array): boolean {
    return this.#guard.egress(frame, this.#time).verdict === "pass";
  }

  #in(frame: Uint8Array): void {
    this.#guard.ingress(frame, this.#time);
  }
}

for (const family of [four, six]) {
  test(`N4 by ${family.title}: split, reordered, retransmitted, overlapped or truncated, no forbidden hello passes`, () => {
    const world = new World(family);
    let [allowed, passed] = [0, 0];
    fc.assert(
      fc.property(steps, (list) => {
        const said = world.play(list);
        assert.deepEqual(
          said.names.filter((name) => name !== NAME),
          [],
        );
        allowed += said.names.length > 0 ? 1 : 0;
        passed += said.passed;
      }),
      { numRuns: 3000 },
    );
    // Else it would say nothing.
    assert.ok(allowed > 100 && passed > 3000, `${allowed} allowed hellos, ${passed} segments passed`);
  });
}
