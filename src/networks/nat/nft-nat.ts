/** NAT rules of nftables, from what nft prints as JSON (libnftables-json(5)). */

import type { NamedSet, Rule, Statement } from "../../host/firewalls/nft.ts";
import type { NatChains, NatRule } from "./nat-chains.ts";
import { EVERY_PORT, intersect, type PortRange } from "./port-ranges.ts";

/** Targets of iptables that nft names without their contents. */
const PUBLISHING_TARGETS: ReadonlySet<string> = new Set(["DNAT", "REDIRECT", "NETMAP"]);

type Json = Readonly<Record<string, unknown>>;

/** The chains of one table. `sets`: the named sets and maps of that table. */
export function nftNatChains(rules: readonly Rule[], sets: readonly NamedSet[]): NatChains {
  const chains = new Map<string, NatRule[]>();
  for (const { chain, expr } of rules) chains.set(chain, [...(chains.get(chain) ?? []), ...natRulesOf(expr, sets)]);
  return chains;
}

/** Whether nft leaves out what a rule of iptables asks for, so that iptables-save should be asked. */
export function isIncomplete(rules: readonly Rule[]): boolean {
  return rules.some(({ expr }) => expr.some((statement) => (statement.xt as Json | undefined)?.type === "match"));
}

/** One statement of a rule can lead to several chains. */
function natRulesOf(statements: readonly Statement[], sets: readonly NamedSet[]): NatRule[] {
  const found: NatRule[] = [];
  let ports: readonly PortRange[] = EVERY_PORT;
  for (const statement of statements) {
    const [name, value] = Object.entries(statement)[0] ?? ["", undefined];
    const json = (value ?? {}) as Json;
    if (name === "match") ports = intersect(ports, portsOfMatch(json, sets));
    else if (name === "dnat" || name === "redirect") {
      const mapped = [json.addr, json.port].reduce<readonly PortRange[]>(
        (left, each) => intersect(left, portsOfMap((each as Json | undefined)?.map, sets)),
        ports,
      );
      found.push({ ports: mapped, target: { kind: "publish" } });
    } else if (name === "xt" && PUBLISHING_TARGETS.has(String(json.name))) {
      found.push({ ports, target: { kind: "publish" } });
    } else if (name === "vmap") {
      found.push(...jumpsOf(json, sets).map((jump) => ({ ...jump, ports: intersect(ports, jump.ports) })));
    } else found.push(...jumpOf(statement, ports));
  }
  return found.filter((rule) => rule.ports.length > 0);
}

function jumpOf(verdict: Json, ports: readonly PortRange[]): NatRule[] {
  const { target } = (verdict.jump ?? verdict.goto ?? {}) as Json;
  return typeof target === "string" ? [{ ports, target: { kind: "jump", chain: target } }] : [];
}

function jumpsOf({ key, data }: Json, sets: readonly NamedSet[]): NatRule[] {
  const elements = elementsOf(data, sets);
  if (elements === undefined) return [{ ports: EVERY_PORT, target: { kind: "publish" } }];
  return elements.flatMap((element) => {
    const [from, verdict] = element as readonly [unknown, Json | null];
    return jumpOf(verdict ?? {}, portsOfElements(key, [from]));
  });
}

/** A translation that asks a map is for the keys of that map alone. */
function portsOfMap(map: unknown, sets: readonly NamedSet[]): readonly PortRange[] {
  if (map === undefined) return EVERY_PORT;
  const { key, data } = map as Json;
  const elements = elementsOf(data, sets);
  if (elements === undefined) return EVERY_PORT;
  return portsOfElements(
    key,
    elements.map((element) => (element as readonly unknown[])[0]),
  );
}

function portsOfMatch({ op, left, right }: Json, sets: readonly NamedSet[]): readonly PortRange[] {
  const values = elementsOf(right, sets);
  if (values === undefined) return EVERY_PORT;
  if (op === "==" || op === "in") return portsOfElements(left, values);
  return op === "!=" && isProtocol(left) && values.some(isTcp) ? [] : EVERY_PORT;
}

/** The ports that a key (one expression, or several put together) with one of these values can have. */
function portsOfElements(key: unknown, values: readonly unknown[]): readonly PortRange[] {
  const keys = partsOf(key);
  if (keys.some(isForeign)) return [];
  const port = keys.findIndex(isPort);
  const protocol = keys.findIndex(isProtocol);
  if (port < 0 && protocol < 0) return EVERY_PORT;
  return values.flatMap((value) => {
    const parts = partsOf(value);
    if (protocol >= 0 && !isTcp(parts[protocol])) return [];
    return port < 0 ? EVERY_PORT : rangeOf(parts[port]);
  });
}

/** The elements of a set that is written out or has a name (`@name`), or a single value; undefined for an unknown set. */
function elementsOf(data: unknown, sets: readonly NamedSet[]): readonly unknown[] | undefined {
  if (typeof data === "string" && data.startsWith("@")) {
    const set = sets.find(({ name }) => name === data.slice(1));
    return set && (set.elem ?? []).map(bare);
  }
  if (Array.isArray(data)) return data.map(bare);
  const set = (data as Json | null)?.set;
  return Array.isArray(set) ? set.map(bare) : [data];
}

/** An element with a timeout or a comment stands in an object of its own; a map's element is a pair. */
function bare(element: unknown): unknown {
  if (Array.isArray(element)) return [bare(element[0]), element[1]];
  const wrapped = (element as { elem?: { val?: unknown } } | null)?.elem;
  return wrapped?.val ?? element;
}

function partsOf(value: unknown): readonly unknown[] {
  const parts = (value as { concat?: unknown } | null)?.concat;
  return Array.isArray(parts) ? parts : [value];
}

function isPort(key: unknown): boolean {
  const { protocol, field } = payloadOf(key);
  return field === "dport" && (protocol === "tcp" || protocol === "th");
}

function isProtocol(key: unknown): boolean {
  const { protocol, field } = payloadOf(key);
  return (
    ((key as Json | null)?.meta as Json | undefined)?.key === "l4proto" || (protocol === "ip" && field === "protocol")
  );
}

/** Never true of a TCP segment over IPv4. */
function isForeign(key: unknown): boolean {
  const { protocol } = payloadOf(key);
  return protocol !== undefined && !["ip", "tcp", "th", "ether"].includes(String(protocol));
}

function payloadOf(key: unknown): Json {
  return ((key as Json | null)?.payload ?? {}) as Json;
}

function isTcp(value: unknown): boolean {
  return value === "tcp" || value === 6;
}

function rangeOf(value: unknown): readonly PortRange[] {
  if (typeof value === "number") return [[value, value]];
  const { range } = (value ?? {}) as { range?: readonly [number, number] };
  return range === undefined ? EVERY_PORT : [range];
}
