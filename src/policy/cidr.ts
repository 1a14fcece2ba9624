/** IPv4 prefixes and netmasks as numbers. */
import { formatIPv4, parseIPv4 } from "../wire/address.ts";
import type { Prefix } from "./address-space.ts";

/** An IPv4 prefix, the address in host order. Host bits are zero. */
export type Cidr = Prefix<number>;

/** The netmask of a prefix length, 0 … 32. */
export function netmaskOf(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
}

/** The length of a contiguous netmask; undefined for any other. */
export function prefixLengthOf(netmask: number): number | undefined {
  const length = Math.clz32(~netmask);
  return netmaskOf(length) === netmask ? length : undefined;
}

/** The last address of a prefix. */
export function lastOf(cidr: Cidr): number {
  return (cidr.address | ~netmaskOf(cidr.length)) >>> 0;
}

/** The subnet of an address, where the netmask is a contiguous one and not 0. */
export function subnetOf(address: number, netmask: number): Cidr | undefined {
  const length = netmask === 0 ? undefined : prefixLengthOf(netmask);
  return length === undefined ? undefined : { address: (address & netmaskOf(length)) >>> 0, length };
}

/** The directed broadcast address of a subnet; 0 where it has none (RFC 3021: nor has a /31 or a /32). */
export function directedBroadcastOf(address: number, netmask: number): number {
  const subnet = subnetOf(address, netmask);
  return subnet && subnet.length <= 30 ? lastOf(subnet) : 0;
}

/** Whether an address lies in a prefix. */
export function covers(cidr: Cidr, address: number): boolean {
  return (address & netmaskOf(cidr.length)) >>> 0 === cidr.address;
}

/** Whether all addresses of one prefix are in another. */
export function contains(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && covers(outer, inner.address);
}

/** Parses `A.B.C.D/LENGTH`; host bits are masked. Undefined for anything else. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([\d.]+)\/(0|[1-9]\d?)$/.exec(text);
  const address = match ? parseIPv4(match[1]!) : undefined;
  const length = match ? Number(match[2]) : 33;
  if (address === undefined || length > 32) return undefined;
  return { address: (address & netmaskOf(length)) >>> 0, length };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIPv4(cidr.address)}/${cidr.length}`;
}
