/** How often each rule decided, and when last: the result of the control channel's `softnet.rules`. */
import type { PolicyLists } from "../control/live-policy.ts";
import type { Guard } from "../guard/guard.ts";

/** `clock`: now, microseconds on the guard's clock; `now`: the same moment, milliseconds since 1970. */
export function describeRules(guard: Guard, { allow, block }: PolicyLists, clock: number, now: number): object {
  const counted = new Map(guard.ruleHits.map((hit) => [`${hit.action} ${hit.text}`, hit]));
  const moment = (last: number | undefined): string | null =>
    last === undefined || !Number.isFinite(last) ? null : new Date(now - (clock - last) / 1000).toISOString();
  const describe = (action: "allow" | "block", text: string): object => {
    const hit = counted.get(`${action} ${text}`);
    return { text, action, hits: hit?.hits ?? 0, last: moment(hit?.last) };
  };
  const { hits, last } = guard.defaultHits;
  return {
    rules: [...allow.map((text) => describe("allow", text)), ...block.map((text) => describe("block", text))],
    default: { hits, last: moment(last) },
  };
}
