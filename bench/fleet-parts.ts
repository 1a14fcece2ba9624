/** What bench/fleet.ts and its child processes say to each other. */
import { formatLimits, parseLimits } from "../src/policy/limits.ts";

/** A change to wait for. */
export interface Change {
  /** From 1 on; which rule and which limit it has follow from it. */
  readonly number: number;
  /** How many VMs of this process are to get it. */
  readonly vms: number;
}

/** It is in force at all of them. */
export interface InForce {
  readonly change: number;
  /** process.hrtime.bigint(), decimal: one clock for all processes of a machine. */
  readonly at: string;
}

/** What an agents' process has used. */
export interface Usage {
  /** Bytes and messages from and to NATS, of all its agents together. */
  readonly inBytes: number;
  readonly outBytes: number;
  readonly inMessages: number;
  readonly outMessages: number;
  /** Resident, in bytes. */
  readonly memory: number;
  /** Seconds of CPU time. */
  readonly cpu: number;
}

/** In normal form. */
export const ruleOf = (change: number): string => `out 100.${change >> 16}.${(change >> 8) & 255}.${change & 255}/32`;
export const limitOf = (change: number): string => formatLimits(parseLimits(`out ${1_000 + change}K/s`))[0]!;

/** Ten rules that stay, one and a limit that are the change's. */
export function documentOf(change: number): string {
  const stay = Array.from({ length: 10 }, (_, index) => `out 10.${index}.0.0/16`);
  return JSON.stringify({ allow: ["@dns"], block: [ruleOf(change), ...stay], limits: [limitOf(change)] });
}
