/**
 * Which TCP ports of this host lead elsewhere already, by NAT rules of others: Docker and podman publish a container's
 * port by a rule alone, with no socket that would be in the way. Read: nftables, iptables in both kinds, and IPVS.
 * A translation that an eBPF program makes (Cilium's, for example) is not seen.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Chain, readChains, readRules, readSets } from "../../host/firewalls/nft.ts";
import { findProgram, PROGRAM_TIMEOUT } from "../../system-program.ts";
import { UserError } from "../../user-error.ts";
import { parseNatSave } from "./iptables-save.ts";
import { publishedFrom } from "./nat-chains.ts";
import { isIncomplete, nftNatChains } from "./nft-nat.ts";
import type { PortRange } from "./port-ranges.ts";

const MOST_OUTPUT = 256 * 2 ** 20;
const LEGACY_TABLES = "/proc/net/ip_tables_names";
const IPVS = "/proc/net/ip_vs";
/** Where the host's NAT of what comes in begins. */
const START = "PREROUTING";

export interface Publication {
  readonly ports: readonly PortRange[];
  /** Whose rules, for people: `table ip nat`. */
  readonly by: string;
}

/** Everything that others publish. Throws UserError where it cannot be read. */
export async function readPublications(nft: string): Promise<Publication[]> {
  return [...(await readNftables(nft)), ...readLegacy(), ...parseIpvs(readOrNothing(IPVS))];
}

async function readNftables(nft: string): Promise<Publication[]> {
  const chains = await readChains(nft);
  const starts = chains.filter(isStart);
  const sets = starts.length === 0 ? [] : await readSets(nft);
  const publications = starts.map(async (start) => {
    const { family, table, name } = start;
    const by = `table ${family} ${table}`;
    const rules = await readRules(nft, chains, start);
    const saved = family === "ip" && table === "nat" && isIncomplete(rules) ? findSave("iptables-nft-save") : undefined;
    if (saved !== undefined) return { by, ports: publishedFrom(parseNatSave(save(saved)), START) };
    const own = sets.filter((set) => set.family === family && set.table === table);
    return { by, ports: publishedFrom(nftNatChains(rules, own), name) };
  });
  return await Promise.all(publications);
}

/** A chain of somebody else's where IPv4 packets from outside are translated. */
function isStart({ family, table, type, hook }: Chain): boolean {
  return (
    type === "nat" && hook === "prerouting" && (family === "ip" || family === "inet") && !table.startsWith("softnet")
  );
}

/** iptables-legacy makes its table by asking for it, so it is asked only where the table is there already. */
function readLegacy(): Publication[] {
  if (!readOrNothing(LEGACY_TABLES).split("\n").includes("nat")) return [];
  const path = findSave("iptables-legacy-save");
  if (path === undefined) {
    throw new UserError(
      "--expose: this host has NAT rules of iptables-legacy, which nothing here can list; let root install iptables",
    );
  }
  return [{ by: "iptables-legacy's table nat", ports: publishedFrom(parseNatSave(save(path)), START) }];
}

/** Pure: the services in /proc/net/ip_vs (ipvsadm(8)), each `TCP  C0A80001:1F90 rr` with hexadecimal address and port. */
export function parseIpvs(text: string): Publication[] {
  const ports = [...text.matchAll(/^TCP\s+[0-9A-F]{8}:([0-9A-F]{4})\b/gm)].map(([, hex]): PortRange => {
    const port = Number.parseInt(hex!, 16);
    return [port, port];
  });
  return ports.length === 0 ? [] : [{ by: "IPVS", ports }];
}

function findSave(name: string): string | undefined {
  try {
    return findProgram(name, "iptables");
  } catch {
    return undefined;
  }
}

function save(path: string): string {
  const { error, status, stdout, stderr } = spawnSync(path, ["-t", "nat"], {
    env: {},
    encoding: "utf8",
    timeout: PROGRAM_TIMEOUT,
    maxBuffer: MOST_OUTPUT,
    // It refuses to run where its real and effective users differ, as they do for a child of a SUID program.
    ...(process.geteuid?.() === 0 && { uid: 0, gid: 0 }),
  });
  if (error === undefined && status === 0) return stdout;
  throw new UserError(`${path} cannot list this host's NAT rules: ${error?.message ?? stderr.trim()}`);
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
