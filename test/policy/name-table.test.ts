/** The table of names against a slow, obvious decision, and its order by examples. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { opensInternet } from "../../src/policy/internet.ts";
import { NAME_ALLOWED, NAME_BLOCKED, NAME_UNSAID, NameTable } from "../../src/policy/name-table.ts";
import { formatRule, parseRules, type Rule } from "../../src/policy/rule.ts";
import { formatDomainName, parseDomainName } from "../../src/wire/domain-name.ts";

const [TCP, UDP] = [6, 17];
const wire = (name: string): Uint8Array => parseDomainName(name, 1)!;

function asked(allow: string[], block: string[]) {
  const rules = parseRules(allow, block);
  const table = new NameTable(rules);
  const said = (verdict: number): string => {
    const rule = rules[table.decidingIndex];
    assert.equal(verdict === NAME_UNSAID, rule === undefined);
    return rule === undefined ? "unsaid" : `${rule.action} ${formatRule(rule)}`;
  };
  return {
    table,
    ask: (name: string, port = 443, protocol = TCP!) => said(table.ask(wire(name), wire(name).length, protocol, port)),
    lookup: (name: string) => said(table.askLookup(wire(name), wire(name).length)),
  };
}

test("without a port an allow rule is TCP 80 and 443, and a block rule every port", () => {
  const { ask, lookup } = asked(["a.example", "b.example:22"], ["c.example"]);
  assert.equal(ask("a.example", 443), "allow a.example");
  assert.equal(ask("a.example", 80), "allow a.example");
  assert.equal(ask("a.example", 22), "unsaid");
  assert.equal(ask("a.example", 443, UDP), "unsaid");
  assert.equal(ask("b.example", 22, UDP), "allow b.example:22");
  assert.equal(ask("b.example", 443), "unsaid");
  assert.equal(ask("c.example", 22, UDP), "block c.example");
  assert.deepEqual(
    ["a", "b", "c", "d"].map((name) => lookup(`${name}.example`)),
    ["allow a.example", "allow b.example:22", "block c.example", "unsaid"],
  );
});

test("exact before wildcard, longer before shorter, with a port before without, block before allow", () => {
  const { ask, lookup } = asked(
    ["*.example.com", "x.b.example.com", "d.example.com", "*.c.example.com:443"],
    ["*.b.example.com", "d.example.com", "*.c.example.com", "*.example.com:80"],
  );
  assert.equal(ask("example.com"), "unsaid");
  assert.equal(ask("a.example.com"), "allow *.example.com");
  assert.equal(ask("deep.a.example.com"), "allow *.example.com");
  assert.equal(ask("a.example.com", 80), "block *.example.com:80");
  assert.equal(ask("b.example.com"), "allow *.example.com");
  assert.equal(ask("y.b.example.com"), "block *.b.example.com");
  assert.equal(ask("x.b.example.com", 80), "allow x.b.example.com");
  assert.equal(ask("d.example.com"), "block d.example.com");
  assert.equal(ask("z.c.example.com"), "allow *.c.example.com:443");
  assert.equal(ask("z.c.example.com", 80), "block *.c.example.com");
  assert.equal(lookup("y.b.example.com"), "block *.b.example.com");
  assert.equal(lookup("z.c.example.com"), "allow *.c.example.com:443");
  assert.equal(ask("notexample.com"), "unsaid");
});

test("a block rule with ports leaves the lookup to others, unless it has them all", () => {
  assert.equal(asked([], ["a.example:25"]).lookup("a.example"), "unsaid");
  assert.equal(asked([], ["a.example:1-65535"]).lookup("a.example"), "block a.example:1-65535");
  const closed = asked(["*.example.com"], ["x.example.com:80", "x.example.com:443"]);
  assert.equal(closed.lookup("x.example.com"), "unsaid");
  assert.equal(closed.lookup("y.example.com"), "allow *.example.com");
});

test("what is no name in wire form is unsaid, and never throws", () => {
  const table = new NameTable(parseRules(["*.example.com", "example.com"], []));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, length) => {
      assert.equal(table.ask(bytes, length, TCP!, 443), NAME_UNSAID);
      assert.equal(table.askLookup(bytes, length), NAME_UNSAID);
    }),
  );
  const whole = wire("a.example.com");
  for (let length = 0; length < whole.length; length++) assert.equal(table.askLookup(whole, length), NAME_UNSAID);
  // A label with a dot in it is no two labels.
  const dotted = Uint8Array.of(9, ...Buffer.from("a.example"), 3, ...Buffer.from("com"), 0);
  assert.equal(table.askLookup(dotted, dotted.length), NAME_UNSAID);
});

test("what a policy has, and whether its addresses close the internet", () => {
  const flags = (allow: string[], block: string[]) => {
    const { any, anyAllow, anyBlock, closesInternet } = new NameTable(parseRules(allow, block));
    return [any, anyAllow, anyBlock, closesInternet].map(Number).join("");
  };
  assert.equal(flags(["10.0.0.0/8"], []), "0000");
  assert.equal(flags(["a.example"], ["in 0.0.0.0/0", "0.0.0.0/0:443", "10.0.0.0/8"]), "1100");
  assert.equal(flags([], ["a.example", "@global"]), "1011");
  for (const block of ["0.0.0.0/0", "out 0.0.0.0/0", "out ::/0", "::/0", "@global", "out @global"]) {
    assert.equal(flags([], [block]), "0001", block);
  }
  const { table } = asked(["a.example", "b.example:22-24"], ["c.example:99"]);
  const has = (protocol: number) => [22, 24, 25, 80, 99, 443].filter((port) => table.mayAllowPort(protocol, port));
  assert.deepEqual(
    [has(TCP!), has(UDP!)],
    [
      [22, 24, 80, 443],
      [22, 24],
    ],
  );
  assert.equal(new NameTable([]).mayAllowPort(TCP!, 443), false);
  assert.equal(opensInternet(parseRules(["0.0.0.0/0:443"], ["@global"]), 443), true);
  assert.equal(opensInternet(parseRules(["0.0.0.0/0:443"], ["@global"]), 80), false);
});

/** By the letter: the rules that match, sorted; the first decides. */
function slowly(rules: readonly Rule[], name: string, protocol: number, port: number): Rule | undefined {
  const matching = rules.filter(({ action, target, ports }) => {
    const own = formatDomainName(target.name!.labels);
    if (target.name!.wildcard ? !name.endsWith(`.${own}`) : name !== own) return false;
    if (ports !== undefined) return ports.first <= port && port <= ports.last;
    return action === "block" || (protocol === TCP && (port === 80 || port === 443));
  });
  const order = ({ action, target, ports }: Rule): number =>
    (target.name!.wildcard ? 0 : 1e6) + target.text.length * 1e3 + (ports ? 2 : 0) + (action === "block" ? 1 : 0);
  return matching.toSorted((one, other) => order(other) - order(one))[0];
}

