/** Special IPv6 addresses typed out: the IANA registry, metadata services, prefixes that embed IPv4 addresses. */
import { address6, inPrefix, type Prefix, prefix6 } from "./bytes.ts";

/** IANA IPv6 Special-Purpose Address Registry, column "Globally Reachable"; the longest entry counts. N/A is not. */
const SPECIAL_PURPOSE: readonly [string, boolean][] = [
  ["::1/128", false], // loopback, RFC 4291
  ["::/128", false], // unspecified, RFC 4291
  ["::ffff:0:0/96", false], // IPv4-mapped, RFC 4291
  ["64:ff9b::/96", true], // IPv4-IPv6 translation, RFC 6052
  ["64:ff9b:1::/48", false], // local-use translation, RFC 8215
  ["100::/64", false], // discard-only, RFC 6666
  ["100:0:0:1::/64", false], // dummy prefix, RFC 9780
  ["2001::/23", false], // IETF protocol assignments, RFC 2928
  ["2001::/32", false], // Teredo, RFC 4380
  ["2001:1::1/128", true], // Port Control Protocol anycast, RFC 7723
  ["2001:1::2/128", true], // TURN anycast, RFC 8155
  ["2001:1::3/128", true], // DNS-SD SRP anycast, RFC 9665
  ["2001:2::/48", false], // benchmarking, RFC 5180
  ["2001:3::/32", true], // AMT, RFC 7450
  ["2001:4:112::/48", true], // AS112-v6, RFC 7535
  ["2001:10::/28", false], // deprecated ORCHID, RFC 4843
  ["2001:20::/28", true], // ORCHIDv2, RFC 7343
  ["2001:30::/28", true], // drone remote ID, RFC 9374
  ["2001:db8::/32", false], // documentation, RFC 3849
  ["2002::/16", false], // 6to4, RFC 3056
  ["2620:4f:8000::/48", true], // direct delegation AS112, RFC 7534
  ["3fff::/20", false], // documentation, RFC 9637
  ["5f00::/16", false], // segment routing SIDs, RFC 9602
  ["fc00::/7", false], // unique local, RFC 4193
  ["fe80::/10", false], // link-local, RFC 4291
];
const SPECIAL = SPECIAL_PURPOSE.map(([text, global]) => ({ network: prefix6(text), global }));

export const METADATA6 = [
  ...["fd00:ec2::254", "fd00:ec2::253", "fd00:ec2::250", "fd00:ec2::123", "fd00:ec2::23"],
  ...["fd20:ce::254", "fe80::a9fe:a9fe", "fd00:c1::a9fe:a9fe", "fd00:42::42"],
].map(address6);

const GLOBAL_UNICAST = prefix6("2000::/3");
const WELL_KNOWN_NAT64 = prefix6("64:ff9b::/96");
export const UNIQUE_LOCAL = prefix6("fc00::/7");

/** `@global`: by the registry, in 2000::/3 or 64:ff9b::/96, and no metadata address. */
export function isGlobal6(address: bigint): boolean {
  if (!inPrefix(GLOBAL_UNICAST, address) && !inPrefix(WELL_KNOWN_NAT64, address)) return false;
  if (METADATA6.includes(address)) return false;
  const covering = SPECIAL.filter(({ network }) => inPrefix(network, address));
  covering.sort((a, b) => b.network.length - a.network.length);
  return covering[0]?.global ?? true;
}

export const isGlobalUnicast = (address: bigint): boolean => inPrefix(GLOBAL_UNICAST, address);

/** Which bytes of an address are the IPv4 one's, by the prefix's length (RFC 6052 2.2). */
const LAYOUT: Record<number, readonly number[]> = {
  32: [4, 5, 6, 7],
  40: [5, 6, 7, 9],
  48: [6, 7, 9, 10],
  56: [7, 9, 10, 11],
  64: [9, 10, 11, 12],
  96: [12, 13, 14, 15],
};

/** The IPv4 address that this one embeds, in host order, or undefined. */
export function embeddedIn(address: bigint, nat64: readonly Prefix[]): number | undefined {
  const byte = (at: number) => Number((address >> BigInt(120 - 8 * at)) % 256n);
  const number = (bytes: readonly number[]) => bytes.reduce((sum, one) => sum * 256 + one, 0);
  const translated = (network: Prefix) => ({ network, of: () => number(LAYOUT[network.length]!.map(byte)) });
  const kinds = [
    translated(WELL_KNOWN_NAT64),
    { network: prefix6("2002::/16"), of: () => number([2, 3, 4, 5].map(byte)) },
    { network: prefix6("2001::/32"), of: () => number([12, 13, 14, 15].map((at) => 255 - byte(at))) },
    { network: prefix6("::/96"), of: () => number([12, 13, 14, 15].map(byte)) },
    ...nat64.map(translated),
  ];
  if (address < 2n) return undefined;
  const covering = kinds.filter(({ network }) => inPrefix(network, address));
  covering.sort((a, b) => b.network.length - a.network.length);
  return covering[0]?.of();
}
