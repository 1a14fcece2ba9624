/**
 * Firewalls of others on this host (Docker, ufw, firewalld, …) that drop a VM's traffic for sure. softnet says so with the
 * command that lets it through; it puts no rule into a table that is not its own, since nothing could take it out again
 * after a SIGKILL, and the firewall's next reload would lose it.
 *
 * Works as root, and in the host's helper with CAP_NET_ADMIN alone. What it reads:
 *
 *   nft -j list …       every table, also those of iptables-nft
 *   iptables-nft -S     the tables of iptables-nft once more where nft leaves out what their rules say
 *   iptables-legacy -S  what iptables-legacy holds, which nft does not show: as root only, since it wants more
 */
import { readFileSync, realpathSync } from "node:fs";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { listBaseChains } from "../../native/linux/nft-chains.ts";
import { findProgram, lookForProgram } from "../../system-program.ts";
import { parseIptables } from "./iptables.ts";
import type { Packet } from "./match.ts";
import { type Chain, type Ruleset, readChains, readRules } from "./nft.ts";
import { runProgram } from "./program.ts";
import { type Lost, type Place, remedyOf } from "./remedy.ts";
import { droppingChains, forwardChains, type RulesByChain } from "./walk.ts";

/** Some globally routable address (20.1.2.3): a firewall that lets a VM reach nothing but certain ones counts as closed. */
const FAR = 0x14010203;
const LEGACY_NAMES = "/proc/net/ip_tables_names";

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
}

export interface BridgedPath {
  readonly mode: "bridge";
  readonly tap: string;
  readonly bridge: string;
}

/** A chain that drops a VM's traffic. */
export interface Block {
  /** One line: who drops what, and last the command that lets it through. */
  readonly text: string;
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
  const iptables = lookForProgram("iptables-nft") ?? lookForProgram("iptables");
  const seen = new Map(forwardChains(chains).map((chain) => [`${chain.family} ${chain.table}`, chain]));
  const tables: Table[] = [];
  for (const chain of seen.values()) {
    const own = chains.filter(({ family, table }) => family === chain.family && table === chain.table);
    const rules = await readRules(nft, own, chain);
    const isIptables = chain.family === "ip" && chain.name === "FORWARD" && iptables !== undefined;
    const hidden = isIptables && rules.some(({ expr }) => expr.some((statement) => "xt" in statement));
    const full = hidden ? await readIptables(iptables, chain.table) : undefined;
    tables.push(tableOf(full ?? { chains: own, rules }, isIptables ? nameOf(false) : "nft"));
  }
  if (!hasLegacy()) return { tables, unseen: false };
  const legacy = lookForProgram("iptables-legacy") ?? lookForProgram("iptables");
  const rules = legacy === undefined ? undefined : await readIptables(legacy, "filter");
  if (rules === undefined) return { tables, unseen: true };
  return { tables: [...tables, tableOf(rules, nameOf(true))], unseen: false };
}

/** What drops a VM's traffic whatever its ports. Each table comes with at most one block. */
export function findBlocks({ tables }: Firewalls, path: Path): readonly Block[] {
  return tables.flatMap((table) => {
    const lost = new Set<Lost>();
    let where: Chain | undefined;
    for (const [kind, packet] of packetsOf(path)) {
      const [chain] = droppingChains(table.chains, table.rules, packet);
      if (chain === undefined) continue;
      lost.add(kind);
      where ??= chain;
    }
    if (where === undefined) return [];
    const place: Place = { ...where, names: new Set(table.chains.map(({ name }) => name)), command: table.command };
    return [{ text: remedyOf(place, lost, path.mode === "bridge" ? path.bridge : undefined) }];
  });
}

/**
 * What a VM cannot do without. Where a client of an exposed port comes from is left open: a firewall that lets in some
 * clients only, such as a LAN's, may mean it.
 */
function packetsOf(path: Path): [Lost, Packet][] {
  if (path.mode === "bridge") {
    const { bridge, tap } = path;
    const both = { iifname: bridge, oifname: bridge, protocol: "udp", redirected: false } as const; // DHCP comes first
    return [
      ["sent", { ...both, state: "new", bridged: { in: tap } }],
      // A server's OFFER belongs to no connection: the DISCOVER went from 0.0.0.0 to all (RFC 2131 section 4.1).
      ["answers", { ...both, state: "new", bridged: { out: tap } }],
      ["answers", { ...both, state: "established", bridged: { out: tap } }],
    ];
  }
  const { tap, vm, uplink, exposed } = path;
  const out = { iifname: tap, oifname: uplink, saddr: vm, protocol: "tcp" } as const;
  const back = { iifname: uplink, oifname: tap, daddr: vm, protocol: "tcp" } as const;
  const packets: [Lost, Packet][] = [
    ["sent", { ...out, daddr: FAR, state: "new", redirected: false }],
    ["answers", { ...back, saddr: FAR, state: "established", redirected: false }],
  ];
  if (exposed) packets.push(["clients", { ...back, state: "new", redirected: true }]);
  return packets;
}

/** `rules`: of one table. Each VM's packets walk them, so they are sorted once. */
function tableOf({ chains, rules }: Ruleset, command: string): Table {
  return { chains, rules: Map.groupBy(rules, ({ chain }) => chain), command };
}

/** Undefined where iptables cannot read the table: nft made it, or the right is missing. */
async function readIptables(iptables: string, table: string): Promise<Ruleset | undefined> {
  const { failure, stdout } = await runProgram(iptables, ["-t", table, "-S"]);
  return failure === undefined ? parseIptables(stdout, table) : undefined;
}

/** What to call iptables of either kind on this host's command line. */
function nameOf(legacy: boolean): string {
  const plain = lookForProgram("iptables");
  const special = legacy ? "iptables-legacy" : "iptables-nft";
  if (plain === undefined) return special;
  return realpathSync(plain).includes("legacy") === legacy ? "iptables" : special;
}

function hasLegacy(): boolean {
  try {
    return readFileSync(LEGACY_NAMES, "latin1").split("\n").includes("filter");
  } catch {
    return false; // no such module in the kernel; or the helper's user may not look
  }
}
