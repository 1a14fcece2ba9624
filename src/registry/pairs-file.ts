/**
 * The addresses of names that one VM has looked up, beside its record, so that the next softnet of the VM knows them too
 * (docs/registry.md, Names). The file is made while softnet is root and written through its descriptor. Nobody but root can
 * read it: what a VM looks up is its own.
 */
import { chownSync, closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { LONGEST_TTL } from "../guard/names/pairs.ts";
import type { NamePair } from "../guard/types.ts";
import { parseIPv4 } from "../wire/address.ts";
import { formatAddress, parseIPv6 } from "../wire/ipv6-address.ts";
import { CHECKED_EXTRA, checkedLine, NEWLINE, readCheckedLine } from "./checked-line.ts";
import { Fields } from "./fields.ts";
import { openRecord, readStart } from "./files.ts";
import { PAIRS_SUFFIX } from "./names.ts";
import type { RegistrySystem } from "./system.ts";

/** Bytes; of more pairs those whose answers are the oldest are left out. A folder of 1,024 ended softnets has 64 MiB then. */
export const LARGEST_PAIRS = 65_536;

const VERSION = 1;
/** Microseconds. */
const SECOND = 1_000_000;
/** As `parseDomainName` reads it, and nothing that JSON writes in another way. */
const NAME = /^[0-9a-z_.-]{1,253}$/;

/** Makes the file of a record that was made, as root, and returns its descriptor. */
export function createPairs(system: RegistrySystem, record: string): number {
  const path = `${system.directory}/${record}${PAIRS_SUFFIX}`;
  const fd = openSync(path, "wx", 0o600);
  try {
    if (system.owner === 0) chownSync(path, 0, 0); // through SUID its group would be the caller's
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Writes pairs, the one whose answer is the oldest first. Throws the system's error. */
export function writePairs(fd: number, pairs: Iterable<NamePair>, sinceBoot: number): void {
  const bytes = encodePairs(pairs, sinceBoot);
  const written = writeSync(fd, bytes, 0, bytes.length, 0);
  if (written !== bytes.length) throw new Error(`only ${written} bytes of ${bytes.length} were written`);
}

/** The pairs beside the record of a softnet that has ended; none where there is no file that can be trusted, or it is damaged. */
export function readPairs(system: RegistrySystem, record: string): readonly NamePair[] {
  const fd = openRecord(system, `${record}${PAIRS_SUFFIX}`, false);
  if (fd === undefined) return [];
  try {
    if (fstatSync(fd).size > LARGEST_PAIRS) return [];
    return decodePairs(readStart(fd, LARGEST_PAIRS), system.sinceBoot());
  } finally {
    closeSync(fd);
  }
}

/** A file's bytes, with as many of the pairs as fit, the youngest of them. `sinceBoot`: now, in microseconds. */
export function encodePairs(pairs: Iterable<NamePair>, sinceBoot: number): Uint8Array {
  const head = `{"version":${VERSION},"writtenSinceBoot":${Math.floor(sinceBoot)},"names":[`;
  const byName = new Map<string, string[]>();
  let room = LARGEST_PAIRS - CHECKED_EXTRA - head.length - "]}".length;
  for (const { name, address, verifiedEnd, otherEnd } of [...pairs].reverse()) {
    // What only a flow that has ended by now kept alive is left out, too.
    if (verifiedEnd <= sinceBoot || !NAME.test(name)) continue;
    const text = JSON.stringify([formatAddress(address), secondOf(verifiedEnd), secondOf(otherEnd)]);
    const same = byName.get(name);
    room -= text.length + 1 + (same === undefined ? nameToJson(name, []).length + 1 : 0);
    if (room < 0) break;
    if (same === undefined) byName.set(name, [text]);
    else same.push(text);
  }
  const names = [...byName].map(([name, texts]) => nameToJson(name, texts));
  return checkedLine(`${head}${names.join()}]}`);
}

const secondOf = (time: number): number => Math.floor(time / SECOND);
const nameToJson = (name: string, pairs: readonly string[]): string => `["${name}",[${pairs.join()}]]`;

/**
 * The pairs in a file's bytes that are not over, the one whose answer is the oldest first; none unless all of them are as they
 * are written. No end may be later than an answer could have made it: then the file is not trusted.
 */
export function decodePairs(file: Uint8Array, sinceBoot: number): readonly NamePair[] {
  const text = readCheckedLine(file.subarray(0, file.indexOf(NEWLINE) + 1));
  if (text === undefined) return [];
  try {
    const fields = new Fields(JSON.parse(text));
    const written = fields.number("writtenSinceBoot");
    if (fields.number("version") !== VERSION || written > sinceBoot) return [];
    const latest = written + LONGEST_TTL * SECOND;
    const pairs = fields.list("names").flatMap((value) => toPairs(value, latest));
    return pairs.filter(({ verifiedEnd }) => verifiedEnd >= sinceBoot).reverse();
  } catch {
    return [];
  }
}

/** Of one name. Throws unless they are as they are written. */
function toPairs(value: unknown, latest: number): NamePair[] {
  const [name, pairs] = listOf(value, 2);
  if (typeof name !== "string" || !NAME.test(name)) throw new Error("not a name");
  return listOf(pairs).map((pair) => {
    const [address, ...ends] = listOf(pair, 3);
    const [verifiedEnd, otherEnd] = ends.map((end) => timeOf(end, latest)) as [number, number];
    if (otherEnd > verifiedEnd) throw new Error("not as it is written");
    return { name, address: addressOf(address), verifiedEnd, otherEnd };
  });
}

function listOf(value: unknown, length?: number): readonly unknown[] {
  if (!Array.isArray(value) || (length ?? value.length) !== value.length) throw new Error("not a list");
  return value;
}

function timeOf(value: unknown, latest: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error("not a time");
  const time = (value as number) * SECOND;
  if (time > latest) throw new Error("too late");
  return time;
}

function addressOf(value: unknown): number | bigint {
  const address = typeof value === "string" ? (parseIPv4(value) ?? parseIPv6(value)) : undefined;
  if (address === undefined) throw new Error("not an address");
  return address;
}
