/**
 * The rules that a host has, as nft(8) lists them in JSON (libnftables-json(5)). Only reads.
 *
 * nft 1.0.6 prints random bytes for the flags of a table that has an owner, so tables are not asked for where their
 * chains will do, and a table whose listing is no JSON is read chain by chain.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../user-error.ts";
import { type Output, runProgram } from "./program.ts";

/** Milliseconds: while rules change, nft may stop silently in the middle, or crash (1.0.6). */
const TIMEOUT = 10_000;
const INTERVAL = 20;
const NOT_WHOLE = "no whole listing";

export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Of a base chain only. */
  readonly type?: string;
  readonly hook?: string;
  readonly policy?: string;
}

/** One statement of a rule: an object with one key that names it. */
export type Statement = Readonly<Record<string, unknown>>;

export interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly expr: readonly Statement[];
}

/** A named set or map; `elem` is missing where it is empty. An element of a map is a pair of key and value. */
export interface NamedSet {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly elem?: readonly unknown[];
}

/** A rule set in parts. */
export interface Ruleset {
  readonly chains: readonly Chain[];
  readonly rules: readonly Rule[];
  readonly sets?: readonly NamedSet[];
}

/** The chains of every table. Throws UserError when nft fails. */
export async function readChains(nft: string): Promise<readonly Chain[]> {
  return (await list(nft, "chains")).chains;
}

/** The rules of one table. Throws UserError when nft fails. */
export async function readRules(
  nft: string,
  chains: readonly Chain[],
  { family, table }: Chain,
): Promise<readonly Rule[]> {
  const whole = await ask(nft, "table", family, table);
  if (typeof whole !== "string") return whole.rules;
  const rules: Rule[] = [];
  for (const chain of chains) {
    if (chain.family !== family || chain.table !== table) continue;
    rules.push(...(await list(nft, "chain", family, table, chain.name)).rules);
  }
  return rules;
}

/** The named sets and maps of every table, with their elements. Throws UserError when nft fails. */
export async function readSets(nft: string): Promise<readonly NamedSet[]> {
  const sets = await list(nft, "sets");
  const maps = await list(nft, "maps");
  return [...(sets.sets ?? []), ...(maps.sets ?? [])];
}

/** Asks until the listing is whole. */
async function list(nft: string, ...what: readonly string[]): Promise<Ruleset> {
  const deadline = performance.now() + TIMEOUT;
  for (;;) {
    const listing = await ask(nft, ...what);
    if (typeof listing !== "string") return listing;
    if (performance.now() > deadline || listing !== NOT_WHOLE) {
      throw new UserError(
        `nft cannot list this host's rules: ${listing}; run softnet as root, on a kernel with nftables`,
      );
    }
    await sleep(INTERVAL);
  }
}

/** What nft lists, or what is wrong. */
async function ask(nft: string, ...what: readonly string[]): Promise<Ruleset | string> {
  const { failure, stdout }: Output = await runProgram(nft, ["-j", "list", ...what]);
  if (failure === undefined) return parseRuleset(stdout) ?? NOT_WHOLE;
  return failure === "" ? NOT_WHOLE : failure;
}

/** Undefined for what is no whole JSON. */
export function parseRuleset(json: string): Ruleset | undefined {
  type Part = { readonly chain?: Chain; readonly rule?: Rule; readonly set?: NamedSet; readonly map?: NamedSet };
  let parsed: { readonly nftables: readonly Part[] };
  try {
    parsed = JSON.parse(json);
  } catch {
    return undefined;
  }
  return {
    chains: parsed.nftables.flatMap(({ chain }) => chain ?? []),
    rules: parsed.nftables.flatMap(({ rule }) => rule ?? []),
    sets: parsed.nftables.flatMap(({ set, map }) => set ?? map ?? []),
  };
}
