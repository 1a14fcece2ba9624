/** What of the policy the forward path must know. The guard itself judges every frame. */
import type { Surroundings } from "../../policy/default-layer.ts";
import { type Reachable, reachable } from "../../policy/reachable.ts";
import type { Rule } from "../../policy/rule.ts";

/** First and last address. */
export type Range = readonly [first: number, last: number];

/**
 * `allowed`: the only addresses at which other VMs behind softnet may be met. `answerable`: clients from there reach an
 * exposed port under their own address, others as the gateway. `closed`: the gateway where a rule closes it, or a port of it: then of the
 * exposed ports' segments to it the host takes only answers to clients that were led to the VM.
 */
export type Reach = Reachable;

export function reachOf(rules: readonly Rule[], surroundings: Surroundings): Reach {
  return reachable(rules, surroundings);
}
