/**
 * `only`: rules that allow, and everything else that the VM sends is closed. It stands for ordinary rules, and is shown as
 * what it is. What comes to the VM stays as it is without rules.
 */
import { OptionError } from "../user-error.ts";
import { checkRuleCount, formatRule, hasNames, parseRule, parseRules, type Rule } from "./rule.ts";

/** Rules as they were given, before it is added what `only` closes. */
export interface GivenRules {
  readonly rules: readonly Rule[];
  /** Of `parseOnlyRule`. */
  readonly only: readonly Rule[];
}

/** An allow rule of an `only` list. Throws OptionError, also for a rule that would open nothing beside what is closed. */
export function parseOnlyRule(text: string): Rule {
  const rule = parseRule("allow", text, "only");
  const why = uselessBecause(rule);
  if (why === undefined) return rule;
  throw new OptionError("SOFTNET_ERR_RULE", `only ${JSON.stringify(formatRule(rule))} is not possible: ${why}`);
}

/** All of a list. Throws OptionError; an empty list is a mistake, never an open policy. */
export function parseOnly(texts: readonly string[]): Rule[] {
  if (texts.length > 0 && texts.some((text) => text.trim() !== "")) return texts.map(parseOnlyRule);
  throw new OptionError(
    "SOFTNET_ERR_RULE",
    'only "" has no rule: give what the VM may reach, such as registry.npmjs.org, or block out 0.0.0.0/0 to close everything',
  );
}

function uselessBecause({ direction, target, ports }: Rule): string | undefined {
  if (direction === "in") return "it is about what the VM sends: allow and block rules are about what comes to it";
  // What is closed ranks as low as a rule can, and block comes before allow.
  if (target.rank > 0 || ports !== undefined) return undefined;
  if (target.text === "@private")
    return "everything else would close it, too: give 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16";
  return "everything else would close it, too: leave only out, and block what the VM should not reach, such as @host";
}

/**
 * All rules of a policy: those that were given, and for `only` a block of everything that the VM sends, of IPv6 too where a
 * rule is about it (else families.ts implies that), and name lookups where a rule of the list has a name.
 */
export function completePolicy({ rules, only }: GivenRules): readonly Rule[] {
  if (only.length === 0) return rules;
  const all = [...rules, ...only];
  const speaksOf6 = all.some(({ target }) => target.cidr6 !== undefined);
  return [
    ...all,
    ...(hasNames(only) ? [parseRule("allow", "out @dns:53")] : []),
    parseRule("block", "out 0.0.0.0/0"),
    ...(speaksOf6 ? [parseRule("block", "out ::/0")] : []),
  ];
}

/** As `parseRules`, with an `only` list, where there is one. Throws OptionError. */
export function parsePolicyRules(
  allow: readonly string[],
  block: readonly string[],
  only?: readonly string[],
): readonly Rule[] {
  const rules = completePolicy({
    rules: parseRules(allow, block),
    only: only === undefined ? [] : parseOnly(only),
  });
  checkRuleCount(rules.length);
  return rules;
}
