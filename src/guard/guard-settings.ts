/** A guard's options, parsed and checked once. */
import { checkFamilies } from "../policy/families.ts";
import { completePolicy, parseOnly } from "../policy/only.ts";
import { type Cidr, checkRuleCount, netmaskOf, parseCidr, parseRules, type Rule } from "../policy/rule.ts";
import { OptionError } from "../user-error.ts";
import { isGroupMac, isHostAddress, parseIPv4, parseMac, UNKNOWN_MAC } from "../wire/address.ts";
import { parseHostname } from "../wire/dhcp-names.ts";
import { ETHERNET_HEADER } from "../wire/ethernet.ts";
import { ExposedPorts } from "./exposed-ports.ts";
import { A_MAC, optional, parseCardMac, required } from "./option-values.ts";
import type { GuardOptions } from "./types.ts";

const DEFAULT_MTU = 1500;
const SMALLEST_MTU = 68;
const LARGEST_MTU = 65_521;

/** Addresses are numbers in host order, MAC addresses 48 bits (wire/address.ts); 0 and UNKNOWN_MAC = not known. */
export interface GuardSettings {
  readonly mac: number;
  /** Bytes. */
  readonly longestFrame: number;
  /** Without those that they imply (policy/families.ts). */
  readonly rules: readonly Rule[];
  readonly ipv6: boolean;
  readonly live: boolean;
  readonly reject: boolean;
  readonly ask: boolean;
  readonly exposed: ExposedPorts;
  readonly gateway: number;
  readonly gatewayMac: number;
  readonly subnet: Cidr | undefined;
  /** Of `subnet`; 0 = not known. */
  readonly netmask: number;
  readonly address: number;
  readonly dhcpServer: number;
  readonly dhcpServerMac: number;
  readonly hostname: string | undefined;
}

/** Throws OptionError when an option is wrong. */
export function guardSettings(options: GuardOptions): GuardSettings {
  const mac = required("MAC address", options.macAddress, parseMac, "six hexadecimal bytes such as 7e:1a:00:00:00:01");
  if (mac === 0 || isGroupMac(mac)) {
    throw new OptionError(
      "SOFTNET_ERR_MAC_ADDRESS",
      `the MAC address ${options.macAddress} cannot be a network card's: give a unicast one`,
    );
  }
  const mtu = options.mtu ?? DEFAULT_MTU;
  if (!Number.isInteger(mtu) || mtu < SMALLEST_MTU || mtu > LARGEST_MTU) {
    throw new OptionError(
      "SOFTNET_ERR_MTU",
      `the MTU ${mtu} is out of range: give ${SMALLEST_MTU} to ${LARGEST_MTU} bytes`,
    );
  }
  const given = [...parseRules(options.allow ?? [], options.block ?? []), ...(options.rules ?? [])];
  const only = options.only === undefined ? [] : parseOnly(options.only);
  const rules = completePolicy({ rules: given, only });
  checkRuleCount(rules.length);
  const ipv6 = options.ipv6 ?? false;
  checkFamilies(rules, ipv6);
  const exposed = new ExposedPorts(options.exposedPorts ?? []);
  const gateway = optional("gateway", options.gateway, parseHost, A_HOST) ?? 0;
  const gatewayMac = optional("gateway's MAC address", options.gatewayMacAddress, parseCardMac, A_MAC);
  const subnet = optional("subnet", options.subnet, parseCidr, "an IPv4 CIDR such as 192.168.64.0/24");
  const address = optional("VM's address", options.address, parseHost, A_HOST) ?? 0;
  const dhcpServer = optional("DHCP server", options.dhcpServer, parseHost, A_HOST) ?? 0;
  const dhcpServerMac = optional("DHCP server's MAC address", options.dhcpServerMacAddress, parseCardMac, A_MAC);
  const aName = "a name such as web1 or web1.example.com";
  return {
    mac,
    longestFrame: mtu + ETHERNET_HEADER,
    rules,
    ipv6,
    live: options.live ?? false,
    reject: options.reject ?? false,
    ask: options.ask ?? false,
    exposed,
    gateway,
    gatewayMac: gatewayMac ?? UNKNOWN_MAC,
    subnet,
    netmask: subnet ? netmaskOf(subnet.length) : 0,
    address,
    dhcpServer,
    dhcpServerMac: dhcpServerMac ?? UNKNOWN_MAC,
    hostname: optional("VM's host name", options.hostname, parseHostname, aName),
  };
}

const A_HOST = "an IPv4 address such as 192.168.64.1";

function parseHost(text: string): number | undefined {
  const address = parseIPv4(text);
  return address !== undefined && isHostAddress(address) ? address : undefined;
}
