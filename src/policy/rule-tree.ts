/**
 * The rules of a policy, laid over the address space. Every prefix that a rule names is a node; above all of them is
 * the root: rules that rank as length 0, which differ by the address's class (`@private`, `@global`, 0.0.0.0/0 or ::/0). A node
 * has, for each way, what holds without a port (by its own rules, else by the next shorter prefix's) and where its chain of
 * port lists begins, so that a rule is stored once, however deep it is nested. Where an alias is blocked
 * (alias-blocks.ts), a node has a chain more, without the rules that do not count there. A tree is of one address family.
 */
import { type Address, type AddressSpace, compare, type Prefix } from "./address-space.ts";
import { blockedClassOf, countsInBlockedAlias } from "./alias-blocks.ts";
import { ALLOWED, BLOCKED, CLASS_OTHER, CLASSES } from "./default-layer.ts";
import { NO_LIST, PortLists, UNDECIDED } from "./port-lists.ts";
import { MOST_RULES, type Rule } from "./rule.ts";
import type { NumberOf } from "./rule-numbers.ts";
import type { Target } from "./targets/target.ts";

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
  /** Where its port lists begin for addresses of a class whose alias is blocked, by class; undefined: as `list`. */
  readonly listsInBlocked: readonly number[] | undefined;
}

/** What rules are in one address family. */
export interface RuleFamily<A extends Address> {
  readonly space: AddressSpace<A>;
  /** The classes that a target covers as a whole. */
  readonly classes: (target: Target) => readonly number[];
  /** What it covers besides, prefixes of length 1 and more. */
  readonly prefixes: (target: Target) => readonly Prefix<A>[];
}

/** A prefix that a rule names. */
interface Named<A extends Address> {
  readonly prefix: Prefix<A>;
  readonly index: number;
}

export class RuleTree<A extends Address> {
  /** First address of each interval, ascending, the first is the space's; and its node. */
  readonly starts: A[];
  readonly nodes: number[] = [ROOT];
  readonly portLists: PortLists;
  readonly #family: RuleFamily<A>;
  /** For each way, by node. */
  readonly #places: readonly [Place[], Place[]] = [[], []];
  /** For each way, by class. */
  readonly #root: readonly [Place[], Place[]] = [[], []];
  readonly #rules: readonly Rule[];
  /** For each way, by class: whether it is a blocked alias's. */
  readonly #blocked: readonly [boolean[], boolean[]] = [[], []];

  constructor(rules: readonly Rule[], family: RuleFamily<A>, numberOf: NumberOf) {
    const written = rules.filter(({ impliedBy }) => impliedBy === undefined).length;
    if (written > MOST_RULES) throw new RangeError(`${written} rules are too many`);
    this.#rules = rules;
    this.portLists = new PortLists(numberOf);
    this.#family = family;
    this.starts = [family.space.zero];
    for (const rule of rules) {
      const addressClass = blockedClassOf(rule);
      if (addressClass === CLASS_OTHER) continue;
      for (const way of [OUT, IN] as const) if (isOfWay(rule, way)) this.#blocked[way][addressClass] = true;
    }
    this.#makeRoot();
    this.#grow(this.#sorted());
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
    if (this.#blocked[way][addressClass] !== true) return place.list;
    return place.listsInBlocked?.[addressClass] ?? place.list;
  }

  #makeRoot(): void {
    for (let addressClass = 0; addressClass < CLASSES; addressClass++) {
      const rules = this.#rules.filter((rule) => this.#family.classes(rule.target).includes(addressClass));
      for (const way of [OUT, IN] as const) this.#root[way].push(this.#placeOf(rules, way, UNDECIDED_PLACE));
    }
  }

  /** The prefixes that rules name, ascending by address, then by length, then by rule. */
  #sorted(): Named<A>[] {
    const named: Named<A>[] = [];
    for (const [index, { target }] of this.#rules.entries()) {
      for (const prefix of this.#family.prefixes(target)) named.push({ prefix, index });
    }
    return named.sort(
      (one, other) =>
        compare(one.prefix.address, other.prefix.address) ||
        one.prefix.length - other.prefix.length ||
        one.index - other.index,
    );
  }

  /** One walk with a stack: prefixes are nested or disjoint, never half overlapping. */
  #grow(named: readonly Named<A>[]): void {
    const { space } = this.#family;
    /** Ends of the open prefixes, the first address behind each, and their nodes. */
    const ends: A[] = [];
    const open: number[] = [];
    const closeBefore = (start: A): void => {
      while (ends.length > 0 && ends.at(-1)! <= start) {
        const end = ends.pop()!;
        open.pop();
        this.#push(end, open.at(-1) ?? ROOT);
      }
    };
    for (let at = 0; at < named.length; ) {
      const { prefix } = named[at]!;
      const rules: Rule[] = [];
      for (; at < named.length && isSame(named[at]!.prefix, prefix); at++) rules.push(this.#rules[named[at]!.index]!);
      closeBefore(prefix.address);
      const parent = open.at(-1) ?? ROOT;
      const node = this.#places[OUT].length;
      for (const way of [OUT, IN] as const) this.#places[way].push(this.#placeOf(rules, way, this.place(way, parent)));
      this.#push(prefix.address, node);
      ends.push(space.behind(prefix));
      open.push(node);
    }
    closeBefore(space.end);
  }

  #push(start: A, node: number): void {
    if (start >= this.#family.space.end) return;
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
    const decided = decision === UNDECIDED ? parent : { decision, rule: decisive };
    const listsInBlocked = this.#listsInBlocked(withPorts, way, parent, list);
    return { decision: decided.decision, rule: decided.rule, list, listsInBlocked };
  }

  /** The chains without the rules that do not count at addresses of a blocked alias. */
  #listsInBlocked(withPorts: readonly Rule[], way: Way, parent: Place, list: number): readonly number[] | undefined {
    const blocked = this.#blocked[way];
    if (blocked.length === 0) return undefined;
    return Array.from({ length: CLASSES }, (_, addressClass) => {
      if (blocked[addressClass] !== true) return list;
      const above = parent.listsInBlocked?.[addressClass] ?? parent.list;
      const counting = withPorts.filter((rule) => countsInBlockedAlias(rule, addressClass));
      if (counting.length === withPorts.length && above === parent.list) return list;
      return this.#listFor(counting, above);
    });
  }

  #listFor(withPorts: readonly Rule[], parent: number): number {
    return withPorts.length === 0 ? parent : this.portLists.add(withPorts, parent);
  }
}

function isOfWay({ direction }: Rule, way: Way): boolean {
  return direction === undefined || direction === WAY_NAMES[way];
}

function isSame<A extends Address>(one: Prefix<A>, other: Prefix<A>): boolean {
  return one.address === other.address && one.length === other.length;
}

const UNDECIDED_PLACE: Place = Object.freeze({
  decision: UNDECIDED,
  rule: undefined,
  list: NO_LIST,
  listsInBlocked: undefined,
});
