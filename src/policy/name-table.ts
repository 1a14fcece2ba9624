/**
 * What the rules with names of a policy become: which rule decides about a name, a protocol and a port, or about a lookup of
 * a name. Of the rules that a name matches, the first of these decides: an exact name before a wildcard, a longer wildcard
 * before a shorter one, with a port before without, block before allow (docs/policy.md, Names).
 *
 * Names are in wire form (RFC 1035 3.1), lower case. Each name that a rule has is in a table with open addressing, by its
 * hash. A question hashes its name from the end, so that each label adds to the hash of the parent's name, and looks up each
 * of them. What is found first is a `Level`: the rules of one exact name or of one wildcard. It links to the next shorter
 * wildcard, so that a rule is stored once, however many names match it.
 */
import { PROTOCOL_TCP } from "../wire/ipv4.ts";
import { closesInternet } from "./internet.ts";
import { Level, type NamedRule, NO_LEVEL } from "./name-level.ts";
import type { Rule } from "./rule.ts";
import { WEB_PORTS } from "./web-ports.ts";

/** No rule has this name with this port. */
export const NAME_UNSAID = 0;
export const NAME_ALLOWED = 1;
export const NAME_BLOCKED = 2;

/** Labels of the longest name, the root not counted (RFC 1035 3.1: 255 bytes). */
const MOST_LABELS = 127;
const PORTS = 65_536;

/** FNV-1a, 32 bits. Only the user's rules are in the table, so that nobody else can make it slow. */
const HASH_BEGIN = 0x811c9dc5;
const HASH_PRIME = 0x01000193;

export class NameTable {
  /** Some rule has a name; some allow rule, some block rule. */
  readonly any: boolean;
  readonly anyAllow: boolean;
  readonly anyBlock: boolean;
  /** The rules about addresses close the internet for what the VM sends. */
  readonly closesInternet: boolean;
  /** The rule behind what `ask` or `askLookup` returned last: its index in the policy; -1 for NAME_UNSAID. */
  decidingIndex = -1;

  /** By slot: 1 + the number of a name; 0 = empty. A power of two of them, at most half full. */
  readonly #slots: Uint16Array;
  readonly #hashes: Uint32Array;
  /** Of each name: its wire form, and the levels of it alone and of the names below it. */
  readonly #names: readonly Uint8Array[];
  readonly #exact: Int16Array;
  readonly #below: Int16Array;
  readonly #levels: readonly Level[];
  /** Bits by port, of TCP and UDP: whether some allow rule has it. */
  readonly #tcpPorts: Uint8Array;
  readonly #udpPorts: Uint8Array;
  /** Where each label of the name in question begins. */
  readonly #labelStarts = new Uint8Array(MOST_LABELS);

  readonly #rules: readonly Rule[];