test("random rules: the table decides as the slow decision does, also about lookups", () => {
  const label = fc.constantFrom("a", "b", "c");
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => [...labels, "example", "com"].join("."));
  const port = fc.constantFrom("", ":22", ":80", ":443", ":79-81", ":1-65535", ":443-65535", ":1-442", ":444-65535");
  const text = fc
    .tuple(fc.constantFrom("", "*.", "out "), name, port)
    .map(([before, target, ports]) => before + target + ports);
  const texts = fc.array(text, { maxLength: 8 });
  const ports = [1, 22, 78, 79, 80, 81, 82, 442, 443, 444, 65_535];
  fc.assert(
    fc.property(texts, texts, name, (allow, block, questioned) => {
      const rules = parseRules(allow, block);
      const table = new NameTable(rules);
      const labels = wire(questioned);
      const found = new Set<number>();
      for (const protocol of [TCP!, UDP!]) {
        for (const asks of ports) {
          const rule = slowly(rules, questioned, protocol, asks);
          const expected = rule === undefined ? NAME_UNSAID : rule.action === "block" ? NAME_BLOCKED : NAME_ALLOWED;
          assert.equal(table.ask(labels, labels.length, protocol, asks), expected);
          assert.equal(table.decidingIndex === -1, rule === undefined);
          if (rule)
            assert.equal(
              formatRule(rules[table.decidingIndex]!).replace("out ", ""),
              formatRule(rule).replace("out ", ""),
            );
          found.add(expected);
        }
      }
      const lookup = found.has(NAME_ALLOWED) ? NAME_ALLOWED : found.has(NAME_UNSAID) ? NAME_UNSAID : NAME_BLOCKED;
      assert.equal(table.askLookup(labels, labels.length), lookup);
    }),
    { numRuns: 3000 },
  );
});

test("as many names as there may be rules are found, and no others", () => {
  const names = Array.from({ length: 4096 }, (_, index) => `${index % 2 ? "*." : ""}n${index}.example.com`);
  const table = new NameTable(parseRules(names, []));
  for (let index = 0; index < 4096; index++) {
    const [own, below] = [wire(`n${index}.example.com`), wire(`x.n${index}.example.com`)];
    assert.equal(table.askLookup(own, own.length), index % 2 ? NAME_UNSAID : NAME_ALLOWED);
    assert.equal(table.askLookup(below, below.length), index % 2 ? NAME_ALLOWED : NAME_UNSAID);
    assert.equal(table.decidingIndex, index % 2 ? index : -1);
  }
});
