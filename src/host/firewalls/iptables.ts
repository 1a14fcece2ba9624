/**
 * Rules of iptables(8), from `iptables -S`, as statements in nft's own form (nft.ts), so that one walk (walk.ts) judges
 * both. nft lists the rules of iptables-nft too, but in JSON it leaves out what their matches and targets say (`xt`).
 * What is not understood is kept as an `xt` statement without contents: it may match, or not.
 */
import type { Chain, Rule, Ruleset, Statement } from "./nft.ts";

/** Targets after which a packet goes on to the next rule (iptables-extensions(8)). */
export const GOING_ON = new Set(
  "AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK CT DSCP ECN HL HMARK IDLETIMER LED LOG MARK NFLOG RATEEST SECMARK SET TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL ULOG".split(
    " ",
  ),
);

/** `ip` of iptables, `ip6` of ip6tables. */
export type IptablesFamily = "ip" | "ip6";

/** Parses what `iptables -S` or `ip6tables -S` prints of a table. Lines that are no rules are left out. */
export function parseIptables(text: string, table: string, family: IptablesFamily = "ip"): Ruleset {
  const lines = text.split("\n").map(words);
  const chains: Chain[] = [];
  for (const [command, name, policy] of lines) {
    if (name === undefined) continue;
    if (command === "-P") chains.push({ ...base(name), family, table, name, policy: policy?.toLowerCase() ?? "" });
    if (command === "-N") chains.push({ family, table, name });
  }
  const names = new Set(chains.map(({ name }) => name));
  const rules: Rule[] = [];
  for (const [command, chain, ...rest] of lines) {
    if (command !== "-A" || chain === undefined) continue;
    rules.push({ family, table, chain, expr: statements(rest, names, family) });
  }
  return { chains, rules };
}

function base(name: string): { type: string; hook: string } {
  return { type: "filter", hook: name.toLowerCase() };
}

/** Words of a line; iptables puts those with blanks into double quotes, with backslashes before what is special. */
function words(line: string): string[] {
  const found = line.match(/"(?:\\.|[^"\\])*"|\S+/g) ?? [];
  return found.map((word) => (word.startsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, "$1") : word));
}

function statements(options: readonly string[], chains: ReadonlySet<string>, family: IptablesFamily): Statement[] {
  const found: Statement[] = [];
  let negated = false;
  for (let at = 0; at < options.length; at++) {
    const option = options[at]!;
    if (option === "!") {
      negated = true;
      continue;
    }
    const value = options[at + 1] ?? "";
    if (option === "-j" || option === "-g") {
      found.push(target(value, option === "-g", chains));
      break; // what follows are the target's own options
    }
    const matched = matchOf(option, value, family);
    if (matched !== undefined) {
      const { left, right } = matched;
      if (left !== undefined) found.push({ match: { op: negated ? "!=" : "==", left, right } });
      if (matched.flag !== true) at++;
    } else if (option.startsWith("-")) {
      found.push({ xt: { type: "match", name: option } });
    }
    negated = false;
  }
  return found;
}

interface Matched {
  /** Undefined: nothing that narrows the rule. */
  readonly left?: Statement;
  readonly right?: unknown;
  /** Whether the option has no value. */
  readonly flag?: true;
}

/** Undefined for what is not known. */
function matchOf(option: string, value: string, family: IptablesFamily): Matched | undefined {
  switch (option) {
    case "-m": // its options follow
    case "--comment":
      return {};
    case "-i":
      return { left: { meta: { key: "iifname" } }, right: pattern(value) };
    case "-o":
      return { left: { meta: { key: "oifname" } }, right: pattern(value) };
    case "-s":
      return { left: { payload: { protocol: family, field: "saddr" } }, right: address(value, family) };
    case "-d":
      return { left: { payload: { protocol: family, field: "daddr" } }, right: address(value, family) };
    case "-p":
      return { left: { meta: { key: "l4proto" } }, right: value };
    case "--ctstate":
    case "--state":
      return { left: { ct: { key: "state" } }, right: value.toLowerCase().split(",") };
    case "--dst-type":
      return { left: { fib: { result: "type", flags: "daddr" } }, right: value.toLowerCase().split(",") };
    case "--physdev-in":
      return { left: { meta: { key: "ibrport" } }, right: pattern(value) };
    case "--physdev-out":
      return { left: { meta: { key: "obrport" } }, right: pattern(value) };
    case "--physdev-is-bridged":
      return { left: { meta: { key: "bridged" } }, right: true, flag: true };
    default:
      return undefined;
  }
}

/** `eth+` of iptables is `eth*` of nft. */
function pattern(name: string): string {
  return name.endsWith("+") ? `${name.slice(0, -1)}*` : name;
}

/** A mask that is no prefix (`10.0.9.0/255.0.255.0`) stays as it is: not understood. */
function address(text: string, family: IptablesFamily): unknown {
  const [addr = "", length = family === "ip" ? "32" : "128"] = text.split("/");
  const len = Number(length);
  return Number.isInteger(len) ? { prefix: { addr, len } } : text;
}

function target(name: string, isGoto: boolean, chains: ReadonlySet<string>): Statement {
  if (chains.has(name)) return { [isGoto ? "goto" : "jump"]: { target: name } };
  switch (name) {
    case "ACCEPT":
      return { accept: null };
    case "DROP":
      return { drop: null };
    case "REJECT":
      return { reject: null };
    case "RETURN":
      return { return: null };
  }
  return GOING_ON.has(name) ? { counter: null } : { xt: { type: "target", name } };
}
