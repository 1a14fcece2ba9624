/** A guard's options for IPv6, parsed and checked once (docs/guard-ipv6.md, Options). */
import { type ErrorCode, OptionError } from "../user-error.ts";
import { isGroupMac, parseMac } from "../wire/address.ts";
import { parseIPv6 } from "../wire/ipv6-address.ts";
import { maskPrefix } from "../wire/router-options.ts";
import { UNKNOWN_MAC } from "./ipv4/gateway-watch.ts";
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

const A_MAC = "six hexadecimal bytes such as 02:00:00:00:00:01, of one network card";

function parseCardMac(text: string): number | undefined {
  const mac = parseMac(text);
  return mac === undefined || mac === 0 || isGroupMac(mac) ? undefined : mac;
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
  if (address === undefined || address <= 1n || address >> 32n === 0xffffn || address >> 120n === 0xffn) {
    return undefined;
  }
  return address;
}

/** The same, and not link-local. */
function parseRouted(text: string): bigint | undefined {
  const address = parseUnicast(text);
  return address === undefined || address >> 118n === 0x3fan ? undefined : address;
}

function parsePrefix(text: string): bigint | undefined {
  const match = /^([^/]+)\/64$/.exec(text);
  const address = match ? parseRouted(match[1]!) : undefined;
  return address === undefined ? undefined : maskPrefix(address, 64);
}

/** What an option is called in a message, and the code of its error. */
const OPTION_ERRORS = {
  "IPv6 router": "SOFTNET_ERR_ROUTER6",
  "IPv6 router's MAC address": "SOFTNET_ERR_ROUTER6_MAC_ADDRESS",
  "IPv6 prefix": "SOFTNET_ERR_PREFIX6",
  "IPv6 router's address": "SOFTNET_ERR_HOST_ADDRESS6",
  "VM's IPv6 address": "SOFTNET_ERR_ADDRESS6",
} as const satisfies Record<string, ErrorCode>;

type OptionName = keyof typeof OPTION_ERRORS;

function required<T>(what: OptionName, text: string, parse: (text: string) => T | undefined, wanted: string): T {
  const value = parse(text);
  if (value !== undefined) return value;
  throw new OptionError(OPTION_ERRORS[what], `the ${what} ${JSON.stringify(text)} is not valid: give ${wanted}`);
}

function optional<T>(
  what: OptionName,
  text: string | undefined,
  parse: (text: string) => T | undefined,
  wanted: string,
): T | undefined {
  return text === undefined ? undefined : required(what, text, parse, wanted);
}
