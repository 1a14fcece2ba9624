/** IPv6's policy table against a slow, obvious one on bigints: every rule asked for every address, way and port. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Cidr6, covers6, lastOf6, parseCidr6 } from "../../src/policy/cidr-6.ts";
import * as layer from "../../src/policy/default-layer.ts";
import { type KnownNetwork6, NO_NETWORK_6 } from "../../src/policy/default-layer-6.ts";
import { rulesInForce } from "../../src/policy/families.ts";
import { formatRule, MOST_RULES, parseRules, type Rule } from "../../src/policy/rule.ts";
import { IN, OUT } from "../../src/policy/rule-tree.ts";
import { METADATA_ADDRESSES_6, SPECIAL_PURPOSE_6 } from "../../src/policy/special-purpose-6.ts";
import { NO_PORT, PolicyTable } from "../../src/policy/table.ts";
import { PolicyTable6 } from "../../src/policy/table-6.ts";
import { formatIPv6, parseIPv6, wordsOf } from "../../src/wire/ipv6-address.ts";
import { slowDecision } from "./slow-decision.ts";

const { ALLOWED, BLOCKED, DNS_SERVER, GATEWAY, GLOBAL, INBOUND, LOOPBACK, METADATA } = layer;
const { MULTICAST_GROUP, NOT_GLOBAL, ON_LINK } = layer;
const RUNS = process.env.SOFTNET_TEST_ALL === "1" ? 3000 : 300;

const ip = (text: string): bigint => parseIPv6(text)!;
const net = (text: string): Cidr6 => parseCidr6(text)!;
const isIn = (prefixes: readonly Cidr6[], at: bigint): boolean =>
  prefixes.some(({ address, length }) => at >> BigInt(128 - length) === address >> BigInt(128 - length));

/* The same semantics, an address at a time, by the letter of docs/guard-ipv6.md */

const METADATA_6 = [
  "fd00:ec2::254",
  "fd00:ec2::253",
  "fd00:ec2::123",
  "fd00:ec2::23",
  "fd20:ce::254",
  "fe80::a9fe:a9fe",
  "fd00:c1::a9fe:a9fe",
  "fd00:42::42",
].map(ip);
const isMetadata = (at: bigint): boolean => METADATA_6.includes(at);
const isPrivate = (at: bigint): boolean => at >> 121n === 0xfcn >> 1n && !isMetadata(at);
const isLoopback = (at: bigint): boolean => at < 2n || at >> 32n === 0xffffn;

/** What the registry calls global within 2000::/3, and 64:ff9b::/96. */
const GLOBAL_ISLANDS = ["2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32", "2001:4:112::/48"]
  .concat(["2001:20::/28", "2001:30::/28"])
  .map(net);
const CLOSED_SEAS = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"].map(net);
function isGlobal(at: bigint): boolean {
  if (isIn([net("64:ff9b::/96")], at)) return true;
  if (at >> 125n !== 1n) return false;
  return isIn(GLOBAL_ISLANDS, at) || !isIn(CLOSED_SEAS, at);
}

function isCovered({ target }: Rule, at: bigint, { routers, dnsServers }: KnownNetwork6): boolean {
  if (target.cidr !== undefined) return false;
  if (target.cidr6 !== undefined) return isIn([target.cidr6], at);
  switch (target.text) {
    case "@host":
      return routers.includes(at);
    case "@dns":
      return dnsServers.includes(at);
    case "@metadata":
      return isMetadata(at);
    case "@private":
      return isPrivate(at);
    case "@global":
      return isGlobal(at);
    default:
      throw new Error(target.text);
  }
}

function rank({ target }: Rule): number {
  if (target.cidr6 !== undefined) return target.cidr6.length;
  return target.text === "@private" || target.text === "@global" ? 0 : 128;
}

