/**
 * How often each rule decided, and when last: about the first packets of flows, about packets that belong to none, and about
 * lookups and connections by name. Rules are known by their numbers (policy/rule-numbers.ts), so that to count is to write two
 * numbers into typed arrays; packets of established flows ask no rule.
 */
import { formatRule, type Rule } from "../policy/rule.ts";
import { DEFAULT_POLICY } from "../policy/rule-numbers.ts";

export interface RuleHit {
  readonly action: Rule["action"];
  /** The rule's normal form. */
  readonly text: string;
  readonly hits: number;
  /** Microseconds on the guard's clock; -Infinity = never. */
  readonly last: number;
}

const NEVER = Number.NEGATIVE_INFINITY;

export class RuleHits {
  /** Those in force, with those that they imply. */
  #rules: readonly Rule[] = [];
  /** By number. */
  #hits = new Float64Array(1);
  #last = new Float64Array(1).fill(NEVER);

  /** Puts other rules (those in force) into place. A rule that was there before goes on being counted. */
  setRules(rules: readonly Rule[]): void {
    const numbers = new Map(this.#rules.map((rule, index) => [keyOf(rule), index + 1]));
    const hits = new Float64Array(rules.length + 1);
    const last = new Float64Array(rules.length + 1).fill(NEVER);
    const take = (number: number, before: number): void => {
      hits[number] = this.#hits[before]!;
      last[number] = this.#last[before]!;
    };
    take(DEFAULT_POLICY, DEFAULT_POLICY);
    for (const [index, rule] of rules.entries()) {
      const key = keyOf(rule);
      const before = numbers.get(key);
      if (before !== undefined) take(index + 1, before);
      numbers.delete(key); // a rule that is there twice is counted once
    }
    this.#rules = rules;
    this.#hits = hits;
    this.#last = last;
  }

  /** `clock`: the guard's, in microseconds, in place 0. */
  count(number: number, clock: Float64Array): void {
    this.#hits[number]!++;
    this.#last[number] = clock[0]!;
  }

  /** The same where the time is at hand. */
  countAt(number: number, time: number): void {
    this.#hits[number]!++;
    this.#last[number] = time;
  }

  /** What the default policy decided. */
  get ofDefault(): Pick<RuleHit, "hits" | "last"> {
    return { hits: this.#hits[DEFAULT_POLICY]!, last: this.#last[DEFAULT_POLICY]! };
  }

  /** One item for each rule that somebody wrote; what a rule implies counts for it. */
  all(): RuleHit[] {
    const found = new Map<string, RuleHit>();
    for (const [index, rule] of this.#rules.entries()) {
      const text = rule.impliedBy ?? formatRule(rule);
      const key = `${rule.action} ${text}`;
      const { hits, last } = found.get(key) ?? { hits: 0, last: NEVER };
      const number = index + 1;
      const sum = { hits: hits + this.#hits[number]!, last: Math.max(last, this.#last[number]!) };
      found.set(key, { action: rule.action, text, ...sum });
    }
    return [...found.values()];
  }
}

function keyOf(rule: Rule): string {
  return `${rule.action} ${formatRule(rule)} ${rule.impliedBy ?? ""}`;
}
