/**
 * The policy table of IPv6: the same questions as table.ts answers, about addresses of four signed 32-bit words
 * (wire/frame-headers.ts). Its interval is found as there, with one step through the upper 16 bits and a binary search within
 * them: at most 14 steps, with as many rules as there may be.
 */

import { wordsOf } from "../wire/ipv6-address.ts";
import { IPV6_SPACE, type RangesOf } from "./address-space.ts";
import { BLOCKED, LOOPBACK } from "./default-layer.ts";
import { defaultLayer6, type KnownNetwork6 } from "./default-layer-6.ts";
import { EmbeddedAddresses } from "./embedded.ts";
import { countsForIPv6 } from "./families.ts";
import { JudgedIntervals, NO_PORT } from "./judged-intervals.ts";
import { type PortLists, UNDECIDED } from "./port-lists.ts";
import { hasNames, isStateful, type Rule } from "./rule.ts";
import { DEFAULT_POLICY, numberRules } from "./rule-numbers.ts";
import { IN, OUT, type Way } from "./rule-tree.ts";

/** Signed numbers are in the order of unsigned ones when this bit is the other way round. */
const SIGN = 0x80000000 | 0;
/** From an address to its upper 16 bits, and what is added so that only the first address of some stays in them. */
const UPPER_SHIFT = 112n;
const LAST_OF_UPPER = (1n << UPPER_SHIFT) - 1n;

/** A list of ports decided. */
const BY_PORT = -1;

export class PolicyTable6 {
  /** The policy judges both directions and tracks flows. */
  readonly stateful: boolean;
  /** Verdicts depend on ports. */
  readonly byPort: boolean;
  /** First address of each interval, ascending, the first is ::; four words each, the sign bits the other way round. */
  readonly #starts: Int32Array;
  /** For each upper 16 bits of an address the interval in which its first address lies. */
  readonly #first = new Uint16Array(65_537);
  /** As `#judged` has them. */
  readonly #plain: readonly [Uint8Array, Uint8Array];
  readonly #lists: readonly [Int16Array, Int16Array];
  readonly #rootLists: readonly [Int16Array, Int16Array];
  readonly #portLists: PortLists;
  readonly #plainNumbers: readonly [Uint16Array, Uint16Array];
  /** Of these what `lookup` needs. */
  readonly #out: Uint8Array;
  readonly #outNumbers: Uint16Array;
  /** The number of the rule behind what was returned last, or BY_PORT. */
  #decided = DEFAULT_POLICY;
  readonly #judged: JudgedIntervals<bigint>;
  readonly #embedded: EmbeddedAddresses;

  /** Of the rules those that count for IPv6. */
  constructor(rules: readonly Rule[], knownNetwork: KnownNetwork6) {
    const judged = new JudgedIntervals(
      rules.filter(countsForIPv6),
      {
        space: IPV6_SPACE,
        classes: ({ classes6 }) => classes6,
        prefixes: (target) => target.prefixes6(knownNetwork),
      },
      defaultLayer6(knownNetwork),
      numberRules(rules),
    );
    this.#judged = judged;
    this.#embedded = new EmbeddedAddresses(knownNetwork.nat64);
    this.stateful = isStateful(rules);
    this.byPort = judged.byPort || hasNames(rules);
    this.#starts = Int32Array.from(judged.starts.flatMap((start) => [...wordsOf(start)].map((word) => word ^ SIGN)));
    this.#index(judged.starts);
    this.#plain = judged.plain;
    this.#lists = judged.lists;
    this.#rootLists = judged.rootLists;
    this.#portLists = judged.portLists;
    this.#plainNumbers = judged.plainNumbers;
    this.#out = judged.plain[OUT];
    this.#outNumbers = judged.plainNumbers[OUT];
  }

