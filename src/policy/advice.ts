/** Advice about rules that do what they say, but perhaps not what was meant. */
import { formatIPv4 } from "../wire/address.ts";
import { blockedAliasAt, blockedClassOf, countsInBlockedAlias } from "./alias-blocks.ts";
import { type Cidr, contains } from "./cidr.ts";
import { CLASS_OTHER, NO_NETWORK } from "./default-layer.ts";
import type { Ranges } from "./intervals.ts";
import { formatRule, type Rule } from "./rule.ts";
import { OUT } from "./rule-tree.ts";
import { METADATA_ADDRESSES } from "./special-purpose.ts";
import { PolicyTable } from "./table.ts";
import { contain, overlap, rangesOf } from "./target-ranges.ts";

/** A rule this wide was hardly written with the metadata address in mind (threat row I7). */
const NARROW_ENOUGH = 16;

interface CidrRule {
  readonly rule: Rule;
  readonly cidr: Cidr;
}

/** The allowed CIDRs that let something out. */
function allowed(rules: readonly Rule[]): CidrRule[] {
  return rules.flatMap((rule) =>
    rule.action === "allow" && rule.direction !== "in" && rule.target.cidr !== undefined
      ? [{ rule, cidr: rule.target.cidr }]
      : [],
  );
}

const listed = (rules: readonly CidrRule[]): string => rules.map(({ rule }) => formatRule(rule)).join(",");

/** The wide allowed CIDRs that open cloud metadata addresses, each with those addresses, as one line of text. */
export function metadataAdvice(rules: readonly Rule[]): string | undefined {
  const wide = allowed(rules).filter(({ cidr }) => cidr.length < NARROW_ENOUGH);
  if (wide.length === 0) return undefined;
  const table = new PolicyTable(rules, NO_NETWORK);
  const opened = METADATA_ADDRESSES.filter(
    (metadata) => wide.some(({ cidr }) => contains(cidr, metadata)) && table.mayBeAllowed(OUT, metadata.address),
  );
  if (opened.length === 0) return undefined;
  const by = wide.filter(({ cidr }) => opened.some((metadata) => contains(cidr, metadata)));
  const addresses = opened.map(({ address }) => formatIPv4(address)).join(", ");
  return `allow ${listed(by)} also opens cloud metadata (${addresses}): close it with block @metadata unless it is meant`;
}

/** The allowed CIDRs that overlap the VM's own subnet, whose VMs stay isolated from each other all the same. */
export function isolationAdvice(rules: readonly Rule[], subnet: Cidr): string | undefined {
  const closed = blockedAliasAt(rules, "out", subnet.address);
  const covering = allowed(rules).filter(
    ({ rule, cidr }) =>
      (contains(cidr, subnet) || contains(subnet, cidr)) &&
      (closed === CLASS_OTHER || countsInBlockedAlias(rule, closed)),
  );
  if (covering.length === 0) return undefined;
  return (
    `allow ${listed(covering)} covers this VM's own subnet ${formatIPv4(subnet.address)}/${subnet.length}, ` +
    "but isolated VMs do not reach each other: start both with allow 0.0.0.0/0 for that"
  );
}

/** How many block rules a line names. */
const MOST_NAMED = 4;

/**
 * The block rules without a port before which an allow rule with a port comes, as one line of text. Not those whose target
 * contains all of the allow rule's, since there the exception is meant, and not `@private` and `@metadata`, which such a
 * rule does not open.
 * `gateway`: in host order, 0 = not known.
 */
export function outrankedAdvice(rules: readonly Rule[], gateway: number): string | undefined {
  const placed = (rule: Rule): Placed => ({ rule, ranges: rangesOf(rule.target, { ...NO_NETWORK, gateway }) });
  // What follows the network is as narrow as an exception can be.
  const allows = distinct(
    rules.filter(({ action, target, ports }) => action === "allow" && ports !== undefined && !target.followsNetwork),
  ).map(placed);
  const blocks = distinct(rules.filter(({ action }) => action === "block"));
  const closing = Map.groupBy(
    blocks.filter(({ ports }) => ports !== undefined),
    ({ target }) => target.text,
  );
  const found: string[] = [];
  for (const block of blocks) {
    // Aliases that a wider rule with a port does not open.
    if (block.ports !== undefined || blockedClassOf(block) !== CLASS_OTHER) continue;
    const closers = closing.get(block.target.text) ?? [];
    const closed = placed(block);
    const allow = allows.find((one) => opensPartOf(one, closed) && !isClosedAgain(closers, one.rule, block));
    if (allow !== undefined) found.push(`allow ${formatRule(allow.rule)} comes before block ${formatRule(block)}`);
  }
  if (found.length === 0) return undefined;
  const more = found.length > MOST_NAMED ? `, and ${found.length - MOST_NAMED} more` : "";
  return (
    `${found.slice(0, MOST_NAMED).join(", ")}${more}: rules with a port come before rules without, so that port is open there; ` +
    "unless it is meant, allow fewer addresses"
  );
}

/** One rule for each direction, target and ports. */
function distinct(rules: readonly Rule[]): Rule[] {
  return [...new Map(rules.map((rule) => [formatRule(rule), rule])).values()];
}

/** A rule with what its target covers. */
interface Placed {
  readonly rule: Rule;
  readonly ranges: Ranges;
}

function opensPartOf({ rule: allow, ranges }: Placed, { rule: block, ranges: closed }: Placed): boolean {
  if (allow.direction !== undefined && block.direction !== undefined && allow.direction !== block.direction)
    return false;
  // Its addresses come with DHCP: only a wide rule probably covers them.
  if (block.target.followsNetwork && closed.length === 0) return allow.target.rank < NARROW_ENOUGH;
  return overlap(ranges, closed) && !contain(closed, ranges);
}

/** Whether a rule about the same target blocks the allowed ports, too, and comes before the allow rule. */
function isClosedAgain(closers: readonly Rule[], allow: Rule, block: Rule): boolean {
  const direction = block.direction ?? allow.direction;
  return closers.some(
    (rule) =>
      rule.ports!.first <= allow.ports!.first &&
      rule.ports!.last >= allow.ports!.last &&
      (rule.direction === undefined || rule.direction === direction) &&
      block.target.rank >= allow.target.rank,
  );
}
