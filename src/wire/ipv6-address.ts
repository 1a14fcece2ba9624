/**
 * IPv6 addresses as text and as numbers. Where people and rules are concerned an address is a bigint of 128 bits, the first
 * bit of the address being the highest one; frames are compared in four signed words of 32 bits (frame-headers.ts).
 */
import { formatIPv4, parseIPv4 } from "./address.ts";

/** Bits of an address. */
export const IPV6_BITS = 128;

const MAPPED = 0xffffn;

/** Characters of the longest text, with an IPv4 address at its end. */
const LONGEST_TEXT = 45;
const GROUPS = 8;

/** Parses every form of RFC 4291 2.2, without a zone; undefined for anything else. */
export function parseIPv6(text: string): bigint | undefined {
  if (text.length > LONGEST_TEXT) return undefined;
  const [before = "", after, more] = text.split("::");
  const first = groupsOf(before, after === undefined);
  const last = groupsOf(after ?? "", true);
  if (more !== undefined || first === undefined || last === undefined) return undefined;
  const missing = GROUPS - first.length - last.length;
  if (after === undefined ? missing !== 0 : missing < 1) return undefined; // "::" stands for one group at least
  const zeros = new Array<number>(missing).fill(0);
  return [...first, ...zeros, ...last].reduce((address, group) => (address << 16n) | BigInt(group), 0n);
}

/** The groups of a text without "::"; the last two may be an IPv4 address where the text ends there. */
function groupsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const dotted = isEnd ? parseIPv4(parts.at(-1)!) : undefined;
  if (dotted !== undefined) parts.splice(-1, 1, (dotted >>> 16).toString(16), (dotted & 0xffff).toString(16));
  if (!parts.every((part) => /^[\da-f]{1,4}$/i.test(part))) return undefined;
  return parts.map((part) => Number.parseInt(part, 16));
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

const LINK_LOCAL_PREFIX = 0xfe80_0000_0000_0000n;
const HOST_BITS = 0xffff_ffff_ffff_ffffn;

/** Whether it is an interface's link-local address: in fe80::/64 (RFC 4291 2.5.6), and not the prefix's own. */
export function isLinkLocal(address: bigint): boolean {
  return address >> 64n === LINK_LOCAL_PREFIX && (address & HOST_BITS) !== 0n;
}

/** Whether it is in 2000::/3, global unicast, or fc00::/7, unique local (RFC 4193). */
export function isGlobalOrUniqueLocal(address: bigint): boolean {
  return address >> 125n === 1n || address >> 121n === 0x7en;
}

/** The text of an address of either family: a number is IPv4's in host order, a bigint IPv6's. */
export function formatAddress(address: number | bigint): string {
  return typeof address === "bigint" ? formatIPv6(address) : formatIPv4(address);
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

/** In ff00::/8. */
export function isMulticast(address: bigint): boolean {
  return address >> 120n === 0xffn;
}

/** In fe80::/10. */
export function isLinkLocalAddress(address: bigint): boolean {
  return address >> 118n === 0x3fan;
}
