/** Advice about rules with names that have no effect, or less than it seems. */
import { NameTable } from "./name-table.ts";
import { formatRule, type Rule } from "./rule.ts";

/** How many rules a line names. */
const MOST_NAMED = 4;

/** One line each; none where the policy closes the internet but for what it allows. */
export function nameAdvice(rules: readonly Rule[]): (string | undefined)[] {
  const named = rules.filter(({ target }) => target.name !== undefined);
  if (named.length === 0 || new NameTable(rules).closesInternet) return [];
  const [allow, block] = (["allow", "block"] as const).map((action) =>
    listed(named.filter((rule) => rule.action === action)),
  );
  return [
    allow &&
      `allow ${allow} opens nothing, since the internet is open anyway: close the rest with --only, or with block "out 0.0.0.0/0"`,
    block &&
      `block ${block} keeps a program from the name, but not one that knows the address: close what is not needed with --only`,
  ];
}

function listed(rules: readonly Rule[]): string {
  const more = rules.length > MOST_NAMED ? `, and ${rules.length - MOST_NAMED} more` : "";
  return rules.slice(0, MOST_NAMED).map(formatRule).join(",") + more;
}
