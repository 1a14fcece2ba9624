/** What a user should be told about rules that do what they say, but perhaps not what was meant. */
import { formatIPv4 } from "../wire/address.ts";
import { type Cidr, covers } from "./cidr.ts";
import { formatRule, type Rule } from "./rule.ts";
import { OUT } from "./rule-tree.ts";
import { METADATA_ADDRESSES } from "./special-purpose.ts";
import { PolicyTable } from "./table.ts";

/** A rule this wide was hardly written with the metadata address in mind (threat row I7). */
const NARROW_ENOUGH = 16;

interface CidrRule {
  readonly rule: Rule;
  readonly cidr: Cidr;
}

function contains(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && covers(outer, inner.address);
}

/** The allowed CIDRs that let something out. */
function allowed(rules: readonly Rule[]): CidrRule[] {
  return rules.flatMap((rule) =>
    rule.action === "allow" && rule.direction !== "in" && rule.target.kind === "cidr"
      ? [{ rule, cidr: rule.target.cidr }]
      : [],
  );
}

const listed = (rules: readonly CidrRule[]): string => rules.map(({ rule }) => formatRule(rule)).join(",");

/** The wide allowed CIDRs that open cloud metadata addresses, each with those addresses, as one line of text. */
export function metadataAdvice(rules: readonly Rule[]): string | undefined {
  const wide = allowed(rules).filter(({ cidr }) => cidr.length < NARROW_ENOUGH);
  if (wide.length === 0) return undefined;
  const table = new PolicyTable(rules, { gateway: 0, address: 0, netmask: 0, dnsServers: [] });
  const opened = METADATA_ADDRESSES.filter(
    (metadata) => wide.some(({ cidr }) => contains(cidr, metadata)) && table.mayBeAllowed(OUT, metadata.address),
  );
  if (opened.length === 0) return undefined;
  const by = wide.filter(({ cidr }) => opened.some((metadata) => contains(cidr, metadata)));
  const addresses = opened.map(({ address }) => formatIPv4(address)).join(", ");
  return `allow ${listed(by)} also opens cloud metadata (${addresses}): close it with block @metadata unless it is meant`;
}

/** The allowed CIDRs that meet the VM's own subnet: isolation still keeps its neighbours apart. */
export function isolationAdvice(rules: readonly Rule[], subnet: Cidr): string | undefined {
  const meeting = allowed(rules).filter(({ cidr }) => contains(cidr, subnet) || contains(subnet, cidr));
  if (meeting.length === 0) return undefined;
  return (
    `--allow ${listed(meeting)} covers this VM's own subnet ${formatIPv4(subnet.address)}/${subnet.length}, ` +
    "but isolated VMs do not reach each other: start both with --allow 0.0.0.0/0 for that"
  );
}
