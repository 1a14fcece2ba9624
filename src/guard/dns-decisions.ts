/** What became of a VM's lookups, counted by decision; a decision's place is its index. */
import { verdictOf } from "./reasons.ts";

export const QUERY_DECISIONS = ["pass", "denied", "type", "budget", "format"] as const;

/** In the order of QUERY_DECISIONS from its second on. */
const VERDICTS = Uint8Array.of(
  verdictOf("dns.denied"),
  verdictOf("dns.type"),
  verdictOf("dns.budget"),
  verdictOf("dns.format"),
);

/** The place of a lookup's verdict: PASS has the first. */
export function decisionOf(verdict: number): number {
  return VERDICTS.indexOf(verdict) + 1;
}
