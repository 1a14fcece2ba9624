/**
 * What of a subnet is the host's own, so that a VM which an ordinary user starts must not have it: the user would take
 * traffic that is meant for somebody else. Pure, but for reading the host.
 *
 * What the host cannot know of is a machine somewhere behind its default route that has a private address: a user who may
 * choose his subnet can hide it from this host's programs. So can the random choice; it is that host's network's fault
 * then, and none of the addresses that this host is known to use.
 */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readHostState } from "../../host/host-state.ts";
import { findIp, ipJson } from "../../host/iproute2.ts";
import { type HostState, PRIVATE } from "../../host/subnet.ts";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { type Cidr, covers, formatCidr, lastOf, parseCidr } from "../../policy/rule.ts";
import { PROGRAM_TIMEOUT } from "../../system-program.ts";
import { formatIPv4, parseIPv4 } from "../../wire/address.ts";
import { nameservers } from "./resolvers.ts";

/** A default route, and the halves of one that VPNs lay over it, say nothing about an address. */
const LONGEST_DEFAULT = 1;

/** Where programs of this host find its DNS servers (resolv.conf(5)), also those that a stub asks. */
const RESOLVER_FILES = [
  "/etc/resolv.conf",
  "/run/systemd/resolve/resolv.conf",
  "/run/NetworkManager/no-stub-resolv.conf",
  "/run/dnsmasq/resolv.conf",
];

export interface HostsOwn extends HostState {
  /** Gateways of its routes, wherever they are. */
  readonly gateways: readonly number[];
  /** Its DNS servers. */
  readonly resolvers: readonly number[];
  /** What IPsec policies lead into tunnels, without a route (ip-xfrm(8)). */
  readonly tunnels: readonly Cidr[];
}

interface Hop {
  readonly gateway?: string;
  readonly via?: { readonly host?: string };
}

interface Route extends Hop {
  readonly nexthops?: readonly Hop[];
}

/** Reads the host. Throws UserError when `ip` is missing or fails. */
export function readHostsOwn(libc: LinuxLibc): HostsOwn {
  const ip = findIp();
  return {
    // Other softnets' networks are told of when this one is chosen (host/choose.ts).
    ...readHostState(libc, (link) => link.startsWith("softnet")),
    gateways: gatewaysOf(ipJson<Route>(ip, ["-4", "route", "show", "table", "all"])),
    resolvers: RESOLVER_FILES.flatMap((path) => addresses(nameservers(readOrNothing(path)))),
    tunnels: tunnelsOf(xfrmPolicies(ip)),
  };
}

/** Empty where the kernel has no IPsec. `ip` prints policies as text only. */
function xfrmPolicies(ip: string): string {
  const { status, stdout } = spawnSync(ip, ["xfrm", "policy", "list"], {
    env: {},
    encoding: "utf8",
    timeout: PROGRAM_TIMEOUT,
  });
  return status === 0 ? stdout : "";
}

/** Pure: both ends of each policy, `src 10.1.0.0/16 dst 10.2.0.0/16`, but those that mean every address. */
export function tunnelsOf(text: string): Cidr[] {
  return [...text.matchAll(/^src (\S+) dst (\S+)/gm)]
    .flatMap(([, source, destination]) => [parseCidr(source!) ?? [], parseCidr(destination!) ?? []])
    .flat()
    .filter(({ length }) => length > LONGEST_DEFAULT);
}

/** Pure: the IPv4 gateways of routes, also of those with several. */
export function gatewaysOf(routes: readonly Route[]): number[] {
  const hops = routes.flatMap((route): readonly Hop[] => [route, ...(route.nexthops ?? [])]);
  return addresses(hops.flatMap(({ gateway, via }) => gateway ?? via?.host ?? []));
}

/** The addresses that no VM may have, whoever starts it: for the random choice too. */
export function knownAddresses({ gateways, resolvers }: HostsOwn): number[] {
  return [...new Set([...gateways, ...resolvers])];
}

/** Why an ordinary user may not have this subnet without a line of root's; undefined when he may. */
export function hostsOwnIn(subnet: Cidr, host: HostsOwn): string | undefined {
  if (!PRIVATE.some((space) => covers(space, subnet.address) && covers(space, lastOf(subnet)))) {
    return "is not private (RFC 1918)";
  }
  const routes = [...host.routes, ...host.tunnels].filter(({ length }) => length > LONGEST_DEFAULT);
  const overlap = [...host.networks, ...routes].find(
    (each) => covers(each, subnet.address) || covers(subnet, each.address),
  );
  if (overlap !== undefined) return `overlaps ${formatCidr(overlap)}, which this host has an address in or a route to`;
  const within = (address: number): boolean => covers(subnet, address);
  const resolver = host.resolvers.find(within);
  if (resolver !== undefined) return `contains ${formatIPv4(resolver)}, a DNS server of this host's`;
  const gateway = host.gateways.find(within);
  if (gateway !== undefined) return `contains ${formatIPv4(gateway)}, a gateway of this host's`;
  return undefined;
}

function addresses(texts: readonly string[]): number[] {
  return texts.map(parseIPv4).filter((address) => address !== undefined);
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
