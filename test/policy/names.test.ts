/** Rules with names: their form, what they cover, and which of them decides, against a slow obvious version. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NAME_ALLOWED, NAME_BLOCKED, NAME_UNSAID, NameTable } from "../../src/policy/name-table.ts";
import { formatRule, isStateful, parseRule, parseRules, type Rule } from "../../src/policy/rule.ts";

const wire = (name: string): Uint8Array =>
  Uint8Array.from([...name.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]), 0]);
const TCP = 6;
const UDP = 17;

function ask(table: NameTable, name: string, protocol = TCP, port = 443): number {
  const labels = wire(name);
  return table.ask(labels, labels.length, protocol, port);
}

test("a rule with a name in normal form: lower case, no dot at the end, A-labels; what is shown is read back", () => {
  for (const [text, normal] of [
    ["Registry.NPMJS.org.", "registry.npmjs.org"],
    ["out *.Example.com:8443", "out *.example.com:8443"],
    ["out   bücher.example:80-90", "out xn--bcher-kva.example:80-90"],
    ["_dmarc.example.com", "_dmarc.example.com"],
  ] as const) {
    const rule = parseRule("allow", text);
    assert.equal(formatRule(rule), normal);
    assert.deepEqual(parseRule("allow", normal), rule);
    assert.equal(isStateful([rule]), true);
  }
});

test("what is no name, or too much of one, is refused in one line that says what to write", () => {
  for (const [text, words] of [
    ["in registry.npmjs.org", /nobody connects to the VM from a name/],
    ["*", /is not a rule/],
    ["*.com", /all of com/],
    ["*.co.uk", /all of co\.uk/],
    ["*.github.io", /all of github\.io/],
    ["localhost", /is not a rule/],
    ["a..example.com", /empty label/],
    ["*.*.example.com", /is not a rule/],
    ["a.*.example.com", /is not a rule/],
    ["exa mple.com", /is not a rule/],
    ["example.com:0", /is not a rule/],
  ] as const) {
    assert.throws(
      () => parseRule("allow", text),
      (error: Error) => words.test(error.message) && !error.message.includes("\n"),
      text,
    );
  }
});

test("N8 case, a dot at the end and wildcards: what a rule covers", () => {
  const table = new NameTable(parseRules(["Example.com", "*.example.org"], []));
  assert.equal(ask(table, "example.com"), NAME_ALLOWED);
  assert.equal(ask(table, "a.example.com"), NAME_UNSAID);
  assert.equal(ask(table, "example.org"), NAME_UNSAID);
  assert.equal(ask(table, "a.example.org"), NAME_ALLOWED);
  assert.equal(ask(table, "a.b.example.org"), NAME_ALLOWED);
  assert.equal(ask(table, "evil-example.org"), NAME_UNSAID);
  // One label with a dot in it is not two.
  const dotted = Uint8Array.from([9, ...Buffer.from("a.example"), 3, ...Buffer.from("org"), 0]);
  assert.equal(table.ask(dotted, dotted.length, TCP, 443), NAME_UNSAID);
});

test("ports: 80 and 443 by TCP without one; by UDP those of the rule but QUIC; a block without one has all", () => {
  const table = new NameTable(
    parseRules(
      ["a.example", "b.example:22-444"].map((name) => name.replace("example", "example.com")),
      ["c.example.com"],
    ),
  );
  for (const [name, protocol, port, said] of [
    ["a.example.com", TCP, 80, NAME_ALLOWED],
    ["a.example.com", TCP, 22, NAME_UNSAID],
    ["a.example.com", UDP, 80, NAME_UNSAID],
    ["b.example.com", UDP, 22, NAME_ALLOWED],
    ["b.example.com", UDP, 443, NAME_UNSAID],
    ["c.example.com", UDP, 9, NAME_BLOCKED],
  ] as const) {
    assert.equal(ask(table, name, protocol, port), said, `${name} ${protocol} ${port}`);
  }
});

const LABELS = ["a", "b"];
const labelled = fc
  .array(fc.constantFrom(...LABELS), { minLength: 1, maxLength: 3 })
  .map((labels) => `${labels.join(".")}.example.com`);
const rule = fc.record({
  action: fc.constantFrom("allow" as const, "block" as const),
  name: labelled,
  wildcard: fc.boolean(),
  ports: fc.constantFrom("", ":443", ":80-443", ":22"),
});

test("which rule decides: exact, then the longer wildcard, then with a port, then block", () => {
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 12 }),
      labelled,
      fc.constantFrom(TCP, UDP),
      fc.constantFrom(22, 80, 443, 9),
      (given, name, protocol, port) => {
        const rules: Rule[] = given.map((one) =>
          parseRule(one.action, (one.wildcard ? "*." : "") + one.name + one.ports),
        );
        const counting = given.filter((one) => {
          const covers = one.wildcard ? name.endsWith(`.${one.name}`) : name === one.name;
          const quic = protocol === UDP && port === 443;
          const [first = 0, last = first] = one.ports.slice(1).split("-").map(Number);
          if (one.ports !== "") return covers && port >= first && port <= last && !(one.action === "allow" && quic);
          return covers && (one.action === "block" || (protocol === TCP && (port === 80 || port === 443)));
        });
        const rank = (one: (typeof given)[number]): number[] => [
          one.wildcard ? 1 : 0,
          -one.name.split(".").length,
          one.ports === "" ? 1 : 0,
          one.action === "block" ? 0 : 1,
        ];
        const [best] = counting.toSorted((one, other) => {
          const [mine, theirs] = [rank(one), rank(other)];
          const at = mine.findIndex((value, index) => value !== theirs[index]);
          return at < 0 ? 0 : mine[at]! - theirs[at]!;
        });
        const expected = best === undefined ? NAME_UNSAID : best.action === "allow" ? NAME_ALLOWED : NAME_BLOCKED;
        assert.equal(ask(new NameTable(rules), name, protocol, port), expected);
      },
    ),
    { numRuns: 3000 },
  );
});

test("a lookup is allowed as soon as one port is, and blocked where a rule without a port blocks all", () => {
  const lookup = (allow: readonly string[], block: readonly string[], name: string): number => {
    const labels = wire(name);
    return new NameTable(parseRules(allow, block)).askLookup(labels, labels.length);
  };
  assert.equal(lookup(["a.example.com:22"], ["*.example.com"], "a.example.com"), NAME_ALLOWED);
  assert.equal(lookup(["*.example.com"], ["a.example.com"], "a.example.com"), NAME_BLOCKED);
  assert.equal(lookup(["*.example.com"], ["a.example.com:443"], "a.example.com"), NAME_ALLOWED);
  assert.equal(lookup([], ["a.example.com:443"], "a.example.com"), NAME_UNSAID);
});
