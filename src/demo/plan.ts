/**
 * The addresses and names of the demo's machines. The Internet is a namespace with a globally routable address and no
 * connection to any real network.
 */
import { parseIPv4, parseMac } from "../wire/address.ts";
import { parseIPv6 } from "../wire/ipv6-address.ts";

export const BRIDGE = "br0";
/** The host's card on the bridge: gateway, DHCP server and DNS server of the guests. */
export const GATEWAY = "192.168.64.1";
export const GATEWAY_MAC = "02:00:00:00:64:01";
export const PREFIX_LENGTH = 24;
export const NETMASK = "255.255.255.0";
/** The DHCP server's pool: small, so that draining it is quick. */
export const POOL_FIRST = "192.168.64.100";
export const POOL_SIZE = 16;
export const LEASE_SECONDS = 600;
/** A machine on the same bridge that guests must not reach. */
export const NEIGHBOUR = "192.168.64.9";
export const NEIGHBOUR_PAGE = "salaries, confidential";

/** A page on Alice's machine that only the host may read. */
export const ALICE_PAGE = "Alice's diary";

export const INTERNET = "9.9.9.9";
/** What the host's DNS server knows. */
export const BANK_NAME = "bank.example";
export const BANK_PORT = 9000;
export const MAIL_PORT = 9001;
/** Where the host has a service for its own programs only. */
export const LOOPBACK = "127.0.0.1";
export const LOOPBACK_PORT = 9002;
/** Between host and Internet. */
export const UPLINK_HOST = "100.64.0.1";
export const UPLINK_INTERNET = "100.64.0.2";
export const UPLINK_INTERNET_MAC = "02:00:00:00:09:09";
export const UPLINK_HOST_MAC = "02:00:00:00:09:01";

export const ALICE_MAC = "7e:1a:00:00:00:0a";
export const MALLORY_MAC = "7e:1a:00:00:00:0b";

/** IPv6: the host is the router, and has these addresses on the bridge. */
export const ROUTER6 = "fe80::1";
export const DNS6 = "fd00:64::1";
/** Advertised for addresses: /64. */
export const PREFIX6 = "fd00:64::";
export const INTERNET6 = "2620:fe::9";
export const UPLINK_HOST6 = "fd00:9::1";
export const UPLINK_INTERNET6 = "fd00:9::2";

/** What the job with a list may reach: a package registry, and where that keeps its files. */
export const REGISTRY_NAME = "registry.example";
export const FILES_NAME = "files.example";
/** Another customer of the same servers, who takes what he gets. */
export const PASTE_NAME = "paste.example";
/** What the DNS servers know: all on the same machine. */
export const NAMES: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  [BANK_NAME, REGISTRY_NAME, FILES_NAME, PASTE_NAME].map((name) => [name, [INTERNET, INTERNET6]]),
);
/** A machine of the Internet that no name leads to, with a resolver. */
export const STRANGER = "9.9.9.10";
export const STRANGER6 = "2620:fe::10";

/** An IPv6 address as a number of 128 bits. */
export function ipv6(text: string): bigint {
  const address = parseIPv6(text);
  if (address === undefined) throw new Error(`not an IPv6 address: ${text}`);
  return address;
}

/** The link-local address that a card's address makes (RFC 4291, appendix A). */
export function linkLocalOf(text: string): bigint {
  const address = BigInt(mac(text));
  const identifier = ((address >> 24n) << 40n) | 0xfffe000000n | (address & 0xffffffn);
  return (0xfe80n << 112n) | (identifier ^ (2n << 56n));
}

/** An IPv4 address as a number in host order. */
export function ipv4(text: string): number {
  const address = parseIPv4(text);
  if (address === undefined) throw new Error(`not an IPv4 address: ${text}`);
  return address;
}

/** A MAC address as a number. */
export function mac(text: string): number {
  const address = parseMac(text);
  if (address === undefined) throw new Error(`not a MAC address: ${text}`);
  return address;
}
