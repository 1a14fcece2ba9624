/** As policy-explanation.ts, for a remote IPv6 address. */
import { LOOPBACK } from "../../policy/default-layer.ts";
import { formatRule } from "../../policy/rule.ts";
import { IN, OUT } from "../../policy/rule-tree.ts";
import { NO_PORT } from "../../policy/table.ts";
import { PROTOCOL_ICMPV6 } from "../../wire/ipv6.ts";
import { wordOf } from "../../wire/ipv6-address.ts";
import { defaultLine, judgeKind6 } from "../default-policy.ts";
import { hasPorts } from "../flow-key.ts";
import { protocolNumber } from "../policy-explanation.ts";
import type { PolicyGuard } from "../policy-guard.ts";
import { DROP_REASONS, PASS } from "../reasons.ts";
import type { Explanation, PolicyQuestion } from "../types.ts";
import type { IPv6Flows } from "./ipv6-flows.ts";

/** As `PolicyQuestion`, with a remote IPv6 address; "icmp" is ICMPv6. */
export type PolicyQuestion6 = Omit<PolicyQuestion, "remote"> & { readonly remote: bigint };

/** As `Guard.explain`. Where an embedded IPv4 address drops, what is said is IPv4's. */
export function explainPolicy6(question: PolicyQuestion6, family: IPv6Flows, ipv4: PolicyGuard): Explanation {
  const { direction, remote } = question;
  const { table } = family;
  const protocol = question.protocol === "icmp" ? PROTOCOL_ICMPV6 : protocolNumber(question.protocol);
  const way = direction === "out" ? OUT : IN;
  if (way === IN && !table.stateful) return { verdict: "pass", default: "inbound" };
  const port = (hasPorts(protocol) ? question.port : undefined) ?? NO_PORT;
  const words = Int32Array.from([0, 1, 2, 3], (word) => wordOf(remote, word));
  const embedded = family.embeddedIn(words);
  if (embedded !== undefined && family.judgeIPv4(way, embedded, protocol, port, false) !== PASS) {
    const same = protocol === PROTOCOL_ICMPV6 ? "icmp" : protocol;
    return ipv4.explain({ ...question, protocol: same, remote: embedded });
  }
  const kind = table.ask(way, words, 0, port);
  const verdict = judgeKind6(kind, protocol, port, false);
  const said =
    verdict === PASS
      ? { verdict: "pass" as const }
      : { verdict: "drop" as const, reason: DROP_REASONS[verdict - 1]!.name };
  const rule = table.decidingRule(way, words, 0, port);
  if (rule) return { ...said, rule: { action: rule.action, text: formatRule(rule) } };
  return { ...said, default: kind === LOOPBACK ? "loopback" : defaultLine(kind, protocol, port) };
}
