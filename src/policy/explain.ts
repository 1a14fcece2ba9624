/**
 * Which rule decides: every rule asked, one after the other, in the words of docs/guard.md. Slow and obvious, since people
 * ask for it, not frames; what frames get is the table's word.
 */
import { blockedClassOf, countsInBlockedAlias, isInBlockedAlias } from "./alias-blocks.ts";
import { covers } from "./cidr.ts";
import { CLASS_OTHER, type KnownNetwork } from "./default-layer.ts";
import { formatRule, type Rule, type RuleDirection, rankOf } from "./rule.ts";
import { isGloballyRoutable, isMetadata, PRIVATE } from "./special-purpose.ts";
import { holdsTarget } from "./targets.ts";

/** Whether a rule's target covers an address in host order. */
export function targetCovers({ target }: Rule, address: number, knownNetwork: KnownNetwork): boolean {
  if (target.kind === "cidr") return covers(target.cidr, address);
  switch (target.name) {
    case "@host":
      return knownNetwork.gateway !== 0 && address === knownNetwork.gateway;
    case "@dns":
      return knownNetwork.dnsServers.includes(address);
    case "@metadata":
      return isMetadata(address);
    case "@private":
      return PRIVATE.some((cidr) => covers(cidr, address));
    case "@global":
      return isGloballyRoutable(address) && !isMetadata(address);
  }
}

/** The rule that decides for a direction, a remote address in host order and a port; undefined where the default does. */
export function decidingRule(
  rules: readonly Rule[],
  knownNetwork: KnownNetwork,
  direction: RuleDirection,
  remote: number,
  port: number | undefined,
): Rule | undefined {
  let best: Rule | undefined;
  const inBlockedAlias = isInBlockedAlias(rules, direction, remote);
  for (const rule of rules) {
    if (rule.direction !== undefined && rule.direction !== direction) continue;
    if (inBlockedAlias && !countsInBlockedAlias(rule)) continue;
    if (rule.ports && (port === undefined || port < rule.ports.first || port > rule.ports.last)) continue;
    if (targetCovers(rule, remote, knownNetwork) && (best === undefined || comesBefore(rule, best))) best = rule;
  }
  return best;
}

/**
 * The block rules without a port that would decide if it were not for an allow rule with one, but for those whose target
 * holds all of that rule's, where the exception is meant, and `@private` and `@metadata`, which hold against others. In normal form, behind the word "block".
 */
export function outranked(
  rules: readonly Rule[],
  knownNetwork: KnownNetwork,
  direction: RuleDirection,
  remote: number,
  decides: Rule,
): string[] {
  if (decides.action === "block" || decides.ports === undefined) return [];
  const found = rules.filter(
    (rule) =>
      rule.action === "block" &&
      rule.ports === undefined &&
      blockedClassOf(rule) === CLASS_OTHER &&
      (rule.direction === undefined || rule.direction === direction) &&
      targetCovers(rule, remote, knownNetwork) &&
      !holdsTarget(rule.target, decides.target, knownNetwork),
  );
  return [...new Set(found.map(formatRule))];
}

/** Rules with a port, then the higher rank, then block. */
function comesBefore(one: Rule, other: Rule): boolean {
  if ((one.ports !== undefined) !== (other.ports !== undefined)) return one.ports !== undefined;
  if (rankOf(one) !== rankOf(other)) return rankOf(one) > rankOf(other);
  return one.action === "block" && other.action === "allow";
}
