/** `--only`: what it stands for, wherever it may be written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { onlyList } from "../../src/commands/values.ts";
import { parsePolicy } from "../../src/control/policy-file.ts";
import { rulesInForce } from "../../src/policy/families.ts";
import { nameAdvice } from "../../src/policy/name-advice.ts";
import { onlyRules } from "../../src/policy/only.ts";
import { formatRule, parseRules, type Rule } from "../../src/policy/rule.ts";

const text = (rules: readonly Rule[]): string[] => rules.map((rule) => `${rule.action} ${formatRule(rule)}`);

test("N9 a list closes everything else, and opens lookups for what it names only", () => {
  assert.deepEqual(text(onlyRules(onlyList("registry.npmjs.org, 203.0.113.7/32:22"))), [
    "allow registry.npmjs.org",
    "allow 203.0.113.7/32:22",
    "allow out @dns:53",
    "block out 0.0.0.0/0",
  ]);
  assert.deepEqual(text(onlyRules(onlyList("203.0.113.7/32:22"))), ["allow 203.0.113.7/32:22", "block out 0.0.0.0/0"]);
});

test("S10 with IPv6 it closes both families, also where the list speaks of one", () => {
  for (const list of ["registry.npmjs.org", "203.0.113.7/32", "2001:db8::/32", "2001:db8::/32,203.0.113.7/32"]) {
    const blocks = rulesInForce(onlyRules(onlyList(list)), true).filter(({ action }) => action === "block");
    assert.deepEqual(text(blocks).toSorted(), ["block out 0.0.0.0/0", "block out ::/0"]);
  }
});

test("I15 an empty list is an error, and never means that everything is open", () => {
  for (const empty of ["", " "]) assert.throws(() => onlyList(empty), /only "" names nothing: give what stays open/);
  assert.throws(() => onlyList("registry.npmjs.org,"), /--only "" is not a rule/);
});

test("lines of a policy file: all of them are one list", () => {
  const rules = parsePolicy(
    "only registry.npmjs.org # packages\nallow in 10.0.0.0/8:22\nonly *.example.com:8443\n",
    "file",
  );
  assert.deepEqual(text(rules), [
    "allow in 10.0.0.0/8:22",
    "allow registry.npmjs.org",
    "allow *.example.com:8443",
    "allow out @dns:53",
    "block out 0.0.0.0/0",
  ]);
});

test("names that have no effect, since everything is open, get a line", () => {
  assert.deepEqual(nameAdvice(onlyRules(onlyList("registry.npmjs.org"))), []);
  const [allow, block] = nameAdvice(parseRules(["registry.npmjs.org"], ["evil.example.com"]));
  assert.match(allow!, /^allow registry\.npmjs\.org opens nothing, since the internet is open anyway/);
  assert.match(block!, /^block evil\.example\.com keeps a program from the name/);
});
