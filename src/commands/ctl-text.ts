/** softnet's answers as text for `softnet ctl`. Fields are not validated, since another version may answer. */
import { DROP_REASONS } from "../guard/reasons.ts";
import { duration, type Fields, fieldsOf, listOf } from "../operate/fields.ts";

const shown = (value: unknown): string => (value === null || value === undefined ? "none" : String(value));

/** The policy in the format of a policy file. */
export function policyLines(policy: Fields): string[] {
  return [
    ...listOf(policy.allow).map((rule) => `allow ${shown(rule)}`),
    ...listOf(policy.block).map((rule) => `block ${shown(rule)}`),
    ...(policy.isolated === undefined
      ? []
      : [`# the VM is ${policy.isolated ? "isolated" : "not isolated"}, as before`]),
    ...listOf(policy.warnings).map((warning) => `# ${shown(warning)}`),
  ];
}

/** Columns up to which comments stand below each other. */
const WIDEST_RULE = 60;

/** The same with how often each rule decided, as a comment behind it. */
export function countedPolicyLines(answer: Fields): string[] {
  const rules = listOf(answer.rules)
    .map(fieldsOf)
    .map(({ action, text, ...counted }) => ({ rule: `${shown(action)} ${shown(text)}`, counted }));
  const width = Math.min(WIDEST_RULE, Math.max(0, ...rules.map(({ rule }) => rule.length)));
  return [
    ...rules.map(({ rule, counted }) => `${rule.padEnd(width)}  # ${hitsOf(counted)}`),
    `# the default policy: ${hitsOf(fieldsOf(answer.default))}`,
  ];
}

function hitsOf({ hits, last }: Fields): string {
  if (hits === 0) return "no hits";
  return `${shown(hits)} ${hits === 1 ? "hit" : "hits"}, last ${shown(last).replace(/\.\d+/, "")}`;
}

export function describeStatus(status: Fields): string[] {
  const binding = fieldsOf(status.binding);
  const policy = fieldsOf(status.policy);
  const flows = fieldsOf(status.flows);
  const address = status.binding === null ? "no address yet" : `${shown(binding.address)}, ${shown(binding.origin)}`;
  const file = typeof policy.file === "string" ? `, with ${policy.file}` : "";
  return [
    ...(typeof status.name === "string" ? [`name       ${status.name}`] : []),
    `softnet    ${shown(status.version)}, up ${duration(Number(status.uptime))}`,
    `network    ${shown(status.network)}, ${status.isolated ? "isolated" : "not isolated"}`,
    `VM         ${shown(status.mac)}, ${address}${left(binding.seconds)}`,
    ...ipv6Lines(status.ipv6),
    ...(typeof status.interface === "string" ? [`interface  ${status.interface}`] : []),
    `gateway    ${shown(status.gateway)}`,
    `DNS        ${listOf(binding.dns).map(shown).join(", ") || "none"}`,
    ...network6Lines(status.network6),
    `policy     ${shown(policy.ruleCount)} ${policy.ruleCount === 1 ? "rule" : "rules"}, ${policy.stateful ? "stateful" : "stateless"}, by ${shown(policy.source)}${file}${since(policy.since)}`,
    `flows      ${shown(flows.inUse)} of ${shown(flows.limit)}`,
    ...describeLane(fieldsOf(status.lane)),
    ...(listOf(fieldsOf(status.limits).limits).length > 0 ? describeLimits(fieldsOf(status.limits)) : []),
    ...hostLines(status),
    "",
    ...counterLines(fieldsOf(status.counters)),
  ];
}

function since(value: unknown): string {
  return typeof value === "string" ? `, since ${value.replace(/\.\d+/, "")}` : "";
}

export function describeLimits(limits: Fields): string[] {
  const items = listOf(limits.limits).map(shown);
  const [egress, ingress] = [fieldsOf(limits.egress), fieldsOf(limits.ingress)];
  return [
    `limits     ${items.join(", ") || "none"}`,
    `           from the VM ${shown(egress.delayed)} delayed, ${shown(egress.dropped)} dropped; to the VM ${shown(ingress.delayed)} delayed, ${shown(ingress.dropped)} dropped`,
  ];
}