/** Where an alias is blocked without a port: allow rules with a port that are of it, and all other rules. */
function countsThere(rule: Rule, alias: string): boolean {
  if (rule.action === "block" || rule.ports === undefined) return true;
  const { cidr6 } = rule.target;
  if (cidr6 === undefined) return [alias, "@host", "@dns"].includes(rule.target.text);
  if (alias === "@metadata") return cidr6.length === 128 && isMetadata(cidr6.address);
  return cidr6.length >= 7 && cidr6.address >> 121n === 0xfcn >> 1n;
}

function slowly(rules: readonly Rule[], around: KnownNetwork6, way: string, at: bigint, port: number) {
  const alias = isMetadata(at) ? "@metadata" : isPrivate(at) ? "@private" : "none";
  const isCoveredHere = (rule: Rule): boolean => isCovered(rule, at, around);
  const countsHere = (rule: Rule): boolean => countsThere(rule, alias);
  return slowDecision(rules, { way, port, alias, isCovered: isCoveredHere, rank, countsThere: countsHere });
}

function slowKind({ routers, dnsServers, onLink, nat64 }: KnownNetwork6, at: bigint): number {
  if (routers.includes(at)) return GATEWAY;
  const dns = dnsServers.includes(at) ? DNS_SERVER : 0;
  if (at >> 120n === 0xffn) return MULTICAST_GROUP | dns;
  if (isMetadata(at)) return METADATA | dns;
  if (isIn(onLink, at)) return ON_LINK | dns;
  return (isGlobal(at) || isIn(nat64, at) ? GLOBAL : NOT_GLOBAL) | dns;
}

function slowAsk(rules: readonly Rule[], around: KnownNetwork6, way: "in" | "out", at: bigint, port: number) {
  if (way === "out" && isLoopback(at)) return LOOPBACK;
  const rule = slowly(rules, around, way, at, port);
  if (rule) return rule.action === "block" ? BLOCKED : ALLOWED;
  return way === "in" ? INBOUND : slowKind(around, at);
}

/* Policies in which much overlaps */

const address = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((low) => ip("2001:db8::") | low),
  // Few distinct values, so that rules overlap and tie.
  fc
    .constantFrom(
      ...["2001:db8::", "2001:db8::1", "2001:db8:8000::", "fd00:ec2::254", "fd00:ec2::1", "fe80::1", "fe80::a9fe:a9fe"],
      ...[
        "ff02::1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "2606:4700::1111",
        "2606:4700:8000::",
        "::",
        "::1",
        "::ffff:8.8.8.8",
      ],
      ...["2002:808:808::", "7fff:ffff:ffff:ffff::", "8000::", "fc00::", "fd20:ce::254"],
    )
    .map(ip),
);
const cidr = fc
  .tuple(address, fc.oneof(fc.integer({ min: 0, max: 128 }), fc.constantFrom(0, 7, 8, 32, 64, 96, 127, 128)))
  .map(([value, length]) => `[${formatIPv6(value)}/${length}]`);
const ipv4 = fc.constantFrom("10.0.0.0/8", "0.0.0.0/0", "169.254.169.254/32");
const name = fc.constantFrom("@host", "@dns", "@metadata", "@private", "@global");
const target = fc.oneof({ weight: 6, arbitrary: cidr }, { weight: 2, arbitrary: name }, { weight: 1, arbitrary: ipv4 });
const portNumber = fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom(1, 22, 53, 80, 443, 65_535));
const ports = fc.oneof(
  fc.constant(""),
  portNumber.map((port) => `:${port}`),
  fc.tuple(portNumber, portNumber).map(([a, b]) => `:${Math.min(a, b)}-${Math.max(a, b)}`),
);
const ruleOf = (before: fc.Arbitrary<string>, behind: fc.Arbitrary<string>) =>
  fc.tuple(before, target, behind).map((parts) => parts.join(""));
const nothing = fc.constant("");
const directions = fc.constantFrom("", "in ", "out ");
const unicast = address.map((at) => (isLoopback(at) ? ip("fe80::1") : at));
const prefix = (lengths: fc.Arbitrary<number>) =>
  fc.tuple(address, lengths).map(([at, length]) => net(`${formatIPv6(at)}/${length}`));
