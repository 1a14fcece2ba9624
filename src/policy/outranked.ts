/** Which rules a deciding rule comes before. Slow, since people ask for it, not frames. */
import { blockedClassOf } from "./alias-blocks.ts";
import { CLASS_OTHER, type KnownNetwork } from "./default-layer.ts";
import { formatRule, type Rule, type RuleDirection } from "./rule.ts";
import { contain, includes, rangesOf } from "./target-ranges.ts";

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
  if (decides.action === "block" || decides.ports === undefined) return [];
  const opened = rangesOf(decides.target, knownNetwork);
  const found = rules.filter((rule) => {
    if (rule.action === "allow" || rule.ports !== undefined || blockedClassOf(rule) !== CLASS_OTHER) return false;
    if (rule.direction !== undefined && rule.direction !== direction) return false;
    const closed = rangesOf(rule.target, knownNetwork);
    return includes(closed, remote) && !contain(closed, opened);
  });
  return [...new Set(found.map(formatRule))];
}
