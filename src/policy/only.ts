/**
 * `--only LIST`: the list is open to the VM, and nothing else is. A word for rules that anybody could write; as such they are
 * shown. What comes to the VM stays as it is without rules, so that its host still reaches it.
 */
import { OptionError } from "../user-error.ts";
import { parseRule, type Rule } from "./rule.ts";

/** Throws OptionError for an empty list, which would close everything and can hardly be meant (threat row I15). */
export function onlyRules(list: readonly Rule[]): Rule[] {
  if (list.length === 0) {
    throw new OptionError(
      "SOFTNET_ERR_RULE",
      'only "" names nothing: give what stays open, such as registry.npmjs.org, or close everything with block 0.0.0.0/0',
    );
  }
  const hasNames = list.some(({ target }) => target.name !== undefined);
  // A rule about IPv6 keeps the block of IPv4 from implying one of IPv6 (families.ts).
  const speaksOf6 = list.some(({ target }) => target.cidr6 !== undefined);
  return [
    ...list,
    ...(hasNames ? [parseRule("allow", "out @dns:53")] : []),
    parseRule("block", "out 0.0.0.0/0"),
    ...(speaksOf6 ? [parseRule("block", "out ::/0")] : []),
  ];
}
