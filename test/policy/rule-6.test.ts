/** IPv6 in rules: what is read, its normal form, and what a wrong rule's error advises. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFamilies, impliedRules, rulesInForce } from "../../src/policy/families.ts";
import { allowsEverything, formatRule, MOST_RULES, parseRule, parseRules } from "../../src/policy/rule.ts";
import { Cidr6Target } from "../../src/policy/targets/cidr-6.ts";
import { OptionError } from "../../src/user-error.ts";

test("an IPv6 CIDR is read with and without brackets, and shown as RFC 5952 says", () => {
  const forms: [string, string][] = [
    ["2001:db8::/32", "2001:db8::/32"],
    ["[2001:db8::/32]", "2001:db8::/32"],
    ["[2001:db8::/32]:443", "[2001:db8::/32]:443"],
    ["in   [2001:DB8:0:0::1/32]:8000-8999", "in [2001:db8::/32]:8000-8999"],
    ["out 2001:db8::1/128", "out 2001:db8::1/128"],
    ["::/0", "::/0"],
    ["[ffff::/0]:1-1", "[::/0]:1"],
    ["::1/128", "::1/128"],
    ["::ffff:1.2.3.4/128", "::ffff:1.2.3.4/128"],
    ["64:ff9b::192.0.2.1/120", "64:ff9b::c000:200/120"],
    ["fe80:0:0:1:0:0:0:1/127", "fe80:0:0:1::/127"],
    ["1:2:3:4:5:6:7:8/128", "1:2:3:4:5:6:7:8/128"],
  ];
  for (const [text, normal] of forms) {
    const rule = parseRule("block", text);
    assert.equal(formatRule(rule), normal);
    assert.deepEqual(parseRule("block", normal), rule, text);
  }
  assert.deepEqual(parseRule("allow", "in [2001:db8::1/32]:22-80"), {
    action: "allow",
    direction: "in",
    target: new Cidr6Target({ address: 0x2001_0db8n << 96n, length: 32 }),
    ports: { first: 22, last: 80 },
  });
});

test("what is nearly a rule for IPv6 is refused in one line with the remedy", () => {
  const remedies: [string, RegExp][] = [
    ["2001:db8::1", /did you mean 2001:db8::1\/128\?$/],
    ["in 2001:db8::1", /did you mean in 2001:db8::1\/128\?$/],
    ["[2001:db8::1]", /did you mean 2001:db8::1\/128\?$/],
    ["[2001:db8::1]:443", /did you mean \[2001:db8::1\/128\]:443\?$/],
    ["[2001:db8::]/32:443", /did you mean|give an IPv6 CIDR such as 2001:db8::\/32/],
    ["[2001:db8::]/32", /did you mean 2001:db8::\/32\?$/],
    ["2001:db8::/32:443", /did you mean \[2001:db8::\/32\]:443\?$/],
    ["out 2001:db8::/32:1-2", /did you mean out \[2001:db8::\/32\]:1-2\?$/],
    ["fe80::1%eth0/128", /a zone \(%eth0\) is no part of an address, give fe80::1\/128$/],
    ["[fe80::1%eth0]:443", /a zone \(%eth0\) is no part of an address, give \[fe80::1\/128\]:443$/],
    ["[10.0.0.0/8]:443", /did you mean 10\.0\.0\.0\/8:443\?$/],
    ["[10.0.0.1]:443", /did you mean 10\.0\.0\.1\/32:443\?$/],
    ["[@dns]:53", /did you mean @dns:53\?$/],
    ["2001:db8::/129", /a prefix length is 0 to 128$/],
    ["[2001:db8::/32]:0", /ports go from 1 to 65535/],
    ["[2001:db8::/32]:65536", /ports go from 1 to 65535/],
    ["[2001:db8::/32]:9-8", /ports go from 1 to 65535/],
    ["[2001:db8::/32", /give an IPv6 CIDR such as/],
    ["2001:db8::/32]:443", /give an IPv6 CIDR such as/],
    ["2001::db8::/32", /give an IPv6 CIDR such as/],
    ["[::]", /did you mean ::\/128\?$/],
    [":", /give an IPv4 CIDR such as/],
    ["::/00", /give an IPv6 CIDR such as/],
    ["[[::/0]]", /give an IPv6 CIDR such as/],
    ["[]", /give an IPv6 CIDR such as/],
    [" ::/0", /is not a rule/],
    ["::/0 ", /is not a rule/],
    ["::/-1", /is not a rule/],
    ["2001:db8::/32:", /is not a rule/],
  ];
  for (const [text, remedy] of remedies) {
    assert.throws(
      () => parseRule("allow", text),
      (error: Error) => error instanceof OptionError && remedy.test(error.message) && !/\n/.test(error.message),
      text,
    );
  }
});

test("the remedy, where it is a rule, is one that is read", () => {
  for (const text of ["2001:db8::1", "[2001:db8::1]:443", "2001:db8::/32:443", "in [fe80::1%eth0]:443", "[@dns]:53"]) {
    try {
      parseRule("allow", text);
      assert.fail(text);
    } catch (error) {
      const [, meant] = /(?:mean|give) (.*?)\??$/.exec((error as Error).message)!;
      assert.ok(formatRule(parseRule("allow", meant!)), text);
    }
  }
});

test("a wrong rule of any length with colons and brackets is told at once", () => {
  for (const text of [":".repeat(1_000_000), "[".repeat(100_000), `[${"1:".repeat(2000)}]`, "a:".repeat(2000)]) {
    assert.throws(
      () => parseRule("block", text),
      (error: Error) => error instanceof OptionError && error.message.length < 700,
    );
  }
});

test("without IPv6 a rule for it is refused in one line that names the option", () => {
  const rules = parseRules(["10.0.0.0/8", "@dns:53"], ["[2001:db8::/32]:443"]);
  assert.throws(() => checkFamilies(rules, false), {
    code: "SOFTNET_ERR_RULE",
    message:
      "block [2001:db8::/32]:443 is a rule for IPv6, which is off: switch it on with --ipv6, or leave the rule out",
  });
  checkFamilies(rules, true);
  checkFamilies(parseRules(["@private", "10.0.0.0/8"], ["@metadata"]), false);
});

test("S10 a family that no rule speaks of is closed where the other one is", () => {
  const implied = (allow: string[], block: string[]) =>
    impliedRules(parseRules(allow, block)).map((rule) => `${rule.action} ${formatRule(rule)} <- ${rule.impliedBy}`);
  assert.deepEqual(implied([], ["0.0.0.0/0"]), ["block ::/0 <- 0.0.0.0/0"]);
  assert.deepEqual(implied([], ["::/0"]), ["block 0.0.0.0/0 <- ::/0"]);
  assert.deepEqual(implied(["10.0.0.0/8", "@dns:53"], ["in 0.0.0.0/0", "@metadata"]), [
    "block in ::/0 <- in 0.0.0.0/0",
  ]);
  assert.deepEqual(implied([], ["in 0.0.0.0/0", "out 0.0.0.0/0", "0.0.0.0/0", "in 0.0.0.0/0"]), [
    "block in ::/0 <- in 0.0.0.0/0",
    "block out ::/0 <- out 0.0.0.0/0",
    "block ::/0 <- 0.0.0.0/0",
  ]);
  // Spoken of by any rule of either kind, whatever its direction and port.
  assert.deepEqual(implied(["[2001:db8::/32]:443"], ["0.0.0.0/0"]), []);
  assert.deepEqual(implied([], ["0.0.0.0/0", "::/0"]), []);
  assert.deepEqual(implied(["in 10.0.0.0/8:1"], ["::/0"]), []);
  // Not whole, not closed.
  assert.deepEqual(implied([], ["0.0.0.0/0:443", "0.0.0.0/1", "128.0.0.0/1"]), []);
  assert.deepEqual(implied(["0.0.0.0/0"], []), []);
  assert.deepEqual(implied([], ["@private", "@global"]), []);
  assert.deepEqual(implied([], []), []);
});

test("what a policy implies is in force with IPv6 only, and counts as no rule of the policy's", () => {
  const rules = parseRules([], ["0.0.0.0/0", "@host"]);
  assert.equal(rulesInForce(rules, false), rules);
  assert.deepEqual(rulesInForce(rules, true).map(formatRule), ["0.0.0.0/0", "@host", "::/0"]);
  const most = Array.from({ length: MOST_RULES }, () => rules[0]!);
  assert.equal(rulesInForce(most, true).length, MOST_RULES + 1);
});

test("with IPv6 isolation ends only where both families are open", () => {
  const both = parseRules(["0.0.0.0/0", "::/0"], []);
  const only4 = parseRules(["0.0.0.0/0", "in ::/0", "[::/0]:443"], []);
  const only6 = parseRules(["::/0"], []);
  assert.deepEqual(
    [both, only4, only6].map((rules) => allowsEverything(rules, true)),
    [true, false, false],
  );
  assert.deepEqual(
    [both, only4, only6].map((rules) => allowsEverything(rules)),
    [true, true, false],
  );
});
