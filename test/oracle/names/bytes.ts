/** Questions, answers and first bytes of a generated conversation; each can be wrong on purpose. */
import { be16, be32, join } from "../build.ts";
import { addressBytes } from "../ipv6/bytes.ts";
import type { Random } from "../random.ts";

type Bytes = Uint8Array | readonly number[];
export const ascii = (text: string): number[] => [...text].map((character) => character.charCodeAt(0));

export function encodeName(name: string): number[] {
  return [...name.split(".").flatMap((label) => [label.length, ...ascii(label)]), 0];
}

export interface Asked {
  readonly id: number;
  readonly name: string;
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly section: Uint8Array;
}

/** `six`: of a VM that has IPv6, which asks for both families' addresses. */
export function someQuestion(random: Random, name: string, six = false): Asked {
  const usual = six && random.chance(0.5) ? 28 : 1;
  const type = random.chance(0.75) ? usual : random.pick([28, 64, 65, 16, 15, 10, 252, 255, 256, 257, 12, 2]);
  const id = random.below(5);
  const cased = random.chance(0.1) ? name.toUpperCase() : name;
  const odd = random.chance(0.1) ? random.below(9) : -1;
  const qname = odd === 0 ? [...encodeName(cased).slice(0, -1), 192, 12] : encodeName(cased);
  const section = join(qname, be16(type), be16(odd === 1 ? 3 : 1));
  const opt = random.chance(0.3);
  const version = random.chance(0.1) ? 1 : 0;
  const record = opt ? [odd === 2 ? 1 : 0, 0, 41, 16, 0, 0, version, random.pick([0, 128]), 0, 0, 0] : [];
  const flags = random.pick([0x100, 0x100, 0, 0x110, 0x120]) | (odd === 3 ? random.pick([0x8000, 0x800]) : 0);
  const counts = [1, odd === 4 ? 1 : 0, odd === 5 ? 1 : 0, opt ? 1 : 0].flatMap(be16);
  const whole = join(be16(id), be16(flags), counts, section, record, odd === 6 ? [0] : []);
  const bytes = odd === 7 ? whole.slice(0, random.below(whole.length)) : whole;
  return { id, name, type, bytes, section };
}

/** A question of the one form that passes. */
export function plainQuestion(id: number, name: string, type: number): Asked {
  const section = join(encodeName(name), be16(type), be16(1));
  const bytes = join(be16(id), be16(0x100), [1, 0, 0, 0].flatMap(be16), section);
  return { id, name, type, bytes, section };
}

/** An answer to it with these addresses. */
export function plainAnswer(asked: Asked, addresses: readonly (number | bigint)[], ttl: number): Uint8Array {
  const dataOf = (address: number | bigint) => (typeof address === "bigint" ? addressBytes(address) : be32(address));
  const records = addresses.map((address) => record([192, 12], asked.type, ttl, dataOf(address)));
  const counts = [1, records.length, 0, 0].flatMap(be16);
  return join(be16(asked.id), be16(0x8180), counts, asked.section, ...records);
}

const record = (owner: Bytes, type: number, ttl: number, data: Bytes, kind = 1): Uint8Array =>
  join(owner, be16(type), be16(kind), be32(ttl), be16(data.length), data);

/** Addresses of both families that answers give. */
export interface Answered {
  readonly four: readonly number[];
  readonly six: readonly bigint[];
}

/** An answer to a question, right in most respects. */
export function someAnswer(random: Random, asked: Asked, addresses: Answered): Uint8Array {
  const ttl = () => random.pick([0, 5, 60, 300, 4000, 7200, 90_000, 2 ** 31]);
  const records: Uint8Array[] = [];
  const pointer = [192, 12];
  let owner: Bytes = random.chance(0.6) ? pointer : encodeName(asked.name);
  const aliases = random.chance(0.35) ? random.pick([1, 1, 2, 3, 7, 8, 9]) : 0;
  for (let turn = 0; turn < aliases; turn++) {
    const target = encodeName(`c${turn}.cdn.test`);
    const last = asked.name.split(".").slice(1).join(".");
    if (turn === 0 && last !== "" && random.chance(0.2)) {
      records.push(record(encodeName(last), 39, ttl(), encodeName("d.test")));
      owner = encodeName(`${asked.name.split(".")[0]}.d.test`);
      continue;
    }
    records.push(record(owner, 5, ttl(), random.chance(0.03) ? [...target, 0] : target, random.chance(0.04) ? 3 : 1));
    owner = target;
  }
  const type = asked.type === 1 || random.chance(asked.type === 28 ? 0.1 : 0.5) ? 1 : asked.type;
  const some = () => (type === 28 ? addressBytes(random.pick(addresses.six)) : be32(random.pick(addresses.four)));
  const count = random.pick([0, 1, 1, 1, 2, 3]);
  for (let turn = 0; turn < count; turn++) {
    const data = random.chance(0.03) ? random.bytes(random.pick([3, 4, 5, 15, 16, 17])) : some();
    const other = random.chance(0.08) ? encodeName("other.test") : owner;
    records.push(record(other, type, ttl(), data, random.chance(0.04) ? 3 : 1));
  }
  if (random.chance(0.04)) records.push(record([192, random.pick([0, 11, 250])], 1, 60, be32(addresses.four[0]!)));
  if (random.chance(0.2)) records.sort(() => (random.chance(0.5) ? 1 : -1));
  const odd = random.chance(0.15) ? random.below(7) : -1;
  const flags = (odd === 0 ? 0x180 : 0x8180) | (odd === 1 ? random.pick([2, 3, 5]) : 0) | (odd === 2 ? 0x800 : 0);
  const id = odd === 3 ? (asked.id + 1) % 5 : asked.id;
  const section =
    odd === 4 ? asked.section.map((byte) => (byte >= 97 && byte < 123 ? byte - 32 : byte)) : asked.section;
  const counts = [odd === 5 ? 2 : 1, records.length + (random.chance(0.02) ? 1 : 0), 0, 0].flatMap(be16);
  const whole = join(be16(id), be16(flags), counts, section, ...records);
  return odd === 6 ? whole.slice(0, random.below(whole.length)) : whole;
}

