/**
 * Blocked aliases (docs/guard.md, Asking the rules): where `@private` or `@metadata` is blocked without a port, an allow rule
 * with a port opens a part of it only if it is about that part: `--block @metadata --allow 0.0.0.0/0:80` leaves cloud metadata
 * closed (threat row I7). All other rules with a port come before those without.
 */
import { covers } from "./cidr.ts";
import { CLASS_METADATA, CLASS_OTHER, CLASS_PRIVATE } from "./default-layer.ts";
import type { Rule, RuleDirection } from "./rule.ts";
import { isMetadata, PRIVATE } from "./special-purpose.ts";

/** The class of the addresses of an alias whose block is stronger than others: CLASS_OTHER for everything else. */
export function blockedClassOf({ action, target, ports }: Rule): number {
  return action === "block" && ports === undefined ? target.blockedClass : CLASS_OTHER;
}

/** Whether a rule counts also at an address of an alias that is blocked without a port. */
export function countsInBlockedAlias({ action, target, ports }: Rule, addressClass: number): boolean {
  return action === "block" || ports === undefined || target.countsInBlocked(addressClass);
}

/** The class of an IPv4 address whose alias rules for a direction block without a port; CLASS_OTHER where none does. */
export function blockedAliasAt(rules: readonly Rule[], direction: RuleDirection, address: number): number {
  const wanted = isMetadata(address)
    ? CLASS_METADATA
    : PRIVATE.some((cidr) => covers(cidr, address))
      ? CLASS_PRIVATE
      : CLASS_OTHER;
  if (wanted === CLASS_OTHER) return CLASS_OTHER;
  const isBlocked = rules.some(
    (rule) => (rule.direction === undefined || rule.direction === direction) && blockedClassOf(rule) === wanted,
  );
  return isBlocked ? wanted : CLASS_OTHER;
}
