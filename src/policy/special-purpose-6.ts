/**
 * Which IPv6 addresses are globally routable.
 *
 * Source: IANA IPv6 Special-Purpose Address Registry (RFC 6890, RFC 8190), column "Globally Reachable", as of 2026; N/A
 * and "False" are both not global. Only 2000::/3 is allotted as global unicast (RFC 4291 2.4 and IANA's address space
 * registry): of what lies outside, 64:ff9b::/96 alone is global. ::/96 (IPv4-compatible, RFC 4291 2.5.5.1), fec0::/10
 * (site-local, RFC 3879) and ff00::/8 are not in that registry and not global either.
 */
import { type Cidr6, covers6, parseCidr6 } from "./cidr-6.ts";

export interface SpecialPurpose6 {
  readonly cidr: Cidr6;
  readonly name: string;
  readonly global: boolean;
  readonly source: string;
}

const cidr = (text: string): Cidr6 => Object.freeze(parseCidr6(text)!);

const block = (text: string, name: string, global: boolean, source: string): SpecialPurpose6 =>
  Object.freeze({ cidr: cidr(text), name, global, source });

/** The registry, in its order. */
export const SPECIAL_PURPOSE_6: readonly SpecialPurpose6[] = Object.freeze([
  block("::1/128", "Loopback Address", false, "RFC 4291 2.5.3"),
  block("::/128", "Unspecified Address", false, "RFC 4291 2.5.2"),
  block("::ffff:0:0/96", "IPv4-mapped Address", false, "RFC 4291 2.5.5.2"),
  block("64:ff9b::/96", "IPv4-IPv6 Translation", true, "RFC 6052 2.1"),
  block("64:ff9b:1::/48", "IPv4-IPv6 Translation, local use", false, "RFC 8215"),
  block("100::/64", "Discard-Only Address Block", false, "RFC 6666"),
  block("100:0:0:1::/64", "Dummy IPv6 Prefix", false, "RFC 9780"),
  block("2001::/23", "IETF Protocol Assignments", false, "RFC 2928"),
  block("2001::/32", "TEREDO", false, "RFC 4380, RFC 8190"),
  block("2001:1::1/128", "Port Control Protocol Anycast", true, "RFC 7723"),
  block("2001:1::2/128", "Traversal Using Relays around NAT Anycast", true, "RFC 8155"),
  block("2001:1::3/128", "DNS-SD Service Registration Protocol Anycast", true, "RFC 9665"),
  block("2001:2::/48", "Benchmarking", false, "RFC 5180"),
  block("2001:3::/32", "AMT", true, "RFC 7450"),
  block("2001:4:112::/48", "AS112-v6", true, "RFC 7535"),
  block("2001:10::/28", "Deprecated (previously ORCHID)", false, "RFC 4843"),
  block("2001:20::/28", "ORCHIDv2", true, "RFC 7343"),
  block("2001:30::/28", "Drone Remote ID Protocol Entity Tags", true, "RFC 9374"),
  block("2001:db8::/32", "Documentation", false, "RFC 3849"),
  block("2002::/16", "6to4", false, "RFC 3056"),
  block("2620:4f:8000::/48", "Direct Delegation AS112 Service", true, "RFC 7534"),
  block("3fff::/20", "Documentation", false, "RFC 9637"),
  block("5f00::/16", "Segment Routing (SRv6) SIDs", false, "RFC 9602"),
  block("fc00::/7", "Unique-Local", false, "RFC 4193, RFC 8190"),
  block("fe80::/10", "Link-Local Unicast", false, "RFC 4291 2.5.6"),
]);

/** RFC 4291 2.4: what is allotted as global unicast. */
export const GLOBAL_UNICAST: Cidr6 = cidr("2000::/3");

/** RFC 6052 2.1: the prefix that every NAT64 may use. */
export const WELL_KNOWN_NAT64: Cidr6 = cidr("64:ff9b::/96");

/** ff00::/8 */
export const MULTICAST_6: Cidr6 = cidr("ff00::/8");

/** RFC 4193 */
export const PRIVATE_6: Cidr6 = cidr("fc00::/7");

/** Where clouds and hosts answer with credentials and configuration (threat row I7). */
export const METADATA_ADDRESSES_6: readonly Cidr6[] = Object.freeze(
  [
    "fd00:ec2::254/128",
    "fd00:ec2::253/128",
    "fd00:ec2::123/128",
    "fd00:ec2::23/128",
    "fd20:ce::254/128",
    "fe80::a9fe:a9fe/128",
    "fd00:c1::a9fe:a9fe/128",
    "fd00:42::42/128",
  ].map(cidr),
);

/** Addresses of the host itself: no rule lets a VM send to them. */
export const LOOPBACK_PREFIXES_6: readonly Cidr6[] = Object.freeze(["::/128", "::1/128", "::ffff:0:0/96"].map(cidr));

/**
 * Whether an address is globally routable: 2000::/3 and 64:ff9b::/96 by the registry; multicast is not. Not for frames: it
 * goes through all entries.
 */
export function isGloballyRoutable6(address: bigint): boolean {
  let longest: SpecialPurpose6 | undefined;
  for (const entry of SPECIAL_PURPOSE_6) {
    if (covers6(entry.cidr, address) && entry.cidr.length >= (longest?.cidr.length ?? 0)) longest = entry;
  }
  return longest?.global ?? covers6(GLOBAL_UNICAST, address);
}
