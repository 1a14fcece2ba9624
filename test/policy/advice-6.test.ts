/** What is told about a policy with IPv6, and that nothing more is told without. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { familyAdvice, metadataAdvice6, outrankedAdvice, policyAdvice } from "../../src/policy/advice.ts";
import { parseRules } from "../../src/policy/rule.ts";

test("S10 what a policy closes of the family that it does not speak of is told", () => {
  assert.equal(
    familyAdvice(parseRules(["10.0.0.0/8"], ["in 0.0.0.0/0", "out 0.0.0.0/0"])),
    "block in 0.0.0.0/0, block out 0.0.0.0/0 closes IPv6, too, since no rule has an IPv6 CIDR such as 2001:db8::/32: " +
      "block in ::/0, block out ::/0 is in force",
  );
  assert.match(
    familyAdvice(parseRules([], ["::/0"]))!,
    /^block ::\/0 closes IPv4, too, .*: block 0\.0\.0\.0\/0 is in force$/,
  );
  assert.equal(familyAdvice(parseRules(["::/0"], ["0.0.0.0/0"])), undefined);
});

test("I7 the advice about cloud metadata knows IPv6's", () => {
  const rules = (...allow: string[]) => parseRules(allow, []);
  assert.match(
    metadataAdvice6(rules("fd00::/8"))!,
    /^allow fd00::\/8 also opens .*fd00:ec2::254, .*close it with block @metadata/,
  );
  assert.match(metadataAdvice6(rules("[::/0]:80"))!, /fe80::a9fe:a9fe/);
  assert.equal(metadataAdvice6(rules("fd00:ec2::/32", "in ::/0", "0.0.0.0/0", "2000::/3")), undefined);
  assert.equal(metadataAdvice6(parseRules(["[::/0]:80"], ["@metadata"])), undefined);
});

test("the advice about rules with a port compares those of one family", () => {
  const advice = (allow: string[], block: string[]) => outrankedAdvice(parseRules(allow, block), 0);
  assert.match(
    advice(["[::/0]:443"], ["2001:db8::/32"])!,
    /^allow \[::\/0\]:443 comes before block 2001:db8::\/32: rules with a port/,
  );
  assert.match(advice(["[::/0]:443"], ["@host"])!, /comes before block @host/);
  assert.equal(advice(["[::/0]:443"], ["10.0.0.0/8"]), undefined);
  assert.equal(advice(["0.0.0.0/0:443"], ["2001:db8::/32"]), undefined);
  assert.equal(advice(["[2001:db8::1/128]:443"], ["2001:db8::/32"]), undefined, "an exception within");
});

test("without IPv6 nothing is told about it", () => {
  const rules = parseRules([], ["0.0.0.0/0"]);
  assert.deepEqual(policyAdvice(rules, 0, false), [undefined, undefined]);
  assert.equal(policyAdvice(rules, 0, true).filter((one) => one !== undefined).length, 1);
});
