/**
 * IPv6 addresses as text and as numbers. Where people and rules are concerned an address is a bigint of 128 bits, the first
 * bit of the address being the highest one; frames are compared in four signed words of 32 bits (frame-headers.ts).
 */
import { isIPv6 } from "node:net";
import { formatIPv4, parseIPv4 } from "./address.ts";

/** Bits of an address. */
export const IPV6_BITS = 128;

const MAPPED = 0xffffn;

/** Parses every form of RFC 4291 2.2, without a zone; undefined for anything else. */
export function parseIPv6(text: string): bigint | undefined {
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const dotted = /[^:]+\.[^:]+$/.exec(text)?.[0];
  const low = dotted === undefined ? 0 : parseIPv4(dotted)!;
  const hexadecimal =
    dotted === undefined
      ? text
      : `${text.slice(0, -dotted.length)}${(low >>> 16).toString(16)}:${(low & 0xffff).toString(16)}`;
  const [before = "", after] = hexadecimal.split("::");
  const first = groupsOf(before);
  const last = groupsOf(after ?? "");
  const zeros = new Array<number>(8 - first.length - last.length).fill(0);
  return [...first, ...zeros, ...last].reduce((address, group) => (address << 16n) | BigInt(group), 0n);
}

const groupsOf = (text: string): number[] =>
  text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));

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
