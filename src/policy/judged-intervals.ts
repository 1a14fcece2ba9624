/**
 * A policy's rules laid over the default policy's layer: the address space of one family, cut into intervals within which
 * everything is the same, and what holds in each. The tables (table.ts, table-6.ts) find the interval of a frame's
 * address; what people ask is answered here.
 */
import { type Address, before, least, type RangesOf } from "./address-space.ts";
import { ALLOWED, classOf, INBOUND, kindOf, LOOPBACK } from "./default-layer.ts";
import type { IntervalsOf } from "./intervals.ts";
import type { PortLists } from "./port-lists.ts";
import { isByPort, isStateful, type Rule } from "./rule.ts";
import { DEFAULT_POLICY, type NumberOf } from "./rule-numbers.ts";
import { IN, OUT, type RuleFamily, RuleTree, type Way } from "./rule-tree.ts";

/** No port: for what is neither TCP nor UDP, and for fragments without their header. */
export const NO_PORT = -1;

export class JudgedIntervals<A extends Address> {
  /** The policy judges both directions and tracks flows. */
  readonly stateful: boolean;
  /** Verdicts depend on ports. */
  readonly byPort: boolean;
  /** First address of each interval, ascending, the first is the space's. */
  readonly starts: readonly A[];
  /** By way, then by interval: the value without a port, where its port lists begin, and the root's, looked up last. */
  readonly plain: readonly [Uint8Array, Uint8Array];
  readonly lists: readonly [Int16Array, Int16Array];
  readonly rootLists: readonly [Int16Array, Int16Array];
  readonly portLists: PortLists;
  /** By way, then by interval: the number of the rule behind `plain`. */
  readonly plainNumbers: readonly [Uint16Array, Uint16Array];
  /** By way, then by interval: the rule behind `plain`; undefined where the default policy is. */
  readonly #plainRules: readonly [readonly (Rule | undefined)[], readonly (Rule | undefined)[]];
  readonly #end: A;

  /** `rules`: those that count in this family. */
  constructor(rules: readonly Rule[], family: RuleFamily<A>, layer: IntervalsOf<A>, numberOf: NumberOf) {
    this.stateful = isStateful(rules);
    this.byPort = isByPort(rules);
    const { zero, end } = family.space;
    this.#end = end;
    const tree = new RuleTree(rules, family, numberOf);
    this.portLists = tree.portLists;
    const most = tree.starts.length + layer.starts.length;
    const starts: A[] = [];
    const plain = [new Uint8Array(most), new Uint8Array(most)] as const;
    const lists = [new Int16Array(most), new Int16Array(most)] as const;
    const rootLists = [new Int16Array(most), new Int16Array(most)] as const;
    const plainRules: readonly [(Rule | undefined)[], (Rule | undefined)[]] = [[], []];
    // Neighbours between which nothing differs become one.
    let count = 0;
    let below = 0;
    let above = 0;
    for (let start = zero; start < end; ) {
      const value = layer.values[below]!;
      const node = tree.nodes[above]!;
      let same = count > 0;
      for (const way of [OUT, IN] as const) {
        const place = tree.place(way, node);
        const root = tree.root(way, classOf(value));
        const kind = way === OUT ? kindOf(value) : INBOUND;
        plain[way][count] = kind === LOOPBACK ? LOOPBACK : place.decision || root.decision || kind;
        plainRules[way][count] = kind === LOOPBACK ? undefined : (place.rule ?? root.rule);
        lists[way][count] = tree.listOf(way, place, classOf(value));
        rootLists[way][count] = tree.listOf(way, root, classOf(value));
        same &&=
          plain[way][count] === plain[way][count - 1] &&
          plainRules[way][count] === plainRules[way][count - 1] &&
          lists[way][count] === lists[way][count - 1] &&
          rootLists[way][count] === rootLists[way][count - 1];
      }
      if (!same) count = starts.push(start);
      const nextBelow = layer.starts[below + 1] ?? end;
      const nextAbove = tree.starts[above + 1] ?? end;
      start = least(nextBelow, nextAbove);
      if (nextBelow === start) below++;
      if (nextAbove === start) above++;
    }
    this.starts = starts;
    this.#plainRules = [plainRules[OUT].slice(0, count), plainRules[IN].slice(0, count)];
    const number = (rule: Rule | undefined): number => (rule === undefined ? DEFAULT_POLICY : numberOf(rule));
    this.plainNumbers = [
      Uint16Array.from(this.#plainRules[OUT], number),
      Uint16Array.from(this.#plainRules[IN], number),
    ];
    this.plain = [plain[OUT].slice(0, count), plain[IN].slice(0, count)];
    this.lists = [lists[OUT].slice(0, count), lists[IN].slice(0, count)];
    this.rootLists = [rootLists[OUT].slice(0, count), rootLists[IN].slice(0, count)];
  }

  /** The rule that decides about an address in the interval `at`; undefined where the default policy does. */
  decidingRule(way: Way, at: number, port: number): Rule | undefined {
    if (this.plain[way][at] === LOOPBACK) return undefined;
    if (this.byPort && port !== NO_PORT) {
      const lists = this.portLists;
      const rule = lists.ruleAt(this.lists[way][at]!, port) ?? lists.ruleAt(this.rootLists[way][at]!, port);
      if (rule !== undefined) return rule;
    }
    return this.#plainRules[way][at];
  }

  /** Whether a rule may allow a packet without a port or with some port. An upper bound: longer prefixes may block it. */
  mayBeAllowed(way: Way, at: number): boolean {
    const plain = this.plain[way][at]!;
    return plain !== LOOPBACK && (plain === ALLOWED || this.has(way, at, ALLOWED, 1));
  }

  /** Whether a rule with ports makes this decision about some port from `lowest` on. */
  has(way: Way, at: number, decision: number, lowest: number): boolean {
    const lists = this.portLists;
    return lists.has(this.lists[way][at]!, decision, lowest) || lists.has(this.rootLists[way][at]!, decision, lowest);
  }

  /** The addresses of the intervals that `accepts` takes. */
  ranges(accepts: (at: number) => boolean): RangesOf<A> {
    const found: [A, A][] = [];
    for (const [at, first] of this.starts.entries()) {
      if (!accepts(at)) continue;
      const last = before(this.starts[at + 1] ?? this.#end);
      const previous = found.at(-1);
      if (previous !== undefined && previous[1] === before(first)) previous[1] = last;
      else found.push([first, last]);
    }
    return found;
  }
}
