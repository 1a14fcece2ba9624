/**
 * IPv6 addresses as text and as numbers. Where people and rules are concerned an address is a bigint of 128 bits, the first
 * bit of the address being the highest one; frames are compared in four signed words of 32 bits (frame-headers.ts).
 */
import { formatIPv4, parseIPv4 } from "./address.ts";

/** Bits of an address. */
export const IPV6_BITS = 128;

const MAPPED = 0xffffn;

const GROUPS = 8;
const GROUP = /^[0-9a-f]{1,4}$/i;
/** The longest text: six groups and an IPv4 address. */
const LONGEST = 45;

/** Parses every form of RFC 4291 2.2, without a zone; undefined for anything else. */
export function parseIPv6(text: string): bigint | undefined {
  if (text.length > LONGEST) return undefined;
  const sides = text.split("::");
  if (sides.length > 2) return undefined;
  const first = groupsOf(sides[0]!, sides.length === 1);
  const last = groupsOf(sides[1] ?? "", true);
  if (first === undefined || last === undefined) return undefined;
  const missing = GROUPS - first.length - last.length;
  if (sides.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const zeros = new Array<number>(missing).fill(0);
  return [...first, ...zeros, ...last].reduce((address, group) => (address << 16n) | BigInt(group), 0n);
}

/** The groups of a part; its end may be an IPv4 address where it is the address's end. */
function groupsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    const dotted = isEnd && index === parts.length - 1 ? parseIPv4(part) : undefined;
    if (dotted !== undefined) groups.push(dotted >>> 16, dotted & 0xffff);
    else if (GROUP.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** The text of RFC 5952 4, an IPv4-mapped address as in its section 5. */
export function formatIPv6(address: bigint): string {
  if (address >> 32n === MAPPED) return `::ffff:${formatIPv4(Number(address & 0xffffffffn))}`;
  const groups = Array.from({ length: 8 }, (_, index) => Number((address >> BigInt(112 - 16 * index)) & 0xffffn));
  // The first of the longest runs of at least two zeros becomes "::".
  let start = 0;
  let length = 1;
  for (let at = 0; at < 8; at++) {
    let end = at;
    while (end < 8 && groups[end] === 0) end++;
    if (end - at > length) {
      start = at;
      length = end - at;
    }
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** A word of an address, 0 … 3 from its beginning, as a signed number: what frames are compared with. */
export function wordOf(address: bigint, word: number): number {
  return Number(BigInt.asIntN(32, address >> BigInt(96 - 32 * word)));
}

/** The four words of an address. */
export function wordsOf(address: bigint): Int32Array {
  return Int32Array.from([0, 1, 2, 3], (word) => wordOf(address, word));
}

/** The address of four signed words. */
export function addressOfWords(first: number, second: number, third: number, fourth: number): bigint {
  return (
    (BigInt(first >>> 0) << 96n) | (BigInt(second >>> 0) << 64n) | (BigInt(third >>> 0) << 32n) | BigInt(fourth >>> 0)
  );
}

/** The 16 bytes at `at`. */
export function getIPv6(bytes: Uint8Array, at: number): bigint {
  let address = 0n;
  for (let byte = 0; byte < 16; byte++) address = (address << 8n) | BigInt(bytes[at + byte]!);
  return address;
}

export function putIPv6(bytes: Uint8Array, at: number, address: bigint): void {
  for (let byte = 0; byte < 16; byte++) bytes[at + byte] = Number((address >> BigInt(120 - 8 * byte)) & 0xffn);
}
