/** What a user should be told about rules that do what they say, but perhaps not what was meant. */
import { formatIPv4 } from "../wire/address.ts";
import { ALLOWED, DestinationTable } from "./destinations.ts";
import { type Cidr, covers, formatCidr, type Rule } from "./rule.ts";
import { METADATA_ADDRESSES } from "./special-purpose.ts";

/** A rule this wide was hardly written with the metadata address in mind (threat row I7). */
const NARROW_ENOUGH = 16;

function contains(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && covers(outer, inner.address);
}

function allowed(rules: readonly Rule[]): Cidr[] {
  return rules.flatMap(({ action, target }) => (action === "allow" && target.kind === "cidr" ? [target.cidr] : []));
}

/** The wide allowed CIDRs that open cloud metadata addresses, each with those addresses, as one line of text. */
export function metadataAdvice(rules: readonly Rule[]): string | undefined {
  const wide = allowed(rules).filter(({ length }) => length < NARROW_ENOUGH);
  const table = new DestinationTable(rules, { gateway: 0, address: 0, netmask: 0, dnsServers: [] });
  const opened = METADATA_ADDRESSES.filter(
    (metadata) => wide.some((cidr) => contains(cidr, metadata)) && table.lookup(metadata.address) === ALLOWED,
  );
  if (opened.length === 0) return undefined;
  const by = wide.filter((cidr) => opened.some((metadata) => contains(cidr, metadata)));
  const addresses = opened.map(({ address }) => formatIPv4(address)).join(", ");
  return `--allow ${by.map(formatCidr).join(",")} also opens cloud metadata (${addresses}): close it with --block unless it is meant`;
}

/** The allowed CIDRs that meet the VM's own subnet: isolation still keeps its neighbours apart. */
export function isolationAdvice(rules: readonly Rule[], subnet: Cidr): string | undefined {
  const meeting = allowed(rules).filter((cidr) => contains(cidr, subnet) || contains(subnet, cidr));
  if (meeting.length === 0) return undefined;
  return (
    `--allow ${meeting.map(formatCidr).join(",")} covers this VM's own subnet ${formatCidr(subnet)}, ` +
    "but isolated VMs do not reach each other: start both with --allow 0.0.0.0/0 for that"
  );
}
