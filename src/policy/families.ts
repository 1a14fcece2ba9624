/**
 * Rules and the two address families. An IPv4 CIDR counts for IPv4 only and an IPv6 CIDR for IPv6 only; aliases, and all
 * else that is no CIDR, count for both. Rules with names count for neither: they are about no address (name-table.ts).
 */
import { OptionError } from "../user-error.ts";
import { formatRule, type Rule } from "./rule.ts";
import { CidrTarget } from "./targets/cidr.ts";
import { Cidr6Target } from "./targets/cidr-6.ts";

export function countsForIPv4({ target }: Rule): boolean {
  return target.cidr6 === undefined && target.name === undefined;
}

export function countsForIPv6({ target }: Rule): boolean {
  return target.cidr === undefined && target.name === undefined;
}

/** Throws OptionError, with one line, for a rule with an IPv6 CIDR while IPv6 is off: it would mean nothing. */
export function checkFamilies(rules: readonly Rule[], ipv6: boolean): void {
  const rule = ipv6 ? undefined : rules.find(({ target }) => target.cidr6 !== undefined);
  if (rule === undefined) return;
  throw new OptionError(
    "SOFTNET_ERR_RULE",
    `${rule.action} ${formatRule(rule)} is a rule for IPv6, which is off: switch it on with --ipv6, or leave the rule out`,
  );
}

/**
 * The rules that are in force beside those of a policy (docs/guard-ipv6.md, "A family that is not spoken of"; threat row
 * S10): where a block rule without a port is about one family's whole space, and no rule has a CIDR of the other family,
 * the other one's whole space is blocked in the same direction.
 */
export function impliedRules(rules: readonly Rule[]): Rule[] {
  const speaksOf4 = rules.some(({ target }) => target.cidr !== undefined);
  const speaksOf6 = rules.some(({ target }) => target.cidr6 !== undefined);
  if (speaksOf4 === speaksOf6) return [];
  const target = speaksOf4 ? new Cidr6Target({ address: 0n, length: 0 }) : new CidrTarget({ address: 0, length: 0 });
  const implied = new Map<Rule["direction"], Rule>();
  for (const rule of rules) {
    const { action, direction, ports } = rule;
    if (action !== "block" || ports !== undefined) continue;
    if ((rule.target.cidr ?? rule.target.cidr6)?.length !== 0) continue;
    implied.set(direction, { action, ...(direction && { direction }), target, impliedBy: formatRule(rule) });
  }
  return [...implied.values()];
}

/** A policy's rules and those that it implies, which are there with IPv6 only. What tables are made of. */
export function rulesInForce(rules: readonly Rule[], ipv6: boolean): readonly Rule[] {
  const implied = ipv6 ? impliedRules(rules) : [];
  return implied.length === 0 ? rules : [...rules, ...implied];
}
