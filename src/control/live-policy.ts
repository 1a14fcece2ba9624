/**
 * The policy in force, and how it is replaced while softnet runs: by a controller's set, or from the options and the
 * policy file (SIGHUP). One bad rule changes nothing (threat row I10).
 *
 * A controller may give a revision number. A revision older than the last one is refused, so that of two sets on
 * different connections the newer one stays in force. The same revision is accepted again, since its answer may have
 * been lost.
 *
 * Whether the network isolates the VM from other VMs was decided by the rules at start and cannot change. A policy that
 * would have decided otherwise is refused, unless the set says that the isolation stays as it is.
 */
import { checkFamilies } from "../policy/families.ts";
import { allowsEverything, formatRule, type Rule } from "../policy/rule.ts";
import { UserError } from "../user-error.ts";
import { INVALID_PARAMS, ISOLATION_DECIDED, RpcError, STALE_REVISION } from "./rpc.ts";

/** A policy as text: each list in normal form, sorted, without duplicates. */
export interface PolicyLists {
  readonly allow: readonly string[];
  readonly block: readonly string[];
}

export interface SetOptions {
  /** Decimal digits. */
  readonly revision?: string | undefined;
  /** Accept rules that would have decided the isolation otherwise. */
  readonly keepsIsolation?: boolean;
}

/** Puts rules in force; must not throw. */
export type Apply = (rules: readonly Rule[]) => void;

/** A policy that would have decided the VM's isolation otherwise. */
export class IsolationError extends UserError {
  constructor(isolated: boolean, ipv6: boolean) {
    const everything = ipv6 ? "0.0.0.0/0 and ::/0" : "0.0.0.0/0";
    const change = isolated ? `allow ${everything} would end` : `a policy without allow ${everything} would bring back`;
    super(
      `${change} the VM's isolation, which is decided when softnet starts: start it again with this policy, or say that the isolation stays ("isolation": "keep"; softnet ctl set --isolation keep)`,
    );
    this.name = "IsolationError";
  }
}

export class LivePolicy {
  readonly #apply: Apply;
  readonly #ipv6: boolean;
  /** As the rules at start decided. */
  readonly #isolated: boolean;
  #lists: PolicyLists;
  #revision = 0n;

  /** `rules` are in force already; `ipv6`: it is on. */
  constructor(rules: readonly Rule[], apply: Apply, ipv6 = false) {
    this.#apply = apply;
    this.#ipv6 = ipv6;
    this.#isolated = !allowsEverything(rules, ipv6);
    this.#lists = normalize(rules).lists;
  }

  get lists(): PolicyLists {
    return this.#lists;
  }

  /** The last that a controller gave; 0 = none did. */
  get revision(): bigint {
    return this.#revision;
  }

  /** Replaces all rules. Throws UserError; then nothing has changed. */
  replace(rules: readonly Rule[], { keepsIsolation = false }: SetOptions = {}): void {
    checkFamilies(rules, this.#ipv6);
    if (!keepsIsolation && allowsEverything(rules, this.#ipv6) === this.#isolated) {
      throw new IsolationError(this.#isolated, this.#ipv6);
    }
    const { lists, rules: distinct } = normalize(rules);
    this.#apply(distinct);
    this.#lists = lists;
  }

  /**
   * As `replace`, for a controller. `read` returns the rules or throws UserError; it is called only when the revision
   * is not stale. Throws RpcError; then nothing has changed.
   */
  set(read: () => readonly Rule[], options: SetOptions = {}): void {
    const { revision } = options;
    const wanted = revision === undefined ? this.#revision : BigInt(revision);
    if (wanted < this.#revision) {
      throw new RpcError(STALE_REVISION, `revision ${wanted} is stale: ${this.#revision} is in force`);
    }
    try {
      this.replace(read(), options);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const code = error instanceof IsolationError ? ISOLATION_DECIDED : INVALID_PARAMS;
      throw new RpcError(code, error.message);
    }
    this.#revision = wanted;
  }
}

/** The rules without duplicates, as text and as they are. */
function normalize(rules: readonly Rule[]): { readonly lists: PolicyLists; readonly rules: Rule[] } {
  const found = { allow: new Map<string, Rule>(), block: new Map<string, Rule>() };
  for (const rule of rules) found[rule.action].set(formatRule(rule), rule);
  return {
    lists: { allow: [...found.allow.keys()].toSorted(), block: [...found.block.keys()].toSorted() },
    rules: [...found.allow.values(), ...found.block.values()],
  };
}
