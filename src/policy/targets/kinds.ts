/** The kinds of targets. A new kind is a new file of this folder and one entry here. */
import { ALIASES } from "./alias.ts";
import { CIDRS } from "./cidr.ts";
import { CIDRS_6 } from "./cidr-6.ts";
import { NAMES } from "./name.ts";
import type { Target, TargetKind } from "./target.ts";

const KINDS: readonly TargetKind[] = [CIDRS, CIDRS_6, ALIASES, NAMES];

/** What may be written as a target, but for IPv6 CIDRs, for error messages. */
export const TARGET_FORMS = [CIDRS, NAMES, ALIASES].map(({ form }) => form).join(" or ");

/** The same for what looks like IPv6. */
export const TARGET_FORMS_6 = CIDRS_6.form;

/** Returns undefined for what is no target of any kind. */
export function parseTarget(text: string): Target | undefined {
  for (const kind of KINDS) {
    const target = kind.parse(text);
    if (target !== undefined) return target;
  }
  return undefined;
}

/** The remedy for a text that is nearly a target. */
export function targetRemedy(text: string): string | undefined {
  for (const kind of KINDS) {
    const remedy = kind.remedy?.(text);
    if (remedy !== undefined) return remedy;
  }
  return undefined;
}