/** The VM's IPv6 addresses; nothing where IPv6 is off. */
function ipv6Lines(addresses: unknown): string[] {
  if (!Array.isArray(addresses)) return [];
  if (addresses.length === 0) return ["IPv6       no address yet"];
  return addresses
    .map(fieldsOf)
    .map(({ address, origin, seconds }) => `IPv6       ${shown(address)}, ${shown(origin)}${left(seconds)}`);
}

/** The IPv6 router, and what it and DHCPv6 announced; nothing where IPv6 is off. */
function network6Lines(network: unknown): string[] {
  if (network === undefined) return [];
  const { router, prefixes, nat64, dns } = fieldsOf(network);
  const { address, mac, seconds } = fieldsOf(router);
  const whose = mac === null ? ", its MAC address is not known yet" : `, ${shown(mac)}`;
  return [
    `router6    ${router === null ? "none yet" : `${shown(address)}${whose}${left(seconds)}`}`,
    ...listOf(prefixes).map((one) => {
      const { prefix, onLink, autonomous, seconds } = fieldsOf(one);
      return `prefix6    ${shown(prefix)}${onLink ? ", on-link" : ""}${autonomous ? ", for addresses" : ""}${left(seconds)}`;
    }),
    ...listOf(nat64)
      .map(fieldsOf)
      .map(({ prefix, seconds }) => `NAT64      ${shown(prefix)}${left(seconds)}`),
    ...listOf(dns)
      .map(fieldsOf)
      .map(({ address, from, seconds }) => `DNS6       ${shown(address)}, ${shown(from)}${left(seconds)}`),
  ];
}

/** What is left of a time that has an end. */
function left(seconds: unknown): string {
  return typeof seconds === "number" ? `, ${duration(seconds)} left` : "";
}

/** Of an attached interface: what passed in the kernel, without the relay. */
export function describeLane(lane: Fields): string[] {
  if (lane.state === undefined) return [];
  if (lane.state === "none") return [`lane       none: ${shown(lane.why)}`];
  const [egress, ingress] = [fieldsOf(lane.egress), fieldsOf(lane.ingress)];
  const passed = `${shown(egress.frames)} frames from the VM, ${shown(ingress.frames)} to it`;
  return [`lane       ${shown(lane.state)}, ${passed}`];
}

export function describeExplanation(answer: Fields): string[] {
  if (answer.name !== undefined) return describeNameExplanation(answer);
  const port = answer.port === undefined ? "" : ` port ${shown(answer.port)}`;
  const question = `${shown(answer.direction)} ${shown(answer.protocol)} ${shown(answer.remote)}${port}`;
  const reason = answer.reason === undefined ? "" : ` as ${shown(answer.reason)}`;
  const embedded = fieldsOf(answer.embedded);
  const isByEmbedded = embedded.decides === true;
  const text = DROP_REASONS.find(({ name }) => name === answer.reason)?.text;
  const whose = isByEmbedded ? ` for ${shown(embedded.address)}, which it embeds` : "";
  return [
    `${question}: ${answer.verdict === "pass" ? "passes" : `is dropped${reason}`}, by ${deciderOf(isByEmbedded ? embedded : answer)}${whose}`,
    ...(text ? [text] : []),
    ...(answer.byName === undefined
      ? []
      : [
          `the VM looked ${shown(answer.byName)} up and got this address; first bytes (TLS, HTTP) must say an allowed name`,
        ]),
    ...listOf(answer.outranks).map((one) => `which has a port and so comes before "block ${shown(one)}"`),
    ...(answer.embedded === undefined || isByEmbedded
      ? []
      : [
          `it embeds ${shown(embedded.address)}, which ${embedded.verdict === "pass" ? "passes" : "would be dropped"}, by ${deciderOf(embedded)}`,
        ]),
    ...(isByEmbedded ? [`the IPv6 address itself would pass, by ${deciderOf(answer)}`] : []),
    ...(answer.verdict === "pass" ? hostLines(answer) : []),
  ];
}

