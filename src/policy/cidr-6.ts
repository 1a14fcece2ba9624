/** IPv6 prefixes as bigints (wire/ipv6-address.ts). */
import { formatIPv6, IPV6_BITS, parseIPv6 } from "../wire/ipv6-address.ts";
import type { Prefix } from "./address-space.ts";

/** An IPv6 prefix. Host bits are zero. */
export type Cidr6 = Prefix<bigint>;

/** The bits of an address that are in a prefix of a length, 0 … 128. */
function maskOf(length: number): bigint {
  return ((1n << BigInt(length)) - 1n) << BigInt(IPV6_BITS - length);
}

/** The prefix of a length in which an address lies. */
export function cidr6Of(address: bigint, length: number): Cidr6 {
  return { address: address & maskOf(length), length };
}

/** The last address of a prefix. */
export function lastOf6({ address, length }: Cidr6): bigint {
  return address | ((1n << BigInt(IPV6_BITS - length)) - 1n);
}

/** Whether an address lies in a prefix. */
export function covers6(cidr: Cidr6, address: bigint): boolean {
  return (address & maskOf(cidr.length)) === cidr.address;
}

/** Whether all addresses of one prefix are in another. */
export function contains6(outer: Cidr6, inner: Cidr6): boolean {
  return outer.length <= inner.length && covers6(outer, inner.address);
}

/** Parses `2001:db8::/32`, without brackets and zone; host bits are masked. Undefined for anything else. */
export function parseCidr6(text: string): Cidr6 | undefined {
  const match = /^([\da-fA-F:.]{2,45})\/(0|[1-9]\d{0,2})$/.exec(text);
  const address = match ? parseIPv6(match[1]!) : undefined;
  const length = match ? Number(match[2]) : IPV6_BITS + 1;
  if (address === undefined || length > IPV6_BITS) return undefined;
  return cidr6Of(address, length);
}

export function formatCidr6({ address, length }: Cidr6): string {
  return `${formatIPv6(address)}/${length}`;
}
