/** What the rules about addresses make of the internet as a whole. */
import { CLASS_GLOBAL } from "./default-layer.ts";
import type { Rule } from "./rule.ts";

/** Whether a block rule without a port, bare or `out`, is about all addresses of a family, or all of the internet's. */
export function closesInternet(rules: readonly Rule[]): boolean {
  return rules.some((rule) => rule.action === "block" && rule.ports === undefined && isAboutInternet(rule));
}

/**
 * Whether a port is open at a globally routable address that no longer prefix covers: rules with a port come first, then
 * block before allow. Where a family closes it, it is closed.
 */
export function opensInternet(rules: readonly Rule[], port: number): boolean {
  const about = rules.filter(isAboutInternet);
  const withPort = about.filter(({ ports }) => ports !== undefined && ports.first <= port && port <= ports.last);
  const deciding = withPort.length > 0 ? withPort : about.filter(({ ports }) => ports === undefined);
  return !deciding.some(({ action }) => action === "block");
}

function isAboutInternet({ direction, target }: Rule): boolean {
  if (direction === "in") return false;
  return target.classes.includes(CLASS_GLOBAL) || target.classes6.includes(CLASS_GLOBAL);
}