  #index(starts: readonly bigint[]): void {
    let from = 0;
    for (let interval = 1; interval < starts.length; interval++) {
      // The first upper bits whose first address is not before this interval.
      const upper = Number((starts[interval]! + LAST_OF_UPPER) >> UPPER_SHIFT);
      this.#first.fill(interval - 1, from, upper);
      from = upper;
    }
    this.#first.fill(starts.length - 1, from);
  }

  /** The interval of the address whose four words begin at `at`. */
  #find(words: Int32Array, at: number): number {
    const upper = words[at]! >>> 16;
    const low = this.#first[upper]!;
    const high = this.#first[upper + 1]!;
    return low === high ? low : this.#search(words, at, low, high);
  }

  #search(words: Int32Array, at: number, from: number, to: number): number {
    const starts = this.#starts;
    const first = words[at]! ^ SIGN;
    const second = words[at + 1]! ^ SIGN;
    const third = words[at + 2]! ^ SIGN;
    const fourth = words[at + 3]! ^ SIGN;
    let low = from;
    let high = to;
    // The interval with the largest start that is not above the address.
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const start = middle * 4;
      let word = starts[start]!;
      let wanted = first;
      if (word === wanted) {
        word = starts[start + 1]!;
        wanted = second;
        if (word === wanted) {
          word = starts[start + 2]!;
          wanted = third;
          if (word === wanted) {
            word = starts[start + 3]!;
            wanted = fourth;
          }
        }
      }
      if (word <= wanted) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** What holds for a packet without a port from the VM to the address whose four words begin at `at`. */
  lookup(words: Int32Array, at: number): number {
    const interval = this.#find(words, at);
    this.#decided = this.#outNumbers[interval]!;
    return this.#out[interval]!;
  }

  /**
   * What holds for a packet on a way, with this remote address (four words from `at` on) and port (or NO_PORT): ALLOWED or
   * BLOCKED; where no rule counts INBOUND on the way in, else the address's kind. What an address embeds is asked apart
   * (`embeddedIPv4`).
   */
  ask(way: Way, words: Int32Array, at: number, port: number): number {
    const interval = this.#find(words, at);
    const plain = this.#plain[way][interval]!;
    this.#decided = this.#plainNumbers[way][interval]!;
    if (!this.byPort || port === NO_PORT || plain === LOOPBACK) return plain;
    const lists = this.#portLists;
    const decision = lists.find(this.#lists[way][interval]!, port) || lists.find(this.#rootLists[way][interval]!, port);
    if (decision === UNDECIDED) return plain;
    this.#decided = BY_PORT;
    return decision;
  }

  /** The IPv4 address that a remote address (four words from `at` on) embeds, host order; -1 = none. */
  embeddedIPv4(words: Int32Array, at: number): number {
    const embedded = this.#embedded;
    return embedded.find(words, at) ? embedded.found[0]! : -1;
  }

  /** The number of the rule behind what `ask` or `lookup` returned last; DEFAULT_POLICY where none was. */
  get decidingNumber(): number {
    return this.#decided === BY_PORT ? this.#portLists.found : this.#decided;
  }

  /** The rule that put there what `ask` returns; undefined where the default policy did. For people: it allocates. */
  decidingRule(way: Way, address: bigint, port: number): Rule | undefined {
    return this.#judged.decidingRule(way, this.#find(wordsOf(address), 0), port);
  }

  /** Whether a rule may allow a packet without a port or with some port. An upper bound: longer prefixes may block it. */
  mayBeAllowed(way: Way, address: bigint): boolean {
    return this.#judged.mayBeAllowed(way, this.#find(wordsOf(address), 0));
  }

  /** What a rule may allow, on any way and port, without the addresses that never pass. */
  allowedRanges(): RangesOf<bigint> {
    const judged = this.#judged;
    return judged.ranges(
      (at) => this.#plain[OUT][at] !== LOOPBACK && (judged.mayBeAllowed(OUT, at) || judged.mayBeAllowed(IN, at)),
    );
  }

  /** Where the value on the way out is one that `accepts` takes, for every port from `least` on. */
  outRanges(accepts: (value: number) => boolean, least: number): RangesOf<bigint> {
    const judged = this.#judged;
    return judged.ranges((at) => {
      const plain = this.#plain[OUT][at]!;
      return accepts(plain) && (plain === LOOPBACK || !judged.has(OUT, at, BLOCKED, least));
    });
  }
}
