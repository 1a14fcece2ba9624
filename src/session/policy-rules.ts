/** The rules of options and file together: what is in force at start, and again after SIGHUP. */
import { resolve } from "node:path";
import { readPolicyFile } from "../control/policy-file.ts";
import { checkFamilies } from "../policy/families.ts";
import { onlyRules } from "../policy/only.ts";
import { checkRuleCount, type Rule } from "../policy/rule.ts";

export interface PolicyArguments {
  /** What `--allow` and `--block` say. */
  readonly allow?: readonly Rule[];
  readonly block?: readonly Rule[];
  /** What `--only` says: nothing else is open. */
  readonly only?: readonly Rule[];
  /** A file of more rules. */
  readonly policy?: string;
  /** IPv6 is on, and rules may be about it. */
  readonly ipv6?: boolean;
}

/** The rules of the options alone. */
export function optionRules({ allow = [], block = [], only }: PolicyArguments): readonly Rule[] {
  return [...allow, ...block, ...(only === undefined ? [] : onlyRules(only))];
}

/** Reads the file with the rights that the process has now. Throws UserError, also when both together are too many. */
export function rulesOf(args: PolicyArguments): readonly Rule[] {
  const rules = optionRules(args);
  const all = args.policy === undefined ? rules : [...rules, ...readPolicyFile(resolve(args.policy))];
  checkRuleCount(all.length);
  checkFamilies(all, args.ipv6 ?? false);
  return all;
}
