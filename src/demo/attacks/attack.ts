/** What all attacks have in common: each is tried by Mallory, and judged by what it did, not by what was sent. */
import { randomBytes } from "node:crypto";
import type { World } from "../world.ts";

export interface Outcome {
  /** The attacker got what the attack is about. */
  readonly succeeded: boolean;
  /** What the victim did meanwhile went as it should. */
  readonly unharmed: boolean;
  /** What was seen, for people. */
  readonly evidence: string;
}

export interface Attack {
  readonly title: string;
  /** The drop reasons with which softnet answers it: each must be counted, or the attack never took place. */
  readonly reasons: readonly string[];
  /** The same behind NAT; absent where the attack has no sense there, since it needs others on the same network. */
  readonly natReasons?: readonly string[];
  /** Ends within a few seconds, and leaves nothing of the attacker's running. */
  attempt(world: World): Promise<Outcome>;
}

/** A word that occurs nowhere else. */
export function newSecret(): string {
  return randomBytes(6).toString("hex");
}
