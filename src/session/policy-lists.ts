/** The rules that options and file say together: what is in force at start, and again after SIGHUP. */
import { resolve } from "node:path";
import type { PolicyLists } from "../control/live-policy.ts";
import { readPolicyFile } from "../control/policy-file.ts";
import { parseRules } from "../policy/rule.ts";

export interface PolicyArguments {
  readonly allow?: readonly string[];
  readonly block?: readonly string[];
  /** A file of more rules. */
  readonly policy?: string;
}

/** Reads the file with the rights that the process has now. Throws UserError, also when both together are too many. */
export function policyOf({ allow = [], block = [], policy }: PolicyArguments): PolicyLists {
  if (policy === undefined) return { allow, block };
  const file = readPolicyFile(resolve(policy));
  const lists = { allow: [...allow, ...file.allow], block: [...block, ...file.block] };
  parseRules(lists.allow, lists.block);
  return lists;
}
