/** Addresses that are special: the IANA registry typed out, multicast, and where clouds keep their metadata. */
import { addressNumber, cidr, contains } from "./bytes.ts";

/**
 * IANA IPv4 Special-Purpose Address Registry (RFC 6890, RFC 8190 and the RFCs named), column "Globally Reachable". An
 * address belongs to its longest entry. Multicast (RFC 5771) is not in that registry and not global either.
 */
const SPECIAL_PURPOSE: readonly [string, boolean][] = [
  ["0.0.0.0/8", false], // "this network", RFC 791
  ["0.0.0.0/32", false], // "this host on this network", RFC 1122
  ["10.0.0.0/8", false], // private use, RFC 1918
  ["100.64.0.0/10", false], // shared address space, RFC 6598
  ["127.0.0.0/8", false], // loopback, RFC 1122
  ["169.254.0.0/16", false], // link local, RFC 3927
  ["172.16.0.0/12", false], // private use, RFC 1918
  ["192.0.0.0/24", false], // IETF protocol assignments, RFC 6890
  ["192.0.0.0/29", false], // IPv4 service continuity prefix, RFC 7335
  ["192.0.0.8/32", false], // IPv4 dummy address, RFC 7600
  ["192.0.0.9/32", true], // Port Control Protocol anycast, RFC 7723
  ["192.0.0.10/32", true], // TURN anycast, RFC 8155
  ["192.0.0.170/32", false], // NAT64/DNS64 discovery, RFC 7050
  ["192.0.0.171/32", false], // NAT64/DNS64 discovery, RFC 7050
  ["192.0.2.0/24", false], // TEST-NET-1, RFC 5737
  ["192.31.196.0/24", true], // AS112-v4, RFC 7535
  ["192.52.193.0/24", true], // AMT, RFC 7450
  ["192.88.99.0/24", false], // deprecated 6to4 relay anycast, RFC 7526: no value in the registry, closed here
  ["192.168.0.0/16", false], // private use, RFC 1918
  ["192.175.48.0/24", true], // direct delegation AS112, RFC 7534
  ["198.18.0.0/15", false], // benchmarking, RFC 2544
  ["198.51.100.0/24", false], // TEST-NET-2, RFC 5737
  ["203.0.113.0/24", false], // TEST-NET-3, RFC 5737
  ["240.0.0.0/4", false], // reserved, RFC 1112
  ["255.255.255.255/32", false], // limited broadcast, RFC 919
  ["224.0.0.0/4", false], // multicast, RFC 5771
];

const SPECIAL = SPECIAL_PURPOSE.map(([text, global]) => ({ network: cidr(text), global }));
export const MULTICAST = cidr("224.0.0.0/4");
export const BROADCAST = addressNumber("255.255.255.255");
export const METADATA = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"].map(
  addressNumber,
);

export function isGloballyReachable(address: number): boolean {
  const covering = SPECIAL.filter((entry) => contains(entry.network, address));
  covering.sort((a, b) => b.network.length - a.network.length);
  return covering[0]?.global ?? true;
}
