/** The decision of rules by the letter of docs/guard.md, for addresses of either family: those that count, sorted; the first decides. */
import type { Rule } from "../../src/policy/rule.ts";

export interface Asked {
  readonly way: string;
  /** Outside 1 … 65,535 = none. */
  readonly port: number;
  /** The alias with a block of its own that the address belongs to: `@metadata`, `@private`, or another word. */
  readonly alias: string;
  isCovered(rule: Rule): boolean;
  rank(rule: Rule): number;
  /** Whether a rule counts where the address's alias is blocked without a port. */
  countsThere(rule: Rule): boolean;
}

export function slowDecision(rules: readonly Rule[], asked: Asked): Rule | undefined {
  const { way, port, alias } = asked;
  const count = rules.filter((rule) => {
    if (rule.direction !== undefined && rule.direction !== way) return false;
    if (rule.ports !== undefined && !(port >= rule.ports.first && port <= rule.ports.last)) return false;
    return asked.isCovered(rule);
  });
  const blocked = count.some(
    (rule) => rule.action === "block" && rule.ports === undefined && rule.target.text === alias,
  );
  const left = blocked ? count.filter((rule) => asked.countsThere(rule)) : count;
  const order = (rule: Rule): number =>
    (rule.ports === undefined ? 0 : 1000) + asked.rank(rule) * 2 + (rule.action === "block" ? 1 : 0);
  return left.toSorted((a, b) => order(b) - order(a))[0];
}