function describeNameExplanation(answer: Fields): string[] {
  const reason = answer.reason === undefined ? "" : ` as ${shown(answer.reason)}`;
  const rule = fieldsOf(answer.rule);
  const by =
    answer.rule === undefined ? `: ${shown(answer.why)}` : `, by the rule "${shown(rule.action)} ${shown(rule.text)}"`;
  const question = `out ${shown(answer.protocol)} ${shown(answer.name)} port ${shown(answer.port)}`;
  const known = listOf(answer.addresses).map(shown);
  return [
    `${question}: ${answer.verdict === "pass" ? "passes" : `is dropped${reason}`}${by}`,
    `a lookup of the name ${answer.lookup === "pass" ? "passes" : "is answered with NXDOMAIN"}`,
    ...(answer.needs === undefined ? [] : [`it needs ${shown(answer.needs)}`]),
    ...(answer.addresses === undefined ? [] : [`addresses that are open by it now: ${known.join(", ") || "none"}`]),
  ];
}

/** The rule that decides, or the line of the default policy. */
function deciderOf(answer: Fields): string {
  if (answer.rule === undefined) return `the default policy (${shown(answer.default)}), since no rule counts`;
  const rule = fieldsOf(answer.rule);
  const from = rule.impliedBy === undefined ? "" : `, which "${shown(rule.action)} ${shown(rule.impliedBy)}" implies`;
  return `the rule "${shown(rule.action)} ${shown(rule.text)}"${from}`;
}

/** Problems of the host itself. */
function hostLines(fields: Fields): string[] {
  return listOf(fieldsOf(fields.host).notices).map((notice) => `host       ${shown(notice)}`);
}

export function describeNames(answer: Fields): string[] {
  const names = Array.isArray(answer.names) ? answer.names.map(fieldsOf) : [];
  if (names.length === 0) return ["no name was asked for"];
  const columns = ["asked", "denied", "addresses", "passed", "refused"] as const;
  const line = (cells: readonly string[], name: string): string =>
    `${cells.map((cell) => cell.padStart(9)).join(" ")}  ${name}`;
  return [
    line(columns, "name"),
    ...names
      .toSorted((one, other) => Number(other.asked) - Number(one.asked))
      .map((counts) =>
        line(
          columns.map((column) => shown(counts[column])),
          shown(counts.name),
        ),
      ),
  ];
}

export function describeEvent({ event, time, ...fields }: Fields): string[] {
  const words = Object.entries(fields).map(([key, value]) => {
    const text = Array.isArray(value) ? value.join(",") : shown(value);
    return `${key}=${/^[^\s"]+$/.test(text) ? text : JSON.stringify(text)}`;
  });
  return [[shown(time), shown(event), ...words].join(" ")];
}

function counterLines(counters: Fields): string[] {
  const directions = [
    ["from the VM", fieldsOf(counters.egress)],
    ["to the VM", fieldsOf(counters.ingress)],
  ] as const;
  const columns = ["frames", "bytes", "large", "undelivered", "unsendable"];
  const lines = [`${"".padEnd(11)}${columns.map((name) => name.padStart(15)).join("")}`];
  const drops = new Map<string, number>();
  for (const [name, counts] of directions) {
    lines.push(`${name.padEnd(11)}${columns.map((column) => shown(counts[column]).padStart(15)).join("")}`);
    for (const [reason, count] of Object.entries(fieldsOf(counts.drops))) {
      drops.set(reason, (drops.get(reason) ?? 0) + Number(count));
    }
  }
  if (drops.size === 0) return [...lines, "", "nothing was dropped"];
  lines.push("", `${"dropped".padStart(12)}  reason`);
  for (const [name, count] of [...drops].toSorted(([, one], [, other]) => other - one)) {
    const text = DROP_REASONS.find((reason) => reason.name === name)?.text ?? "";
    lines.push(`${String(count).padStart(12)}  ${name.padEnd(24)} ${text}`.trimEnd());
  }
  return lines;
}
