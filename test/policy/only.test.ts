/** `only`: what it stands for, wherever it is said, and that none of its mistakes leaves a policy open. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { onlyList } from "../../src/commands/values.ts";
import { createGuard, parsePolicyRules } from "../../src/index.ts";
import { policyAdvice } from "../../src/policy/advice.ts";
import { rulesInForce } from "../../src/policy/families.ts";
import { nameAdvice } from "../../src/policy/name-advice.ts";
import { formatRule, parseRule, parseRules, type Rule } from "../../src/policy/rule.ts";
import { rulesOf } from "../../src/session/policy-rules.ts";
import { UserError } from "../../src/user-error.ts";
import { parseIPv4 } from "../../src/wire/address.ts";

const shown = (rules: readonly Rule[]) => rules.map((rule) => `${rule.action} ${formatRule(rule)}`);

test("N9 only is a block of the rest, lookups for a name, and each of its rules", () => {
  assert.deepEqual(shown(parsePolicyRules([], [], ["registry.npmjs.org", "10.0.0.0/8:22"])), [
    "allow registry.npmjs.org",
    "allow 10.0.0.0/8:22",
    "allow out @dns:53",
    "block out 0.0.0.0/0",
  ]);
  assert.deepEqual(shown(parsePolicyRules([], [], ["10.0.0.0/8"])), ["allow 10.0.0.0/8", "block out 0.0.0.0/0"]);
  const twice = onlyList("b.example", onlyList("a.example,@dns:853"));
  assert.deepEqual(shown(twice), ["allow a.example", "allow @dns:853", "allow b.example"]);
});

test("only closes IPv6, too, whatever rules speak of it", () => {
  const closed = (rules: readonly Rule[]) =>
    shown(rulesInForce(rules, true)).filter((rule) => rule === "block out ::/0");
  assert.equal(closed(parsePolicyRules([], [], ["a.example"])).length, 1);
  assert.equal(closed(parsePolicyRules([], [], ["a.example", "[2001:db8::/32]:443"])).length, 1);
  assert.equal(closed(parsePolicyRules(["in [2001:db8::/32]:22"], [], ["a.example"])).length, 1);
  const only = onlyList("a.example");
  assert.equal(closed(rulesOf({ only, allow: [parseRule("allow", "[2001:db8::/32]:443")], ipv6: true })).length, 1);
});

for (const [list, words] of [
  ["", /^--only "" has no rule: give .*block out 0\.0\.0\.0\/0 to close everything/],
  [" , ", /^--only "" has no rule/],
  ["a.example,", /^--only "" is not a rule/],
  ["*.com", /^--only "\*\.com" is not a rule/],
  ["in 10.0.0.0/8:22", /^--only "in 10\.0\.0\.0\/8:22" is not possible: it is about what the VM sends/],
  ["@private", /^--only "@private" is not possible: .*give 10\.0\.0\.0\/8, 172/],
  ["@global", /^--only "@global" is not possible: .*leave only out/],
  ["0.0.0.0/0", /^--only "0\.0\.0\.0\/0" is not possible/],
  ["out ::/0", /^--only "out ::\/0" is not possible/],
] as const) {
  test(`refused in one line, never open: --only "${list}"`, () => {
    assert.throws(
      () => onlyList(list),
      (error) => error instanceof UserError && words.test(error.message) && !error.message.includes("\n"),
    );
  });
}

test("an empty list of the library's is an error; under only what comes to the VM passes, and little that it sends", () => {
  const macAddress = "02:00:00:00:00:11";
  assert.throws(() => createGuard({ macAddress, only: [] }), /only "" has no rule/);
  const guard = createGuard({
    macAddress,
    address: "192.168.64.5",
    gateway: "192.168.64.1",
    only: ["a.example", "9.9.9.9/32:443"],
  });
  const explain = (direction: "in" | "out", remote: string, port: number) =>
    guard.explain({ direction, protocol: "tcp", remote: parseIPv4(remote)!, port }).verdict;
  assert.equal(explain("in", "192.168.64.1", 22), "pass");
  assert.equal(explain("out", "9.9.9.9", 443), "pass");
  for (const remote of ["9.9.9.9", "8.8.8.8", "192.168.64.1"]) assert.equal(explain("out", remote, 80), "drop");
});

test("a name rule that has no effect, or is no defence, is warned of in one line", () => {
  const advice = (allow: string[], block: string[]) => nameAdvice(parseRules(allow, block));
  assert.match(advice(["a.example"], [])[0]!, /^allow a\.example opens nothing, since the internet is open anyway/);
  assert.match(
    advice([], ["out a.example"])[0]!,
    /^block out a\.example is no defence against a guest that knows the address/,
  );
  assert.equal(advice(["a.example", "*.b.example"], ["c.example"]).length, 2);
  assert.deepEqual(advice(["a.example"], ["@global", "b.example"]), []);
  assert.deepEqual(advice(["a.example"], ["0.0.0.0/0:443"]), []);
  assert.match(advice(["a.example:443", "0.0.0.0/0:443"], ["@global"])[0]!, /opens nothing/);
  assert.match(advice(["0.0.0.0/0:443"], ["@global", "a.example"])[0]!, /no defence/);
  assert.deepEqual(nameAdvice(parsePolicyRules([], ["x.a.example"], ["*.a.example"])), []);
  assert.match(
    advice(
      Array.from({ length: 6 }, (_, index) => `n${index}.example`),
      [],
    )[0]!,
    / and 2 more opens nothing/,
  );
  assert.ok(policyAdvice(parseRules(["a.example"], []), 0, false).some((line) => line?.includes("opens nothing")));
});
