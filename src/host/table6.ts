/** The IPv6 half of the VMs' table (table.ts): what differs from IPv4, rules and elements. */
import type { Range6, Reachable6 } from "../policy/reachable6.ts";
import { formatIPv6 } from "../wire/ipv6-address.ts";
import { formatPrefix, routerOf } from "./prefix.ts";
import type { Elements, Named, Vm } from "./vm.ts";

export const SETS6: readonly Named[] = [
  { name: "taps6", type: "ifname" },
  { name: "vms6", type: "ifname . ipv6_addr", flags: "interval" },
  { name: "prefixes", type: "ipv6_addr", flags: "interval" },
  { name: "allowed6", type: "ifname . ipv6_addr", flags: "interval" },
  { name: "answerable6", type: "ifname . ipv6_addr", flags: "interval" },
  { name: "closed6", type: "ifname . ipv6_addr . inet_service" },
  { name: "dns6", type: "ifname . ipv6_addr" },
];

export const MAPS6: readonly Named[] = [
  { name: "gateways6", type: "ifname : ipv6_addr" },
  { name: "exposed6", type: "inet_service : ipv6_addr . inet_service" },
];

export const COUNTED6: readonly Named[] = [
  { name: "rates6", type: "ifname" },
  { name: "connections6", type: "ifname" },
  { name: "clients6", type: "ifname" },
  { name: "ends6", type: "ifname . ipv6_addr . inet_service" },
];

/** A host that takes ::ffff:127.0.0.1 off the wire reaches itself. */
const NOWHERE6 = "{ ::, ::1, ::ffff:0:0/96 }";
/** What a VM sends before it has an address (RFC 4862 5.4, RFC 4861 6.3.7, RFC 3810 5.2.13, RFC 3590). */
const WITHOUT_ADDRESS = "{ nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld2-listener-report }";

/**
 * From a TAP: addresses of the VM's /64 but the host's own there, which the kernel would take from anybody; link-local ones for
 * the link alone. What is sent from :: before there is an address goes no further than to the host.
 */
export const FROM_TAP6: readonly string[] = [
  "iifname != @taps6 drop",
  `ip6 daddr ${NOWHERE6} drop`,
  `ip6 saddr :: icmpv6 type ${WITHOUT_ADDRESS} accept`,
  "fib saddr . iif type local drop",
  "ip6 saddr fe80::/64 ip6 daddr { fe80::/64, ff02::/16 } accept",
  "iifname . ip6 saddr != @vms6 drop",
];

/** To the host, behind what is for both families: the VM's neighbour discovery, and addresses other than the TAP's. */
export const TO_HOST6: readonly string[] = [
  "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
  "iifname . ip6 daddr @allowed6 accept",
  "iifname . ip6 daddr @dns6 meta l4proto { tcp, udp } th dport 53 accept",
];

/** From a VM's prefix to elsewhere. The host's own address in it speaks to the host itself, too. */
export const FROM_PREFIX = `ip6 saddr @prefixes oifname != @taps oifname != "lo"`;

export function fixedElements6({ tap, prefix }: Vm): Elements {
  if (prefix === undefined) return {};
  const own = `"${tap}"`;
  const text = formatPrefix(prefix);
  return {
    vms6: [`${own} . ${text}`],
    prefixes: [text],
    gateways6: [`${own} : ${formatIPv6(routerOf(prefix))}`],
    taps6: [own],
  };
}

export function changingElements6(
  { tap, exposures, prefix }: Vm,
  reach: Reachable6 | undefined,
  address: bigint | undefined,
): Elements {
  if (prefix === undefined || reach === undefined) return {};
  const own = `"${tap}"`;
  const vm = address === undefined ? undefined : formatIPv6(address);
  const internal = [...new Set(exposures.map(([, port]) => port))];
  const ranges = (list: readonly Range6[]): string[] => list.map((range) => `${own} . ${rangeText(range)}`);
  return {
    allowed6: ranges(reach.allowed),
    answerable6: ranges(reach.answerable),
    dns6: [...new Set(reach.dns.map(([server]) => `${own} . ${formatIPv6(server)}`))],
    closed6: reach.closed.flatMap(([router]) => internal.map((port) => `${own} . ${formatIPv6(router)} . ${port}`)),
    exposed6: vm === undefined ? [] : exposures.map(([external, port]) => `${external} : ${vm} . ${port}`),
  };
}

function rangeText([first, last]: Range6): string {
  return first === last ? formatIPv6(first) : `${formatIPv6(first)}-${formatIPv6(last)}`;
}
