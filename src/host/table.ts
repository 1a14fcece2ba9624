/**
 * The nftables rules of all VMs with a network of their own, as commands for nft(8). One table serves them all, and what
 * is different from VM to VM is elements of its sets: a packet of the host's meets the same few rules however many VMs
 * there are. The table has an owner (`flags owner`): no other program can change it, and `nft flush ruleset` leaves it alone.
 *
 *   arrival      before everything else: what comes from a VM's TAP has that VM's address, is IPv4 and does not go to
 *                0.0.0.0/8 or 127.0.0.0/8; what has a VM's address does not come from anywhere else
 *   begun        behind connection tracking: how many connections a VM may begin, have, and have with one other end
 *   input        from a VM the host takes what goes to that VM's gateway, to another address of the host's that a rule of
 *                the user's allows or that is the VM's DNS server, and answers. With ports exposed and the gateway closed by a rule: of what comes from
 *                their own numbers to the gateway only answers to clients that were led to the VM
 *   forward      from a VM: tracked connections only, since what is not tracked is not translated; not to other VMs
 *                behind softnet unless a rule of the user's allows them. To a VM: answers, exposed ports and allowed
 *                VMs. On a network of type host: nothing
 *   translate    a VM's traffic leaves under the host's address, from a port of a range where no service is expected;
 *                clients of an exposed port that the VM may not send to appear to it as the gateway
 *   leaving      behind every translation: what still has a VM's address, or has got the port of a service of the
 *                host's, goes nowhere
 *   expose_*     the host's ports lead to the VMs, for others (prerouting) and for the host itself (output)
 *
 * A VM with IPv6 (table6.ts) has a /64 of its own where it has one address in IPv4, so its IPv6 is counted by its TAP.
 */
import type { Range } from "../policy/reachable.ts";
import { formatIPv4 } from "../wire/address.ts";
import {
  COUNTED6,
  changingElements6,
  FROM_PREFIX,
  FROM_TAP6,
  fixedElements6,
  MAPS6,
  SETS6,
  TO_HOST6,
} from "./table6.ts";
import type { Changing, Elements, Named, Vm } from "./vm.ts";

const FAMILY = "inet";
/** Names of the table, in the order in which they are tried: softnets of a helper that was killed keep theirs. */
export const TABLE_NAMES: readonly string[] = [
  "softnet",
  ...Array.from({ length: 99 }, (_, index) => `softnet_${index + 2}`),
];

/**
 * Ports that a VM's connections leave the host from: the dynamic ones of RFC 6335. The lower ones are where services
 * listen; of these 16,384 those that one listens on are left out one by one (`services`).
 */
const NAT_PORTS = "49152-65535";
export const FIRST_NAT_PORT = 49_152;

/** New connections of a VM: a second, and at once. Closed ones stay in the host's table for two minutes more. */
const NEW_A_SECOND = 100;
const NEW_AT_ONCE = 2000;
/** Connections of a VM with one port of one address, which share the NAT_PORTS with those of other VMs. */
const WITH_ONE_END = 1024;
/** Connections that a VM may have where the user does not say. */
export const DEFAULT_CONNECTIONS = 4096;

/**
 * Matches the packet that makes an entry in the connection table: the entry is not confirmed before the packet has passed
 * every chain. `ct state new` matches each packet of a flow that nobody replies to, as one-way UDP is.
 */
const MAKES_ENTRY = "ct status & confirmed == 0";

const NOWHERE = "{ 0.0.0.0/8, 127.0.0.0/8 }";
/** Behind every translation (NF_IP_PRI_NAT_SRC is 100). */
const LAST = 300;

const SETS: readonly Named[] = [
  { name: "taps", type: "ifname" },
  { name: "nat", type: "ifname" },
  { name: "vms", type: "ifname . ipv4_addr" },
  { name: "addresses", type: "ipv4_addr" },
  // By the VM's TAP: addresses of others, as policy/reachable.ts says.
  { name: "allowed", type: "ifname . ipv4_addr", flags: "interval" },
  { name: "answerable", type: "ifname . ipv4_addr", flags: "interval" },
  { name: "closed", type: "ifname . ipv4_addr . inet_service" },
  { name: "dns", type: "ifname . ipv4_addr" },
  { name: "external", type: "inet_service" },
  { name: "services", type: "inet_proto . inet_service" },
  ...SETS6,
];

const MAPS: readonly Named[] = [
  { name: "limits", type: "ifname : verdict" },
  { name: "gateways", type: "ifname : ipv4_addr" },
  { name: "exposed", type: "inet_service : ipv4_addr . inet_service" },
  ...MAPS6,
];

/** Counted by the kernel as packets come; an entry goes with its last connection. */
const COUNTED: readonly Named[] = [
  { name: "rates", type: "ipv4_addr" },
  { name: "connections", type: "ipv4_addr" },
  { name: "clients", type: "ipv4_addr" },
  { name: "ends", type: "ipv4_addr . ipv4_addr . inet_service" },
  ...COUNTED6,
];
const MOST_COUNTED = 65_535;