const knownNetwork = fc.record({
  routers: fc.array(unicast, { maxLength: 2 }),
  dnsServers: fc.array(unicast, { maxLength: 3 }),
  onLink: fc.array(prefix(fc.constantFrom(32, 64, 64, 120, 127)), { maxLength: 3 }),
  nat64: fc.array(prefix(fc.constantFrom(96, 64, 56, 48, 40, 32)), { maxLength: 2 }),
});

/** The addresses at which a policy changes, and those beside them. */
function edges(rules: readonly Rule[], around: KnownNetwork6): bigint[] {
  const prefixes = [
    ...rules.flatMap((rule) => rule.target.cidr6 ?? []),
    ...SPECIAL_PURPOSE_6.map((entry) => entry.cidr),
    ...METADATA_ADDRESSES_6,
    ...around.onLink,
    ...around.nat64,
    ...["2000::/3", "ff00::/8", "::/96"].map(net),
  ];
  const known = [...around.dnsServers, ...around.routers];
  const ends = prefixes.flatMap((one) => [one.address, lastOf6(one)]);
  return [...ends, ...known].flatMap((at) => [at - 1n, at, at + 1n].map((near) => BigInt.asUintN(128, near)));
}

for (const [title, rule, some] of [
  ["bare rules without ports", ruleOf(nothing, nothing), 24],
  ["rules with ports", ruleOf(nothing, ports), 12],
  ["rules with directions and ports", ruleOf(directions, ports), 12],
] as const) {
  test(`IPv6's policy table equals the slow obvious one: ${title}`, () => {
    const rules = fc.array(rule, { maxLength: some });
    fc.assert(
      fc.property(rules, rules, knownNetwork, fc.array(address, { maxLength: 20 }), (allow, block, around, more) => {
        const parsed = rulesInForce(parseRules(allow, block), true);
        const table = new PolicyTable6(parsed, around);
        const portsAsked = parsed.flatMap((one) => (one.ports ? [one.ports.first, one.ports.last] : []));
        const near = [NO_PORT, 0, 53, ...portsAsked.flatMap((port) => [port - 1, port, port + 1])];
        // Every port at some addresses, some port at every address.
        for (const [index, at] of [...more, ...edges(parsed, around)].entries()) {
          const words = Int32Array.of(-1, ...wordsOf(at), 7);
          for (const port of index % 9 === 0 ? near : [near[index % near.length]!]) {
            const told = `${formatIPv6(at)} ${port}`;
            for (const [way, name] of [
              [OUT, "out"],
              [IN, "in"],
            ] as const) {
              const value = table.ask(way, words, 1, port);
              assert.equal(value, slowAsk(parsed, around, name, at, port), `${name} ${told}`);
              const decides = table.decidingRule(way, at, port);
              table.ask(way, words, 1, port);
              assert.equal(table.decidingNumber, parsed.indexOf(decides!) + 1, "what is counted");
              assert.equal(decides !== undefined, value === ALLOWED || value === BLOCKED, told);
              if (value !== LOOPBACK) assert.equal(decides, slowly(parsed, around, name, at, port), told);
              if (value === ALLOWED) assert.ok(table.mayBeAllowed(way, at));
            }
            if (port === NO_PORT) assert.equal(table.lookup(words, 1), slowAsk(parsed, around, "out", at, port), told);
          }
        }
      }),
      { numRuns: RUNS },
    );
  });
}

test("rules with IPv6 CIDRs change nothing of what IPv4's table says", () => {
  const rules = fc.array(ruleOf(directions, ports), { maxLength: 12 });
  const remote = fc.oneof(fc.nat({ max: 0xffffffff }), fc.constantFrom(0x0a000001, 0xa9fea9fe, 0x08080808));
  const port = fc.oneof(fc.constant(NO_PORT), portNumber);
  fc.assert(
    fc.property(rules, rules, fc.array(fc.tuple(remote, port)), (allow, block, asked) => {
      const all = parseRules(allow, block);
      const without = all.filter((rule) => rule.target.cidr6 === undefined);
      const [table, expected] = [all, without].map((some) => new PolicyTable(some, layer.NO_NETWORK));
      assert.equal(table!.byPort, expected!.byPort);
      for (const [at, on] of asked) {
        for (const way of [OUT, IN] as const) assert.equal(table!.ask(way, at, on), expected!.ask(way, at, on));
      }
    }),
    { numRuns: RUNS },
  );
});

