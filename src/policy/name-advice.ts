/** Advice about rules with names that do not do what they seem to. */
import { opensInternet } from "./internet.ts";
import { formatRule, type Rule } from "./rule.ts";
import { WEB_PORTS } from "./web-ports.ts";

/** How many rules a line names. */
const MOST_NAMED = 4;

/** One line for each kind of mistake; none for a policy without names. */
export function nameAdvice(rules: readonly Rule[]): string[] {
  const isOpen = (port: number): boolean => opensInternet(rules, port);
  const named = rules.filter(({ target }) => target.name !== undefined);
  const useless = named.filter((rule) => rule.action === "allow" && portsOf(rule, rules).every(isOpen));
  const weak = named.filter((rule) => rule.action === "block" && portsOf(rule, rules).some(isOpen));
  return [
    ...(useless.length === 0
      ? []
      : [
          `allow ${listed(useless)} opens nothing, since the internet is open anyway: close the rest, with only in place of allow or with block out 0.0.0.0/0`,
        ]),
    ...(weak.length === 0
      ? []
      : [
          `block ${listed(weak)} is no defence against a guest that knows the address, since the internet is open: allow what it needs with only`,
        ]),
  ];
}

/** The ports of a rule at which rules about addresses may begin to say something else. */
function portsOf({ action, ports }: Rule, rules: readonly Rule[]): readonly number[] {
  if (ports === undefined && action === "allow") return WEB_PORTS;
  const { first, last } = ports ?? { first: 1, last: 65_535 };
  const changes = rules.flatMap(({ ports: other }) => (other === undefined ? [] : [other.first, other.last + 1]));
  return [first, ...new Set(changes.filter((port) => first < port && port <= last))];
}

function listed(rules: readonly Rule[]): string {
  const texts = [...new Set(rules.map(formatRule))];
  const more = texts.length > MOST_NAMED ? ` and ${texts.length - MOST_NAMED} more` : "";
  return texts.slice(0, MOST_NAMED).join(",") + more;
}
