/**
 * The numbers by which what a policy's rules decide is counted: a rule's place among those in force, from 1 on. The same rules
 * in the same order have the same numbers in every table.
 */
import type { Rule } from "./rule.ts";

/** The number of what no rule decided: the default policy did. */
export const DEFAULT_POLICY = 0;

export type NumberOf = (rule: Rule) => number;

/** `rules`: those in force, with those that they imply. */
export function numberRules(rules: readonly Rule[]): NumberOf {
  const numbers = new Map(rules.map((rule, index) => [rule, index + 1]));
  return (rule) => numbers.get(rule) ?? DEFAULT_POLICY;
}
