/**
 * Firewalls of others on this host (Docker, ufw, firewalld, …) that drop a VM's traffic for sure. softnet says so with the
 * command that lets it through; it puts no rule into a table that is not its own, since nothing could take it out again
 * after a SIGKILL, and the firewall's next reload would lose it.
 *
 * Works as root, and in the host's helper with CAP_NET_ADMIN alone. What it reads:
 *
 *   nft -j list …       every table, also those of iptables-nft and ip6tables-nft
 *   iptables-nft -S     the tables of iptables-nft once more where nft leaves out what their rules say; ip6tables-nft too
 *   iptables-legacy -S  what iptables-legacy and ip6tables-legacy hold, which nft does not show: as root only, since it wants more
 */
import { readFileSync, realpathSync } from "node:fs";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { listBaseChains } from "../../native/linux/nft-chains.ts";
import { cidr6Of, lastOf6 } from "../../policy/cidr-6.ts";
import { findProgram, lookForProgram } from "../../system-program.ts";
import { type IptablesFamily, parseIptables } from "./iptables.ts";
import type { Addresses, Family, Packet } from "./match.ts";
import { type Chain, type Ruleset, readChains, readRules } from "./nft.ts";
import { runProgram } from "./program.ts";
import { type Lost, type Place, remedyOf, takesIPv6 } from "./remedy.ts";
import { droppingChains, forwardChains, type RulesByChain } from "./walk.ts";

/** Some globally routable address (20.1.2.3): a firewall that lets a VM reach nothing but certain ones counts as closed. */
const FAR = 0x14010203;
/** The same of IPv6: 2a14:102:304:506:708:90a:b0c:d0e. */
const FAR_6 = 0x2a140102_03040506_0708090a_0b0c0d0en;
const PREFIX_LENGTH = 64;
const LEGACY_NAMES = { ip: "/proc/net/ip_tables_names", ip6: "/proc/net/ip6_tables_names" } as const;
const FAMILIES = ["ip", "ip6"] as const;

/** A VM's way through the host. */
export type Path = RoutedPath | BridgedPath;

export interface RoutedPath {
  readonly mode: "nat";
  readonly tap: string;
  /** The VM's address in host order. */
  readonly vm: number;
  /** The link that leads out; empty where there is none. */
  readonly uplink: string;
  /** Whether ports of the host's lead to the VM. */
  readonly exposed: boolean;
  /** Where the VM has IPv6, and the host a way out: the first address of its /64, and the link that leads there. */
  readonly ipv6?: { readonly prefix: bigint; readonly uplink: string };
}

export interface BridgedPath {
  readonly mode: "bridge";
  readonly tap: string;
  readonly bridge: string;
  /** What of the bridge's frames the host shows to its firewall; default: IPv4. */
  readonly families?: readonly Family[];
}

/** A chain that drops a VM's traffic. */
export interface Block {
  /** One line: who drops what, and last the command that lets it through. */
  readonly text: string;
  /** Whether the VM is without something of IPv4's. */
  readonly ipv4: boolean;
  /** Whether it is without IPv6 by this; clients of exposed ports are more than it needs. */
  readonly ipv6: boolean;
}

/** One table with a chain for forwarded packets. */
interface Table {
  readonly chains: readonly Chain[];
  readonly rules: RulesByChain;
  /** What a person changes it with. */
  readonly command: string;
}

export interface Firewalls {
  readonly tables: readonly Table[];
  /** Whether there are rules of iptables-legacy that could not be read. */
  readonly unseen: boolean;
}

/**
 * Reads what others have set up. With `libc` the kernel is asked first whether there is anything, which spares most hosts
 * the programs; that needs CAP_NET_ADMIN. Throws UserError where nft is missing or fails.
 */
