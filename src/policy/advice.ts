/** Advice about rules that do what they say, but perhaps not what was meant. */
import { formatIPv4 } from "../wire/address.ts";
import { formatIPv6 } from "../wire/ipv6-address.ts";
import type { Address, RangesOf } from "./address-space.ts";
import { blockedAliasAt, blockedClassOf, countsInBlockedAlias } from "./alias-blocks.ts";
import { type Cidr, contains } from "./cidr.ts";
import { contains6 } from "./cidr-6.ts";
import { CLASS_OTHER, NO_NETWORK } from "./default-layer.ts";
import { NO_NETWORK_6 } from "./default-layer-6.ts";
import { countsForIPv4, countsForIPv6, impliedRules } from "./families.ts";
import { nameAdvice } from "./name-advice.ts";
import { formatRule, type Rule } from "./rule.ts";
import { OUT } from "./rule-tree.ts";
import { METADATA_ADDRESSES } from "./special-purpose.ts";
import { METADATA_ADDRESSES_6 } from "./special-purpose-6.ts";
import { PolicyTable } from "./table.ts";
import { PolicyTable6 } from "./table-6.ts";
import { contain, overlap, rangesOf, rangesOf6 } from "./target-ranges.ts";
import type { Target } from "./targets/target.ts";

/** A rule this wide was hardly written with the metadata address in mind (threat row I7). */
const NARROW_ENOUGH = 16;
const NARROW_ENOUGH_6 = 32;

/** What is to be said of a policy when softnet starts and when it changes. `gateway`: in host order, 0 = not known. */
export function policyAdvice(rules: readonly Rule[], gateway: number, ipv6: boolean): (string | undefined)[] {
  return [
    metadataAdvice(rules),
    outrankedAdvice(rules, gateway),
    ...nameAdvice(rules),
    ...(ipv6 ? [metadataAdvice6(rules), familyAdvice(rules)] : []),
    ...nameAdvice(rules),
  ];
}

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

const listed = (rules: readonly Rule[]): string => rules.map(formatRule).join(",");

/** The wide allowed CIDRs that open cloud metadata addresses, each with those addresses, as one line of text. */
export function metadataAdvice(rules: readonly Rule[]): string | undefined {
  const wide = allowed(rules).filter(({ cidr }) => cidr.length < NARROW_ENOUGH);
  if (wide.length === 0) return undefined;
  const table = new PolicyTable(rules, NO_NETWORK);
  const opened = METADATA_ADDRESSES.filter(
    (metadata) => wide.some(({ cidr }) => contains(cidr, metadata)) && table.mayBeAllowed(OUT, metadata.address),
  );
  const by = wide.filter(({ cidr }) => opened.some((metadata) => contains(cidr, metadata)));
  return opensMetadata(
    by.map(({ rule }) => rule),
    opened.map(({ address }) => formatIPv4(address)),
  );
}

/** The same of IPv6. */
export function metadataAdvice6(rules: readonly Rule[]): string | undefined {
  const wide = rules.filter(
    ({ action, direction, target }) =>
      action === "allow" && direction !== "in" && (target.cidr6?.length ?? 128) < NARROW_ENOUGH_6,
  );
  if (wide.length === 0) return undefined;
  const table = new PolicyTable6(rules, NO_NETWORK_6);
  const opened = METADATA_ADDRESSES_6.filter(
    (metadata) =>
      wide.some(({ target }) => contains6(target.cidr6!, metadata)) && table.mayBeAllowed(OUT, metadata.address),
  );
  return opensMetadata(
    wide.filter(({ target }) => opened.some((metadata) => contains6(target.cidr6!, metadata))),
    opened.map(({ address }) => formatIPv6(address)),
  );
}

function opensMetadata(by: readonly Rule[], addresses: readonly string[]): string | undefined {
  if (addresses.length === 0) return undefined;
  return `allow ${listed(by)} also opens cloud metadata (${addresses.join(", ")}): close it with block @metadata unless it is meant`;
}

