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
import { IPV4_SPACE } from "./address-space.ts";
import { BLOCKED, defaultLayer, type KnownNetwork, LOOPBACK } from "./default-layer.ts";
import { countsForIPv4 } from "./families.ts";
import type { Ranges } from "./intervals.ts";
import { JudgedIntervals, NO_PORT } from "./judged-intervals.ts";
import type { PortLists } from "./port-lists.ts";
import { UNDECIDED } from "./port-lists.ts";
import { hasNames, isStateful, type Rule } from "./rule.ts";
import { DEFAULT_POLICY, numberRules } from "./rule-numbers.ts";
import { IN, OUT, type Way } from "./rule-tree.ts";

export { NO_PORT } from "./judged-intervals.ts";

/** A list of ports decided. */
const BY_PORT = -1;

export class PolicyTable {
  /** The policy judges both directions and tracks flows. */
  readonly stateful: boolean;
  /** Verdicts depend on ports. */
  readonly byPort: boolean;
  /** First address of each interval, ascending, the first is 0. */
  readonly #starts: Uint32Array;
  /** For each upper half of an address the interval in which its first address lies. */
  readonly #first = new Uint16Array(65537);
  /** As `#judged` has them. */
  readonly #plain: readonly [Uint8Array, Uint8Array];
  readonly #lists: readonly [Int16Array, Int16Array];
  readonly #rootLists: readonly [Int16Array, Int16Array];
  readonly #portLists: PortLists;
  readonly #plainNumbers: readonly [Uint16Array, Uint16Array];
  /** The number of the rule behind what was returned last, or BY_PORT. */
  #decided = DEFAULT_POLICY;
  readonly #judged: JudgedIntervals<number>;

  /** Of the rules those that count for IPv4. */
  constructor(rules: readonly Rule[], knownNetwork: KnownNetwork) {
    const judged = new JudgedIntervals(
      rules.filter(countsForIPv4),
      {
        space: IPV4_SPACE,
        classes: ({ classes }) => classes,
        prefixes: (target) => target.prefixes(knownNetwork),
      },
      defaultLayer(knownNetwork),
      numberRules(rules),
    );
    this.#judged = judged;
    this.stateful = isStateful(rules);
    this.byPort = judged.byPort || hasNames(rules);
    this.#starts = Uint32Array.from(judged.starts);
    this.#plain = judged.plain;
    this.#lists = judged.lists;
    this.#rootLists = judged.rootLists;
    this.#portLists = judged.portLists;
    this.#plainNumbers = judged.plainNumbers;
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
    const interval = this.#find(address);
    this.#decided = this.#plainNumbers[OUT][interval]!;
    return this.#plain[OUT][interval]!;
  }

  /**
   * What holds for a packet on a way, with this remote address (host order) and port (or NO_PORT): ALLOWED or BLOCKED; where
   * no rule counts INBOUND on the way in, else the address's kind.
   */
  ask(way: Way, address: number, port: number): number {
    const at = this.#find(address);
    const plain = this.#plain[way][at]!;
    this.#decided = this.#plainNumbers[way][at]!;
    if (!this.byPort || port === NO_PORT || plain === LOOPBACK) return plain;
    const lists = this.#portLists;
    const decision = lists.find(this.#lists[way][at]!, port) || lists.find(this.#rootLists[way][at]!, port);
    if (decision === UNDECIDED) return plain;
    this.#decided = BY_PORT;
    return decision;
  }

  /** The number of the rule behind what `ask` or `lookup` returned last; DEFAULT_POLICY where none was. */
  get decidingNumber(): number {
    return this.#decided === BY_PORT ? this.#portLists.found : this.#decided;
  }

  /** The rule that put there what `ask` returns; undefined where the default policy did. For people: it allocates. */
  decidingRule(way: Way, address: number, port: number): Rule | undefined {
    return this.#judged.decidingRule(way, this.#find(address), port);
  }

  /** Whether a rule may allow a packet without a port or with some port. An upper bound: longer prefixes may block it. */
  mayBeAllowed(way: Way, address: number): boolean {
    return this.#judged.mayBeAllowed(way, this.#find(address));
  }

  /** What a rule may allow, on any way and port, without the addresses that never pass. */
  allowedRanges(): Ranges {
    const judged = this.#judged;
    return judged.ranges(
      (at) => this.#plain[OUT][at] !== LOOPBACK && (judged.mayBeAllowed(OUT, at) || judged.mayBeAllowed(IN, at)),
    );
  }

  /** Where the value on the way out is one that `accepts` takes, for every port from `least` on. */
  outRanges(accepts: (value: number) => boolean, least: number): Ranges {
    const judged = this.#judged;
    return judged.ranges((at) => {
      const plain = this.#plain[OUT][at]!;
      return accepts(plain) && (plain === LOOPBACK || !judged.has(OUT, at, BLOCKED, least));
    });
  }
}
