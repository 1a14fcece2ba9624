/** The rules of options and file together: what is in force at start, and again after SIGHUP. */
import { resolve } from "node:path";
import { readPolicyFile } from "../control/policy-file.ts";
import { checkFamilies } from "../policy/families.ts";
import { completePolicy, type GivenRules } from "../policy/only.ts";
import { checkRuleCount, parseRules, type Rule } from "../policy/rule.ts";

const NOTHING: GivenRules = { rules: [], only: [] };

export interface PolicyArguments {
  /** What `--allow` and `--block` say. */
  readonly allow?: readonly Rule[];
  readonly block?: readonly Rule[];
  /** What `--only` says, as allow rules. */
  readonly only?: readonly Rule[];
  /** A file of more rules. */
  readonly policy?: string;
  /** IPv6 is on, and rules may be about it. */
  readonly ipv6?: boolean;
  /** Everything is closed until a controller sets a policy: what the other members say is left out. */
  readonly requirePolicy?: boolean;
}

/** The rules of the options alone. */
export function optionRules(args: PolicyArguments): readonly Rule[] {
  if (args.requirePolicy === true) return closed(args);
  return completePolicy(givenRules(args));
}

/** Both directions: also what comes to the VM waits for the policy. */
function closed({ ipv6 = false }: PolicyArguments): readonly Rule[] {
  return parseRules(
    [],
    ["0.0.0.0/0", ...(ipv6 ? ["::/0"] : [])].flatMap((all) => [`in ${all}`, `out ${all}`]),
  );
}

function givenRules({ allow = [], block = [], only = [] }: PolicyArguments): GivenRules {
  return { rules: [...allow, ...block], only };
}

/** Reads the file with the rights that the process has now. Throws UserError, also when both together are too many. */
export function rulesOf(args: PolicyArguments): readonly Rule[] {
  if (args.requirePolicy === true) return closed(args);
  const given = givenRules(args);
  const file = args.policy === undefined ? NOTHING : readPolicyFile(resolve(args.policy));
  const all = completePolicy({ rules: [...given.rules, ...file.rules], only: [...given.only, ...file.only] });
  checkRuleCount(all.length);
  checkFamilies(all, args.ipv6 ?? false);
  return all;
}
