/**
 * The policy in force, and how it is replaced while softnet runs: by a controller's set, or by what the options and the
 * file say (SIGHUP). All or nothing: one bad rule changes nothing (threat row I10).
 *
 * A revision is a number that a controller may give along; an older one than the last is refused, so that of two sets that
 * overtake each other on different connections the newer one stays. The same one again is taken: its answer was lost.
 */
import { formatRule, parseRules, type Rule } from "../policy/rule.ts";
import { UserError } from "../user-error.ts";
import { INVALID_PARAMS, RpcError, STALE_REVISION } from "./rpc.ts";

export interface PolicyLists {
  readonly allow: readonly string[];
  readonly block: readonly string[];
}

/** Puts rules in force; must not throw. */
export type Apply = (rules: readonly Rule[]) => void;

export class LivePolicy {
  readonly #apply: Apply;
  #lists: PolicyLists;
  #revision = 0n;

  /** `lists` are in force already. Throws UserError. */
  constructor(lists: PolicyLists, apply: Apply) {
    this.#apply = apply;
    this.#lists = normalize(lists).lists;
  }

  /** Each list in normal form, sorted, without duplicates. */
  get lists(): PolicyLists {
    return this.#lists;
  }

  /** Replaces everything. Throws UserError; then nothing has changed. */
  replace(lists: PolicyLists): void {
    const { lists: normal, rules } = normalize(lists);
    this.#apply(rules);
    this.#lists = normal;
  }

  /** As `replace` for a controller. `revision`: decimal digits. Throws RpcError; then nothing has changed. */
  set(lists: PolicyLists, revision?: string): void {
    const wanted = revision === undefined ? this.#revision : BigInt(revision);
    if (wanted < this.#revision) {
      throw new RpcError(STALE_REVISION, `revision ${wanted} is stale: ${this.#revision} is in force`);
    }
    try {
      this.replace(lists);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new RpcError(INVALID_PARAMS, error.message.replace(/^--/, ""));
    }
    this.#revision = wanted;
  }
}

/** The same rules in normal form, sorted by their text, each once. Throws UserError. */
function normalize({ allow, block }: PolicyLists): { readonly lists: PolicyLists; readonly rules: Rule[] } {
  const found = { allow: new Map<string, Rule>(), block: new Map<string, Rule>() };
  for (const rule of parseRules(allow, block)) found[rule.action].set(formatRule(rule), rule);
  return {
    lists: { allow: [...found.allow.keys()].toSorted(), block: [...found.block.keys()].toSorted() },
    rules: [...found.allow.values(), ...found.block.values()],
  };
}
