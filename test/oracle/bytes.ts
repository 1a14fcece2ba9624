/**
 * Reading bytes the obvious way, for the second guard: big-endian numbers, addresses as text or as numbers in host
 * order, and the Internet checksum (RFC 1071) by its definition.
 */

/** What a check says when it has no objection; anything else is the name of a drop reason. */
export const PASS = "pass";

export function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 256 + bytes[at + 1]!;
}

export function uint32(bytes: Uint8Array, at: number): number {
  return uint16(bytes, at) * 65536 + uint16(bytes, at + 2);
}

/** A MAC address as lower-case text with colons. */
export function macText(bytes: Uint8Array, at: number): string {
  return [...bytes.slice(at, at + 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** An IPv4 address from dotted decimal. */
export function addressNumber(text: string): number {
  const [a, b, c, d] = text.split(".").map(Number);
  return ((a! * 256 + b!) * 256 + c!) * 256 + d!;
}

/** The 16-bit one's complement sum, an odd last byte padded with zero; 0xffff over data with a right checksum. */
export function onesComplementSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += bytes[at]! * 256 + (at + 1 < bytes.length ? bytes[at + 1]! : 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** True when the first `length` bits of two addresses are the same. */
export function samePrefix(a: number, b: number, length: number): boolean {
  const rest = 2 ** (32 - length);
  return Math.floor(a / rest) === Math.floor(b / rest);
}

export interface Cidr {
  readonly address: number;
  readonly length: number;
}

export function cidr(text: string): Cidr {
  const [address, length] = text.split("/");
  return { address: addressNumber(address!), length: Number(length) };
}

export function contains(network: Cidr, address: number): boolean {
  return samePrefix(network.address, address, network.length);
}

/** The prefix length of a netmask, or undefined when its ones are not all in front. */
export function prefixLength(netmask: number): number | undefined {
  for (let length = 0; length <= 32; length++) {
    if (netmask === 2 ** 32 - 2 ** (32 - length)) return length;
  }
  return undefined;
}

/** The first and the last address of a network that is large enough to set them aside. */
export function edges(network: Cidr): { first: number; last: number } | undefined {
  if (network.length > 30) return undefined;
  const size = 2 ** (32 - network.length);
  const first = Math.floor(network.address / size) * size;
  return { first, last: first + size - 1 };
}
