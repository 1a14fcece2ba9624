/** The interface of all attacks: Mallory tries each, and it is judged by its effect, not by what was sent. */
import { randomBytes } from "node:crypto";
import type { World } from "../world.ts";

export interface Outcome {
  /** The attacker got what the attack is about. */
  readonly succeeded: boolean;
  /** The victim's own actions succeeded meanwhile. */
  readonly unharmed: boolean;
  /** What was observed, as text. */
  readonly evidence: string;
}

export interface Attack {
  readonly title: string;
  /** The drop reasons with which softnet answers it: each must be counted, or the attack never took place. */
  readonly reasons: readonly string[];
  /** The same behind NAT; absent if the attack needs other machines on the same network. */
  readonly natReasons?: readonly string[];
  /** It is tried where the machine has IPv6 only. */
  readonly needsIPv6?: boolean;
  /** Ends within a few seconds, and leaves nothing of the attacker's running. */
  attempt(world: World): Promise<Outcome>;
}

/** A word that occurs nowhere else. */
export function newSecret(): string {
  return randomBytes(6).toString("hex");
}
