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
  /** Whether a rule closes the gateway: then a client that appears as it gets no answer either. */
  readonly gatewayBlocked: boolean;
}

export function reachOf(rules: readonly Rule[], surroundings: Surroundings): Reach {
  const table = new DestinationTable(rules, surroundings);
  return {
    allowed: table.ranges((value) => value === ALLOWED),
    gatewayBlocked: table.lookup(surroundings.gateway) === BLOCKED,
    answerable: table.ranges((value) => value === ALLOWED || (value & ~DNS_SERVER) === GLOBAL),
  };
}
