/**
 * Options of a router advertisement (RFC 4861 4.6.2, RFC 8106 5.1, RFC 8781 4). `at`: an option's first byte; that it lies
 * within the message as a whole is known.
 */
import { get16, get32 } from "./bytes.ts";
import { getIPv6 } from "./ipv6-address.ts";

export const OPTION_PREFIX = 3;
export const OPTION_DNS_SERVERS = 25;
export const OPTION_PREF64 = 38;

/** In units of 8 bytes. */
const PREFIX_LENGTH = 4;
const PREF64_LENGTH = 2;
const LEAST_DNS_LENGTH = 3;

const FLAG_ON_LINK = 0x80;
const FLAG_AUTONOMOUS = 0x40;
const LONGEST_PREFIX = 128;
/** The only length of a prefix that addresses are made in (RFC 4862 5.5.3 d, RFC 4291 2.5.1). */
const AUTONOMOUS_PREFIX = 64;

/** Bits of a NAT64 prefix by its prefix length code. */
const PREF64_LENGTHS: readonly number[] = [96, 64, 56, 48, 40, 32];

/** Lifetimes are in seconds; FOREVER = it has no end. */
export const FOREVER = 0xffffffff;

export interface PrefixInformation {
  /** Host bits are zero. */
  readonly address: bigint;
  readonly length: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
  readonly lifetime: number;
}

/** Without its last bits. */
export function maskPrefix(address: bigint, length: number): bigint {
  const host = BigInt(128 - length);
  return (address >> host) << host;
}

/** Undefined where the option is of another length, or the prefix cannot be one. */
export function readPrefix(bytes: Uint8Array, at: number): PrefixInformation | undefined {
  const length = bytes[at + 2]!;
  if (bytes[at + 1] !== PREFIX_LENGTH || length > LONGEST_PREFIX) return undefined;
  const flags = bytes[at + 3]!;
  return {
    address: maskPrefix(getIPv6(bytes, at + 16), length),
    length,
    onLink: (flags & FLAG_ON_LINK) !== 0,
    autonomous: (flags & FLAG_AUTONOMOUS) !== 0 && length === AUTONOMOUS_PREFIX,
    lifetime: get32(bytes, at + 4),
  };
}

export interface DnsServers {
  readonly addresses: readonly bigint[];
  readonly lifetime: number;
}

/** Recursive DNS servers; undefined where the option's length is none that it can have. */
export function readDnsServers(bytes: Uint8Array, at: number): DnsServers | undefined {
  const length = bytes[at + 1]!;
  if (length < LEAST_DNS_LENGTH || length % 2 === 0) return undefined;
  const addresses = Array.from({ length: (length - 1) / 2 }, (_, index) => getIPv6(bytes, at + 8 + 16 * index));
  return { addresses, lifetime: get32(bytes, at + 4) };
}

export interface Nat64Prefix {
  readonly address: bigint;
  readonly length: number;
  readonly lifetime: number;
}

/** A NAT64 prefix; undefined where the option is of another length, or its prefix length code is none. */
export function readNat64Prefix(bytes: Uint8Array, at: number): Nat64Prefix | undefined {
  const scaled = get16(bytes, at + 2);
  const length = PREF64_LENGTHS[scaled & 7];
  if (bytes[at + 1] !== PREF64_LENGTH || length === undefined) return undefined;
  // The option holds the first 96 bits, and ends behind them.
  const address = (getIPv6(bytes, at) & 0xffffffff_ffffffff_ffffffffn) << 32n;
  return { address: maskPrefix(address, length), length, lifetime: (scaled >>> 3) * 8 };
}
