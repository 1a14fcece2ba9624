/** Parsing a guard's options, of both address families: what an option is called in a message, and the code of its error. */
import { type ErrorCode, OptionError } from "../user-error.ts";
import { isGroupMac, parseMac } from "../wire/address.ts";

const OPTION_ERRORS = {
  "MAC address": "SOFTNET_ERR_MAC_ADDRESS",
  gateway: "SOFTNET_ERR_GATEWAY",
  "gateway's MAC address": "SOFTNET_ERR_GATEWAY_MAC_ADDRESS",
  subnet: "SOFTNET_ERR_SUBNET",
  "VM's address": "SOFTNET_ERR_ADDRESS",
  "DHCP server": "SOFTNET_ERR_DHCP_SERVER",
  "DHCP server's MAC address": "SOFTNET_ERR_DHCP_SERVER_MAC_ADDRESS",
  "VM's host name": "SOFTNET_ERR_HOSTNAME",
  "IPv6 router": "SOFTNET_ERR_ROUTER6",
  "IPv6 router's MAC address": "SOFTNET_ERR_ROUTER6_MAC_ADDRESS",
  "IPv6 prefix": "SOFTNET_ERR_PREFIX6",
  "IPv6 router's address": "SOFTNET_ERR_HOST_ADDRESS6",
  "VM's IPv6 address": "SOFTNET_ERR_ADDRESS6",
} as const satisfies Record<string, ErrorCode>;

type OptionName = keyof typeof OPTION_ERRORS;

/** Throws OptionError for what `parse` returns undefined for; `wanted`: what to give instead. */
export function required<T>(what: OptionName, text: string, parse: (text: string) => T | undefined, wanted: string): T {
  const value = parse(text);
  if (value !== undefined) return value;
  throw new OptionError(OPTION_ERRORS[what], `the ${what} ${JSON.stringify(text)} is not valid: give ${wanted}`);
}

/** The same of an option that may be left out. */
export function optional<T>(
  what: OptionName,
  text: string | undefined,
  parse: (text: string) => T | undefined,
  wanted: string,
): T | undefined {
  return text === undefined ? undefined : required(what, text, parse, wanted);
}

export const A_MAC = "six hexadecimal bytes such as 02:00:00:00:00:01, of one network card";

/** A MAC address that a network card may have. */
export function parseCardMac(text: string): number | undefined {
  const mac = parseMac(text);
  return mac === undefined || mac === 0 || isGroupMac(mac) ? undefined : mac;
}
