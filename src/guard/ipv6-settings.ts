/** A guard's options for IPv6, parsed and checked once (docs/guard-ipv6.md, Options). */
import { UNKNOWN_MAC } from "../wire/address.ts";
import { isLinkLocalAddress, isMulticast, parseIPv6 } from "../wire/ipv6-address.ts";
import { maskPrefix } from "../wire/router-options.ts";
import { A_MAC, optional, parseCardMac, required } from "./option-values.ts";
import type { GuardOptions } from "./types.ts";

/** Addresses are bigints (wire/ipv6-address.ts), undefined = not known; the MAC has 48 bits, or is UNKNOWN_MAC. */
export interface IPv6Settings {
  readonly router: bigint | undefined;
  readonly routerMac: number;
  /** A prefix of 64 bits. */
  readonly prefix: bigint | undefined;
  readonly hostAddresses: readonly bigint[];
  readonly address: bigint | undefined;
}

/** Throws OptionError when an option is wrong; undefined where IPv6 is off. */
export function ipv6Settings(options: GuardOptions): IPv6Settings | undefined {
  const router = optional("IPv6 router", options.router6, parseLinkLocal, "a link-local address such as fe80::1");
  const routerMac = optional("IPv6 router's MAC address", options.router6MacAddress, parseCardMac, A_MAC);
  const prefix = optional("IPv6 prefix", options.prefix6, parsePrefix, "a CIDR of 64 bits such as fd00:1:2:3::/64");
  const hostAddresses = (options.hostAddresses6 ?? []).map((text) =>
    required("IPv6 router's address", text, parseUnicast, "an IPv6 address such as 2001:db8::1"),
  );
  const address = optional("VM's IPv6 address", options.address6, parseRouted, "an address such as 2001:db8::5");
  if (options.ipv6 !== true) return undefined;
  return { router, routerMac: routerMac ?? UNKNOWN_MAC, prefix, hostAddresses, address };
}

/** In fe80::/64, with an interface identifier. */
function parseLinkLocal(text: string): bigint | undefined {
  const address = parseIPv6(text);
  if (address === undefined || address >> 64n !== 0xfe80000000000000n) return undefined;
  return (address & 0xffffffffffffffffn) === 0n ? undefined : address;
}

/** Neither unspecified, loopback, mapped from IPv4 nor multicast. */
function parseUnicast(text: string): bigint | undefined {
  const address = parseIPv6(text);
  if (address === undefined || address <= 1n || address >> 32n === 0xffffn || isMulticast(address)) {
    return undefined;
  }
  return address;
}

/** The same, and not link-local. */
function parseRouted(text: string): bigint | undefined {
  const address = parseUnicast(text);
  return address === undefined || isLinkLocalAddress(address) ? undefined : address;
}

function parsePrefix(text: string): bigint | undefined {
  const match = /^([^/]+)\/64$/.exec(text);
  const address = match ? parseRouted(match[1]!) : undefined;
  return address === undefined ? undefined : maskPrefix(address, 64);
}
