/**
 * The rules of a policy, laid over the address space. Every prefix that a rule names is a node; above all of them is
 * the root: rules that rank as length 0, which differ by the address's class (`@private`, `@global`, 0.0.0.0/0). A node
 * has, for each way, what holds without a port (by its own rules, else by the next shorter prefix's) and where its chain of
 * port lists begins, so that a rule is stored once, however deep it is nested. Where an alias is blocked
 * (alias-blocks.ts), a node has a second chain, without the rules that do not count there.
 */
import { blockedClassOf, countsInBlockedAlias } from "./alias-blocks.ts";
import { ALLOWED, BLOCKED, CLASS_OTHER, CLASSES, type KnownNetwork } from "./default-layer.ts";
import { END_OF_SPACE } from "./intervals.ts";
import { NO_LIST, PortLists, UNDECIDED } from "./port-lists.ts";
import { MOST_RULES, type Rule } from "./rule.ts";

/** From the VM, and to it: a packet's way, as a number, since every frame is looked up with it. */
export const OUT = 0;
export const IN = 1;
export type Way = typeof OUT | typeof IN;
const WAY_NAMES = ["out", "in"] as const;

/** The node of addresses that no prefix covers. */
export const ROOT = -1;

/** What a place in the tree says: without a port, and where its port lists begin. */
export interface Place {
  readonly decision: number;
  /** The rule that made the decision; undefined for UNDECIDED. */
  readonly rule: Rule | undefined;
  readonly list: number;
  /** Where its port lists begin for addresses of a blocked alias. */
  readonly listInBlockedAlias: number;
}

/** A sort key is made of address, length and rule: 32 + 6 + 13 bits, exact in a number. */
const LENGTHS = 64;
const RULES = 8192;

export class RuleTree {
  /** First address of each interval, ascending, the first is 0; and its node. */
  readonly starts: number[] = [0];
  readonly nodes: number[] = [ROOT];
  readonly portLists = new PortLists();
  /** For each way, by node. */
  readonly #places: readonly [Place[], Place[]] = [[], []];
  /** For each way, by class. */
  readonly #root: readonly [Place[], Place[]] = [[], []];
  readonly #rules: readonly Rule[];
  /** For each way, by class: whether it is a blocked alias's. */
  readonly #blocked: readonly [boolean[], boolean[]] = [[], []];

  constructor(rules: readonly Rule[], knownNetwork: KnownNetwork) {
    if (rules.length > MOST_RULES) throw new RangeError(`${rules.length} rules are too many`);
    this.#rules = rules;
    for (const rule of rules) {
      const addressClass = blockedClassOf(rule);
      if (addressClass === CLASS_OTHER) continue;
      for (const way of [OUT, IN] as const) if (isOfWay(rule, way)) this.#blocked[way][addressClass] = true;
    }
    this.#makeRoot();
    this.#grow(this.#sorted(knownNetwork));
  }

  /** What a node says on a way; what the root says is UNDECIDED here. */
  place(way: Way, node: number): Place {
    return node === ROOT ? UNDECIDED_PLACE : this.#places[way][node]!;
  }

  root(way: Way, addressClass: number): Place {
    return this.#root[way][addressClass]!;
  }

  /** Where the port lists of a place begin, for addresses of a class. */
  listOf(way: Way, place: Place, addressClass: number): number {
    return this.#blocked[way][addressClass] === true ? place.listInBlockedAlias : place.list;
  }

  #makeRoot(): void {
    for (let addressClass = 0; addressClass < CLASSES; addressClass++) {
      const rules = this.#rules.filter((rule) => rule.target.classes.includes(addressClass));
      for (const way of [OUT, IN] as const) this.#root[way].push(this.#placeOf(rules, way, UNDECIDED_PLACE));
    }
  }

  /** The prefixes of length 1 … 32 that rules name, ascending by address, then by length, then by rule. */
  #sorted(knownNetwork: KnownNetwork): Float64Array {
    const keys: number[] = [];
    for (const [index, { target }] of this.#rules.entries()) {
      for (const { address, length } of target.prefixes(knownNetwork)) {
        keys.push((address * LENGTHS + length) * RULES + index);
      }
    }
    return Float64Array.from(keys).sort();
  }

  /** One walk with a stack: prefixes are nested or disjoint, never half overlapping. */
  #grow(keys: Float64Array): void {
    /** Ends of the open prefixes, the first address behind each, and their nodes. */
    const ends: number[] = [];
    const open: number[] = [];
    const closeBefore = (start: number): void => {
      while (ends.length > 0 && ends.at(-1)! <= start) {
        const end = ends.pop()!;
        open.pop();
        this.#push(end, open.at(-1) ?? ROOT);
      }
    };
    for (let at = 0; at < keys.length; ) {
      const prefix = Math.floor(keys[at]! / RULES);
      const rules: Rule[] = [];
      for (; at < keys.length && Math.floor(keys[at]! / RULES) === prefix; at++)
        rules.push(this.#rules[keys[at]! % RULES]!);
      const start = Math.floor(prefix / LENGTHS);
      closeBefore(start);
      const parent = open.at(-1) ?? ROOT;
      const node = this.#places[OUT].length;
      for (const way of [OUT, IN] as const) this.#places[way].push(this.#placeOf(rules, way, this.place(way, parent)));
      this.#push(start, node);
      ends.push(start + 2 ** (32 - (prefix % LENGTHS)));
      open.push(node);
    }
    closeBefore(END_OF_SPACE);
  }

  #push(start: number, node: number): void {
    if (start >= END_OF_SPACE) return;
    if (this.starts.at(-1) === start) {
      this.nodes[this.nodes.length - 1] = node;
    } else {
      this.starts.push(start);
      this.nodes.push(node);
    }
  }

  /** What rules of the same prefix say; where they say nothing, what their parent says. */
  #placeOf(rules: readonly Rule[], way: Way, parent: Place): Place {
    let decision = UNDECIDED;
    let decisive: Rule | undefined;
    const withPorts: Rule[] = [];
    for (const rule of rules) {
      if (!isOfWay(rule, way)) continue;
      if (rule.ports !== undefined) withPorts.push(rule);
      else if (decision === UNDECIDED || (decision === ALLOWED && rule.action === "block")) {
        decision = rule.action === "block" ? BLOCKED : ALLOWED;
        decisive = rule;
      }
    }
    const list = this.#listFor(withPorts, parent.list);
    let listInBlockedAlias = list;
    if (this.#blocked[way].length > 0) {
      const counting = withPorts.filter(countsInBlockedAlias);
      const same = counting.length === withPorts.length && parent.listInBlockedAlias === parent.list;
      if (!same) listInBlockedAlias = this.#listFor(counting, parent.listInBlockedAlias);
    }
    const decided = decision === UNDECIDED ? parent : { decision, rule: decisive };
    return { decision: decided.decision, rule: decided.rule, list, listInBlockedAlias };
  }

  #listFor(withPorts: readonly Rule[], parent: number): number {
    return withPorts.length === 0 ? parent : this.portLists.add(withPorts, parent);
  }
}

function isOfWay({ direction }: Rule, way: Way): boolean {
  return direction === undefined || direction === WAY_NAMES[way];
}

const UNDECIDED_PLACE: Place = Object.freeze({
  decision: UNDECIDED,
  rule: undefined,
  list: NO_LIST,
  listInBlockedAlias: NO_LIST,
});
