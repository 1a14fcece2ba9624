/** IPv6 addresses as numbers of 128 bits for the second guard: from text, from and to bytes, prefixes, checksums. */
import { be32, join } from "../build.ts";
import { onesComplementSum } from "../bytes.ts";

export interface Prefix {
  readonly prefix: bigint;
  readonly length: number;
}

/** An address from its text (RFC 4291 2.2); undefined where it is none. */
export function parseAddress(text: string): bigint | undefined {
  let rest = text;
  const dotted = /^(.*:)(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (dotted !== null) {
    const bytes = dotted.slice(2).map(Number);
    if (bytes.some((byte, index) => byte > 255 || String(byte) !== dotted[index + 2])) return undefined;
    const hex = (high: number, low: number) => (high * 256 + low).toString(16);
    rest = `${dotted[1]}${hex(bytes[0]!, bytes[1]!)}:${hex(bytes[2]!, bytes[3]!)}`;
  }
  const halves = rest.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  if (groups.flat().some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const count = groups.flat().length;
  if (halves.length === 2 ? count > 7 : count !== 8) return undefined;
  const zeros: string[] = new Array(8 - count).fill("0");
  const all = [...groups[0]!, ...zeros, ...(groups[1] ?? [])];
  return all.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
}

/** An address from text that is one. */
export function address6(text: string): bigint {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`no IPv6 address: ${text}`);
  return address;
}

export function addressAt(bytes: Uint8Array, at: number): bigint {
  return BigInt(`0x${Buffer.from(bytes.slice(at, at + 16)).toString("hex")}`);
}

export function addressBytes(address: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(address.toString(16).padStart(32, "0"), "hex"));
}

/** Eight groups without any shortening. */
export function addressText6(address: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => (address >> BigInt(112 - 16 * index)) % 65536n);
  return groups.map((group) => group.toString(16)).join(":");
}

export function prefix6(text: string): Prefix {
  const [address, length] = text.split("/");
  return masked(address6(address!), Number(length));
}

export function masked(address: bigint, length: number): Prefix {
  const rest = 2n ** BigInt(128 - length);
  return { prefix: (address / rest) * rest, length };
}

export function inPrefix({ prefix, length }: Prefix, address: bigint): boolean {
  return masked(address, length).prefix === masked(prefix, length).prefix;
}

const MULTICAST = prefix6("ff00::/8");
/** Link-local without more words is RFC 4291's whole range. */
const LINK_LOCAL = prefix6("fe80::/10");
const LINK_LOCAL_64 = prefix6("fe80::/64");
export const ALL_NODES = address6("ff02::1");
export const ALL_ROUTERS = address6("ff02::2");

export const isMulticast = (address: bigint): boolean => inPrefix(MULTICAST, address);
export const isLinkLocal = (address: bigint): boolean => inPrefix(LINK_LOCAL, address);
export const isInLinkLocal64 = (address: bigint): boolean => inPrefix(LINK_LOCAL_64, address);
export const interfaceIdentifier = (address: bigint): bigint => address % 2n ** 64n;

/** ff02::1:ff and the last three bytes (RFC 4291 2.7.1). */
export const solicitedNode = (address: bigint): bigint => address6("ff02::1:ff00:0") + (address % 2n ** 24n);

/** The Ethernet address of a multicast one (RFC 2464 7). */
export function multicastMac(address: bigint): string {
  const last = [...addressBytes(address).slice(12)];
  return ["33", "33", ...last.map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

/** The sum over pseudo-header (RFC 8200 8.1) and payload: 0xffff where the checksum in it is right. */
export function sum6(source: bigint, destination: bigint, protocol: number, payload: Uint8Array): number {
  const addresses = join(addressBytes(source), addressBytes(destination));
  return onesComplementSum(join(addresses, be32(payload.length), [0, 0, 0, protocol], payload));
}