/** Base chains: hook and priority. */
const BASE: Readonly<Record<string, string>> = {
  arrival: "filter hook prerouting priority -300",
  begun: "filter hook prerouting priority -150",
  input: "filter hook input priority 0",
  forward: "filter hook forward priority 0",
  translate: "nat hook postrouting priority 90",
  leaving: `filter hook postrouting priority ${LAST}`,
  expose_to_others: "nat hook prerouting priority -100",
  expose_to_host: "nat hook output priority -100",
};

const LEADS_TO_VM = "fib daddr type local meta l4proto tcp dnat ip to tcp dport map @exposed";
/** But not under ::1: the kernel takes no answer to it from another interface. It refuses, and clients try 127.0.0.1. */
const LEADS_TO_VM6 = "ip6 daddr != ::1 fib daddr type local meta l4proto tcp dnat ip6 to tcp dport map @exposed6";

/** Chains with their rules, those that others jump to first. */
const CHAINS: Readonly<Record<string, readonly string[]>> = {
  from_tap6: FROM_TAP6,
  from_tap: [
    "iifname . ip saddr != @vms drop",
    "meta nfproto ipv6 goto from_tap6",
    "meta nfproto != ipv4 drop",
    `ip daddr ${NOWHERE} drop`,
  ],
  arrival: ["iifname @taps goto from_tap", "ip saddr @addresses drop", `iifname != "lo" ip6 saddr @prefixes drop`],
  begins: [
    `add @rates { ip saddr limit rate over ${NEW_A_SECOND}/second burst ${NEW_AT_ONCE} packets } drop`,
    `meta l4proto { tcp, udp } add @ends { ip saddr . ip daddr . th dport ct count over ${WITH_ONE_END} } drop`,
    `meta nfproto ipv6 add @rates6 { iifname limit rate over ${NEW_A_SECOND}/second burst ${NEW_AT_ONCE} packets } drop`,
    `meta l4proto { tcp, udp } add @ends6 { iifname . ip6 daddr . th dport ct count over ${WITH_ONE_END} } drop`,
    "iifname vmap @limits",
  ],
  begun: [`iifname @taps ${MAKES_ENTRY} jump begins`],
  // Accepted first and dropped then: what is not tracked has no status, and matches no rule about one.
  to_host: [
    "ct direction reply ct status dnat accept",
    "iifname . ip daddr . tcp sport @closed drop",
    "iifname . ip6 daddr . tcp sport @closed6 drop",
    "ip daddr 127.0.0.0/8 ct direction original drop",
    "ct state invalid drop",
    "ct direction reply accept",
    "fib daddr . iif type local accept",
    "iifname . ip daddr @allowed accept",
    "iifname . ip daddr @dns meta l4proto { tcp, udp } th dport 53 accept",
    ...TO_HOST6,
    "drop",
  ],
  input: ["iifname @taps goto to_host"],
  from_vm: [
    "iifname != @nat drop",
    `ip daddr ${NOWHERE} drop`,
    "ct state invalid,untracked drop",
    "oifname @taps iifname . ip daddr != @allowed drop",
    "oifname @taps iifname . ip6 daddr != @allowed6 drop",
  ],
  to_vm: [
    "oifname . ip daddr != @vms drop",
    "oifname . ip6 daddr != @vms6 drop",
    "oifname != @nat drop",
    "iifname @taps oifname . ip saddr != @allowed drop",
    "iifname @taps oifname . ip6 saddr != @allowed6 drop",
    "ct state established,related accept",
    "iifname @taps ct state new accept",
    `${MAKES_ENTRY} add @clients { ip daddr ct count over ${DEFAULT_CONNECTIONS} } drop`,
    `meta nfproto ipv6 ${MAKES_ENTRY} add @clients6 { oifname ct count over ${DEFAULT_CONNECTIONS} } drop`,
    "meta l4proto tcp ct status dnat ct original proto-dst @external accept",
    "drop",
  ],
  forward: ["iifname @taps jump from_vm", "oifname @taps goto to_vm"],
  translate: [
    `ip saddr @addresses oifname != @taps meta l4proto { tcp, udp } masquerade to :${NAT_PORTS} fully-random`,
    "ip saddr @addresses oifname != @taps masquerade",
    "oifname @taps ct status dnat oifname . ip saddr != @answerable snat ip to oifname map @gateways",
    `${FROM_PREFIX} meta l4proto { tcp, udp } masquerade to :${NAT_PORTS} fully-random`,
    `${FROM_PREFIX} masquerade`,
    "oifname @taps ct status dnat oifname . ip6 saddr != @answerable6 snat ip6 to oifname map @gateways6",
  ],
  leaving: [
    "ip saddr @addresses oifname != @taps drop",
    `${FROM_PREFIX} drop`,
    `iifname @taps ${MAKES_ENTRY} meta l4proto . th sport @services drop`,
  ],
  expose_to_others: [`iifname != @taps ${LEADS_TO_VM}`, `iifname != @taps ${LEADS_TO_VM6}`],
  expose_to_host: [LEADS_TO_VM, LEADS_TO_VM6],
};

