/**
 * What a host's own forwarding must know of a policy, as ranges of addresses. The guard judges every frame itself; this says
 * only which machines the host may connect with the VM at all, and under which address.
 */
import { ALLOWED, BLOCKED, DNS_SERVER, GLOBAL, type KnownNetwork, LOOPBACK } from "./default-layer.ts";
import type { Ranges } from "./intervals.ts";
import type { Rule } from "./rule.ts";
import { OUT } from "./rule-tree.ts";
import { NO_PORT, PolicyTable } from "./table.ts";

/** First and last address. */
export type Range = Ranges[number];

export interface Reachable {
  /** What a rule may allow, out or in, on whatever port. */
  readonly allowed: Ranges;
  /** From where the VM's answers to a TCP client pass: clients from there may appear under their own address. */
  readonly answerable: Ranges;
  /** The gateway, where a rule blocks it or a port of it. */
  readonly closed: Ranges;
  /** The DNS servers that DHCP announces to the VM: it may send queries to them also on the host's own addresses. */
  readonly dns: Ranges;
}

/** Clients' ports begin after the well-known ones: a rule about those alone blocks no answer. */
export const FIRST_CLIENT_PORT = 1024;

export function reachable(rules: readonly Rule[], knownNetwork: KnownNetwork): Reachable {
  const table = new PolicyTable(rules, knownNetwork);
  const allowed = table.allowedRanges();
  const { gateway } = knownNetwork;
  const dns = knownNetwork.dnsServers.map((server) => [server, server] as const);
  const closed: Ranges = isClosed(table, rules, gateway) ? [[gateway, gateway]] : [];
  if (table.stateful) {
    // Answers belong to their client's flow, and rules for the way in are about the client's own address.
    const answerable = table.outRanges((value) => value !== LOOPBACK, Number.POSITIVE_INFINITY);
    return { allowed, answerable, closed, dns };
  }
  const answerable = table.outRanges(
    (value) => value === ALLOWED || (value & ~DNS_SERVER) === GLOBAL,
    table.byPort ? FIRST_CLIENT_PORT : Number.POSITIVE_INFINITY,
  );
  return { allowed, answerable, closed, dns };
}

/** Whether any port of an address is blocked for the VM: the answer changes only where the ports of a rule begin or end. */
function isClosed(table: PolicyTable, rules: readonly Rule[], address: number): boolean {
  if (address === 0) return false;
  const blocked = (port: number): boolean => table.ask(OUT, address, port) === BLOCKED;
  return blocked(NO_PORT) || rules.some(({ ports }) => ports && (blocked(ports.first) || blocked(ports.last + 1)));
}
