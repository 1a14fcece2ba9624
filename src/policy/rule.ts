/**
 * Rules: what `--allow` and `--block`, a policy file and the control channel say.
 *
 *   [in |out ]TARGET[:PORT|:FIRST-LAST]
 *
 * TARGET is of one of the kinds in targets/; an IPv6 CIDR stands in brackets where a port follows it, and may otherwise. Text is parsed here and nowhere else. docs/guard.md says what a rule means;
 * table.ts is what a policy becomes.
 */
import { OptionError } from "../user-error.ts";
import { PORTS, remedyFor } from "./rule-remedy.ts";
import { parseTarget } from "./targets/kinds.ts";
import type { Target } from "./targets/target.ts";

export { type Cidr, covers, formatCidr, lastOf, netmaskOf, parseCidr, prefixLengthOf, subnetOf } from "./cidr.ts";

/** To the VM, or from it. */
export type RuleDirection = "in" | "out";

/** First and last port, 1 … 65,535. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface Rule {
  readonly action: "allow" | "block";
  /** Absent: the rule is bare and holds for both directions; with a name, for what the VM sends. Never `in` with a name. */
  readonly direction?: RuleDirection;
  readonly target: Target;
  /** Absent: any port, and what has no ports. */
  readonly ports?: PortRange;
  /** Of a rule that nobody wrote (families.ts): the normal form of the rule that it follows from. */
  readonly impliedBy?: string;
}

/** How many rules a policy may have (the control channel's limit too). */
export const MOST_RULES = 4096;

/** How much of a wrong rule an error message repeats. */
const LONGEST_ECHO = 80;

const NAMES_ARE_OUT = 'nobody connects to the VM from a name: leave "in" out, or give a CIDR';
const HIGHEST_PORT = 65_535;
const FORM = /^(?:(in|out) +)?(?:\[([^ [\]]+)\]|([^ :[\]]+))(?::([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?)?$/;
/** An IPv6 CIDR without brackets and port. */
const BARE_FORM_6 = /^(?:(in|out) +)?([^ [\]]+)$/;

/** Parses one rule. Throws OptionError with one line that begins with `word` and the text. */
export function parseRule(action: Rule["action"], text: string, word: string = action): Rule {
  // Longer than any rule but for its spaces: nothing that a pattern should walk over.
  const match = text.length > 4096 ? null : FORM.exec(text);
  if (match === null) return parseBare6(action, text, word);
  const [, direction, bracketed, plain, first, last] = match;
  const target = parseTarget(bracketed ?? plain!);
  // Brackets are IPv6's, and an IPv6 address has colons.
  if (target === undefined || (bracketed !== undefined) !== (target.cidr6 !== undefined)) {
    throw wrong(word, text, remedyFor(text));
  }
  if (target.name !== undefined && direction === "in") {
    throw wrong(word, text, `a name is about what the VM sends: give out ${target.text}, or an address behind in`);
  }
  if (target.name !== undefined && direction === "in") throw wrong(action, text, NAMES_ARE_OUT);
  const rule = { action, ...(direction && { direction: direction as RuleDirection }), target };
  if (first === undefined) return rule;
  const ports = { first: Number(first), last: Number(last ?? first) };
  if (ports.last > HIGHEST_PORT || ports.first > ports.last) throw wrong(word, text, PORTS);
  return { ...rule, ports };
}

function parseBare6(action: Rule["action"], text: string, word: string): Rule {
  const match = text.length > 4096 ? null : BARE_FORM_6.exec(text);
  const target = match ? parseTarget(match[2]!) : undefined;
  if (target?.cidr6 === undefined) throw wrong(word, text, remedyFor(text));
  return { action, ...(match![1] && { direction: match![1] as RuleDirection }), target };
}

function wrong(word: string, text: string, remedy: string): OptionError {
  const echo = text.length > LONGEST_ECHO ? `${text.slice(0, LONGEST_ECHO)}…` : text;
  return new OptionError("SOFTNET_ERR_RULE", `${word} ${JSON.stringify(echo)} is not a rule: ${remedy}`);
}

/** The rule's normal form without its action: what `parseRule` reads back as the same rule. */
export function formatRule({ direction, target, ports }: Rule): string {
  const before = direction === undefined ? "" : `${direction} `;
  if (ports === undefined) return before + target.text;
  const text = target.cidr6 === undefined ? target.text : `[${target.text}]`;
  return `${before}${text}:${ports.first === ports.last ? ports.first : `${ports.first}-${ports.last}`}`;
}

/** Throws OptionError for more rules than a policy may have. */
export function checkRuleCount(count: number): void {
  if (count <= MOST_RULES) return;
  throw new OptionError(
    "SOFTNET_ERR_RULE_COUNT",
    `${count} rules are too many: at most ${MOST_RULES}, join neighbouring CIDRs`,
  );
}

/** Parses all rules of a policy or none: one bad rule refuses the set (threat row I10). Throws OptionError. */
export function parseRules(allow: readonly string[], block: readonly string[]): Rule[] {
  checkRuleCount(allow.length + block.length);
  return [...allow.map((text) => parseRule("allow", text)), ...block.map((text) => parseRule("block", text))];
}

/** Whether a policy judges both directions and tracks flows: as soon as one rule has a direction or a name. */
export function isStateful(rules: readonly Rule[]): boolean {
  return rules.some(({ direction, target }) => direction !== undefined || target.name !== undefined);
}

/** Whether verdicts depend on ports: when a rule has one, a direction or a name (threat row I1). */
export function isByPort(rules: readonly Rule[]): boolean {
  return isStateful(rules) || rules.some(({ ports }) => ports !== undefined);
}

/** Whether some rule is about a domain name. */
export function hasNames(rules: readonly Rule[]): boolean {
  return rules.some(({ target }) => target.name !== undefined);
}

/**
 * Whether `0.0.0.0/0`, bare and without a port, is among the allowed, and with IPv6 `::/0`, too: decides the isolation of
 * the bridge port, once, at start.
 */
export function allowsEverything(rules: readonly Rule[], ipv6 = false): boolean {
  const allowed = rules.filter(
    ({ action, direction, ports }) => action === "allow" && direction === undefined && ports === undefined,
  );
  const all4 = allowed.some(({ target }) => target.cidr?.length === 0);
  return all4 && (!ipv6 || allowed.some(({ target }) => target.cidr6?.length === 0));
}