/** The table without a VM. `name` is one of TABLE_NAMES, here and below. */
export function tableCommands(name: string): string[] {
  const table = `${FAMILY} ${name}`;
  const declare = (kind: "set" | "map", { name, type, flags }: Named): string =>
    `add ${kind} ${table} ${name} { type ${type}; ${flags === undefined ? "" : `flags ${flags}; `}}`;
  return [
    `create table ${table} { flags owner; }`,
    ...SETS.map((set) => declare("set", set)),
    ...MAPS.map((map) => declare("map", map)),
    ...COUNTED.map(
      ({ name, type }) => `add set ${table} ${name} { type ${type}; size ${MOST_COUNTED}; flags dynamic; }`,
    ),
    ...Object.entries(CHAINS).flatMap(([name, rules]) => [
      `add chain ${table} ${name}${BASE[name] === undefined ? "" : ` { type ${BASE[name]}; policy accept; }`}`,
      ...rules.map((rule) => `add rule ${table} ${name} ${rule}`),
    ]),
  ];
}

function fixedElements(one: Vm): Elements {
  const { tap, address, gateway, nat, exposures, connections } = one;
  const own = `"${tap}"`;
  const vm = formatIPv4(address);
  return {
    vms: [`${own} . ${vm}`],
    addresses: [vm],
    nat: nat ? [own] : [],
    limits: [`${own} : jump ${limitChain(connections)}`],
    gateways: [`${own} : ${formatIPv4(gateway)}`],
    external: exposures.map(([external]) => String(external)),
    exposed: exposures.map(([external, internal]) => `${external} : ${vm} . ${internal}`),
    ...fixedElements6(one),
    // Last: with it the rules apply. They are one transaction all the same.
    taps: [own],
  };
}

function changingElements(vm: Vm, { reach, reach6, address6 }: Changing): Elements {
  const { tap, exposures } = vm;
  const { allowed, answerable, closed, dns } = reach;
  const own = `"${tap}"`;
  const internal = [...new Set(exposures.map(([, port]) => port))];
  return {
    allowed: allowed.map((range) => `${own} . ${rangeText(range)}`),
    answerable: answerable.map((range) => `${own} . ${rangeText(range)}`),
    dns: [...new Set(dns.map(([address]) => `${own} . ${formatIPv4(address)}`))],
    closed: closed.flatMap(([address]) => internal.map((port) => `${own} . ${formatIPv4(address)} . ${port}`)),
    ...changingElements6(vm, reach6, address6),
  };
}

/** Adds a VM. */
export function addVm(name: string, vm: Vm, changing: Changing): string[] {
  const table = `${FAMILY} ${name}`;
  const limit = limitChain(vm.connections);
  return [
    `add chain ${table} ${limit}`,
    `flush chain ${table} ${limit}`,
    `add rule ${table} ${limit} add @connections { ip saddr ct count over ${vm.connections} } drop`,
    `add rule ${table} ${limit} meta nfproto ipv6 add @connections6 { iifname ct count over ${vm.connections} } drop`,
    ...change(name, "add", { ...changingElements(vm, changing), ...fixedElements(vm) }),
  ];
}

/** Removes a VM: to be called when its TAP is gone. `changing` as it was last. */
export function removeVm(name: string, vm: Vm, changing: Changing): string[] {
  return change(name, "delete", { ...fixedElements(vm), ...changingElements(vm, changing) });
}

/** Other reach for a VM, or another address, all at once. */
export function changeVm(name: string, vm: Vm, before: Changing, after: Changing): string[] {
  return [...change(name, "delete", changingElements(vm, before)), ...change(name, "add", changingElements(vm, after))];
}

/** What the host's own services listen on, among the ports of NAT: as nft writes them, `tcp . 51820`. */
export function setServices(name: string, services: readonly string[]): string[] {
  return [`flush set ${FAMILY} ${name} services`, ...change(name, "add", { services })];
}

function change(name: string, verb: "add" | "delete", elements: Elements): string[] {
  return Object.entries(elements).flatMap(([set, values]) =>
    values.length === 0 ? [] : [`${verb} element ${FAMILY} ${name} ${set} { ${values.join(", ")} }`],
  );
}

function limitChain(connections: number): string {
  return `at_most_${connections}`;
}

function rangeText([first, last]: Range): string {
  return first === last ? formatIPv4(first) : `${formatIPv4(first)}-${formatIPv4(last)}`;
}
