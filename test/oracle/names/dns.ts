/** DNS messages for the second guard, read by the text of RFC 1035 and of docs/guard-names.md. */
import { be16, join } from "../build.ts";
import { uint16, uint32 } from "../bytes.ts";
import { addressAt } from "../ipv6/bytes.ts";
import type { Address } from "./family.ts";
import { keyOf, type Name } from "./rules.ts";

export interface DnsQuestion {
  readonly id: number;
  readonly flags: number;
  readonly name: Name;
  readonly type: number;
  /** The question section. */
  readonly section: Uint8Array;
  readonly opt: { readonly version: number; readonly dnssecOk: boolean } | undefined;
}

const lower = (label: Uint8Array): string =>
  String.fromCharCode(...label.map((byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte)));

/** A question of the one form that passes, or undefined. */
export function readQuestion(message: Uint8Array): DnsQuestion | undefined {
  if (message.length < 12) return undefined;
  const flags = uint16(message, 2);
  if ((flags & 0xf800) !== 0) return undefined;
  if (uint16(message, 4) !== 1 || uint16(message, 6) !== 0 || uint16(message, 8) !== 0) return undefined;
  const additional = uint16(message, 10);
  if (additional > 1) return undefined;
  const labels: string[] = [];
  let at = 12;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at += 1;
    if (length === 0) break;
    if (at + length > message.length) return undefined;
    labels.push(lower(message.slice(at, at + length)));
    at += length;
  }
  if (at - 12 > 255 || at + 4 > message.length) return undefined;
  const type = uint16(message, at);
  if (uint16(message, at + 2) !== 1) return undefined;
  at += 4;
  const section = message.slice(12, at);
  let opt: DnsQuestion["opt"];
  if (additional === 1) {
    if (at + 11 > message.length || message[at] !== 0 || uint16(message, at + 1) !== 41) return undefined;
    if (at + 11 + uint16(message, at + 9) !== message.length) return undefined;
    opt = { version: message[at + 6]!, dnssecOk: message[at + 7]! >= 128 };
  } else if (at !== message.length) return undefined;
  return { id: uint16(message, 0), flags, name: labels, type, section, opt };
}

/** What softnet itself answers to a question of this form that is denied. */
export function ownAnswer({ id, flags, section, opt }: DnsQuestion, reason: string): Uint8Array {
  const badVersion = opt !== undefined && opt.version !== 0;
  const rcode = badVersion || reason === "dns.type" ? 0 : 3;
  const kept = flags & 0x0110;
  const record =
    opt === undefined ? [] : [0, 0, 41, ...be16(1232), badVersion ? 1 : 0, 0, opt.dnssecOk ? 128 : 0, 0, 0, 0];
  // The root's SOA: class IN, TTL 0, 22 bytes of zeros.
  const authority = badVersion ? [] : [0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, ...Array<number>(22).fill(0)];
  const counts = [0, 1, 0, 0, 0, badVersion ? 0 : 1, 0, opt === undefined ? 0 : 1];
  return join(be16(id), be16(0x8000 | kept | 0x80 | rcode), counts, section, authority, record);
}

export type Learned = readonly { readonly address: Address; readonly ttl: number }[];

interface DnsRecord {
  readonly at: number;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly data: number;
  readonly length: number;
}

class Malformed extends Error {}
const wrong = (): never => {
  throw new Malformed();
};

/** What an answer teaches about its question's name; undefined where its answer section cannot be read. */
export function readAnswer(message: Uint8Array, question: DnsQuestion): Learned | undefined {
  try {
    return learn(message, question);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

function learn(message: Uint8Array, question: DnsQuestion): Learned {
  const records = readRecords(message, 12 + question.section.length).filter((record) => record.class === 1);
  let name: Name = question.name;
  let ttl = 86_400;
  for (let aliases = 0; ; aliases++) {
    const step = aliasOf(message, records, name);
    if (step === undefined) break;
    if (aliases === 8) wrong();
    ttl = Math.min(ttl, lifeOf(step.record));
    name = step.target;
  }
  const own = records
    .filter(({ type, at }) => type === question.type && keyOf(nameAt(message, at).name) === keyOf(name))
    .slice(0, 64);
  if (own.some(({ length }) => length !== (question.type === 1 ? 4 : 16))) wrong();
  const addressOf = question.type === 1 ? uint32 : addressAt;
  return own.map((record) => ({ address: addressOf(message, record.data), ttl: Math.min(ttl, lifeOf(record)) }));
}

const lifeOf = ({ ttl }: DnsRecord): number => (ttl >= 2 ** 31 ? 0 : ttl);

function readRecords(message: Uint8Array, begin: number): DnsRecord[] {
  const records: DnsRecord[] = [];
  let at = begin;
  const count = Math.min(128, uint16(message, 6));
  for (let turn = 0; turn < count; turn++) {
    const owner = at;
    for (;;) {
      const length = message[at] ?? wrong();
      if (length >= 192) {
        at += 2;
        break;
      }
      if (length > 63) wrong();
      at += 1 + length;
      if (length === 0) break;
    }
    if (at + 10 > message.length) wrong();
    const length = uint16(message, at + 8);
    const [type, kind, ttl] = [uint16(message, at), uint16(message, at + 2), uint32(message, at + 4)];
    records.push({ at: owner, type, class: kind, ttl, data: at + 10, length });
    at += 10 + length;
    if (at > message.length) wrong();
  }
  return records;
}

function aliasOf(message: Uint8Array, records: readonly DnsRecord[], name: Name) {
  for (const record of records) {
    if (record.type !== 5 || keyOf(nameAt(message, record.at).name) !== keyOf(name)) continue;
    return { record, target: targetOf(message, record) };
  }
  for (const record of records) {
    if (record.type !== 39) continue;
    const owner = nameAt(message, record.at).name;
    const rest = name.length - owner.length;
    if (rest < 1 || keyOf(name.slice(rest)) !== keyOf(owner)) continue;
    const target = [...name.slice(0, rest), ...targetOf(message, record)];
    if (target.reduce((sum, label) => sum + 1 + label.length, 1) > 255) wrong();
    return { record, target };
  }
  return undefined;
}

function targetOf(message: Uint8Array, { data, length }: DnsRecord): Name {
  const { name, end } = nameAt(message, data);
  if (end !== data + length) wrong();
  return name;
}

/** A name that may be compressed, and where it ends at its place. */
function nameAt(message: Uint8Array, begin: number): { name: Name; end: number } {
  const labels: string[] = [];
  let at = begin;
  let part = begin;
  let end: number | undefined;
  let pointers = 0;
  let bytes = 1;
  for (;;) {
    const length = message[at] ?? wrong();
    if (length >= 192) {
      if (at + 1 >= message.length) wrong();
      const to = (length - 192) * 256 + message[at + 1]!;
      end ??= at + 2;
      pointers += 1;
      if (to >= part || to < 12 || pointers > 64) wrong();
      at = to;
      part = to;
      continue;
    }
    if (length > 63) wrong();
    if (length === 0) return { name: labels, end: end ?? at + 1 };
    if (at + 1 + length > message.length) wrong();
    bytes += 1 + length;
    if (bytes > 255) wrong();
    labels.push(lower(message.slice(at + 1, at + 1 + length)));
    at += 1 + length;
  }
}