  /** `rules`: all of a policy; those without names only say whether the internet is closed. */
  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
    const named: NamedRule[] = rules.flatMap((rule, index) => {
      const { name } = rule.target;
      return name === undefined ? [] : [{ rule, index, name }];
    });
    this.any = named.length > 0;
    this.anyAllow = named.some(({ rule }) => rule.action === "allow");
    this.anyBlock = named.some(({ rule }) => rule.action === "block");
    this.closesInternet = closesInternet(rules);
    const byName = Map.groupBy(named, ({ name }) => String(name.labels));
    const groups = [...byName.values()];
    this.#names = groups.map(([first]) => first!.name.labels);
    this.#exact = new Int16Array(groups.length).fill(NO_LEVEL);
    this.#below = new Int16Array(groups.length).fill(NO_LEVEL);
    this.#hashes = Uint32Array.from(this.#names, hashOf);
    this.#slots = this.#fillSlots();
    this.#levels = this.#makeLevels(groups);
    this.#tcpPorts = new Uint8Array(this.anyAllow ? PORTS / 8 : 0);
    this.#udpPorts = new Uint8Array(this.anyAllow ? PORTS / 8 : 0);
    this.#notePorts(named);
  }

  /**
   * What rules make of a name with a protocol (6 or 17) and a port. The first `length` bytes of `labels` are the name, with
   * the zero byte at its end.
   */
  ask(labels: Uint8Array, length: number, protocol: number, port: number): number {
    for (let at = this.#find(labels, length); at !== NO_LEVEL; ) {
      const level = this.#levels[at]!;
      const index = level.ruleAt(protocol, port);
      if (index !== NO_LEVEL) return this.#decided(index, level.blocks(index));
      at = level.next;
    }
    this.decidingIndex = -1;
    return NAME_UNSAID;
  }

  /**
   * What rules make of a lookup of a name: allowed where they allow some port of it, blocked where they block every port
   * of it.
   */
  askLookup(labels: Uint8Array, length: number): number {
    const at = this.#find(labels, length);
    const index = at === NO_LEVEL ? NO_LEVEL : this.#levels[at]!.lookupIndex;
    if (index !== NO_LEVEL) return this.#decided(index, this.#levels[at]!.lookupBlocks);
    this.decidingIndex = -1;
    return NAME_UNSAID;
  }

  /** The rule behind what `ask` or `askLookup` returned last; undefined for NAME_UNSAID. */
  get decidingRule(): Rule | undefined {
    return this.#rules[this.decidingIndex];
  }

  /** Whether some allow rule, whatever its name, has this port. */
  mayAllowPort(protocol: number, port: number): boolean {
    const ports = protocol === PROTOCOL_TCP ? this.#tcpPorts : this.#udpPorts;
    return ((ports[port >>> 3] ?? 0) & (1 << (port & 7))) !== 0;
  }

  #decided(index: number, blocks: boolean): number {
    this.decidingIndex = index;
    return blocks ? NAME_BLOCKED : NAME_ALLOWED;
  }

  /** The level that comes first for a name; NO_LEVEL where no rule matches it, and for what is no name. */
  #find(labels: Uint8Array, length: number): number {
    if (this.#names.length === 0) return NO_LEVEL;
    const starts = this.#labelStarts;
    let count = 0;
    let at = 0;
    while (at < length - 1 && count < MOST_LABELS && labels[at] !== 0) {
      starts[count++] = at;
      at += 1 + labels[at]!;
    }
    if (at !== length - 1 || labels[at] !== 0) return NO_LEVEL;
    let hash = HASH_BEGIN;
    let found = NO_LEVEL;
    // Parents first: the last wildcard that is found is the longest.
    for (let end = length, label = count - 1; label >= 0; label--) {
      const start = starts[label]!;
      while (end > start) hash = Math.imul(hash ^ labels[--end]!, HASH_PRIME);
      const name = this.#nameAt(labels, start, length, hash >>> 0);
      if (name < 0) continue;
      const level = label === 0 ? this.#exact[name]! : this.#below[name]!;
      if (level !== NO_LEVEL) found = level;
    }
    return found;
  }

  /** The number of the name from `start` to `end`; -1 = no rule has it. */
  #nameAt(labels: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hash & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const name = slots[slot]! - 1;
      if (this.#hashes[name] === hash && isSame(this.#names[name]!, labels, start, end)) return name;
    }
    return -1;
  }

  #fillSlots(): Uint16Array {
    let size = 2;
    while (size < this.#names.length * 2) size *= 2;
    const slots = new Uint16Array(size);
    for (let name = 0; name < this.#names.length; name++) {
      let slot = this.#hashes[name]! & (size - 1);
      while (slots[slot] !== 0) slot = (slot + 1) & (size - 1);
      slots[slot] = name + 1;
    }
    return slots;
  }

  /** Wildcards from the shortest on, so that each finds the shorter one that it links to; then exact names. */
  #makeLevels(groups: readonly (readonly NamedRule[])[]): Level[] {
    const levels: Level[] = [];
    const byLength = groups
      .map((_, name) => name)
      .sort((one, other) => this.#names[one]!.length - this.#names[other]!.length);
    for (const wildcard of [true, false]) {
      for (const name of byLength) {
        const rules = groups[name]!.filter((one) => one.name.wildcard === wildcard);
        if (rules.length === 0) continue;
        // A name is not below itself, so what is found here is shorter, or nothing.
        const next = this.#find(this.#names[name]!, this.#names[name]!.length);
        levels.push(new Level(rules, next, levels));
        (wildcard ? this.#below : this.#exact)[name] = levels.length - 1;
      }
    }
    return levels;
  }

  #notePorts(named: readonly NamedRule[]): void {
    const note = (bits: Uint8Array, first: number, last: number): void => {
      for (let port = first; port <= last; port++) bits[port >>> 3]! |= 1 << (port & 7);
    };
    for (const { rule } of named) {
      if (rule.action === "block") continue;
      const { ports } = rule;
      if (ports === undefined) for (const port of WEB_PORTS) note(this.#tcpPorts, port, port);
      else for (const bits of [this.#tcpPorts, this.#udpPorts]) note(bits, ports.first, ports.last);
    }
  }
}

function hashOf(name: Uint8Array): number {
  let hash = HASH_BEGIN;
  for (let at = name.length - 1; at >= 0; at--) hash = Math.imul(hash ^ name[at]!, HASH_PRIME);
  return hash >>> 0;
}

function isSame(name: Uint8Array, labels: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let at = 0; at < name.length; at++) if (name[at] !== labels[start + at]) return false;
  return true;
}
