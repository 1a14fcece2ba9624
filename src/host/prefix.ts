/**
 * Chooses a VM's own /64: a subnet of the host's unique local /48 (RFC 4193), which all softnets of a host share. The /48 is
 * random (RFC 4193 3.2), so that hosts which know nothing of each other do not meet; it is that of the TAPs that are
 * there, and with the last of them it is forgotten. Nothing here touches the system.
 */
import { formatIPv6, parseIPv6 } from "../wire/ipv6-address.ts";

/** An IPv6 prefix; `address` has no bits beyond `length`. */
export interface Prefix6 {
  readonly address: bigint;
  readonly length: number;
}

export const PREFIX_LENGTH = 64;
const SITE_LENGTH = 48;
/** fd00::/8: unique local addresses that are assigned by whoever uses them (RFC 4193 3.1). */
const LOCAL_SPACE = 0xfdn;
const LOCAL_LENGTH = 8;
const SUBNETS = 1 << (PREFIX_LENGTH - SITE_LENGTH);
const MOST_ATTEMPTS = 64;

/** What is known of the host when a prefix is chosen. */
export interface PrefixState {
  /** The /64s of VMs that are there. */
  readonly taken: readonly bigint[];
  /** Networks and routes of the host's own. */
  readonly others: readonly Prefix6[];
}

/** Random numbers of so many bits. */
export type RandomBits = (bits: number) => bigint;

/**
 * Returns the first address of a free /64, in the /48 of those that are taken. `preferred`: the one that the VM had before; its
 * /48 becomes the host's where no other VM is there. Throws Error when nothing is free.
 */
export function choosePrefix(
  { taken, others }: PrefixState,
  preferred: bigint | undefined,
  random: RandomBits,
): bigint {
  // What covers a whole /48 counted when that was chosen.
  const narrow = others.filter(({ length }) => length > SITE_LENGTH);
  const isFree = (prefix: bigint): boolean => !taken.includes(prefix) && !overlaps(prefix, PREFIX_LENGTH, narrow);
  const isWelcome = (prefix: bigint): boolean => isOwnPrefix(prefix) && !overlaps(prefix, PREFIX_LENGTH, others);
  const before = preferred !== undefined && isWelcome(preferred) && isFree(preferred) ? preferred : undefined;
  const first = taken[0] ?? before;
  if (before !== undefined && siteOf(before) === siteOf(first!)) return before;
  const site = first === undefined ? chooseSite(others, random) : siteOf(first);
  const start = Number(random(PREFIX_LENGTH - SITE_LENGTH));
  for (let step = 0; step < SUBNETS; step++) {
    const prefix = site | (BigInt((start + step) % SUBNETS) << BigInt(128 - PREFIX_LENGTH));
    if (isFree(prefix)) return prefix;
  }
  throw new Error("no IPv6 prefix is free for the VM");
}

/** Whether that is the first address of a /64 as `choosePrefix` chooses them. */
export function isOwnPrefix(prefix: bigint): boolean {
  return prefix >> BigInt(128 - LOCAL_LENGTH) === LOCAL_SPACE && upper(prefix, PREFIX_LENGTH) === prefix;
}

/** The first address of an address's /64. */
export function prefixOf(address: bigint): bigint {
  return upper(address, PREFIX_LENGTH);
}

/** The router's address in a VM's prefix: of the host, on the VM's TAP. */
export function routerOf(prefix: bigint): bigint {
  return prefix + 1n;
}

export function formatPrefix(prefix: bigint): string {
  return `${formatIPv6(prefix)}/${PREFIX_LENGTH}`;
}

/** Undefined for what is no /64 of unique local addresses. */
export function parsePrefix(text: string): bigint | undefined {
  const prefix = text.endsWith(`/${PREFIX_LENGTH}`) ? parseIPv6(text.slice(0, text.lastIndexOf("/"))) : undefined;
  return prefix !== undefined && isOwnPrefix(prefix) ? prefix : undefined;
}

/** A host with routes all over the unique local space has a prefix out of them all the same. */
function chooseSite(others: readonly Prefix6[], random: RandomBits): bigint {
  let site = 0n;
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    site = (LOCAL_SPACE << 120n) | (random(SITE_LENGTH - LOCAL_LENGTH) << BigInt(128 - SITE_LENGTH));
    if (!overlaps(site, SITE_LENGTH, others)) break;
  }
  return site;
}

/** Routes that cover all unique local addresses say nothing about one of them. */
function overlaps(prefix: bigint, length: number, others: readonly Prefix6[]): boolean {
  return others.some((other) => {
    const common = Math.min(length, other.length);
    return other.length > LOCAL_LENGTH && upper(other.address, common) === upper(prefix, common);
  });
}

const siteOf = (prefix: bigint): bigint => upper(prefix, SITE_LENGTH);

function upper(address: bigint, length: number): bigint {
  const low = BigInt(128 - length);
  return (address >> low) << low;
}
