/**
 * `--policy FILE`: one rule a line, `allow RULE`, `block RULE` or `only RULE`; `#` begins a comment, empty lines are skipped. An
 * invalid line is an error with its number, and then the whole file is refused (threat row I10).
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { type GivenRules, parseOnlyRule } from "../policy/only.ts";
import { MOST_RULES, parseRule, type Rule } from "../policy/rule.ts";
import { UserError } from "../user-error.ts";

/** Bytes: enough for MOST_RULES rules with a comment each. */
export const LARGEST_POLICY_FILE = 1_048_576;

/** Reads a file with the process's present rights. Throws UserError. */
export function readPolicyFile(path: string): GivenRules {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(readBounded(path));
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new UserError(`--policy ${path}: there is no such file`);
    if (code === "EACCES") throw new UserError(`--policy ${path}: user ${process.geteuid?.()} may not read it`);
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") throw new UserError(`--policy ${path}: it is not UTF-8 text`);
    throw new UserError(`--policy ${path}: cannot be read (${code ?? (error as Error).message})`);
  }
  return parsePolicy(text, `--policy ${path}`);
}

/** `label` begins the error messages. Throws UserError with the line's number. */
export function parsePolicy(text: string, label: string): GivenRules {
  const rules: Rule[] = [];
  const only: Rule[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const written = line.replace(/#.*/, "").trim();
    if (written === "") continue;
    const where = `${label} line ${index + 1}`;
    const [, action, target] = /^(allow|block|only)[ \t]+(.*)$/.exec(written) ?? [];
    if (action === undefined || target === undefined) {
      throw new UserError(
        `${where}: ${JSON.stringify(written.slice(0, 80))} is not a rule: write allow RULE, block RULE or only RULE`,
      );
    }
    try {
      if (action === "only") only.push(parseOnlyRule(target));
      else rules.push(parseRule(action as Rule["action"], target));
    } catch (error) {
      throw new UserError(`${where}: ${(error as Error).message}`);
    }
    if (rules.length + only.length > MOST_RULES) {
      throw new UserError(`${where}: more than ${MOST_RULES} rules: join neighbouring CIDRs`);
    }
  }
  return { rules, only };
}

function readBounded(path: string): Uint8Array {
  // Without O_NONBLOCK, open would wait for a writer if this is a pipe, and no frame would be forwarded.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile()) throw new UserError(`--policy ${path}: it is not a file`);
    const bytes = Buffer.alloc(LARGEST_POLICY_FILE + 1);
    let size = 0;
    for (let read = -1; read !== 0 && size < bytes.length; size += read) {
      read = readSync(fd, bytes, size, bytes.length - size, null);
    }
    if (size > LARGEST_POLICY_FILE) {
      throw new UserError(`--policy ${path}: it is larger than ${LARGEST_POLICY_FILE} bytes`);
    }
    return bytes.subarray(0, size);
  } finally {
    closeSync(fd);
  }
}
