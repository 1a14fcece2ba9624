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
  /** Whether ports of the host's lead to the VM. */
  readonly exposed: boolean;
}

/** Throws UserError when a VM's traffic would be dropped for sure. `chains`: all that the host has. */
export function refuseDroppingChains(nft: string, chains: readonly Chain[], path: Path): void {
  const tables = new Map(forwardChains(chains).map((chain) => [`${chain.family} ${chain.table}`, chain]));
  const ruleset = { chains, rules: [...tables.values()].flatMap((chain) => readRules(nft, chains, chain)) };
  for (const packet of [requestOf(path), answerOf(path)]) {
    const [chain] = droppingChains(ruleset, packet);
    if (chain === undefined) continue;
    const rules = ['iifname "softnet*" accept', 'oifname "softnet*" accept'];
    throw refusal(chain, "drops forwarded traffic, the VM's too", remedy(ruleset, chain, rules));
  }
  if (!path.exposed) return;
  const [chain] = droppingChains(ruleset, clientOf(path));
  if (chain === undefined) return;
  const rules = ['oifname "softnet*" ct status dnat accept'];
  throw refusal(chain, "drops what clients send to a port of --expose", remedy(ruleset, chain, rules));
}

function requestOf({ tap, vm, uplink }: Path): Packet {
  return { iifname: tap, oifname: uplink, saddr: vm, daddr: FAR, state: "new", redirected: false };
}

function answerOf({ tap, vm, uplink }: Path): Packet {
  return { iifname: uplink, oifname: tap, saddr: FAR, daddr: vm, state: "established", redirected: false };
}

/** To an exposed port. Its source is left open: a firewall that lets in some clients only, such as a LAN's, may mean it. */
function clientOf({ tap, vm, uplink }: Path): Packet {
  return { iifname: uplink, oifname: tap, daddr: vm, state: "new", redirected: true };
}

function refusal({ name, family, table }: Chain, what: string, command: string): UserError {
  return new UserError(
    `the chain ${name} of this host's table ${family} ${table} ${what}; let it through with: ${command}`,
  );
}

/** The command that puts these rules where they count. */
function remedy(ruleset: Ruleset, chain: Chain, rules: readonly string[]): string {
  // firewalld rewrites its table at every change: it must know itself.
  if (chain.table === "firewalld") return "firewall-cmd --zone=trusted --add-interface=softnet+";
  const place = `${chain.family} ${chain.table} ${chainForUser(ruleset, chain)}`;
  return `nft '${rules.map((rule) => `insert rule ${place} ${rule}`).join("; ")}'`;
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
