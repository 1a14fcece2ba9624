/** What policy makes of a connection to a name, and why: for people (`softnet ctl … explain out tcp NAME PORT`). */
import { NAME_ALLOWED } from "../../policy/name-table.ts";
import { formatRule } from "../../policy/rule.ts";
import { isQuic, isWeb } from "../../policy/web-ports.ts";
import { OptionError } from "../../user-error.ts";
import { domainNameRemedy, formatDomainName, parseDomainName } from "../../wire/domain-name.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { formatAddress } from "../../wire/ipv6-address.ts";
import type { NameExplanation, NameQuestion } from "../types.ts";
import type { NameGuard } from "./name-guard.ts";

/** What a connection by name needs before and while it opens. */
const LOOKUP = "a lookup of the name by the VM itself";
const FIRST_BYTES = `${LOOKUP}, and first bytes (TLS hello or HTTP request) that say it`;

/** `now`: microseconds on the guard's clock. Throws OptionError for what is no name. */
export function explainName(guard: NameGuard, question: NameQuestion, now: number): NameExplanation {
  const { protocol, port } = question;
  const labels = parseDomainName(question.name, 1);
  if (labels === undefined) {
    throw new OptionError("SOFTNET_ERR_ADDRESS", domainNameRemedy(question.name, 1) ?? `${question.name} is no name`);
  }
  const name = formatDomainName(labels);
  const { table } = guard;
  if (table === undefined) {
    return { name, verdict: "pass", lookup: "pass", why: "no rule has a name: the rules about its address decide" };
  }
  const number = protocol === "tcp" ? PROTOCOL_TCP : PROTOCOL_UDP;
  table.ask(labels, labels.length, number, port);
  const quic = isQuic(number, port);
  const rule = quic && table.decidingRule?.action === "allow" ? undefined : table.decidingRule;
  const said = table.askLookup(labels, labels.length);
  const isClosed = table.closesInternet;
  const denied = isClosed ? said !== NAME_ALLOWED : rule?.action === "block" && said !== NAME_ALLOWED;
  const lookup = denied ? "drop" : "pass";
  const text = rule && { rule: { action: rule.action, text: formatRule(rule) } };
  if (rule?.action === "allow" && isClosed) {
    const verified = isWeb(number, port);
    const known = [...(guard.pairs.named(labels, labels.length)?.pairs.values() ?? [])];
    const addresses = known
      .filter((pair) => guard.pairs.isAlive(pair, verified, now))
      .map(({ address }) => formatAddress(address));
    return { name, verdict: "pass", lookup, ...text, needs: verified ? FIRST_BYTES : LOOKUP, addresses };
  }
  if (rule?.action === "block") {
    return { name, verdict: "drop", reason: denied ? "dns.denied" : "name.denied", lookup, ...text };
  }
  if (!isClosed) return { name, verdict: "pass", lookup, ...text, why: "the internet is open: its address decides" };
  return {
    name,
    verdict: "drop",
    reason: denied ? "dns.denied" : quic ? "name.quic" : "policy.block",
    lookup,
    why: denied ? "no rule allows the name" : quic ? "QUIC is refused" : "no rule allows the name this port",
  };
}
