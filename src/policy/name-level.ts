/**
 * The rules of one exact name, or of one wildcard, for name-table.ts. Without a port an allow rule is about TCP 80 and 443, and
 * a block rule about every port, since what is blocked is the name; with ports both are about TCP and UDP.
 */
import { PROTOCOL_TCP } from "../wire/ipv4.ts";
import type { Rule } from "./rule.ts";
import type { NamePattern } from "./targets/target.ts";
import { isWeb, WEB_PORTS } from "./web-ports.ts";

/** No level, and no rule. */
export const NO_LEVEL = -1;

const HIGHEST_PORT = 65_535;

export interface NamedRule {
  readonly rule: Rule;
  /** In the policy. */
  readonly index: number;
  readonly name: NamePattern;
}

export class Level {
  /** The level of the next shorter wildcard; NO_LEVEL = none. */
  readonly next: number;
  /** The rule that decides about a lookup of a name whose first level this is; NO_LEVEL: none does. */
  readonly lookupIndex: number;
  readonly lookupBlocks: boolean;
  /** First port of each interval, ascending, the first is 0; and the rule with ports that decides there, or NO_LEVEL. */
  readonly #starts: Uint16Array;
  readonly #rules: Int16Array;
  /** The block and the allow rule without ports. */
  readonly #plainBlock: number;
  readonly #plainAllow: number;
  readonly #isBlock: ReadonlySet<number>;

  /** `levels`: those that were made before, `next` among them. */
  constructor(rules: readonly NamedRule[], next: number, levels: readonly Level[]) {
    this.next = next;
    this.#isBlock = new Set(rules.filter(({ rule }) => rule.action === "block").map(({ index }) => index));
    const plain = (action: Rule["action"]): number =>
      rules.find(({ rule }) => rule.ports === undefined && rule.action === action)?.index ?? NO_LEVEL;
    this.#plainBlock = plain("block");
    this.#plainAllow = plain("allow");
    [this.#starts, this.#rules] = intervalsOf(rules.filter(({ rule }) => rule.ports !== undefined));
    const chain: Level[] = [this];
    for (let at = next; at !== NO_LEVEL; at = levels[at]!.next) chain.push(levels[at]!);
    [this.lookupIndex, this.lookupBlocks] = lookupOf(chain);
  }

  /** The rule of this level that decides about a protocol and a port, by its index; NO_LEVEL: the next level does. */
  ruleAt(protocol: number, port: number): number {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length - 1;
    // The interval with the largest start that is not above the port.
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (starts[middle]! <= port) low = middle;
      else high = middle - 1;
    }
    const index = this.#rules[low]!;
    if (index !== NO_LEVEL) return index;
    if (this.#plainBlock !== NO_LEVEL) return this.#plainBlock;
    return isWeb(protocol, port) ? this.#plainAllow : NO_LEVEL;
  }

  /** Whether a rule of this level is a block rule. */
  blocks(index: number): boolean {
    return this.#isBlock.has(index);
  }

  /** Ports of TCP between which nothing changes at this level, from 1 on. */
  get changes(): number[] {
    const plain = this.#plainAllow === NO_LEVEL ? [] : WEB_PORTS.flatMap((port) => [port, port + 1]);
    return [1, ...this.#starts, ...plain].filter((port) => port > 0 && port <= HIGHEST_PORT);
  }
}

/**
 * The rule that decides about a lookup, and whether it blocks: one that allows some port, else one that blocks where every
 * port is blocked. A port of UDP is allowed only where that of TCP is, and blocked where that of TCP is if none is allowed.
 */
function lookupOf(chain: readonly Level[]): [index: number, blocks: boolean] {
  let blocking = NO_LEVEL;
  let isOpen = false;
  for (const [depth, level] of chain.entries()) {
    for (const port of portsToTry(chain, depth, level)) {
      const decides = chain.find((one) => one.ruleAt(PROTOCOL_TCP, port) !== NO_LEVEL);
      if (decides === undefined) {
        isOpen = true;
        continue;
      }
      const index = decides.ruleAt(PROTOCOL_TCP, port);
      if (!decides.blocks(index)) return [index, false];
      if (blocking === NO_LEVEL) blocking = index;
    }
  }
  return isOpen ? [NO_LEVEL, false] : [blocking, true];
}

/** Where this level may decide anew: its own changes, and those of the levels before it, which come before its rules. */
function portsToTry(chain: readonly Level[], depth: number, level: Level): number[] {
  const ports = [...level.changes];
  for (const before of chain.slice(0, depth)) for (const port of before.changes) ports.push(port);
  return ports;
}

/** Rules with ports as intervals. Where ranges overlap, block comes before allow, and the first rule before others. */
function intervalsOf(rules: readonly NamedRule[]): [Uint16Array, Int16Array] {
  const bounds = new Set([0]);
  for (const { rule } of rules) {
    bounds.add(rule.ports!.first);
    if (rule.ports!.last < HIGHEST_PORT) bounds.add(rule.ports!.last + 1);
  }
  const starts: number[] = [];
  const deciding: number[] = [];
  const ordered = [...rules].sort((one, other) => rankOf(one) - rankOf(other));
  for (const start of [...bounds].sort((one, other) => one - other)) {
    const rule = ordered.find(({ rule: { ports } }) => ports!.first <= start && start <= ports!.last);
    const index = rule?.index ?? NO_LEVEL;
    if (deciding.at(-1) === index) continue;
    starts.push(start);
    deciding.push(index);
  }
  return [Uint16Array.from(starts), Int16Array.from(deciding)];
}

const rankOf = ({ rule, index }: NamedRule): number => (rule.action === "block" ? 0 : 1e6) + index;
