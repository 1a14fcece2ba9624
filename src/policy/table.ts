/**
 * The policy table: what rules and the default policy make of an address, a way and a port. The address space is cut into
 * intervals within which everything is the same; the one of an address is found with one step through the upper 16 bits
 * and a short binary search within them. Where no rule has a port or a direction, the interval's value is the result; else
 * the port is looked for in a chain of lists of the prefixes that cover the address, the longest first.
 *
 * For people the table also keeps which rule put each value there (`decidingRule`), in places that frames do not use.
 *
 * A table is never changed: a policy or a network that changes makes a new one, which takes the old one's place as a
 * whole.
 */
import {
  ALLOWED,
  BLOCKED,
  classOf,
  defaultLayer,
  INBOUND,
  type KnownNetwork,
  kindOf,
  LOOPBACK,
} from "./default-layer.ts";
import { END_OF_SPACE, type Ranges } from "./intervals.ts";
import type { PortLists } from "./port-lists.ts";
import { UNDECIDED } from "./port-lists.ts";
import { isByPort, isStateful, type Rule } from "./rule.ts";
import { IN, OUT, RuleTree, type Way } from "./rule-tree.ts";

/** No port: for what is neither TCP nor UDP, and for fragments without their header. */
export const NO_PORT = -1;

export class PolicyTable {
  /** The policy judges both directions and tracks flows. */
  readonly stateful: boolean;
  /** Verdicts depend on ports. */
  readonly byPort: boolean;
  /** First address of each interval, ascending, the first is 0. */
  readonly #starts: Uint32Array;
  /** For each upper half of an address the interval in which its first address lies. */
  readonly #first = new Uint16Array(65537);
  /** By way, then by interval: the value without a port, where its port lists begin, and the root's, looked up last. */
  readonly #plain: readonly [Uint8Array, Uint8Array];
  readonly #lists: readonly [Int16Array, Int16Array];
  readonly #rootLists: readonly [Int16Array, Int16Array];
  readonly #portLists: PortLists;
  /** For `decidingRule`: first addresses of the intervals before equal ones were joined; by way the rule behind `#plain`. */
  readonly #ruleStarts: number[] = [];
  readonly #plainRules: readonly [(Rule | undefined)[], (Rule | undefined)[]] = [[], []];

  constructor(rules: readonly Rule[], knownNetwork: KnownNetwork) {
    this.stateful = isStateful(rules);
    this.byPort = isByPort(rules);
    const tree = new RuleTree(rules, knownNetwork);
    const layer = defaultLayer(knownNetwork);
    this.#portLists = tree.portLists;
    const most = tree.starts.length + layer.starts.length;
    const starts = new Uint32Array(most);
    const plain = [new Uint8Array(most), new Uint8Array(most)] as const;
    const lists = [new Int16Array(most), new Int16Array(most)] as const;
    const rootLists = [new Int16Array(most), new Int16Array(most)] as const;
    // The tree laid over the default layer; neighbours between which nothing differs become one.
    let count = 0;
    let below = 0;
    let above = 0;
    for (let start = 0; start < END_OF_SPACE; ) {
      const value = layer.values[below]!;
      const node = tree.nodes[above]!;
      let same = count > 0;
      for (const way of [OUT, IN] as const) {
        const place = tree.place(way, node);
        const root = tree.root(way, classOf(value));
        const kind = way === OUT ? kindOf(value) : INBOUND;
        plain[way][count] = kind === LOOPBACK ? LOOPBACK : place.decision || root.decision || kind;
        this.#plainRules[way].push(kind === LOOPBACK ? undefined : (place.rule ?? root.rule));
        lists[way][count] = tree.listOf(way, place, classOf(value));
        rootLists[way][count] = tree.listOf(way, root, classOf(value));
        same &&=
          plain[way][count] === plain[way][count - 1] &&
          lists[way][count] === lists[way][count - 1] &&
          rootLists[way][count] === rootLists[way][count - 1];
      }
      this.#ruleStarts.push(start);
      if (!same) starts[count++] = start;
      const nextBelow = layer.starts[below + 1] ?? END_OF_SPACE;
      const nextAbove = tree.starts[above + 1] ?? END_OF_SPACE;
      start = Math.min(nextBelow, nextAbove);
      if (nextBelow === start) below++;
      if (nextAbove === start) above++;
    }
    this.#starts = starts.slice(0, count);
    this.#plain = [plain[OUT].slice(0, count), plain[IN].slice(0, count)];
    this.#lists = [lists[OUT].slice(0, count), lists[IN].slice(0, count)];
    this.#rootLists = [rootLists[OUT].slice(0, count), rootLists[IN].slice(0, count)];
    this.#index();
  }