/* Cases by hand */

const askOf = (allow: string[], block: string[], around = NO_NETWORK_6) => {
  const table = new PolicyTable6(rulesInForce(parseRules(allow, block), true), around);
  return (text: string, port = NO_PORT, way: typeof OUT | typeof IN = OUT) =>
    table.ask(way, wordsOf(ip(text)), 0, port);
};

test("what IPv6 addresses are without rules", () => {
  const around = {
    routers: [ip("fe80::1"), ip("2606:4700::1")],
    dnsServers: [ip("fe80::1"), ip("fd00:ec2::253"), ip("2606:4700::1111"), ip("fd12::53")],
    onLink: [net("2606:4700::/64"), net("fd00:ec2::/64")],
    nat64: [net("2606:4700:0:0:64::/96"), net("64:ff9b:1::/48")],
  };
  const ask = askOf([], [], around);
  const kinds: [string, number][] = [
    ["::", LOOPBACK],
    ["::1", LOOPBACK],
    ["::2", NOT_GLOBAL],
    ["::ffff:8.8.8.8", LOOPBACK],
    ["64:ff9b::8.8.8.8", GLOBAL],
    ["64:ff9b:1::808:808", GLOBAL],
    ["1fff:ffff::", NOT_GLOBAL],
    ["2000::", GLOBAL],
    ["2001:4860:4860::8888", GLOBAL],
    ["3ffe:ffff::", GLOBAL],
    ["3fff::", NOT_GLOBAL],
    ["3fff:1000::", GLOBAL],
    ["4000::", NOT_GLOBAL],
    ["2002::1", NOT_GLOBAL],
    ["2001::1", NOT_GLOBAL],
    ["2001:1::3", GLOBAL],
    ["2001:1::4", NOT_GLOBAL],
    ["fec0::1", NOT_GLOBAL],
    ["fe80::2", NOT_GLOBAL],
    ["fe80::1", GATEWAY],
    ["2606:4700::1", GATEWAY],
    ["2606:4700::2", ON_LINK],
    ["2606:4700::1111", ON_LINK | DNS_SERVER],
    ["2606:4700:0:0:64::1", ON_LINK],
    ["2606:4700:0:1::", GLOBAL],
    ["fd00:ec2::253", METADATA | DNS_SERVER],
    ["fd00:ec2::254", METADATA],
    ["fd00:ec2::1", ON_LINK],
    ["fd12::53", NOT_GLOBAL | DNS_SERVER],
    ["ff02::fb", MULTICAST_GROUP],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", MULTICAST_GROUP],
  ];
  for (const [text, kind] of kinds) assert.equal(ask(text), kind, text);
  assert.equal(ask("fe80::2", 443, IN), INBOUND);
});

test("aliases cover both families, CIDRs their own", () => {
  const ask = askOf(["@private", "10.0.0.0/8"], ["@global", "0.0.0.0/0:443", "[2606:4700::/32]:443"]);
  assert.equal(ask("fd00::1"), ALLOWED);
  assert.equal(ask("fe80::1"), NOT_GLOBAL);
  assert.equal(ask("2606:4700::1"), BLOCKED);
  assert.equal(ask("::ffff:10.0.0.1"), LOOPBACK);
  assert.equal(askOf(["::/0"], [])("::1"), LOOPBACK, "no rule opens the host itself");
});

test("I7 @private does not open IPv6's metadata addresses, which lie within fc00::/7", () => {
  assert.equal(askOf(["@private"], [])("fd00:ec2::254"), METADATA);
  assert.equal(askOf(["@private:80"], [])("fd00:ec2::254", 80), METADATA);
  assert.equal(askOf(["@metadata"], ["@private"])("fd00:ec2::254"), ALLOWED);
  assert.equal(askOf(["fd00::/8"], [])("fd00:ec2::254"), ALLOWED, "a rule means what it says");
});

