/**
 * What nft(8) tells of the rules that a host has already, as JSON (libnftables-json(5)). Only reads.
 *
 * nft 1.0.6 prints random bytes for the flags of a table that has an owner, so tables are not asked for where their
 * chains will do, and a table whose answer is no JSON is asked for chain by chain.
 */
import { spawnSync } from "node:child_process";
import { UserError } from "../../user-error.ts";

const PATIENCE = 10_000; // milliseconds
const NO_ANSWER = "no whole answer";
const MOST_OUTPUT = 256 * 2 ** 20;

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
export function readChains(nft: string): readonly Chain[] {
  return list(nft, "chains").chains;
}

/** The rules of one table. Throws UserError when nft fails. */
export function readRules(nft: string, chains: readonly Chain[], { family, table }: Chain): readonly Rule[] {
  const whole = ask(nft, "table", family, table);
  if (typeof whole !== "string") return whole.rules;
  const own = chains.filter((chain) => chain.family === family && chain.table === table);
  return own.flatMap(({ name }) => list(nft, "chain", family, table, name).rules);
}

/** The named sets and maps of every table, with their elements. Throws UserError when nft fails. */
export function readSets(nft: string): readonly NamedSet[] {
  return ["sets", "maps"].flatMap((what) => list(nft, what).sets ?? []);
}

/** Asks until there is an answer: while rules change, nft may stop in the middle, without a word, or crash (1.0.6). */
function list(nft: string, ...what: readonly string[]): Ruleset {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const answer = ask(nft, ...what);
    if (typeof answer !== "string") return answer;
    if (performance.now() < deadline && answer === NO_ANSWER) continue;
    throw new UserError(`nft cannot list this host's rules: ${answer}; run softnet as root, on a kernel with nftables`);
  }
}

/** What nft answers, or what is wrong. */
function ask(nft: string, ...what: readonly string[]): Ruleset | string {
  const { error, status, stdout, stderr } = spawnSync(nft, ["-j", "list", ...what], {
    env: {},
    encoding: "utf8",
    timeout: PATIENCE,
    maxBuffer: MOST_OUTPUT,
    // nft ends without a word where its real and effective users differ, as they do for a child of a SUID program.
    ...(process.geteuid?.() === 0 && { uid: 0, gid: 0 }),
  });
  if (error !== undefined) return error.message;
  if (status === 0) return parseRuleset(stdout) ?? NO_ANSWER;
  return stderr.trim().split("\n")[0] || NO_ANSWER;
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