export async function readFirewalls(libc?: LinuxLibc): Promise<Firewalls> {
  const nft = findProgram("nft", "nftables");
  const known = libc === undefined ? undefined : listBaseChains(libc);
  const chains = known !== undefined && forwardChains(known).length === 0 ? [] : await readChains(nft);
  const seen = new Map(forwardChains(chains).map((chain) => [`${chain.family} ${chain.table}`, chain]));
  const tables: Table[] = [];
  for (const chain of seen.values()) {
    const own = chains.filter(({ family, table }) => family === chain.family && table === chain.table);
    const rules = await readRules(nft, own, chain);
    const family = FAMILIES.find((each) => each === chain.family);
    const iptables = family && chain.name === "FORWARD" ? findIptables(family, "nft") : undefined;
    const hidden = iptables && rules.some(({ expr }) => expr.some((statement) => "xt" in statement));
    const full = hidden && family ? await readIptables(iptables, chain.table, family) : undefined;
    tables.push(tableOf(full ?? { chains: own, rules }, family && iptables ? nameOf(family, "nft") : "nft"));
  }
  let unseen = false;
  for (const family of FAMILIES.filter(hasLegacy)) {
    const legacy = findIptables(family, "legacy");
    const rules = legacy === undefined ? undefined : await readIptables(legacy, "filter", family);
    if (rules === undefined) unseen = true;
    else tables.push(tableOf(rules, nameOf(family, "legacy")));
  }
  return { tables, unseen };
}

/** The way of a VM on a network of its own. `uplinks`: the links of the host's routes out, IPv6's where there is one. */
export function routedPath(
  tap: string,
  vm: { readonly address: number; readonly prefix: bigint | undefined; readonly exposed: boolean },
  uplinks: { readonly ipv4: string; readonly ipv6: string | undefined },
): RoutedPath {
  const { address, prefix, exposed } = vm;
  const ipv6 = prefix === undefined || uplinks.ipv6 === undefined ? undefined : { prefix, uplink: uplinks.ipv6 };
  return { mode: "nat", tap, vm: address, uplink: uplinks.ipv4, exposed, ...(ipv6 && { ipv6 }) };
}

/** What drops a VM's traffic whatever its ports. Each table comes with at most one block, each command once. */
export function findBlocks({ tables }: Firewalls, path: Path): readonly Block[] {
  const packets = packetsOf(path);
  const isUfw = tables.some(({ chains }) => chains.some(({ name }) => name === "ufw-user-forward"));
  const blocks = new Map<string, Block>();
  for (const table of tables) {
    const lost = { ipv4: new Set<Lost>(), ipv6: new Set<Lost>() };
    let where: Chain | undefined;
    for (const [kind, packet] of packets) {
      const [chain] = droppingChains(table.chains, table.rules, packet);
      if (chain === undefined) continue;
      lost[packet.family].add(kind);
      where ??= chain;
    }
    if (where === undefined) continue;
    const place = placeOf(table, where, isUfw);
    const { text, command } = remedyOf(place, lost, path.mode === "bridge" ? path.bridge : undefined);
    const before = blocks.get(command);
    blocks.set(command, {
      text: before?.text ?? text,
      ipv4: before?.ipv4 === true || lost.ipv4.size > 0,
      ipv6: before?.ipv6 === true || takesIPv6(lost.ipv6),
    });
  }
  return [...blocks.values()];
}

function placeOf({ chains, command }: Table, where: Chain, isUfw: boolean): Place {
  const names = new Set(chains.map(({ name }) => name));
  const leftOutByUfw = isUfw && where.family === "ip6" && where.table === "filter" && names.size <= BUILT_IN;
  return { ...where, names, command, leftOutByUfw };
}

/** Chains of a table `filter` that has none but its own. */
const BUILT_IN = 3;

/**
 * What a VM cannot do without. Where a client of an exposed port comes from is left open: a firewall that lets in some
 * clients only, such as a LAN's, may mean it.
 */