test("G19 I7 a blocked alias holds against wider allow rules with a port, each alias for itself", () => {
  const privates = askOf(["[fd00::/8]:80", "[fc00::/6]:443"], ["@private"]);
  assert.equal(privates("fd00::1", 80), ALLOWED);
  assert.equal(privates("fd00::1", 443), BLOCKED);
  assert.equal(privates("fd00:ec2::254", 80), ALLOWED, "not @private's");
  const metadata = askOf(["[fd00::/8]:80", "[fd20:ce::254/128]:443"], ["@metadata"]);
  assert.equal(metadata("fd00::1", 80), ALLOWED);
  assert.equal(metadata("fd00:ec2::254", 80), BLOCKED);
  assert.equal(metadata("fd20:ce::254", 443), ALLOWED);
  const both = askOf(["[fd00::/8]:80"], ["@metadata", "@private"]);
  assert.deepEqual([both("fd00::1", 80), both("fd00:ec2::254", 80)], [ALLOWED, BLOCKED]);
});

test("S10 a policy that closes IPv4 whole closes IPv6, in the same direction", () => {
  const ask = askOf(["10.0.0.0/8"], ["in 0.0.0.0/0"]);
  assert.equal(ask("2606:4700::1", 22, IN), BLOCKED);
  assert.equal(ask("2606:4700::1", 22, OUT), GLOBAL);
  assert.equal(askOf([], ["0.0.0.0/0"])("2606:4700::1", 443), BLOCKED);
  assert.equal(askOf(["[2606:4700::/32]:443"], ["0.0.0.0/0"])("2607::1", 443), GLOBAL);
});

test("a rule with a direction makes the policy stateful for both families; ports count for the families of their rules", () => {
  const of = (allow: string[], block: string[] = []) => {
    const rules = rulesInForce(parseRules(allow, block), true);
    const tables = [new PolicyTable(rules, layer.NO_NETWORK), new PolicyTable6(rules, NO_NETWORK_6)];
    return tables.map(({ stateful, byPort }) => [stateful, byPort]);
  };
  for (const rule of ["out [2001:db8::/32]:443", "in 10.0.0.0/8", "in @host"]) {
    assert.deepEqual(
      of([rule]).map(([stateful]) => stateful),
      [true, true],
      rule,
    );
  }
  assert.deepEqual(of(["10.0.0.0/8:443"]), [
    [false, true],
    [false, false],
  ]);
});
test("as many IPv6 rules as there may be, nested and side by side, make a table that answers as the slow one", () => {
  const nested = Array.from({ length: 2000 }, (_, at) => {
    const base = ip("2001:db8::") | (BigInt(at >> 5) << 64n);
    return `[${formatIPv6(base)}/${65 + (at % 32)}]${at % 3 === 0 ? ":443" : ""}`;
  });
  const beside = Array.from(
    { length: MOST_RULES - 2000 },
    (_, at) => `${formatIPv6(ip("2606::") | (BigInt(at) << 81n))}/48`,
  );
  const rules = parseRules(nested, beside);
  const table = new PolicyTable6(rules, NO_NETWORK_6);
  for (const { target: of } of rules.filter((_, at) => at % 37 === 0)) {
    for (const at of [of.cidr6!.address - 1n, of.cidr6!.address, lastOf6(of.cidr6!), lastOf6(of.cidr6!) + 1n]) {
      assert.equal(table.ask(OUT, wordsOf(at), 0, 443), slowAsk(rules, NO_NETWORK_6, "out", at, 443), formatIPv6(at));
    }
  }
  assert.throws(() => new PolicyTable6([...rules, rules[0]!], NO_NETWORK_6), RangeError);
  assert.ok(covers6(rules[0]!.target.cidr6!, ip("2001:db8::1")) && formatRule(rules[0]!) === "[2001:db8::/65]:443");
});
