/** First bytes of a connection, and DNS over TCP: each stream is kept whole and is read anew with each segment. */
import { createHash } from "node:crypto";
import { PASS, uint16, uint32 } from "../bytes.ts";
import { type Flow, isBareSyn } from "../flows.ts";
import type { Way } from "../rules.ts";
import type { Address, FamilyNames, NamePacket } from "./family.ts";
import { readHttp, readTls } from "./hello.ts";
import { keyOf, type Name } from "./rules.ts";

const MOST = 16_384;

interface Stream {
  start: number | undefined;
  bytes: number[];
  /** How many of them were read as messages, and how many of these the other side has. */
  read: number;
  forgotten: number;
}

export class Inspection {
  readonly #family: FamilyNames;
  readonly #kind: "dns" | "strict" | "lenient" | "watched";
  readonly #streams: Record<Way, Stream> = {
    out: { start: undefined, bytes: [], read: 0, forgotten: 0 },
    in: { start: undefined, bytes: [], read: 0, forgotten: 0 },
  };
  #passed: number | undefined;
  flow: Flow<Address> | undefined;
  verdict: "passes" | undefined;
  said: Name | undefined;
  over = false;
  /** The other side has taken the SYN with which the stream begins. */
  #answered = false;
  lastByte: number;
  /** The other side's first bytes, and where they begin. */
  #reply: number[] = [];
  #replyStart: number | undefined;
  /** Where a second hello may begin, after the first: until none can come. */
  #behind: number | undefined;

  constructor(family: FamilyNames, kind: Inspection["kind"], packet: NamePacket) {
    this.#family = family;
    this.#kind = kind;
    this.lastByte = family.now;
    this.#streams.out.start = (uint32(packet.payload, 4) + 1) % 2 ** 32;
  }

  get kind() {
    return this.#kind;
  }

  /** The sequence number behind the last byte of the VM's that was collected. */
  get #collectedEnd(): number {
    const { start, bytes } = this.#streams.out;
    return (start! + bytes.length) % 2 ** 32;
  }

  /** The sequence number behind the last byte of the VM's that passed. */
  get nextToRemote(): number {
    return this.#passed ?? this.#streams.out.start!;
  }

  get nextToVm(): number | undefined {
    const { start, bytes } = this.#streams.in;
    return start === undefined ? undefined : (start + bytes.length) % 2 ** 32;
  }

  checkSyn(packet: NamePacket): string {
    const bad = this.#dataOf(packet).length > 0 || !this.#isSound(packet) || asksForMultipath(packet.payload);
    return bad ? "name.segment" : PASS;
  }

  /** A segment of the flow; with what passes `commit` keeps the flow. */
  check(way: Way, packet: NamePacket, commit: () => void): string {
    const reason = this.#judge(way, packet);
    if (reason === PASS) {
      commit();
      if (way === "out") this.#notePassed(packet);
      if (this.#kind === "dns") this.#acknowledge(this.#streams[way === "in" ? "out" : "in"], packet);
      if (way === "in" && !packet.fragment && this.#takes(packet)) {
        this.#answered = true;
        if (this.#reply.length === 0) this.#replyStart = (uint32(packet.payload, 4) + 1) % 2 ** 32;
      }
      if (way === "in" && this.verdict === "passes" && !this.awaits) {
        const { payload } = packet;
        const acknowledges = Math.floor(payload[13]! / 16) % 2 === 1;
        if (acknowledges && ((uint32(payload, 8) - this.#collectedEnd) | 0) >= 0) this.over = true;
      }
      return PASS;
    }
    const broken = ["name.changed", "name.format", "name.missing", "name.denied"].includes(reason);
    const dnsBroken = this.#kind === "dns" && reason.startsWith("dns.");
    if (dnsBroken && way === "out") {
      const { payload } = packet;
      const sequence = this.nextToVm ?? uint32(payload, 8);
      const acknowledgement = (uint32(payload, 4) + this.#dataOf(packet).length) % 2 ** 32;
      this.#family.names.ownSegment = { sequence, acknowledgement };
    }
    if (broken || dnsBroken) this.#family.breakOff(this.flow!, way === "in");
    return reason;
  }

  /** A second hello may come. */
  get awaits(): boolean {
    return this.#behind !== undefined;
  }

  /** What the other side has said so far makes a second hello sure, impossible, or neither. */
  get #asksAgain(): boolean | undefined {
    const wrong = this.#reply.findIndex((byte, at) => at < 43 && (RETRY.get(at) ?? byte) !== byte);
    if (wrong >= 0) return false;
    return this.#reply.length >= 43 ? true : undefined;
  }

  #readReply(packet: NamePacket): string {
    const data = [...this.#dataOf(packet)];
    const { payload } = packet;
    const undecided = this.verdict === undefined || this.awaits;
    if (this.#kind === "watched" || !undecided || !this.#answered || this.#asksAgain !== undefined) return PASS;
    if (data.length === 0 || Math.floor(payload[13]! / 2) % 2 === 1) return PASS;
    if (packet.fragment || !this.#isSound(packet)) return "name.segment";
    const at = (uint32(payload, 4) - this.#replyStart!) | 0;
    if (at > this.#reply.length) return "name.order";
    this.#reply.push(...data.slice(this.#reply.length - at));
    if (this.#asksAgain === false) this.#behind = undefined;
    return PASS;
  }

  /** What is behind the first hello. */
  #readBehind(bytes: Uint8Array): string {
    let at = this.#behind!;
    const none = (): string => {
      this.#behind = undefined;
      return PASS;
    };
    for (;;) {
      if (at + 5 > bytes.length) return bytes.length < MOST ? PASS : "name.format";
      const length = uint16(bytes, at + 3);
      if (![20, 21, 22, 23].includes(bytes[at]!) || bytes[at + 1] !== 3 || length > 18_432) return "name.format";
      if (bytes[at] !== 22 || length === 0) {
        at += 5 + length;
        continue;
      }
      if (at + 5 === bytes.length) return bytes.length < MOST ? PASS : "name.format";
      if (bytes[at + 5] !== 1) return this.#asksAgain === true ? "name.format" : none();
      const read = readTls(bytes.slice(at));
      if (read.kind === "more") return bytes.length < MOST ? PASS : "name.format";
      if (read.kind !== "name") return `name.${read.kind}`;
      return keyOf(read.name) === keyOf(this.said!) ? none() : "name.denied";
    }
  }

  #notePassed(packet: NamePacket): void {
    const { length } = this.#dataOf(packet);
    if (length === 0) return;
    const end = (uint32(packet.payload, 4) + length) % 2 ** 32;
    if (((end - this.nextToRemote) | 0) > 0) this.#passed = end;
  }

  /** What is acknowledged need not come again. */
  #acknowledge(stream: Stream, { payload }: NamePacket): void {
    if (stream.start === undefined || Math.floor(payload[13]! / 16) % 2 === 0) return;
    const count = Math.min((uint32(payload, 8) - stream.start) | 0, stream.read);
    stream.forgotten = Math.max(stream.forgotten, count);
  }

  /** The other side's SYN, which acknowledges the one with which the stream begins. */
  #takes({ payload }: NamePacket): boolean {
    const flags = payload[13]!;
    const both = Math.floor(flags / 2) % 2 === 1 && Math.floor(flags / 16) % 2 === 1;
    return both && uint32(payload, 8) === this.#streams.out.start;
  }

  #dataOf({ payload }: NamePacket): Uint8Array {
    return payload.slice(Math.floor(payload[12]! / 16) * 4);
  }

  #isSound(packet: NamePacket): boolean {
    const { payload } = packet;
    const header = Math.floor(payload[12]! / 16) * 4;
    if (Math.floor(payload[13]! / 32) % 2 === 1 || header < 20 || header > payload.length) return false;
    return this.#family.sum(packet) === 0xffff;
  }

  #judge(way: Way, packet: NamePacket): string {
    if (way === "in" && this.#kind !== "dns") return this.#readReply(packet);
    const { payload } = packet;
    const stream = this.#streams[way];
    const sequence = uint32(payload, 4);
    const syn = way === "out" ? isBareSyn(packet) : Math.floor(payload[13]! / 2) % 2 === 1;
    if (syn) {
      const start = (sequence + 1) % 2 ** 32;
      if (!this.#isSound(packet)) return "name.segment";
      if (this.#dataOf(packet).length > 0) return way === "out" ? "name.segment" : "name.order";
      if (way === "out" && asksForMultipath(payload)) return "name.segment";
      if (way === "in" && (stream.start !== undefined || !this.#takes(packet))) return PASS;
      const begun = stream.bytes.length > 0 || this.#streams.in.start !== undefined;
      if (stream.start !== start && begun) return "name.segment";
      if (way === "out" && stream.start !== start) {
        this.#answered = false;
        this.#reply = [];
      }
      stream.start = start;
      return PASS;
    }
    if (!this.#isSound(packet)) return "name.segment";
    const data = [...this.#dataOf(packet)];
    if (data.length === 0) return PASS;
    if (stream.start === undefined || !this.#answered) return "name.order";
    const at = (sequence - stream.start) | 0;
    const { length } = stream.bytes;
    if (this.verdict === "passes" && !this.awaits && at >= length) return PASS;
    if (at < stream.forgotten || at > length) return "name.order";
    const old = data.slice(0, length - at);
    if (old.some((byte, index) => byte !== stream.bytes[at + index])) return "name.changed";
    const fresh = data.slice(length - at);
    if (fresh.length === 0) return PASS;
    if (this.awaits) {
      const kept = [...stream.bytes, ...fresh].slice(0, MOST);
      const reason = this.#readBehind(new Uint8Array(kept));
      if (reason !== PASS) return reason;
      stream.bytes = kept;
      this.lastByte = this.#family.now;
      return PASS;
    }
    if (this.verdict === "passes") return PASS;
    return this.#kind === "dns" ? this.#readDns(way, stream, fresh) : this.#readFirst(stream, fresh);
  }

  #readFirst(stream: Stream, fresh: number[]): string {
    const bytes = new Uint8Array([...stream.bytes, ...fresh]);
    const keep = (): string => {
      stream.bytes.push(...fresh);
      this.lastByte = this.#family.now;
      return PASS;
    };
    const passes = (): string => {
      this.verdict = "passes";
      return keep();
    };
    if (bytes[0] !== 22 && this.#kind === "lenient") return passes();
    const read = (bytes[0] === 22 ? readTls : readHttp)(bytes);
    const { flow } = this;
    if (this.#kind === "watched") {
      if (read.kind === "name" && this.#family.blocks(read.name, flow!.remotePort)) return "name.denied";
      return read.kind === "more" && bytes.length < MOST ? keep() : passes();
    }
    if (read.kind === "more") return bytes.length >= MOST ? "name.format" : keep();
    if (read.kind !== "name") return `name.${read.kind}`;
    if (!this.#family.confirms(read.name, flow!)) return "name.denied";
    this.said = read.name;
    if (bytes[0] !== 22 || this.#asksAgain === false) return passes();
    this.#behind = lengthOfHello(bytes);
    const reason = this.#readBehind(bytes.slice(0, MOST));
    return reason === PASS ? passes() : reason;
  }

  #readDns(way: Way, stream: Stream, fresh: number[]): string {
    const bytes = new Uint8Array([...stream.bytes, ...fresh]);
    let { read } = stream;
    const { remote, vmPort } = this.flow!;
    while (bytes.length >= read + 2) {
      const length = uint16(bytes, read);
      if (length < 12 || (way === "out" ? length > 512 : length > MOST - 2)) return "dns.format";
      if (bytes.length < read + 2 + length) break;
      const message = bytes.slice(read + 2, read + 2 + length);
      const where = `tcp ${remote} ${vmPort}`;
      const reason =
        way === "out" ? this.#family.names.question(message, where) : this.#family.names.answer(message, where);
      if (reason !== PASS) return reason;
      read += 2 + length;
    }
    stream.read = read;
    stream.bytes.push(...fresh);
    this.lastByte = this.#family.now;
    return PASS;
  }
}

/** The bytes by which a server's first message is known as a HelloRetryRequest. */
const RETRY = new Map<number, number>([
  [0, 22],
  [5, 2],
  ...Array.from(createHash("sha256").update("HelloRetryRequest").digest(), (byte, at) => [11 + at, byte] as const),
]);

/** Of a whole hello, with its records' headers. */
function lengthOfHello(bytes: Uint8Array): number {
  let at = 0;
  let message = 0;
  let wanted = 4;
  const content: number[] = [];
  while (message < wanted) {
    const length = uint16(bytes, at + 3);
    content.push(...bytes.slice(at + 5, at + 5 + length));
    message += length;
    if (content.length >= 4) wanted = 4 + content[1]! * 65_536 + content[2]! * 256 + content[3]!;
    at += 5 + length;
  }
  return at;
}

/** Option kind 30 in a segment's header, or options of which nobody knows what they are. */
function asksForMultipath(segment: Uint8Array): boolean {
  let rest = [...segment.slice(20, Math.floor(segment[12]! / 16) * 4)];
  while (rest.length > 0 && rest[0] !== 0) {
    const [kind, length] = rest;
    if (kind === 30) return true;
    if (kind !== 1 && (length === undefined || length < 2 || length > rest.length)) return true;
    rest = rest.slice(kind === 1 ? 1 : length);
  }
  return false;
}