function packetsOf(path: Path): [Lost, Packet][] {
  if (path.mode === "bridge") return (path.families ?? ["ipv4"]).flatMap((family) => bridgedPackets(path, family));
  const { tap, vm, uplink, exposed, ipv6 } = path;
  const way = { tap, uplink, exposed };
  const packets = routedPackets({ ...way, family: "ipv4", vm: [vm, vm], far: [FAR, FAR] });
  if (ipv6 === undefined) return packets;
  const { prefix } = ipv6;
  const own: Addresses = [prefix, lastOf6(cidr6Of(prefix, PREFIX_LENGTH))];
  const packets6 = routedPackets({ ...way, uplink: ipv6.uplink, family: "ipv6", vm: own, far: [FAR_6, FAR_6] });
  return [...packets, ...packets6];
}

function bridgedPackets({ bridge, tap }: BridgedPath, family: Family): [Lost, Packet][] {
  const both = { family, iifname: bridge, oifname: bridge, redirected: false } as const;
  const udp = { ...both, protocol: "udp" } as const; // DHCP comes first
  const answer = { ...udp, state: "established", bridged: { out: tap } } as const;
  // A server's OFFER belongs to no connection: the DISCOVER went from 0.0.0.0 to all (RFC 2131 section 4.1).
  const offer = { ...udp, state: "new", bridged: { out: tap } } as const;
  const advertisement = { ...both, protocol: "icmpv6", state: "untracked", bridged: { out: tap } } as const;
  return [
    ["sent", { ...udp, state: "new", bridged: { in: tap } }],
    ["answers", family === "ipv4" ? offer : advertisement],
    ["answers", answer],
  ];
}

interface Way {
  readonly family: Family;
  readonly tap: string;
  readonly uplink: string;
  readonly exposed: boolean;
  readonly vm: Addresses;
  readonly far: Addresses;
}

function routedPackets({ family, tap, uplink, exposed, vm, far }: Way): [Lost, Packet][] {
  const out = { family, iifname: tap, oifname: uplink, saddr: vm, protocol: "tcp" } as const;
  const back = { family, iifname: uplink, oifname: tap, daddr: vm, protocol: "tcp" } as const;
  const packets: [Lost, Packet][] = [
    ["sent", { ...out, daddr: far, state: "new", redirected: false }],
    ["answers", { ...back, saddr: far, state: "established", redirected: false }],
  ];
  if (exposed) packets.push(["clients", { ...back, state: "new", redirected: true }]);
  return packets;
}

/** `rules`: of one table. Each VM's packets walk them, so they are sorted once. */
function tableOf({ chains, rules }: Ruleset, command: string): Table {
  return { chains, rules: Map.groupBy(rules, ({ chain }) => chain), command };
}

/** Undefined where iptables cannot read the table: nft made it, or the right is missing. */
async function readIptables(iptables: string, table: string, family: IptablesFamily): Promise<Ruleset | undefined> {
  const { failure, stdout } = await runProgram(iptables, ["-t", table, "-S"]);
  return failure === undefined ? parseIptables(stdout, table, family) : undefined;
}

type IptablesKind = "nft" | "legacy";

/** The program of a family and a kind: under its own name, else under the plain one. */
function findIptables(family: IptablesFamily, kind: IptablesKind): string | undefined {
  const plain = PLAIN[family];
  return lookForProgram(`${plain}-${kind}`) ?? lookForProgram(plain);
}

const PLAIN = { ip: "iptables", ip6: "ip6tables" } as const;

/** What to call iptables of either kind on this host's command line. */
function nameOf(family: IptablesFamily, kind: IptablesKind): string {
  const plain = lookForProgram(PLAIN[family]);
  const special = `${PLAIN[family]}-${kind}`;
  if (plain === undefined) return special;
  return realpathSync(plain).includes("legacy") === (kind === "legacy") ? PLAIN[family] : special;
}

function hasLegacy(family: IptablesFamily): boolean {
  try {
    return readFileSync(LEGACY_NAMES[family], "latin1").split("\n").includes("filter");
  } catch {
    return false; // no such module in the kernel; or the helper's user may not look
  }
}
