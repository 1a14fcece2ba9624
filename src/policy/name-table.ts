/**
 * What a policy's rules say of names (docs/guard-names.md, Words). It is asked for a question, and where a connection begins, never
 * for a packet of one that goes on. A table is never changed: another policy makes another one.
 */
import { PROTOCOL_TCP } from "../wire/ipv4.ts";
import { CLASS_GLOBAL } from "./default-layer.ts";
import type { PortRange, Rule } from "./rule.ts";

export const NAME_UNSAID = 0;
export const NAME_ALLOWED = 1;
export const NAME_BLOCKED = 2;

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
const QUIC_PORT = 443;

interface Entry {
  readonly rule: Rule;
  readonly allows: boolean;
  readonly ports: PortRange | undefined;
}

export class NameTable {
  /** By the name's bytes, one character each: rules with a port first, block rules before allow rules. */
  readonly #exact = new Map<string, Entry[]>();
  readonly #below = new Map<string, Entry[]>();
  readonly #allows: readonly Entry[];
  /** Whether some rule has a name; some allow rule; some block rule. */
  readonly any: boolean;
  readonly anyAllow: boolean;
  readonly anyBlock: boolean;
  /** Whether the policy's rules close the internet to the VM but for what else they allow. */
  readonly closesInternet: boolean;

  constructor(rules: readonly Rule[]) {
    const entries: Entry[] = [];
    for (const rule of rules) {
      const { name } = rule.target;
      if (name === undefined) continue;
      const entry = { rule, allows: rule.action === "allow", ports: rule.ports };
      entries.push(entry);
      const map = name.isWildcard ? this.#below : this.#exact;
      const key = keyOf(name.labels, 0, name.labels.length);
      const same = map.get(key);
      if (same === undefined) map.set(key, [entry]);
      else same.push(entry);
    }
    for (const map of [this.#exact, this.#below]) for (const list of map.values()) list.sort(byRank);
    this.#allows = entries.filter(({ allows }) => allows);
    this.any = entries.length > 0;
    this.anyAllow = this.#allows.length > 0;
    this.anyBlock = this.#allows.length < entries.length;
    this.closesInternet = rules.some(closesInternet);
  }

  /** What the rules say for a name in wire form of `length` bytes, a protocol (TCP or UDP) and a port. */
  ask(labels: Uint8Array, length: number, protocol: number, port: number): number {
    const rule = this.decidingRule(labels, length, protocol, port);
    if (rule === undefined) return NAME_UNSAID;
    return rule.action === "allow" ? NAME_ALLOWED : NAME_BLOCKED;
  }

  /** The rule that decides; undefined where none counts. */
  decidingRule(labels: Uint8Array, length: number, protocol: number, port: number): Rule | undefined {
    const exact = this.#exact.get(keyOf(labels, 0, length));
    const found = exact?.find((entry) => counts(entry, protocol, port));
    if (found !== undefined) return found.rule;
    // The longest wildcard is the one with the fewest labels cut off; the name itself is not below it.
    for (let at = labels[0]! + 1; at < length - 1; at += labels[at]! + 1) {
      const below = this.#below.get(keyOf(labels, at, length));
      const wild = below?.find((entry) => counts(entry, protocol, port));
      if (wild !== undefined) return wild.rule;
    }
    return undefined;
  }

  /** What they say for a lookup of a name: whether some port is allowed; else whether all are blocked. */
  askLookup(labels: Uint8Array, length: number): number {
    let blocked = false;
    for (const entry of this.#covering(labels, length)) {
      if (entry.allows && this.#isReachable(entry, labels, length)) return NAME_ALLOWED;
      blocked ||= !entry.allows && entry.ports === undefined;
    }
    return blocked ? NAME_BLOCKED : NAME_UNSAID;
  }

  /** Whether an allow rule has exactly this name. */
  allowsExactly(labels: Uint8Array, length: number): boolean {
    return this.#exact.get(keyOf(labels, 0, length))?.some(({ allows }) => allows) ?? false;
  }

  /** Whether an allow rule of any name has this protocol and port. */
  mayAllowPort(protocol: number, port: number): boolean {
    return this.#allows.some((entry) => counts(entry, protocol, port));
  }

  /** The best rule first. */
  *#covering(labels: Uint8Array, length: number): IterableIterator<Entry> {
    yield* this.#exact.get(keyOf(labels, 0, length)) ?? [];
    for (let at = labels[0]! + 1; at < length - 1; at += labels[at]! + 1) {
      yield* this.#below.get(keyOf(labels, at, length)) ?? [];
    }
  }

  /** Whether an allow rule decides for some port: the best rule may say something else for a part of its ports. */
  #isReachable({ ports }: Entry, labels: Uint8Array, length: number): boolean {
    if (ports === undefined) {
      return [HTTP_PORT, HTTPS_PORT].some((port) => this.ask(labels, length, PROTOCOL_TCP, port) === NAME_ALLOWED);
    }
    for (let port = ports.first; port <= ports.last; port++) {
      if (this.ask(labels, length, PROTOCOL_TCP, port) === NAME_ALLOWED) return true;
    }
    return false;
  }
}

function counts({ allows, ports }: Entry, protocol: number, port: number): boolean {
  const tcp = protocol === PROTOCOL_TCP;
  // QUIC's first bytes cannot be read in order.
  if (allows && !tcp && port === QUIC_PORT) return false;
  if (ports !== undefined) return port >= ports.first && port <= ports.last;
  return !allows || (tcp && (port === HTTP_PORT || port === HTTPS_PORT));
}

/** With a port first, then block before allow. */
function byRank(one: Entry, other: Entry): number {
  const ports = Number(one.ports === undefined) - Number(other.ports === undefined);
  return ports !== 0 ? ports : Number(one.allows) - Number(other.allows);
}

function closesInternet({ action, direction, ports, target }: Rule): boolean {
  if (action !== "block" || direction === "in" || ports !== undefined) return false;
  if (target.cidr !== undefined || target.cidr6 !== undefined) return (target.cidr ?? target.cidr6)!.length === 0;
  return target.classes.includes(CLASS_GLOBAL);
}

function keyOf(labels: Uint8Array, from: number, to: number): string {
  let key = "";
  for (let at = from; at < to; at++) key += String.fromCharCode(labels[at]!);
  return key;
}
