/**
 * What happened when real clients met real servers: results.json beside this file, which a run with SOFTNET_CLIENTS_NOTE=1
 * brings up to date pair by pair. `npm run docs:clients` writes docs/clients.md from it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { Outcome, Outcomes } from "../lab/harness/states.ts";

const FILE = new URL("results.json", import.meta.url);

type ByServer<T> = Record<string, T>;

export interface Results {
  /** By program: the version that ran. */
  readonly versions: Record<string, string>;
  /** By client, then by server. */
  readonly pairs: Record<string, ByServer<Outcomes>>;
  /** Boot ROMs of QEMU, by card; they get a lease, and end. */
  readonly roms: Record<string, ByServer<Outcome>>;
  /** Clients in a machine that QEMU paused for longer than the lease. */
  readonly paused: Record<string, ByServer<Outcome>>;
}

export function readResults(): Results {
  return { versions: {}, pairs: {}, roms: {}, paused: {}, ...JSON.parse(readFileSync(FILE, "utf8")) };
}

/** Changes the file, if this run is to note something. */
export function note(change: (results: Results) => void): void {
  if (process.env.SOFTNET_CLIENTS_NOTE !== "1") return;
  const results = readResults();
  change(results);
  writeFileSync(FILE, `${JSON.stringify(results, undefined, 2)}\n`);
}

/** Notes the outcome of one client at one server. */
export function noteAt<T>(table: Record<string, ByServer<T>>, client: string, server: string, outcome: T): void {
  table[client] = { ...table[client], [server]: outcome };
}
