/** What of the policy the forward path must know, as ranges of addresses. The guard itself judges every frame; this only
 * tells whom the host may bring together with the VM at all. */
import {
  ALLOWED,
  BLOCKED,
  DestinationTable,
  DNS_SERVER,
  GLOBAL,
  type Surroundings,
} from "../../policy/destinations.ts";
import type { Rule } from "../../policy/rule.ts";

/** First and last address. */
export type Range = readonly [first: number, last: number];

export interface Reach {
  /** What a rule allows: the only addresses at which other VMs behind softnet may be met. */
  readonly allowed: readonly Range[];
  /** What the VM may send TCP to, whatever the port: clients from there reach an exposed port under their own address. */
  readonly answerable: readonly Range[];
  /** The gateway where a rule closes it: then the VM may answer there to clients that appear as it, and no more. */
  readonly closed: readonly Range[];
}

export function reachOf(rules: readonly Rule[], surroundings: Surroundings): Reach {
  const table = new DestinationTable(rules, surroundings);
  const { gateway } = surroundings;
  return {
    allowed: table.ranges((value) => value === ALLOWED),
    answerable: table.ranges((value) => value === ALLOWED || (value & ~DNS_SERVER) === GLOBAL),
    closed: table.lookup(gateway) === BLOCKED ? [[gateway, gateway]] : [],
  };
}
