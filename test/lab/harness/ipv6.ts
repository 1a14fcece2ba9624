/**
 * The lab with IPv6: the bridge's host is a router, the internet has an address behind it, and the neighbour configures
 * itself by what the router advertises.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Guest, ping } from "./guest.ts";
import type { Namespace } from "./netns.ts";
import { type Program, until } from "./program.ts";
import { BRIDGE, type Cleanup, Lab, tool } from "./topology.ts";

/** The bridge's prefix, a /64. */
export const PREFIX = "2001:db8:77::";
/** The router's link-local address, made from BRIDGE_MAC (RFC 4291 appendix A). */
export const ROUTER = "fe80::77:ff:fe00:1";
/** A machine behind the router, globally routable; nothing in here has a way out. */
export const INTERNET6 = "2620:fe::fe";

/** Drops of what an ordinary guest sends and hears (a neighbour's router solicitation too), and of what it says before softnet knows its addresses. */
export const ORDINARY6: readonly string[] = [
  ...["policy.multicast", "ipv6.unbound", "ipv6.tentative", "ipv6.source", "icmpv6.type"],
];

const LINK = "2001:db8:1::";
const ON = { "net/ipv6/conf/all/disable_ipv6": "0", "net/ipv6/conf/default/disable_ipv6": "0" };

export function openLab6(t: Cleanup): Lab {
  const lab = Lab.open(t);
  addIpv6(lab);
  return lab;
}

/** Gives a lab its router and its addresses. */
export function addIpv6(lab: Lab): void {
  // No detection of duplicates at the router: it must be there before its guests.
  lab.host.sysctl({ "net/ipv6/conf/default/accept_dad": "0", [`net/ipv6/conf/${BRIDGE}/accept_dad`]: "0" });
  for (const namespace of [lab.host, lab.internet, lab.neighbour]) namespace.sysctl(ON);
  lab.host.sysctl({ "net/ipv6/conf/all/forwarding": "1" });
  lab.host.ipBatch([
    `address add ${PREFIX}1/64 dev ${BRIDGE} nodad`,
    `address add ${LINK}1/64 dev up0 nodad`,
    `route add ${INTERNET6}/128 via ${LINK}2`,
  ]);
  lab.internet.ipBatch([
    `address add ${LINK}2/64 dev up0 nodad`,
    `address add ${INTERNET6}/128 dev lo nodad`,
    `route add ${PREFIX}/64 via ${LINK}1`,
  ]);
}

/** Starts an HTTP server on the address behind the router. */
export async function serve6(lab: Lab): Promise<void> {
  await lab.start(lab.internet, process.execPath, [tool("services.ts"), "--http", INTERNET6]).line(/^ready$/);
}

/** `managed`: addresses are DHCPv6's alone, the prefix is on-link without SLAAC. */
export async function radvd(lab: Lab, managed = false): Promise<Program> {
  const config = join(lab.directory, "radvd.conf");
  writeFileSync(
    config,
    `interface ${BRIDGE} {\n AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 1800;\n` +
      ` AdvManagedFlag ${managed ? "on" : "off"};\n` +
      ` prefix ${PREFIX}/64 { AdvOnLink on; AdvAutonomous ${managed ? "off" : "on"}; };\n RDNSS ${PREFIX}1 { };\n};\n`,
  );
  const args = ["-n", "-C", config, "-p", join(lab.directory, "radvd.pid"), "-m", "stderr", "-d", "1"];
  const program = lab.start(lab.host, "radvd", args);
  await program.line(/version .* started/);
  return program;
}

/** Announces itself as the router; addresses by SLAAC and by DHCPv6 (`::100` to `::1ff`). */
export async function dnsmasq6(lab: Lab): Promise<Program> {
  const program = lab.start(lab.host, "dnsmasq", [
    ...["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0", "--user=root", "--pid-file="],
    ...["--enable-ra", `--ra-param=${BRIDGE},4,1800`, `--dhcp-range=${PREFIX}100,${PREFIX}1ff,slaac,64,600`],
    ...[`--dhcp-leasefile=${join(lab.directory, "leases6")}`, `--interface=${BRIDGE}`, "--except-interface=lo"],
    ...["--bind-interfaces", "--log-dhcp"],
  ]);
  await program.line(/router advertisement on/);
  return program;
}

export type Server6 = "kea-dhcp6" | "dhcpd";

/** Seconds of a lease, from the REPLY on. */
export interface Lifetimes {
  readonly renew: number;
  readonly rebind: number;
  readonly preferred: number;
  readonly valid: number;
}

