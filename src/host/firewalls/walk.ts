/**
 * Whether rules that others made (Docker, ufw, firewalld) let a VM's traffic through. In nftables every base chain of a
 * hook has its say: what one accepts another still drops, so softnet's own accept is not enough. This walks the other
 * forward chains with a packet in mind.
 *
 * A rule can match, not match, or depend on what is not known beforehand (ports, marks, sets, rates). Only a packet that
 * is dropped whatever those turn out to be counts as dropped.
 */

import { GOING_ON } from "./iptables.ts";
import { compareAll, type Family, type Match, matchOf, type Packet } from "./match.ts";
import type { Chain, Rule, Statement } from "./nft.ts";

/** Rules that one walk looks at: chains that jump to each other many times over are given up. */
const MOST_STEPS = 1_000_000;

/** What becomes of the packet in a chain; "open" = the walk goes on, or it is not known. */
type Fate = "accept" | "drop" | "return" | "open";

/** Families of tables, as nft calls them, that packets of each family come to. */
const TABLES: Readonly<Record<Family, readonly string[]>> = { ipv4: ["ip", "inet"], ipv6: ["ip6", "inet"] };

/** The forward chains of others: where a packet's way through the host begins. */
export function forwardChains<T extends Pick<Chain, "hook" | "family" | "table">>(
  chains: readonly T[],
  families: readonly Family[] = ["ipv4", "ipv6"],
): T[] {
  return chains.filter(
    ({ hook, family, table }) =>
      hook === "forward" && families.some((each) => TABLES[each].includes(family)) && !isOwnTable(table),
  );
}

/** softnet's own tables. */
export function isOwnTable(name: string): boolean {
  return name.startsWith("softnet");
}

/** The rules of one table, chain by chain. */
export type RulesByChain = ReadonlyMap<string, readonly Rule[]>;

/** Those among the forward chains of one table that drop the packet. */
export function droppingChains(chains: readonly Chain[], rules: RulesByChain, packet: Packet): Chain[] {
  return forwardChains(chains, [packet.family]).filter((chain) => new Walk(rules, chain, packet).isDropped());
}

class Walk {
  readonly #chain: Chain;
  readonly #packet: Packet;
  readonly #rules: RulesByChain;
  #steps = MOST_STEPS;
  /** Chains that the walk is in: nft refuses loops, but what is read here may be cut short. */
  readonly #path: string[] = [];

  constructor(rules: RulesByChain, chain: Chain, packet: Packet) {
    this.#chain = chain;
    this.#packet = packet;
    this.#rules = rules;
  }

  isDropped(): boolean {
    const fate = this.#through(this.#chain.name);
    if (fate === "accept" || fate === "open") return false;
    return fate === "drop" || this.#chain.policy === "drop";
  }

  /** "return" = the end of the chain, surely; "open" = an accept on the way may have ended it. */
  #through(name: string): Fate {
    if (this.#path.includes(name)) return "open";
    this.#path.push(name);
    let perhapsAccepted = false;
    let fate: Fate = "return";
    for (const rule of this.#rules.get(name) ?? []) {
      if (this.#steps-- <= 0) return "open";
      const { sure, fate: decided } = this.#judge(rule.expr);
      if (decided === undefined) continue;
      if (sure && decided !== "open") {
        fate = decided;
        break;
      }
      if (decided !== "drop") perhapsAccepted = true;
    }
    this.#path.pop();
    if (fate === "accept") return "accept";
    return perhapsAccepted ? "open" : fate;
  }

  /** What a rule decides, if anything, and whether it surely applies. */
  #judge(statements: readonly Statement[]): { sure: boolean; fate?: Fate } {
    let sure = true;
    for (const statement of statements) {
      const [name, value] = Object.entries(statement)[0] ?? ["", undefined];
      switch (name) {
        case "match": {
          const matches = matchOf(value as Match, this.#packet);
          if (matches === false) return { sure: true };
          if (matches === undefined) sure = false;
          break;
        }
        case "accept":
          return { sure, fate: "accept" };
        case "drop":
          return { sure, fate: "drop" };
        case "reject":
          return isRejected(value as Reject | null, this.#packet) ? { sure, fate: "drop" } : { sure: true };
        case "return":
          return { sure, fate: "return" };
        case "jump": {
          const fate = this.#through((value as { target: string }).target);
          if (fate === "return") break;
          return { sure, fate };
        }
        case "goto":
          return { sure, fate: this.#through((value as { target: string }).target) };
        case "counter":
        case "log":
        case "comment":
          break;
        case "vmap": {
          const decided = this.#look(value as VerdictMap);
          if (decided === undefined) return { sure: false, fate: "open" };
          if (decided.length > 0) {
            const verdict = this.#judge(decided);
            if (verdict.fate === undefined) break;
            return { ...verdict, sure: sure && verdict.sure };
          }
          break;
        }
        case "queue":
          return { sure: false, fate: "open" };
        case "xt": {
          const meaning = meaningOf(value as Extension);
          if (meaning === "open" || meaning === "drop") return { sure: sure && meaning === "drop", fate: meaning };
          if (meaning === "perhaps") sure = false;
          break;
        }
        default:
          sure = false; // limits, marks …: they may end the rule, or not
      }
    }
    return { sure: true };
  }

  /** The verdict of a map with literal keys; none where no key matches; undefined where it is not known. */
  #look({ key, data }: VerdictMap): Statement[] | undefined {
    const entries = (data as { readonly set?: unknown } | undefined)?.set;
    if (!Array.isArray(entries)) return undefined;
    for (const entry of entries) {
      if (!Array.isArray(entry)) return undefined;
      const matches = compareAll(key, [entry[0]], this.#packet);
      if (matches === undefined) return undefined;
      if (matches) return [entry[1] as Statement];
    }
    return [];
  }
}

/** As nft lists it: null for REJECT of iptables. */
interface Reject {
  readonly type?: string;
}

/** nft leaves out a match on what the kind of reject says already: IPv4, IPv6, or TCP. */
function isRejected(reject: Reject | null, { family, protocol }: Packet): boolean {
  switch (reject?.type) {
    case "icmp":
      return family === "ipv4";
    case "icmpv6":
      return family === "ipv6";
    case "tcp reset":
      return protocol === "tcp";
  }
  return true;
}

interface VerdictMap {
  readonly key: unknown;
  readonly data: unknown;
}

/** A match or a target of iptables, without its contents. */
interface Extension {
  readonly type?: string;
  readonly name?: string;
}

function meaningOf({ type, name = "" }: Extension): "drop" | "open" | "perhaps" | "nothing" {
  if (type === "match") return name === "comment" ? "nothing" : "perhaps";
  if (name === "REJECT" || name === "DROP") return "drop";
  return GOING_ON.has(name) ? "nothing" : "open";
}
