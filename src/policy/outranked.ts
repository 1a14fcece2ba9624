/** Which rules a deciding rule comes before. Slow, since people ask for it, not frames. */
import type { Address, RangesOf } from "./address-space.ts";
import { blockedClassOf } from "./alias-blocks.ts";
import { CLASS_OTHER, type KnownNetwork } from "./default-layer.ts";
import type { KnownNetwork6 } from "./default-layer-6.ts";
import { formatRule, type Rule, type RuleDirection } from "./rule.ts";
import { contain, includes, rangesOf, rangesOf6 } from "./target-ranges.ts";
import type { Target } from "./targets/target.ts";

/**
 * The block rules without a port before which an allow rule with a port comes, in normal form. Not those whose target
 * contains all of that rule's, since there the exception is meant, and not `@private` and `@metadata`, which such a rule
 * does not open (alias-blocks.ts).
 */
export function outranked(
  rules: readonly Rule[],
  knownNetwork: KnownNetwork,
  direction: RuleDirection,
  remote: number,
  decides: Rule,
): string[] {
  return outrankedIn((target) => rangesOf(target, knownNetwork), rules, direction, remote, decides);
}

/** The same of IPv6. */
export function outranked6(
  rules: readonly Rule[],
  knownNetwork: KnownNetwork6,
  direction: RuleDirection,
  remote: bigint,
  decides: Rule,
): string[] {
  return outrankedIn((target) => rangesOf6(target, knownNetwork), rules, direction, remote, decides);
}

function outrankedIn<A extends Address>(
  covered: (target: Target) => RangesOf<A>,
  rules: readonly Rule[],
  direction: RuleDirection,
  remote: A,
  decides: Rule,
): string[] {
  if (decides.action === "block" || decides.ports === undefined) return [];
  const opened = covered(decides.target);
  const found = rules.filter((rule) => {
    if (rule.action === "allow" || rule.ports !== undefined || blockedClassOf(rule) !== CLASS_OTHER) return false;
    if (rule.direction !== undefined && rule.direction !== direction) return false;
    const closed = covered(rule.target);
    return includes(closed, remote) && !contain(closed, opened);
  });
  return [...new Set(found.map(formatRule))];
}
