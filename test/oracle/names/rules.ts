/** The second guard's rules with names (docs/guard-names.md, Words): strings, filters and a sort. */
import { TCP } from "../ipv4.ts";

/** Labels in lower case, one character a byte. */
export type Name = readonly string[];
export type Said = "allowed" | "blocked" | "unsaid";

export interface NameRule {
  readonly action: "allow" | "block";
  readonly wildcard: boolean;
  readonly labels: Name;
  readonly ports: { readonly first: number; readonly last: number } | undefined;
}

export const keyOf = (name: Name): string => JSON.stringify(name);
export const nameOf = (text: string): Name => text.toLowerCase().split(".");
const hasName = (rule: string): boolean => /[a-z]/i.test(rule.replace(/^(?:in|out) +/, "")) && !/[@[/]/.test(rule);

/** Rules without names, for the rest of the guard, and those with names. */
export function splitRules(allow: readonly string[], block: readonly string[]) {
  const named = [
    ...allow.filter(hasName).map((text) => parse("allow", text)),
    ...block.filter(hasName).map((text) => parse("block", text)),
  ];
  const rest = (texts: readonly string[]) => texts.filter((text) => !hasName(text));
  return { allow: rest(allow), block: rest(block), named };
}

function parse(action: NameRule["action"], text: string): NameRule {
  const [target, ports] = text.replace(/^out +/, "").split(":");
  const ends = ports?.split("-").map(Number);
  const wildcard = target!.startsWith("*.");
  return {
    action,
    wildcard,
    labels: nameOf(wildcard ? target!.slice(2) : target!),
    ports: ends && { first: ends[0]!, last: ends.at(-1)! },
  };
}

export function covers({ wildcard, labels }: NameRule, name: Name): boolean {
  if (!wildcard) return keyOf(labels) === keyOf(name);
  return name.length > labels.length && keyOf(name.slice(-labels.length)) === keyOf(labels);
}

export function hasPort({ action, ports }: NameRule, protocol: number, port: number): boolean {
  if (ports !== undefined) return port >= ports.first && port <= ports.last;
  return action === "block" || (protocol === TCP && (port === 80 || port === 443));
}

/** The rule that decides about a name with a protocol and a port. */
export function deciding(rules: readonly NameRule[], name: Name, protocol: number, port: number): NameRule | undefined {
  const counting = rules.filter((rule) => covers(rule, name) && hasPort(rule, protocol, port));
  counting.sort(
    (a, b) =>
      Number(a.wildcard) - Number(b.wildcard) ||
      b.labels.length - a.labels.length ||
      Number(a.ports === undefined) - Number(b.ports === undefined) ||
      Number(a.action === "allow") - Number(b.action === "allow"),
  );
  return counting[0];
}

export function askName(rules: readonly NameRule[], name: Name, protocol: number, port: number): Said {
  const rule = deciding(rules, name, protocol, port);
  return rule === undefined ? "unsaid" : rule.action === "allow" ? "allowed" : "blocked";
}

/** What is said about a lookup, and whether an exact rule says it. */
export function askLookup(rules: readonly NameRule[], name: Name): { said: Said; exact: boolean } {
  const edges = rules.flatMap(({ ports }) => (ports === undefined ? [] : [ports.first, ports.last + 1]));
  const ports = [...new Set([1, 80, 81, 443, 444, ...edges])].filter((port) => port < 65536).sort((a, b) => a - b);
  const answers = ports.flatMap((port) => [6, 17].map((protocol) => deciding(rules, name, protocol, port)));
  const allowing = answers.find((rule) => rule?.action === "allow");
  if (allowing !== undefined) return { said: "allowed", exact: !allowing.wildcard };
  if (answers.every((rule) => rule?.action === "block")) return { said: "blocked", exact: !answers[0]!.wildcard };
  return { said: "unsaid", exact: false };
}
