/**
 * Rules: what `--allow` and `--block`, a policy file and the control channel say.
 *
 *   [in |out ]TARGET[:PORT|:FIRST-LAST]
 *
 * TARGET is of one of the kinds in targets/. Text is parsed here and nowhere else. docs/guard.md says what a rule means;
 * table.ts is what a policy becomes.
 */
import { OptionError } from "../user-error.ts";
import { parseTarget, TARGET_FORMS, targetRemedy } from "./targets/kinds.ts";
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
  /** Absent: the rule is bare and holds for both directions. */
  readonly direction?: RuleDirection;
  readonly target: Target;
  /** Absent: any port, and what has no ports. */
  readonly ports?: PortRange;
}

/** How many rules a policy may have (the control channel's limit too). */
export const MOST_RULES = 4096;

/** How much of a wrong rule an error message repeats. */
const LONGEST_ECHO = 80;

const HIGHEST_PORT = 65_535;
const FORM = /^(?:(in|out) +)?([^ :]+)(?::([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?)?$/;

/** Parses one rule. Throws OptionError with one line that begins with the action and the text. */
export function parseRule(action: Rule["action"], text: string): Rule {
  // Longer than any rule but for its spaces: nothing that a pattern should walk over.
  const match = text.length > 4096 ? null : FORM.exec(text);
  const target = match ? parseTarget(match[2]!) : undefined;
  if (!match || !target) throw wrong(action, text, remedyFor(text));
  const direction = match[1] as RuleDirection | undefined;
  if (match[3] === undefined) return { action, ...(direction && { direction }), target };
  const first = Number(match[3]);
  const last = match[4] === undefined ? first : Number(match[4]);
  if (last > HIGHEST_PORT || first > last) throw wrong(action, text, PORTS);
  return { action, ...(direction && { direction }), target, ports: { first, last } };
}

const PORTS = "ports go from 1 to 65535, the first one first, as in 10.0.0.0/8:80 or 10.0.0.0/8:8000-8999";

function wrong(action: string, text: string, remedy: string): OptionError {
  const echo = text.length > LONGEST_ECHO ? `${text.slice(0, LONGEST_ECHO)}…` : text;
  return new OptionError("SOFTNET_ERR_RULE", `${action} ${JSON.stringify(echo)} is not a rule: ${remedy}`);
}

function remedyFor(text: string): string {
  const nearly = targetRemedy(text);
  if (nearly !== undefined) return nearly;
  const [, , target = "", port] = /^(?:(in|out) +)?([^ :]{1,32})(?::(.*))?$/.exec(text.slice(0, LONGEST_ECHO)) ?? [];
  if (port !== undefined && parseTarget(target)) return PORTS;
  return `give ${TARGET_FORMS}, with "in " or "out " before it and :PORT or :FIRST-LAST behind it if wanted`;
}

/** The rule's normal form without its action: what `parseRule` reads back as the same rule. */
export function formatRule({ direction, target, ports }: Rule): string {
  const before = direction === undefined ? "" : `${direction} `;
  if (ports === undefined) return before + target.text;
  return `${before}${target.text}:${ports.first === ports.last ? ports.first : `${ports.first}-${ports.last}`}`;
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

/** Whether a policy judges both directions and tracks flows: as soon as one rule has a direction. */
export function isStateful(rules: readonly Rule[]): boolean {
  return rules.some(({ direction }) => direction !== undefined);
}

/** Whether verdicts depend on ports: when a rule has one, or a direction (threat row I1). */
export function isByPort(rules: readonly Rule[]): boolean {
  return rules.some(({ direction, ports }) => direction !== undefined || ports !== undefined);
}

/** Whether `0.0.0.0/0`, bare and without a port, is among the allowed: decides the isolation of the bridge port, once, at start. */
export function allowsEverything(rules: readonly Rule[]): boolean {
  return rules.some(
    ({ action, direction, target, ports }) =>
      action === "allow" && direction === undefined && ports === undefined && target.cidr?.length === 0,
  );
}
