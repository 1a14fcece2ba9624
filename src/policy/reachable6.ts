/** What a host's own forwarding must know of a policy about IPv6, as reachable.ts has it of IPv4. */
import type { Rule } from "./rule.ts";

/** First and last address, in the form of wire/ipv6-address.ts. */
export type Range6 = readonly [first: bigint, last: bigint];

/** As `Reachable`. */
export interface Reachable6 {
  readonly allowed: readonly Range6[];
  readonly answerable: readonly Range6[];
  readonly closed: readonly Range6[];
  readonly dns: readonly Range6[];
}

export const NO_REACH6: Reachable6 = Object.freeze({ allowed: [], answerable: [], closed: [], dns: [] });

/**
 * `routers`: the addresses of the VM's router, on the host. No other VM and no other address of the host's can be reached, and
 * every client of an exposed port appears as the router, whatever the rules say. Where any rule blocks something, the
 * router counts as closed to what comes from exposed ports: answers to clients pass, and nobody else misses it.
 */
export function reachable6(
  rules: readonly Rule[],
  { routers, dnsServers }: { readonly routers: readonly bigint[]; readonly dnsServers: readonly bigint[] },
): Reachable6 {
  const single = (address: bigint): Range6 => [address, address];
  const blocks = rules.some(({ action }) => action === "block");
  return { ...NO_REACH6, closed: blocks ? routers.map(single) : [], dns: dnsServers.map(single) };
}
