/**
 * Whether rules that others made (Docker, ufw, firewalld) let a VM's traffic through. In nftables every base chain of a
 * hook has its say: what one accepts another still drops, so softnet's own accept is not enough. This walks the other
 * forward chains with a packet in mind.
 *
 * A rule can match, not match, or depend on what is not known beforehand (ports, marks, sets, rates). Only a packet that
 * is dropped whatever those turn out to be counts as dropped.
 *
 * What iptables-legacy holds, nft does not see.
 */
import { covers, parseCidr } from "../../policy/rule.ts";
import { parseIPv4 } from "../../wire/address.ts";
import type { Chain, Rule, Ruleset, Statement } from "./ruleset.ts";

/** A packet as far as it is known beforehand. Addresses in host order. */
export interface Packet {
  readonly iifname?: string;
  readonly oifname?: string;
  readonly saddr?: number;
  readonly daddr?: number;
  readonly state: "new" | "established";
  /** Whether its connection was redirected to the VM (`ct status dnat`). */
  readonly redirected: boolean;
}

/** What becomes of the packet in a chain; "open" = the walk goes on, or nobody can tell. */
type Fate = "accept" | "drop" | "return" | "open";

/** The forward chains of others: where a packet's way through the host begins. */
export function forwardChains(chains: readonly Chain[]): Chain[] {
  return chains.filter(
    ({ hook, family, table }) =>
      hook === "forward" && (family === "ip" || family === "inet") && !table.startsWith("softnet"),
  );
}

/** Those among them that drop the packet. */
export function droppingChains(ruleset: Ruleset, packet: Packet): Chain[] {
  return forwardChains(ruleset.chains).filter((chain) => new Walk(ruleset, chain, packet).isDropped());
}

/** Where a user puts the rules that let VMs through: what Docker keeps for its user, else the chain itself. */
export function chainForUser(ruleset: Ruleset, dropping: Chain): string {
  const { family, table } = dropping;
  const own = ruleset.chains.find(
    (chain) => chain.family === family && chain.table === table && chain.name === "DOCKER-USER",
  );
  return own?.name ?? dropping.name;
}

class Walk {
  readonly #chain: Chain;
  readonly #packet: Packet;
  readonly #rules: readonly Rule[];
  /** Chains that the walk is in: nft refuses loops, but what is read here may be cut short. */
  readonly #path: string[] = [];

  constructor(ruleset: Ruleset, chain: Chain, packet: Packet) {
    this.#chain = chain;
    this.#packet = packet;
    this.#rules = ruleset.rules.filter((rule) => rule.family === chain.family && rule.table === chain.table);
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
    for (const rule of this.#rules) {
      if (rule.chain !== name) continue;
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
        case "reject":
          return { sure, fate: "drop" };
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
        case "vmap":
        case "queue":
        case "xt": // a match or a target of iptables, which nft does not tell
          return { sure: false, fate: "open" };
        default:
          sure = false; // limits, marks …: they may end the rule, or not
      }
    }
    return { sure: true };
  }
}

interface Match {
  readonly op: string;
  readonly left: unknown;
  readonly right: unknown;
}

/** True, false, or undefined where it cannot be told beforehand. */
function matchOf({ op, left, right }: Match, packet: Packet): boolean | undefined {
  const values = valuesOf(right);
  const found = values === undefined ? undefined : compare(left, values, packet);
  if (found === undefined) return undefined;
  return op === "!=" ? !found : op === "==" || op === "in" ? found : undefined;
}

function valuesOf(right: unknown): unknown[] | undefined {
  if (typeof right === "string" && right.startsWith("@")) return undefined;
  if (Array.isArray(right)) return right;
  const set = (right as { set?: unknown } | null)?.set;
  return Array.isArray(set) ? set : [right];
}

function compare(left: unknown, values: readonly unknown[], packet: Packet): boolean | undefined {
  const { meta, ct, payload } = left as Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;
  switch (meta?.key) {
    case "iifname":
    case "iif":
      return anyName(packet.iifname, values);
    case "oifname":
    case "oif":
      return anyName(packet.oifname, values);
    case "nfproto":
      return values.includes("ipv4");
    case "l4proto":
      return values.includes("tcp") || values.includes(6);
  }
  if (ct?.key === "state") return values.includes(packet.state);
  if (ct?.key === "status" && values.every((value) => value === "dnat")) return packet.redirected;
  if (payload?.protocol === "ip" && payload.field === "saddr") return anyAddress(packet.saddr, values);
  if (payload?.protocol === "ip" && payload.field === "daddr") return anyAddress(packet.daddr, values);
  if (payload?.protocol === "ip" && payload.field === "protocol") return values.includes("tcp") || values.includes(6);
  if (payload?.protocol === "ip6" || payload?.protocol === "icmp" || payload?.protocol === "udp") return false;
  return undefined;
}

function anyName(name: string | undefined, values: readonly unknown[]): boolean | undefined {
  if (name === undefined) return undefined;
  return values.some((value) => {
    const pattern = String(value);
    return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  });
}

function anyAddress(address: number | undefined, values: readonly unknown[]): boolean | undefined {
  if (address === undefined) return undefined;
  const matches = values.map((value) => coversAddress(value, address));
  return matches.includes(true) ? true : matches.includes(undefined) ? undefined : false;
}

function coversAddress(value: unknown, address: number): boolean | undefined {
  if (typeof value === "string") {
    const single = parseIPv4(value);
    return single === undefined ? undefined : single === address;
  }
  const { prefix, range } = value as { prefix?: { addr: string; len: number }; range?: [string, string] };
  if (prefix !== undefined) {
    const cidr = parseCidr(`${prefix.addr}/${prefix.len}`);
    return cidr && covers(cidr, address);
  }
  const [first, last] = (range ?? []).map(parseIPv4);
  return first === undefined || last === undefined ? undefined : address >= first && address <= last;
}