  #index(): void {
    const starts = this.#starts;
    let from = 0;
    for (let interval = 1; interval < starts.length; interval++) {
      // The first upper half whose first address is not before this interval.
      const upper = Math.ceil(starts[interval]! / 65536);
      this.#first.fill(interval - 1, from, upper);
      from = upper;
    }
    this.#first.fill(starts.length - 1, from);
  }

  /** The interval of an address in host order. */
  #find(address: number): number {
    const upper = address >>> 16;
    let low = this.#first[upper]!;
    let high = this.#first[upper + 1]!;
    // The interval with the largest start that is not above the address.
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= address) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** What holds for a packet without a port from the VM to an address in host order. */
  lookup(address: number): number {
    return this.#plain[OUT][this.#find(address)]!;
  }

  /**
   * What holds for a packet on a way, with this remote address (host order) and port (or NO_PORT): ALLOWED or BLOCKED; where
   * no rule counts INBOUND on the way in, else the address's kind.
   */
  ask(way: Way, address: number, port: number): number {
    const at = this.#find(address);
    const plain = this.#plain[way][at]!;
    if (!this.byPort || port === NO_PORT || plain === LOOPBACK) return plain;
    const decision = this.#portLists.find(this.#lists[way][at]!, port);
    if (decision !== UNDECIDED) return decision;
    return this.#portLists.find(this.#rootLists[way][at]!, port) || plain;
  }

  /** The rule that put there what `ask` returns; undefined where the default policy did. For people: it allocates. */
  decidingRule(way: Way, address: number, port: number): Rule | undefined {
    const at = this.#find(address);
    if (this.#plain[way][at] === LOOPBACK) return undefined;
    if (this.byPort && port !== NO_PORT) {
      const lists = this.#portLists;
      const rule = lists.ruleAt(this.#lists[way][at]!, port) ?? lists.ruleAt(this.#rootLists[way][at]!, port);
      if (rule !== undefined) return rule;
    }
    return this.#plainRules[way][this.#ruleStarts.findLastIndex((start) => start <= address)];
  }

  /** Whether a rule may allow a packet without a port or with some port. An upper bound: longer prefixes may block it. */
  mayBeAllowed(way: Way, address: number): boolean {
    return this.#mayBeAllowed(way, this.#find(address));
  }

  #mayBeAllowed(way: Way, at: number): boolean {
    const plain = this.#plain[way][at]!;
    return plain !== LOOPBACK && (plain === ALLOWED || this.#has(way, at, ALLOWED, 1));
  }

  #has(way: Way, at: number, decision: number, least: number): boolean {
    const lists = this.#portLists;
    return lists.has(this.#lists[way][at]!, decision, least) || lists.has(this.#rootLists[way][at]!, decision, least);
  }

  /** What a rule may allow, on any way and port, without the addresses that never pass. */
  allowedRanges(): Ranges {
    return this.#ranges(
      (at) => this.#plain[OUT][at] !== LOOPBACK && (this.#mayBeAllowed(OUT, at) || this.#mayBeAllowed(IN, at)),
    );
  }

  /** Where the value on the way out is one that `accepts` takes, for every port from `least` on. */
  outRanges(accepts: (value: number) => boolean, least: number): Ranges {
    return this.#ranges((at) => {
      const plain = this.#plain[OUT][at]!;
      return accepts(plain) && (plain === LOOPBACK || !this.#has(OUT, at, BLOCKED, least));
    });
  }

  #ranges(accepts: (at: number) => boolean): Ranges {
    const found: [number, number][] = [];
    for (const [at, first] of this.#starts.entries()) {
      if (!accepts(at)) continue;
      const last = (this.#starts[at + 1] ?? END_OF_SPACE) - 1;
      const before = found.at(-1);
      if (before !== undefined && before[1] + 1 === first) before[1] = last;
      else found.push([first, last]);
    }
    return found;
  }
}
