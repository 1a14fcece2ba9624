/** What policy makes of a packet that belongs to no flow yet, and why: for people (`softnet ctl … explain`). */
import { type KnownNetwork, LOOPBACK } from "../policy/default-layer.ts";
import type { KnownNetwork6 } from "../policy/default-layer-6.ts";
import { outranked, outranked6 } from "../policy/outranked.ts";
import { formatRule, type Rule } from "../policy/rule.ts";
import { IN, OUT, type Way } from "../policy/rule-tree.ts";
import { NO_PORT, type PolicyTable } from "../policy/table.ts";
import type { PolicyTable6 } from "../policy/table-6.ts";
import { OptionError } from "../user-error.ts";
import { formatIPv4 } from "../wire/address.ts";
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { PROTOCOL_ICMPV6 } from "../wire/ipv6.ts";
import { formatIPv6, wordsOf } from "../wire/ipv6-address.ts";
import { type DefaultLine, defaultLine, judgeKind, judgeKind6 } from "./default-policy.ts";
import type { FamilyNames } from "./names/family-names.ts";
import { DROP_REASONS, PASS } from "./reasons.ts";
import type { Decision, Explanation, PolicyQuestion } from "./types.ts";

/** A question about an IPv6 address. */
export type PolicyQuestion6 = PolicyQuestion & { readonly remote: bigint };

/**
 * As `Guard.explain`, for IPv4; `table` is made of `rules` and `knownNetwork`. Throws OptionError for an IPv6 address: who
 * has IPv6 asks `explainPolicy6`.
 */
export function explainPolicy(
  question: PolicyQuestion,
  table: PolicyTable,
  rules: readonly Rule[],
  knownNetwork: KnownNetwork,
  names?: FamilyNames,
): Explanation {
  const { direction, remote } = question;
  if (typeof remote === "bigint") {
    throw new OptionError(
      "SOFTNET_ERR_ADDRESS",
      `${formatIPv6(remote)} is an IPv6 address, and IPv6 is off, so nothing of it passes: switch it on with --ipv6`,
    );
  }
  const protocol = protocolNumber(question.protocol, PROTOCOL_ICMP);
  const way = direction === "out" ? OUT : IN;
  if (way === IN && !table.stateful) return INBOUND_PASSES;
  const port = portOf(question, protocol);
  const kind = table.ask(way, remote, port);
  const rule = table.decidingRule(way, remote, port);
  const verdict = judgeKind(kind, protocol, port, false);
  const opened = explainByName(way, protocol, port, verdict, remote, names);
  if (typeof opened === "object") return opened;
  const said = verdictOf(opened);
  if (rule === undefined) return { ...said, default: lineOf(kind, protocol, port) };
  return { ...said, ...ruleOf(rule, outranked(rules, knownNetwork, direction, remote, rule)) };
}

/**
 * As `Guard.explain`, for IPv6; `table` is made of `rules`, implied ones among them, and `knownNetwork`. `ofIPv4` is asked
 * about the IPv4 address that the remote one embeds.
 */
export function explainPolicy6(
  question: PolicyQuestion6,
  table: PolicyTable6,
  rules: readonly Rule[],
  knownNetwork: KnownNetwork6,
  ofIPv4: (question: PolicyQuestion) => Decision,
  names?: (remote: bigint) => { readonly names: FamilyNames; readonly number: number } | undefined,
): Explanation {
  const { direction, remote } = question;
  const protocol = protocolNumber(question.protocol, PROTOCOL_ICMPV6);
  const way = direction === "out" ? OUT : IN;
  if (way === IN && !table.stateful) return INBOUND_PASSES;
  const port = portOf(question, protocol);
  const words = wordsOf(remote);
  const kind = table.ask(way, words, 0, port);
  const rule = table.decidingRule(way, remote, port);
  const found = names?.(remote);
  const verdict = judgeKind6(kind, protocol, port, false);
  const opened = explainByName(way, protocol, port, verdict, found?.number ?? 0, found?.names);
  if (typeof opened === "object") return opened;
  const said = verdictOf(opened);
  const why =
    rule === undefined
      ? { default: lineOf(kind, protocol, port) }
      : ruleOf(rule, outranked6(rules, knownNetwork, direction, remote, rule));
  const address = table.embeddedIPv4(words, 0);
  if (address < 0) return { ...said, ...why };
  const ipv4 = ofIPv4({
    ...question,
    remote: address,
    protocol: protocol === PROTOCOL_ICMPV6 ? PROTOCOL_ICMP : question.protocol,
  });
  const decides = said.verdict === "pass" && ipv4.verdict === "drop";
  const final = decides ? { verdict: ipv4.verdict, ...(ipv4.reason !== undefined && { reason: ipv4.reason }) } : said;
  return { ...final, ...why, embedded: { address: formatIPv4(address), decides, ...ipv4 } };
}

/** What names make of a verdict of the rules: the same or another one, or that it passes by a name. */
function explainByName(
  way: Way,
  protocol: number,
  port: number,
  verdict: number,
  remote: number,
  names: FamilyNames | undefined,
): number | Explanation {
  const hasPorts = protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
  if (names === undefined || verdict === PASS || way === IN || (hasPorts && port === NO_PORT)) return verdict;
  const pair = names.explain(remote, protocol, port, verdict);
  if (typeof pair === "number") return pair;
  const rule = names.ruleOf(pair, protocol, port);
  return { verdict: "pass", byName: pair.name.text, ...(rule && ruleOf(rule, [])) };
}

const INBOUND_PASSES: Explanation = Object.freeze({ verdict: "pass", default: "inbound" });

function verdictOf(verdict: number): Pick<Decision, "verdict" | "reason"> {
  return verdict === PASS ? { verdict: "pass" } : { verdict: "drop", reason: DROP_REASONS[verdict - 1]!.name };
}

function ruleOf(rule: Rule, before: readonly string[]): Pick<Decision, "rule" | "outranks"> {
  const { action, impliedBy } = rule;
  return {
    rule: { action, text: formatRule(rule), ...(impliedBy !== undefined && { impliedBy }) },
    ...(before.length > 0 && { outranks: before }),
  };
}

function lineOf(kind: number, protocol: number, port: number): DefaultLine {
  return kind === LOOPBACK ? "loopback" : defaultLine(kind, protocol, port);
}

/** The port that rules are asked about. */
function portOf({ port }: PolicyQuestion, protocol: number): number {
  return (protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP ? port : undefined) ?? NO_PORT;
}

function protocolNumber(protocol: PolicyQuestion["protocol"], icmp: number): number {
  switch (protocol) {
    case "tcp":
      return PROTOCOL_TCP;
    case "udp":
      return PROTOCOL_UDP;
    case "icmp":
      return icmp;
    default:
      return protocol;
  }
}
