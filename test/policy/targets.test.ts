/** Targets: what each kind reads, covers and ranks as, and that the table needs to know nothing else of a kind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ALLOWED,
  BLOCKED,
  CLASS_OTHER,
  GLOBAL,
  type KnownNetwork,
  NO_NETWORK,
} from "../../src/policy/default-layer.ts";
import { formatRule, parseRule, parseRules, type Rule } from "../../src/policy/rule.ts";
import { IN, OUT } from "../../src/policy/rule-tree.ts";
import { NO_PORT, PolicyTable } from "../../src/policy/table.ts";
import { contain, includes, overlap, rangesOf } from "../../src/policy/target-ranges.ts";
import { HOST } from "../../src/policy/targets/alias.ts";
import { parseTarget, TARGET_FORMS, targetRemedy } from "../../src/policy/targets/kinds.ts";
import type { Target } from "../../src/policy/targets/target.ts";
import { formatIPv4, parseIPv4 } from "../../src/wire/address.ts";

const ip = (text: string): number => parseIPv4(text)!;
const network: KnownNetwork = { ...NO_NETWORK, gateway: ip("10.0.0.1"), dnsServers: [ip("9.9.9.9"), ip("8.8.8.8")] };

function covered(text: string, known = network): string[] {
  return rangesOf(parseTarget(text)!, known).map(([first, last]) =>
    first === last ? formatIPv4(first) : `${formatIPv4(first)}-${formatIPv4(last)}`,
  );
}

test("a target reads back from its text, and ranks as its kind says", () => {
  const ranks = {
    "10.1.0.0/16": 16,
    "0.0.0.0/0": 0,
    "@host": 32,
    "@dns": 32,
    "@metadata": 32,
    "@private": 0,
    "@global": 0,
  };
  for (const [text, rank] of Object.entries(ranks)) {
    const target = parseTarget(text)!;
    assert.deepEqual([target.text, target.rank], [text, rank]);
    assert.deepEqual(parseTarget(target.text), target);
    assert.equal(target.classes.length > 0, rank === 0, text);
    assert.equal(target.prefixes(network).length > 0, rank > 0, text);
  }
  for (const text of ["", "@", "@hosts", "host", "10.0.0.1", "toString", "__proto__"])
    assert.equal(parseTarget(text), undefined, text);
});

test("what a target covers", () => {
  assert.deepEqual(covered("10.1.2.3/16"), ["10.1.0.0-10.1.255.255"]);
  assert.deepEqual(covered("@host"), ["10.0.0.1"]);
  assert.deepEqual(covered("@host", NO_NETWORK), []);
  assert.deepEqual(covered("@dns"), ["8.8.8.8", "9.9.9.9"]);
  assert.deepEqual(covered("@metadata").length, 5);
  assert.deepEqual(covered("@private"), [
    "10.0.0.0-10.255.255.255",
    "172.16.0.0-172.31.255.255",
    "192.168.0.0-192.168.255.255",
  ]);
  assert.equal(includes(rangesOf(parseTarget("@global")!, network), ip("169.254.169.254")), false);
  const [all, one, dns] = ["0.0.0.0/0", "8.8.8.8/32", "@dns"].map((text) => rangesOf(parseTarget(text)!, network));
  assert.ok(contain(all!, dns!) && contain(dns!, one!) && !contain(one!, dns!) && overlap(one!, dns!));
  assert.ok(!overlap(one!, rangesOf(parseTarget("@private")!, network)));
});

test("an error names every kind of target, and a remedy where one is near", () => {
  assert.match(
    TARGET_FORMS,
    /CIDR such as .* or a domain name such as .* or one of @host, @dns, @metadata, @private, @global$/,
  );
  assert.equal(targetRemedy("10.0.0.1"), "did you mean 10.0.0.1/32?");
  assert.equal(targetRemedy("nonsense"), undefined);
});

test("the table takes a target of a kind that it does not know", () => {
  const [mirror, other] = [ip("203.0.113.7"), ip("198.51.100.9")];
  const name: Target = {
    ...HOST,
    text: "mirror.example",
    blockedClass: CLASS_OTHER,
    prefixes: () => [mirror, other].map((address) => ({ address, length: 32 })),
  };
  const rule: Rule = { action: "allow", target: name, ports: { first: 443, last: 443 } };
  const rules = [...parseRules([], ["203.0.113.0/24", "@global"]), rule];
  const table = new PolicyTable(rules, NO_NETWORK);
  for (const address of [mirror, other]) {
    assert.equal(table.ask(OUT, address, 443), ALLOWED);
    assert.equal(table.decidingRule(OUT, address, 443), rule);
  }
  assert.equal(table.ask(OUT, mirror, 80), BLOCKED);
  assert.equal(formatRule(table.decidingRule(OUT, mirror, 80)!), "203.0.113.0/24");
  assert.equal(formatRule(rule), "mirror.example:443");
});

test("of rules that say the same, the first one is said to decide; where none does, the default policy", () => {
  const rules = parseRules(["10.0.0.0/8:1-100", "10.0.0.0/8:50", "10.0.0.0/8", "10.9.9.9/8"], []);
  const table = new PolicyTable(rules, NO_NETWORK);
  assert.equal(table.decidingRule(OUT, ip("10.1.1.1"), 50), rules[0]);
  assert.equal(table.decidingRule(IN, ip("10.1.1.1"), NO_PORT), rules[2]);
  assert.equal(table.decidingRule(OUT, ip("1.1.1.1"), 50), undefined);
  assert.equal(table.ask(OUT, ip("1.1.1.1"), 50), GLOBAL);
  const everything = new PolicyTable([parseRule("allow", "0.0.0.0/0")], NO_NETWORK);
  assert.equal(everything.decidingRule(OUT, ip("127.0.0.1"), 50), undefined);
});
