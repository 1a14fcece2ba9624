/**
 * Firewalls of others on this host (Docker, ufw, firewalld, …) that would drop a VM's traffic: softnet says so, with the
 * command that lets it through, and does not start. It puts no rule into a table that is not its own: nothing could take
 * it out again after a SIGKILL.
 */
import { readFileSync } from "node:fs";
import { UserError } from "../../user-error.ts";
import { chainForUser, droppingChains, forwardChains, type Packet } from "./forward-check.ts";
import { type Chain, type Ruleset, readRules } from "./ruleset.ts";

/** Some globally routable address (20.1.2.3): a firewall that lets a VM reach nothing but certain ones counts as closed. */
const FAR = 0x14010203;

export interface Path {
  readonly tap: string;
  /** The VM's address in host order. */
  readonly vm: number;
  /** The link that leads out; empty where there is none. */
  readonly uplink: string;
}

/** Throws UserError when a VM's traffic would be dropped for sure. `chains`: all that the host has. */
export function refuseDroppingChains(nft: string, chains: readonly Chain[], { tap, vm, uplink }: Path): void {
  const tables = new Map(forwardChains(chains).map((chain) => [`${chain.family} ${chain.table}`, chain]));
  const ruleset = { chains, rules: [...tables.values()].flatMap((chain) => readRules(nft, chains, chain)) };
  const request: Packet = { iifname: tap, oifname: uplink, saddr: vm, daddr: FAR, state: "new", redirected: false };
  const answer: Packet = {
    iifname: uplink,
    oifname: tap,
    saddr: FAR,
    daddr: vm,
    state: "established",
    redirected: false,
  };
  for (const packet of [request, answer]) {
    const [chain] = droppingChains(ruleset, packet);
    if (chain === undefined) continue;
    throw new UserError(
      `the chain ${chain.name} of this host's table ${chain.family} ${chain.table} drops forwarded traffic, the VM's too; let it through with: ${remedy(ruleset, chain)}`,
    );
  }
}

function remedy(ruleset: Ruleset, chain: Chain): string {
  // firewalld rewrites its table at every change: it must know itself.
  if (chain.table === "firewalld") return "firewall-cmd --zone=trusted --add-interface=softnet+";
  const place = `${chain.family} ${chain.table} ${chainForUser(ruleset, chain)}`;
  return `nft 'insert rule ${place} iifname "softnet*" accept; insert rule ${place} oifname "softnet*" accept'`;
}

/** Warns when rules of iptables-legacy are loaded: nft does not show them. */
export function tellLegacy(warn: (message: string) => void): void {
  let tables: string;
  try {
    tables = readFileSync("/proc/net/ip_tables_names", "utf8");
  } catch {
    return;
  }
  if (!tables.split("\n").includes("filter")) return;
  warn("this host has rules of iptables-legacy, which nft does not show: if they drop forwarded traffic, so the VM's");
}