const LIFETIMES: Lifetimes = { renew: 10, rebind: 40, preferred: 60, valid: 120 };

/** A DHCPv6 server, which advertises nothing itself. */
export async function dhcp6(lab: Lab, kind: Server6, lifetimes = LIFETIMES): Promise<Program> {
  const { renew, rebind, preferred, valid } = lifetimes;
  const folder = join(lab.directory, kind);
  mkdirSync(folder, { mode: 0o777 });
  const config = join(folder, "config");
  if (kind === "dhcpd") {
    const leases = join(folder, "leases");
    writeFileSync(leases, "");
    writeFileSync(
      config,
      `authoritative;\nddns-update-style none;\ndefault-lease-time ${valid};\npreferred-lifetime ${preferred};\n` +
        `option dhcp-renewal-time ${renew};\noption dhcp-rebinding-time ${rebind};\n` +
        `subnet6 ${PREFIX}/64 {\n  range6 ${PREFIX}100 ${PREFIX}1ff;\n  option dhcp6.name-servers ${PREFIX}1;\n}\n`,
    );
    const program = lab.start(lab.host, "dhcpd", ["-6", "-f", "-d", "--no-pid", "-cf", config, "-lf", leases, BRIDGE]);
    await program.line(/Server starting service/);
    return program;
  }
  const dhcp = {
    "interfaces-config": { interfaces: [BRIDGE] },
    "lease-database": { type: "memfile", persist: false },
    "server-id": { type: "LL", persist: false },
    "renew-timer": renew,
    "rebind-timer": rebind,
    "preferred-lifetime": preferred,
    "valid-lifetime": valid,
    subnet6: [{ subnet: `${PREFIX}/64`, interface: BRIDGE, pools: [{ pool: `${PREFIX}100 - ${PREFIX}1ff` }] }],
    loggers: [
      { name: "kea-dhcp6", severity: "DEBUG", debuglevel: 40, output_options: [{ output: "stdout", flush: true }] },
    ],
  };
  writeFileSync(config, JSON.stringify({ Dhcp6: dhcp }));
  const env = { KEA_LOCKFILE_DIR: folder, KEA_PIDFILE_DIR: folder, KEA_DHCP_DATA_DIR: folder };
  const program = lab.start(lab.host, "kea-dhcp6", ["-c", config], { env });
  await program.line(/DHCP6_STARTED/);
  return program;
}

/** isc-dhcp-client for DHCPv6, for a card with a link-local address; the kernel takes the route from the advertisements. */
export async function dhclient6(guest: Guest, ...more: readonly string[]): Promise<Program> {
  await until("link-local", () => addresses6(guest.namespace, guest.link).some(({ tentative }) => !tentative));
  const folder = guest.lab.directory;
  const config = join(folder, "dhclient6.conf");
  writeFileSync(config, "timeout 20;\n");
  const files = ["-cf", config, "-lf", join(folder, "leases-6"), "-pf", join(folder, "pid-6"), "-sf", tool("dhcp6.sh")];
  return guest.start("dhclient", ["-6", "-d", "-v", ...files, ...more, guest.link]);
}

interface Address {
  readonly local: string;
  readonly scope: string;
  readonly tentative?: boolean;
  readonly dadfailed?: boolean;
  readonly temporary?: boolean;
  readonly deprecated?: boolean;
  readonly noprefixroute?: boolean;
}

/** The IPv6 addresses of a link, as the kernel has them. */
export function addresses6(namespace: Namespace, link: string): Address[] {
  return namespace
    .ipJson<{ addr_info?: Address[] }>("-6", "address", "show", "dev", link)
    .flatMap(({ addr_info = [] }) => addr_info)
    .filter(({ local }) => local !== undefined);
}

/** The global ones that may be used. */
export function globals(namespace: Namespace, link: string): string[] {
  return addresses6(namespace, link)
    .filter(({ scope, tentative, dadfailed }) => scope === "global" && !tentative && !dadfailed)
    .map(({ local }) => local);
}

/** Waits for a global address and a default route, and returns the first such address. */
export async function online(namespace: Namespace, link: string): Promise<string> {
  await until("an address and a route", () => {
    return globals(namespace, link).length > 0 && namespace.ip("-6", "route", "show", "default").includes("via");
  });
  return globals(namespace, link)[0]!;
}

/** True when one of some echo requests to a link-local address is answered. */
export function pingRouter(namespace: Namespace, link: string): Promise<boolean> {
  return ping(namespace, `${ROUTER}%${link}`);
}
