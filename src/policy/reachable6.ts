/** What a host's own forwarding must know of a policy about IPv6, as reachable.ts has it of IPv4. */
import { wordsOf } from "../wire/ipv6-address.ts";
import type { RangesOf } from "./address-space.ts";
import { cidr6Of } from "./cidr-6.ts";
import { ALLOWED, BLOCKED, DNS_SERVER, GLOBAL, LOOPBACK } from "./default-layer.ts";
import { NO_PORT } from "./judged-intervals.ts";
import { FIRST_CLIENT_PORT } from "./reachable.ts";
import type { Rule } from "./rule.ts";
import { OUT } from "./rule-tree.ts";
import { PolicyTable6 } from "./table-6.ts";

export type Ranges6 = RangesOf<bigint>;
/** First and last address. */
export type Range6 = Ranges6[number];

/** As `Reachable`. */
export interface Reachable6 {
  readonly allowed: Ranges6;
  readonly answerable: Ranges6;
  readonly closed: Ranges6;
  readonly dns: Ranges6;
}

export const NO_REACH6: Reachable6 = Object.freeze({ allowed: [], answerable: [], closed: [], dns: [] });

export interface Place6 {
  /** The addresses of the VM's router, on the host. */
  readonly routers: readonly bigint[];
  /** The first address of the VM's /64. */
  readonly prefix: bigint;
  readonly dnsServers: readonly bigint[];
}

export function reachable6(rules: readonly Rule[], { routers, prefix, dnsServers }: Place6): Reachable6 {
  const table = new PolicyTable6(rules, { routers, dnsServers, onLink: [cidr6Of(prefix, 64)], nat64: [] });
  const single = (address: bigint): Range6 => [address, address];
  const isAnswerable = (value: number): boolean => value === ALLOWED || (value & ~DNS_SERVER) === GLOBAL;
  return {
    allowed: table.allowedRanges(),
    // As for IPv4: answers of a stateful policy belong to their client's flow.
    answerable: table.stateful
      ? table.outRanges((value) => value !== LOOPBACK, Number.POSITIVE_INFINITY)
      : table.outRanges(isAnswerable, table.byPort ? FIRST_CLIENT_PORT : Number.POSITIVE_INFINITY),
    closed: routers.filter((router) => isClosed(table, rules, router)).map(single),
    dns: dnsServers.map(single),
  };
}

/** As in reachable.ts: whether any port of an address is blocked for the VM. */
function isClosed(table: PolicyTable6, rules: readonly Rule[], address: bigint): boolean {
  const words = wordsOf(address);
  const blocked = (port: number): boolean => table.ask(OUT, words, 0, port) === BLOCKED;
  return blocked(NO_PORT) || rules.some(({ ports }) => ports && (blocked(ports.first) || blocked(ports.last + 1)));
}
