/**
 * Which IPv4 addresses are globally routable.
 *
 * Source: IANA IPv4 Special-Purpose Address Registry (RFC 6890, RFC 8190), column "Globally Reachable", as of 2026; N/A
 * and "False" are both not global. 224.0.0.0/4 (RFC 1112, RFC 5771) is not in that registry and not global either.
 * 192.88.99.0/24, the 6to4 relay anycast prefix, is deprecated (RFC 7526) and not global: what is sent there goes to
 * any network that still announces it.
 */
import { type Cidr, covers, parseCidr } from "./cidr.ts";

export interface SpecialPurpose {
  readonly cidr: Cidr;
  readonly name: string;
  readonly global: boolean;
  readonly source: string;
}

const block = (cidr: string, name: string, global: boolean, source: string): SpecialPurpose =>
  Object.freeze({ cidr: Object.freeze(parseCidr(cidr)!), name, global, source });

/** The registry; a longer prefix in it comes before a shorter one. */
export const SPECIAL_PURPOSE: readonly SpecialPurpose[] = Object.freeze([
  block("0.0.0.0/8", "This network", false, "RFC 791 3.2"),
  block("0.0.0.0/32", "This host on this network", false, "RFC 1122 3.2.1.3"),
  block("10.0.0.0/8", "Private-Use", false, "RFC 1918"),
  block("100.64.0.0/10", "Shared Address Space", false, "RFC 6598"),
  block("127.0.0.0/8", "Loopback", false, "RFC 1122 3.2.1.3"),
  block("169.254.0.0/16", "Link Local", false, "RFC 3927"),
  block("172.16.0.0/12", "Private-Use", false, "RFC 1918"),
  block("192.0.0.0/24", "IETF Protocol Assignments", false, "RFC 6890 2.1"),
  block("192.0.0.0/29", "IPv4 Service Continuity Prefix", false, "RFC 7335"),
  block("192.0.0.8/32", "IPv4 dummy address", false, "RFC 7600"),
  block("192.0.0.9/32", "Port Control Protocol Anycast", true, "RFC 7723"),
  block("192.0.0.10/32", "Traversal Using Relays around NAT Anycast", true, "RFC 8155"),
  block("192.0.0.170/32", "NAT64/DNS64 Discovery", false, "RFC 8880, RFC 7050 2.2"),
  block("192.0.0.171/32", "NAT64/DNS64 Discovery", false, "RFC 8880, RFC 7050 2.2"),
  block("192.0.2.0/24", "Documentation (TEST-NET-1)", false, "RFC 5737"),
  block("192.31.196.0/24", "AS112-v4", true, "RFC 7535"),
  block("192.52.193.0/24", "AMT", true, "RFC 7450"),
  block("192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", false, "RFC 7526"),
  block("192.168.0.0/16", "Private-Use", false, "RFC 1918"),
  block("192.175.48.0/24", "Direct Delegation AS112 Service", true, "RFC 7534"),
  block("198.18.0.0/15", "Benchmarking", false, "RFC 2544"),
  block("198.51.100.0/24", "Documentation (TEST-NET-2)", false, "RFC 5737"),
  block("203.0.113.0/24", "Documentation (TEST-NET-3)", false, "RFC 5737"),
  block("240.0.0.0/4", "Reserved", false, "RFC 1112 4"),
  block("255.255.255.255/32", "Limited Broadcast", false, "RFC 919 7, RFC 8190"),
]);

/** Whether the registry calls an address globally reachable; multicast is not. Not for frames: it goes through all entries. */
export function isGloballyRoutable(address: number): boolean {
  if (covers(MULTICAST, address)) return false;
  let longest: SpecialPurpose | undefined;
  for (const entry of SPECIAL_PURPOSE) {
    if (covers(entry.cidr, address) && entry.cidr.length >= (longest?.cidr.length ?? 0)) longest = entry;
  }
  return longest?.global ?? true;
}

/** 224.0.0.0/4 */
export const MULTICAST: Cidr = Object.freeze({ address: 0xe0000000, length: 4 });

/** RFC 1918 */
export const PRIVATE: readonly Cidr[] = Object.freeze(
  ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map((cidr) => Object.freeze(parseCidr(cidr)!)),
);

/** Where clouds and hosts answer with credentials and configuration (threat row I7). */
export const METADATA_ADDRESSES: readonly Cidr[] = Object.freeze(
  ["169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"].map((cidr) =>
    Object.freeze(parseCidr(cidr)!),
  ),
);

export function isMetadata(address: number): boolean {
  for (const metadata of METADATA_ADDRESSES) if (metadata.address === address) return true;
  return false;
}

/** Addresses of the host itself: no rule lets a VM send to them (threat row I6). */
export const LOOPBACK_PREFIXES: readonly Cidr[] = Object.freeze(
  ["0.0.0.0/8", "127.0.0.0/8"].map((cidr) => Object.freeze(parseCidr(cidr)!)),
);

/** Whether an address is in one of LOOPBACK_PREFIXES; written out, because it is checked for every packet from a VM. */
export function isLoopback(address: number): boolean {
  const firstByte = address >>> 24;
  return firstByte === 0 || firstByte === 127;
}