/** What a policy says of the address family that none of its CIDRs is of (threat row S10), with IPv6. */
export function familyAdvice(rules: readonly Rule[]): string | undefined {
  const [implied, ...more] = impliedRules(rules);
  if (implied === undefined) return undefined;
  const [closed, such] = implied.target.cidr6 === undefined ? ["IPv4", "10.0.0.0/8"] : ["IPv6", "2001:db8::/32"];
  const by = [implied, ...more].map(({ impliedBy }) => `block ${impliedBy}`).join(", ");
  return (
    `${by} closes ${closed}, too, since no rule has ${closed === "IPv4" ? "an IPv4" : "an IPv6"} CIDR such as ${such}: ` +
    `${[implied, ...more].map((rule) => `block ${formatRule(rule)}`).join(", ")} is in force`
  );
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
    `allow ${listed(covering.map(({ rule }) => rule))} covers this VM's own subnet ${formatIPv4(subnet.address)}/${subnet.length}, ` +
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
  const covered = (target: Target) => rangesOf(target, { ...NO_NETWORK, gateway });
  const found = outrankedPairs(rules.filter(countsForIPv4), covered, NARROW_ENOUGH);
  if (rules.some(({ target }) => target.cidr6 !== undefined)) {
    const ofIPv6 = (target: Target) => rangesOf6(target, NO_NETWORK_6);
    for (const pair of outrankedPairs(rules.filter(countsForIPv6), ofIPv6, NARROW_ENOUGH_6)) found.add(pair);
  }
  if (found.size === 0) return undefined;
  const more = found.size > MOST_NAMED ? `, and ${found.size - MOST_NAMED} more` : "";
  return (
    `${[...found].slice(0, MOST_NAMED).join(", ")}${more}: rules with a port come before rules without, so that port is open there; ` +
    "unless it is meant, allow fewer addresses"
  );
}

/** Of the rules of one family; `narrowEnough`: an allowed prefix of this length hardly covers what DHCP announces. */
function outrankedPairs<A extends Address>(
  rules: readonly Rule[],
  covered: (target: Target) => RangesOf<A>,
  narrowEnough: number,
): Set<string> {
  const placed = (rule: Rule): Placed<A> => ({ rule, ranges: covered(rule.target) });
  // What follows the network is as narrow as an exception can be.
  const allows = distinct(
    rules.filter(({ action, target, ports }) => action === "allow" && ports !== undefined && !target.followsNetwork),
  ).map(placed);
  const blocks = distinct(rules.filter(({ action }) => action === "block"));
  const closing = Map.groupBy(
    blocks.filter(({ ports }) => ports !== undefined),
    ({ target }) => target.text,
  );
  const found = new Set<string>();
  for (const block of blocks) {
    // Aliases that a wider rule with a port does not open.
    if (block.ports !== undefined || blockedClassOf(block) !== CLASS_OTHER) continue;
    const closers = closing.get(block.target.text) ?? [];
    const closed = placed(block);
    const allow = allows.find(
      (one) => opensPartOf(one, closed, narrowEnough) && !isClosedAgain(closers, one.rule, block),
    );
    if (allow !== undefined) found.add(`allow ${formatRule(allow.rule)} comes before block ${formatRule(block)}`);
  }
  return found;
}

/** One rule for each direction, target and ports. */
function distinct(rules: readonly Rule[]): Rule[] {
  return [...new Map(rules.map((rule) => [formatRule(rule), rule])).values()];
}

/** A rule with what its target covers. */
interface Placed<A extends Address> {
  readonly rule: Rule;
  readonly ranges: RangesOf<A>;
}

function opensPartOf<A extends Address>(
  { rule: allow, ranges }: Placed<A>,
  { rule: block, ranges: closed }: Placed<A>,
  narrowEnough: number,
): boolean {
  if (allow.direction !== undefined && block.direction !== undefined && allow.direction !== block.direction)
    return false;
  // Its addresses come with DHCP: only a wide rule probably covers them.
  if (block.target.followsNetwork && closed.length === 0) return allow.target.rank < narrowEnough;
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
