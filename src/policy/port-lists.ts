/**
 * Lists of port intervals. A list has the rules with ports of one prefix alone, and a link to the list of the next shorter
 * prefix. So a rule is stored once, however many prefixes lie within its own, and the longest prefix comes first.
 */
import { ALLOWED, BLOCKED } from "./default-layer.ts";
import type { Rule } from "./rule.ts";
import { DEFAULT_POLICY, type NumberOf } from "./rule-numbers.ts";

/** No list: the end of a chain. */
export const NO_LIST = -1;

/** No rule with ports covers this port. */
export const UNDECIDED = 0;

/** Of a decider: nobody has asked for it yet. */
const UNSOUGHT = -1;

/** Events of a port range while it is swept: two for each range, ports ascending. */
const EVENT_KINDS = 4;
const ALLOW_ENDS = 0;
const BLOCK_ENDS = 1;
const ALLOW_BEGINS = 2;
const BLOCK_BEGINS = 3;

export class PortLists {
  /** Where a list begins and ends in `#starts`, and the list that it links to. */
  readonly #begin: number[] = [];
  readonly #end: number[] = [];
  readonly #next: number[] = [];
  /** First port of each interval, ascending within a list, the first is 0; and what holds from there. */
  readonly #starts: number[] = [];
  readonly #values: number[] = [];
  /** The number of the rule behind each value; UNSOUGHT until it is asked for. */
  readonly #deciders: number[] = [];
  /** Where `find` has found its result, and in which list. */
  #foundAt = 0;
  #foundIn = NO_LIST;
  /** What each list was made of. */
  readonly #rules: (readonly Rule[])[] = [];
  readonly #numberOf: NumberOf;

  constructor(numberOf: NumberOf) {
    this.#numberOf = numberOf;
  }

  /** Makes the list of some rules with ports, all of the same prefix; where none of them decides, `next` is looked into. */
  add(rules: readonly Rule[], next: number): number {
    this.#begin.push(this.#starts.length);
    this.#sweep(rules);
    this.#end.push(this.#starts.length);
    this.#rules.push(rules);
    return this.#next.push(next) - 1;
  }

  /** Where ranges overlap in one list, block comes before allow. */
  #sweep(rules: readonly Rule[]): void {
    const events = new Int32Array(rules.length * 2);
    let count = 0;
    for (const { action, ports } of rules) {
      const { first, last } = ports!;
      events[count++] = first * EVENT_KINDS + (action === "allow" ? ALLOW_BEGINS : BLOCK_BEGINS);
      events[count++] = (last + 1) * EVENT_KINDS + (action === "allow" ? ALLOW_ENDS : BLOCK_ENDS);
    }
    events.sort();
    let allows = 0;
    let blocks = 0;
    let before = UNDECIDED;
    this.#push(0, before);
    for (let index = 0; index < count; index++) {
      const port = Math.floor(events[index]! / EVENT_KINDS);
      const kind = events[index]! % EVENT_KINDS;
      if (kind === ALLOW_BEGINS) allows++;
      else if (kind === ALLOW_ENDS) allows--;
      else if (kind === BLOCK_BEGINS) blocks++;
      else blocks--;
      if (index + 1 < count && Math.floor(events[index + 1]! / EVENT_KINDS) === port) continue;
      const value = blocks > 0 ? BLOCKED : allows > 0 ? ALLOWED : UNDECIDED;
      // Between two events of the same value another rule may decide.
      if (value === UNDECIDED && before === UNDECIDED) continue;
      before = value;
      this.#push(port, value);
    }
  }

  #push(port: number, value: number): void {
    this.#starts.push(port);
    this.#values.push(value);
    this.#deciders.push(UNSOUGHT);
  }

  /** ALLOWED, BLOCKED or UNDECIDED: what the chain from `list` on says of a port. */
  find(list: number, port: number): number {
    for (let at = list; at !== NO_LIST; at = this.#next[at]!) {
      let low = this.#begin[at]!;
      let high = this.#end[at]! - 1;
      // The interval with the largest start that is not above the port.
      while (low < high) {
        const middle = (low + high + 1) >>> 1;
        if (this.#starts[middle]! <= port) low = middle;
        else high = middle - 1;
      }
      const value = this.#values[low]!;
      if (value !== UNDECIDED) {
        this.#foundAt = low;
        this.#foundIn = at;
        return value;
      }
    }
    return UNDECIDED;
  }

  /** The number of the rule behind what `find` returned last, which was not UNDECIDED. It is sought once for each interval. */
  get found(): number {
    const at = this.#foundAt;
    if (this.#deciders[at] === UNSOUGHT) {
      const action = this.#values[at] === BLOCKED ? "block" : "allow";
      const rule = decisive(this.#rules[this.#foundIn]!, action, this.#starts[at]!);
      this.#deciders[at] = rule === undefined ? DEFAULT_POLICY : this.#numberOf(rule);
    }
    return this.#deciders[at]!;
  }

  /** The rule behind what `find` returns; undefined for UNDECIDED. */
  ruleAt(list: number, port: number): Rule | undefined {
    const decision = this.find(list, port);
    if (decision === UNDECIDED) return undefined;
    const action = decision === BLOCKED ? "block" : "allow";
    // A list before the one that decides has no rule with this port at all.
    for (let at = list; at !== NO_LIST; at = this.#next[at]!) {
      const rule = decisive(this.#rules[at]!, action, port);
      if (rule !== undefined) return rule;
    }
    return undefined;
  }

  /** Whether some list of the chain has an interval with this decision that reaches ports from `least` on. */
  has(list: number, decision: number, least: number): boolean {
    for (let at = list; at !== NO_LIST; at = this.#next[at]!) {
      for (let index = this.#begin[at]!; index < this.#end[at]!; index++) {
        const last = index + 1 < this.#end[at]! ? this.#starts[index + 1]! - 1 : 65_535;
        if (this.#values[index] === decision && last >= least) return true;
      }
    }
    return false;
  }
}

/** The first of some rules with ports that has this action and port. */
function decisive(rules: readonly Rule[], action: Rule["action"], port: number): Rule | undefined {
  return rules.find((rule) => rule.action === action && rule.ports!.first <= port && port <= rule.ports!.last);
}
