/** What policy makes of a packet that belongs to no flow yet, and why: for people (`softnet ctl … explain`). */
import { type KnownNetwork, LOOPBACK } from "../policy/default-layer.ts";
import { outranked } from "../policy/outranked.ts";
import { formatRule, type Rule } from "../policy/rule.ts";
import { IN, OUT } from "../policy/rule-tree.ts";
import { NO_PORT, type PolicyTable } from "../policy/table.ts";
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.ts";
import { defaultLine, judgeKind } from "./default-policy.ts";
import { hasPorts } from "./flow-key.ts";
import { DROP_REASONS, PASS } from "./reasons.ts";
import type { Explanation, PolicyQuestion } from "./types.ts";

/** As `Guard.explain`; `table` is made of `rules` and `knownNetwork`. */
export function explainPolicy(
  question: PolicyQuestion,
  table: PolicyTable,
  rules: readonly Rule[],
  knownNetwork: KnownNetwork,
): Explanation {
  const { direction, remote } = question;
  const protocol = protocolNumber(question.protocol);
  const way = direction === "out" ? OUT : IN;
  if (way === IN && !table.stateful) return { verdict: "pass", default: "inbound" };
  const port = hasPorts(protocol) ? question.port : undefined;
  const kind = table.ask(way, remote, port ?? NO_PORT);
  const verdict = judgeKind(kind, protocol, port ?? NO_PORT, false);
  const said =
    verdict === PASS
      ? { verdict: "pass" as const }
      : { verdict: "drop" as const, reason: DROP_REASONS[verdict - 1]!.name };
  const rule = table.decidingRule(way, remote, port ?? NO_PORT);
  if (rule) {
    const before = outranked(rules, knownNetwork, direction, remote, rule);
    const decides = { ...said, rule: { action: rule.action, text: formatRule(rule) } };
    return before.length === 0 ? decides : { ...decides, outranks: before };
  }
  return { ...said, default: kind === LOOPBACK ? "loopback" : defaultLine(kind, protocol, port ?? NO_PORT) };
}

/** Of a name or a number; "icmp" is IPv4's. */
export function protocolNumber(protocol: PolicyQuestion["protocol"]): number {
  switch (protocol) {
    case "tcp":
      return PROTOCOL_TCP;
    case "udp":
      return PROTOCOL_UDP;
    case "icmp":
      return PROTOCOL_ICMP;
    default:
      return protocol;
  }
}
