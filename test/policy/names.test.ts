/** Rules with domain names: how they are written, shown and refused, and that tables of addresses do not know them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NO_NETWORK } from "../../src/policy/default-layer.ts";
import { countsForIPv4, countsForIPv6, impliedRules } from "../../src/policy/families.ts";
import { outranked } from "../../src/policy/outranked.ts";
import { reachable } from "../../src/policy/reachable.ts";
import { allowsEverything, formatRule, isByPort, isStateful, parseRule, parseRules } from "../../src/policy/rule.ts";
import { IN, OUT } from "../../src/policy/rule-tree.ts";
import { PolicyTable } from "../../src/policy/table.ts";
import { UserError } from "../../src/user-error.ts";

test("N8 a name is shown in lower case, without a dot at its end and with A-labels; bare stays bare", () => {
  for (const [text, normal] of [
    ["registry.npmjs.org", "registry.npmjs.org"],
    ["out  Registry.NPMJS.org.:443", "out registry.npmjs.org:443"],
    ["*.GitHubUserContent.com", "*.githubusercontent.com"],
    ["out *.example.com:8000-8080", "out *.example.com:8000-8080"],
    ["bücher.example:443-443", "xn--bcher-kva.example:443"],
    ["*.bücher.example", "*.xn--bcher-kva.example"],
    ["_service.example.com", "_service.example.com"],
  ] as const) {
    const rule = parseRule("allow", text);
    assert.equal(formatRule(rule), normal);
    assert.deepEqual(parseRule("allow", normal), rule);
  }
});

for (const [text, words] of [
  ["in registry.npmjs.org", /a name is about what the VM sends: give out registry\.npmjs\.org/],
  ["in *.example.com:443", /give out \*\.example\.com/],
  ["*", /is not a rule: \* would be every name/],
  ["*:443", /would be every name/],
  ["out *.com", /\*\.com would be a whole top-level domain: .*\*\.example\.com/],
  ["*.co.uk", /anybody may have a name below co\.uk .*\*\.example\.co\.uk/],
  ["*.github.io:443", /anybody may have a name below github\.io/],
  ["*.blob.core.windows.net", /anybody may have a name below blob\.core\.windows\.net/],
  ["*.公司.cn", /anybody may have a name below xn--55qx5d\.cn/],
  ["www.*.com", /a \* is the first label/],
  ["*.*.example.com", /a \* is the first label/],
  ["*example.com", /a \* is the first label/],
  ["a..example", /empty label/],
  ["-a.example", /hyphen/],
  [`${"a".repeat(64)}.example`, /label of 64 characters/],
  ["a.example:0", /is not a rule/],
  ["a.example:443-80", /ports go from 1 to 65535/],
  ["localhost", /is not a rule/],
  ["[a.example]:443", /is not a rule/],
] as const) {
  test(`refused in one line: ${text}`, () => {
    for (const action of ["allow", "block"] as const) {
      assert.throws(
        () => parseRule(action, text),
        (error) => error instanceof UserError && words.test(error.message) && !error.message.includes("\n"),
      );
    }
  });
}

test("a rule with a name makes the policy stateful and by port, in both families", () => {
  const rules = parseRules(["a.example"], ["10.0.0.0/8"]);
  assert.ok(isStateful(rules) && isByPort(rules));
  const table = new PolicyTable(rules, NO_NETWORK);
  assert.ok(table.stateful && table.byPort);
});

test("tables of addresses, implied rules and what hosts forward are the same with names and without", () => {
  const names = parseRules(["out a.example:1-65535", "*.b.example"], ["c.example:22", "d.example"]);
  assert.ok(names.every((rule) => !countsForIPv4(rule) && !countsForIPv6(rule)));
  assert.equal(allowsEverything(names), false);
  const texts = [
    "10.0.0.0/8:22",
    "out 0.0.0.0/0",
    "@global",
    "@private",
    "in 10.1.0.0/16:80",
    "@metadata",
    "0.0.0.0/0:53",
  ];
  const some = fc.subarray(texts);
  fc.assert(
    fc.property(some, some, (allow, block) => {
      // One that has a direction, so that the policy is stateful also without names.
      const rules = parseRules([...allow, "in 192.0.2.1/32"], block);
      const mixed = [...names.slice(0, 2), ...rules, ...names.slice(2)];
      const [without, table] = [new PolicyTable(rules, NO_NETWORK), new PolicyTable(mixed, NO_NETWORK)];
      for (const way of [OUT, IN] as const) {
        for (const address of [0x0a000001, 0x0a010001, 0x08080808, 0xa9fea9fe, 0x7f000001]) {
          for (const port of [-1, 22, 53, 80, 443]) {
            assert.equal(table.ask(way, address, port), without.ask(way, address, port));
            const decides = without.decidingRule(way, address, port);
            assert.equal(table.decidingRule(way, address, port), decides);
            if (decides === undefined) continue;
            const direction = way === OUT ? "out" : "in";
            const before = outranked(rules, NO_NETWORK, direction, address, decides);
            assert.deepEqual(outranked(mixed, NO_NETWORK, direction, address, decides), before);
          }
        }
      }
      const place = { ...NO_NETWORK, gateway: 0x0a000001 };
      assert.deepEqual(reachable(mixed, place), reachable(rules, place));
      assert.deepEqual(impliedRules(mixed), impliedRules(rules));
    }),
    { numRuns: 50 },
  );
});