/** A ClientHello in one record or more. */
export function someHello(random: Random, name: string): Uint8Array {
  const text = ascii(name);
  const entry = [random.chance(0.02) ? 1 : 0, ...be16(text.length), ...text];
  const serverName = [0, 0, ...be16(entry.length + 2), ...be16(entry.length), ...entry];
  const grease = () => [0x1a, 0x1a, ...be16(3), 1, 2, 3];
  const extensions = [
    ...(random.chance(0.5) ? grease() : []),
    ...(random.chance(0.05) ? [] : serverName),
    ...(random.chance(0.03) ? serverName : []),
    ...(random.chance(0.5) ? grease() : []),
  ];
  const session = random.pick([0, 0, 32]);
  const body = [
    ...[3, 3, ...random.bytes(32), session, ...random.bytes(session)],
    ...[0, 4, 0x13, 1, 0x13, 2, 1, 0],
    ...be16(extensions.length + (random.chance(0.02) ? 1 : 0)),
    ...extensions,
  ];
  const message = [random.chance(0.02) ? 2 : 1, 0, ...be16(body.length + (random.chance(0.02) ? 1 : 0)), ...body];
  const records: number[] = [];
  const size = random.chance(0.25) ? random.between(1, 60) : 16_384;
  for (let at = 0; at < message.length; at += size) {
    const part = message.slice(at, at + size);
    const type = random.chance(0.01) ? 23 : 22;
    records.push(type, random.chance(0.01) ? 2 : 3, 1, ...be16(part.length), ...part);
  }
  return new Uint8Array(records);
}

export function someHead(random: Random, name: string): Uint8Array {
  const host = random.chance(0.85) ? name : random.pick(["", "1.2.3.4", "[2001:db8::1]", `${name}.`, `${name}:443`]);
  const lines = [
    `${random.pick(["GET", "POST", "GET", "GET", "CONNECT"])} ${random.pick(["/", "/a?b", "*", "http://a.test/"])} HTTP/${random.pick(["1.1", "1.1", "1.1", "1.0", "2.0"])}`,
    ...(random.chance(0.5) ? ["Accept: */*"] : []),
    ...(random.chance(0.05)
      ? []
      : [`${random.pick(["Host", "host", "HOST"])}:${random.pick([" ", "", "\t "])}${host}`]),
    ...(random.chance(0.04) ? [`Host: ${name}`] : []),
    ...(random.chance(0.03) ? [random.pick(["Bad Name: x", "x", ": y", "a: \u0001"])] : []),
  ];
  return new Uint8Array(ascii(`${lines.join("\r\n")}\r\n\r\n${random.chance(0.3) ? "body" : ""}`));
}

/** What a client may send behind its hello, a second one among it. */
export function someBehind(random: Random, name: string, other: string): Uint8Array {
  const record = (type: number, data: Bytes): Uint8Array =>
    join([type, random.chance(0.01) ? 2 : 3, 3], be16(data.length), data);
  const parts: Uint8Array[] = [];
  for (let turn = random.below(3); turn > 0; turn--)
    parts.push(
      random.pick([
        record(20, [1]),
        record(21, [1, 0]),
        record(23, random.bytes(random.below(30))),
        record(random.pick([22, 24]), []),
        record(22, [16, 0, 0, 1, 7]),
      ]),
    );
  if (random.chance(0.7)) parts.push(someHello(random, random.chance(0.6) ? name : other));
  return join(...parts);
}

/** The first bytes of a server: a hello, one that asks for another one, or something else. */
export function someReply(random: Random): Uint8Array {
  const retry = random.chance(0.6);
  const word = Buffer.from("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c", "hex");
  const hello = join([22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3], retry ? word : random.bytes(32), random.bytes(9));
  if (random.chance(0.1)) hello[random.below(44)]! ^= 1;
  return random.chance(0.85) ? hello : random.bytes(random.between(1, 60));
}
