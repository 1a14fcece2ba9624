/** The policy table against a slow, obvious one: every rule asked for every address, way and port. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as layer from "../../src/policy/default-layer.ts";
import { reachable } from "../../src/policy/reachable.ts";
import {
  type Cidr,
  formatRule,
  lastOf,
  MOST_RULES,
  netmaskOf,
  parseCidr,
  parseRules,
  type Rule,
} from "../../src/policy/rule.ts";
import { IN, OUT } from "../../src/policy/rule-tree.ts";
import { METADATA_ADDRESSES, SPECIAL_PURPOSE } from "../../src/policy/special-purpose.ts";
import { NO_PORT, PolicyTable } from "../../src/policy/table.ts";
import { formatIPv4, parseIPv4 } from "../../src/wire/address.ts";
import { slowDecision } from "./slow-decision.ts";

const { ALLOWED, BLOCKED, BROADCAST, DNS_SERVER, GATEWAY, GLOBAL, INBOUND, LOOPBACK, METADATA } = layer;
const { MULTICAST_GROUP, NOT_GLOBAL } = layer;
const RUNS = process.env.SOFTNET_TEST_ALL === "1" ? 3000 : 400;

const ip = (text: string): number => parseIPv4(text)!;
const nowhere = { gateway: 0, address: 0, netmask: 0, dnsServers: [] };
const inside = (address: number, cidr: Cidr): boolean => cidr.address <= address && address <= lastOf(cidr);
const isMetadata = (address: number): boolean => METADATA_ADDRESSES.some((metadata) => metadata.address === address);

/* The same semantics, an address at a time */

function isGlobal(address: number): boolean {
  const covering = SPECIAL_PURPOSE.filter(({ cidr }) => inside(address, cidr)).sort(
    (a, b) => b.cidr.length - a.cidr.length,
  );
  return address >>> 28 !== 14 && (covering[0]?.global ?? true);
}

function isCovered({ target }: Rule, address: number, { gateway, dnsServers }: layer.KnownNetwork): boolean {
  if (target.cidr !== undefined) return inside(address, target.cidr);
  switch (target.text) {
    case "@host":
      return gateway !== 0 && address === gateway;
    case "@dns":
      return dnsServers.includes(address);
    case "@metadata":
      return isMetadata(address);
    case "@private":
      return isPrivate(address);
    case "@global":
      return isGlobal(address) && !isMetadata(address);
    default:
      throw new Error(target.text);
  }
}

function rank({ target }: Rule): number {
  if (target.cidr !== undefined) return target.cidr.length;
  return target.text === "@private" || target.text === "@global" ? 0 : 32;
}

const isPrivate = (address: number): boolean =>
  /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(formatIPv4(address));

/** Where an alias is blocked without a port: allow rules with a port that are of it, and all other rules. */
function countsThere(rule: Rule, alias: string): boolean {
  if (rule.action === "block" || rule.ports === undefined) return true;
  const { cidr } = rule.target;
  if (cidr === undefined) return [alias, "@host", "@dns"].includes(rule.target.text);
  if (alias === "@metadata") return cidr.length === 32 && isMetadata(cidr.address);
  // Longer than each of the three, and in one of them.
  const shortest = cidr.address >>> 24 === 10 ? 8 : cidr.address >>> 24 === 172 ? 12 : 16;
  return isPrivate(cidr.address) && cidr.length >= shortest;
}

function slowly(rules: readonly Rule[], around: layer.KnownNetwork, way: string, address: number, port: number) {
  const alias = isMetadata(address) ? "@metadata" : isPrivate(address) ? "@private" : "none";
  const isCoveredHere = (rule: Rule): boolean => isCovered(rule, address, around);
  const countsHere = (rule: Rule): boolean => countsThere(rule, alias);
  return slowDecision(rules, { way, port, alias, isCovered: isCoveredHere, rank, countsThere: countsHere });
}

function slowKind(knownNetwork: layer.KnownNetwork, address: number): number {
  const { gateway, netmask, dnsServers } = knownNetwork;
  if (gateway !== 0 && address === gateway) return GATEWAY;
  const dns = dnsServers.includes(address) ? DNS_SERVER : 0;
  const directed = netmask !== 0 && netmask <= netmaskOf(30) ? (knownNetwork.address | ~netmask) >>> 0 : undefined;
  if (address === 0xffffffff || address === directed) return BROADCAST | dns;
  if (address >>> 28 === 14) return MULTICAST_GROUP | dns;
  if (isMetadata(address)) return METADATA | dns;
  return (isGlobal(address) ? GLOBAL : NOT_GLOBAL) | dns;
}

function slowAsk(rules: readonly Rule[], around: layer.KnownNetwork, way: "in" | "out", address: number, port: number) {
  const first = address >>> 24;
  if (way === "out" && (first === 0 || first === 127)) return LOOPBACK;
  const rule = slowly(rules, around, way, address, port);
  if (rule) return rule.action === "block" ? BLOCKED : ALLOWED;
  return way === "in" ? INBOUND : slowKind(around, address);
}

/* Policies in which much overlaps */

const address = fc.oneof(
  fc.nat({ max: 0xffffffff }),
  // Few distinct values, so that rules overlap and tie.
  fc
    .constantFrom(
      "10.0.0.0",
      "10.0.0.255",
      "10.128.0.0",
      "8.8.8.8",
      "192.168.64.1",
      "255.255.255.255",
      "0.0.0.0",
      "169.254.169.254",
    )
    .map(ip),
);
const cidr = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([value, length]) => {
  return `${formatIPv4(value)}/${length}`;
});
const name = fc.constantFrom("@host", "@dns", "@metadata", "@private", "@global");
const target = fc.oneof({ weight: 3, arbitrary: cidr }, { weight: 1, arbitrary: name });
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
const knownNetwork = fc.record({
  gateway: fc.oneof(fc.constant(0), address.map(outsideLoopback)),
  address,
  netmask: fc.integer({ min: 0, max: 32 }).map(netmaskOf),
  dnsServers: fc.array(address.map(outsideLoopback), { maxLength: 3 }),
});

/** The guard takes no gateway and no DNS server there. */
function outsideLoopback(value: number): number {
  const first = value >>> 24;
  return first === 0 || first === 127 ? ip("10.0.0.255") : value;
}

/** The addresses at which a policy changes, and those beside them. */
function edges(rules: readonly Rule[], around: layer.KnownNetwork): number[] {
  const ofRules = rules.flatMap(({ target: of }) => (of.cidr ? [of.cidr.address, lastOf(of.cidr)] : []));
  const special = SPECIAL_PURPOSE.flatMap((entry) => [entry.cidr.address, lastOf(entry.cidr)]);
  const known = [...around.dnsServers, around.gateway, ...METADATA_ADDRESSES.map((metadata) => metadata.address)];
  return [...ofRules, ...special, ...known].flatMap((at) => [(at - 1) >>> 0, at, (at + 1) >>> 0]);
}

for (const [title, rule, some] of [
  ["bare rules without ports", ruleOf(nothing, nothing), 24],
  ["rules with ports", ruleOf(nothing, ports), 12],
  ["rules with directions and ports", ruleOf(directions, ports), 12],
] as const) {
  test(`the policy table equals the slow obvious one: ${title}`, () => {
    const rules = fc.array(rule, { maxLength: some });
    fc.assert(
      fc.property(rules, rules, knownNetwork, fc.array(address, { maxLength: 20 }), (allow, block, around, more) => {
        const parsed = parseRules(allow, block);
        const table = new PolicyTable(parsed, around);
        const portsAsked = parsed.flatMap((one) => (one.ports ? [one.ports.first, one.ports.last] : []));
        const near = [NO_PORT, 0, 53, ...portsAsked.flatMap((port) => [port - 1, port, port + 1])];
        const probes = [...more, ...edges(parsed, around)];
        // Every port at some addresses, some port at every address.
        for (const [index, at] of probes.entries()) {
          const asked = index % 9 === 0 ? near : [near[index % near.length]!];
          for (const port of asked) {
            const out = slowAsk(parsed, around, "out", at, port);
            const told = `${formatIPv4(at)} ${port}`;
            assert.equal(table.ask(OUT, at, port), out, `out ${told}`);
            assert.equal(table.ask(IN, at, port), slowAsk(parsed, around, "in", at, port), `in ${told}`);
            if (port === NO_PORT) assert.equal(table.lookup(at), out, told);
          }
        }
      }),
      { numRuns: RUNS },
    );
  });
}

/** A rule's place among all, from 1 on; 0 = none. */
const numberOf = (rules: readonly Rule[], rule: Rule | undefined): number => rules.indexOf(rule!) + 1;

test("the rule that the table says decides is the one that decides, and gave the value that a frame gets", () => {
  const rules = fc.array(ruleOf(directions, ports), { maxLength: 12 });
  const port = fc.oneof(fc.constant(NO_PORT), portNumber);
  fc.assert(
    fc.property(rules, rules, knownNetwork, address, port, (allow, block, around, other, asked) => {
      const parsed = parseRules(allow, block);
      const table = new PolicyTable(parsed, around);
      for (const at of [other, ...edges(parsed, around)]) {
        for (const [way, name] of [
          [OUT, "out"],
          [IN, "in"],
        ] as const) {
          const value = table.ask(way, at, asked);
          const decides = table.decidingRule(way, at, asked);
          assert.equal(table.decidingNumber, numberOf(parsed, decides), "what is counted");
          assert.equal(decides !== undefined, value === ALLOWED || value === BLOCKED, formatIPv4(at));
          if (decides !== undefined) assert.equal(decides.action === "block" ? BLOCKED : ALLOWED, value);
          if (value !== LOOPBACK) assert.equal(decides, slowly(parsed, around, name, at, asked), formatIPv4(at));
        }
      }
    }),
    { numRuns: RUNS },
  );
});

test("a rule's normal form reads back as the same rule", () => {
  fc.assert(
    fc.property(ruleOf(directions, ports), (text) => {
      const [rule] = parseRules([text], []);
      const normal = formatRule(rule!);
      assert.deepEqual(parseRules([normal], []), [rule]);
      assert.equal(formatRule(parseRules([normal], [])[0]!), normal);
    }),
    { numRuns: RUNS },
  );
});

test("what is told as reachable is at least what some rule allows", () => {
  const rules = fc.array(ruleOf(directions, ports), { maxLength: 8 });
  fc.assert(
    fc.property(rules, rules, knownNetwork, fc.array(address, { maxLength: 10 }), (allow, block, around, more) => {
      const parsed = parseRules(allow, block);
      const table = new PolicyTable(parsed, around);
      const { allowed, answerable } = reachable(parsed, around);
      const isIn = (ranges: typeof allowed, at: number) => ranges.some(([first, last]) => first <= at && at <= last);
      const asked = [NO_PORT, ...parsed.flatMap((one) => (one.ports ? [one.ports.first, one.ports.last] : []))];
      for (const at of [...more, ...edges(parsed, around)]) {
        for (const port of asked) {
          if (table.ask(OUT, at, port) === ALLOWED) assert.ok(isIn(allowed, at), `${formatIPv4(at)}:${port}`);
          // Whoever appears under an own address gets its answers: ports of clients.
          const value = table.ask(OUT, at, port) & ~DNS_SERVER;
          if (!table.stateful && port >= 1024 && isIn(answerable, at)) assert.ok([ALLOWED, GLOBAL].includes(value));
        }
      }
    }),
    { numRuns: RUNS },
  );
});

/* Cases by hand */

test("behind port forwarding, clients appear under their own address where their answers pass", () => {
  const gateway = ip("10.9.9.1");
  const of = (allow: string[], block: string[]) => {
    const { answerable, closed } = reachable(parseRules(allow, block), { ...nowhere, gateway });
    const isIn = (text: string) => answerable.some(([first, last]) => first <= ip(text) && ip(text) <= last);
    return [isIn("1.1.1.1"), isIn("192.168.7.7"), isIn("127.0.0.1"), closed.length > 0];
  };
  assert.deepEqual(of([], []), [true, false, false, false]);
  assert.deepEqual(of(["@private"], ["@global", "@host"]), [false, true, false, true]);
  // Clients' ports are high ones: a rule about others keeps no answer back.
  assert.deepEqual(of([], ["0.0.0.0/0:1-1023"]), [true, false, false, true]);
  assert.deepEqual(of([], ["0.0.0.0/0:1024"]), [false, false, false, true]);
  // With flows answers pass by themselves, and rules for the way in must see who it is.
  assert.deepEqual(of([], ["in 192.168.0.0/16", "out @global"]), [true, true, false, false]);
  assert.deepEqual(of([], ["out @host"]), [true, true, false, true]);
  assert.deepEqual(of([], ["in @host"]), [true, true, false, false]);
  assert.deepEqual(of([], ["@host:99"]), [true, false, false, true]);
  assert.deepEqual(of(["@host"], ["10.0.0.0/8"]), [true, false, false, false]);
  assert.deepEqual(of(["@host:22-24"], ["@host"]), [true, false, false, true]);
});

test("other VMs are met where a rule allows something, in whatever direction and on whatever port", () => {
  const told = (allow: string[], block: string[] = []) =>
    reachable(parseRules(allow, block), nowhere).allowed.map(
      ([first, last]) => `${formatIPv4(first)}-${formatIPv4(last)}`,
    );
  assert.deepEqual(told([]), []);
  assert.deepEqual(told(["in 10.0.0.0/24:22"]), ["10.0.0.0-10.0.0.255"]);
  assert.deepEqual(told(["out 10.0.0.0/25", "10.0.0.128/25:9"]), ["10.0.0.0-10.0.0.255"]);
  assert.deepEqual(told(["10.0.0.0/24"], ["10.0.0.128/25"]), ["10.0.0.0-10.0.0.127"]);
  assert.deepEqual(told(["in 0.0.0.0/0"]), ["1.0.0.0-126.255.255.255", "128.0.0.0-255.255.255.255"]);
});

test("G19 what a blocked alias closes is not told as reachable", () => {
  const { allowed } = reachable(parseRules(["0.0.0.0/0:443"], ["@private", "@metadata"]), nowhere);
  const isIn = (text: string) => allowed.some(([first, last]) => first <= ip(text) && ip(text) <= last);
  assert.deepEqual(["10.1.1.1", "169.254.169.254", "1.1.1.1", "100.64.0.1"].map(isIn), [false, false, true, true]);
});

test("I6 what is global without rules", () => {
  const table = new PolicyTable([], nowhere);
  const kinds: [string, number][] = [
    ["1.1.1.1", GLOBAL],
    ["9.255.255.255", GLOBAL],
    ["10.0.0.0", NOT_GLOBAL],
    ["11.0.0.0", GLOBAL],
    ["100.63.255.255", GLOBAL],
    ["100.64.0.0", NOT_GLOBAL],
    ["100.127.255.255", NOT_GLOBAL],
    ["100.128.0.0", GLOBAL],
    ["169.254.1.1", NOT_GLOBAL],
    ["172.15.255.255", GLOBAL],
    ["172.31.255.255", NOT_GLOBAL],
    ["192.0.0.8", NOT_GLOBAL],
    ["192.0.0.9", GLOBAL],
    ["192.0.0.10", GLOBAL],
    ["192.0.0.11", NOT_GLOBAL],
    ["192.31.196.1", GLOBAL],
    ["192.88.99.1", NOT_GLOBAL],
    ["192.168.0.1", NOT_GLOBAL],
    ["198.17.255.255", GLOBAL],
    ["198.19.255.255", NOT_GLOBAL],
    ["203.0.113.9", NOT_GLOBAL],
    ["223.255.255.255", GLOBAL],
    ["224.0.0.251", MULTICAST_GROUP],
    ["239.255.255.255", MULTICAST_GROUP],
    ["240.0.0.0", NOT_GLOBAL],
    ["255.255.255.254", NOT_GLOBAL],
    ["255.255.255.255", BROADCAST],
    ["0.1.2.3", LOOPBACK],
    ["127.0.0.1", LOOPBACK],
  ];
  for (const [text, kind] of kinds) assert.equal(table.lookup(ip(text)), kind, text);
});

test("I7 metadata addresses are never global, also where the registry calls them so", () => {
  const table = new PolicyTable([], nowhere);
  const group = new PolicyTable(parseRules(["@global", "@private"], []), nowhere);
  for (const text of ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"]) {
    assert.equal(table.lookup(ip(text)), METADATA, text);
    assert.equal(group.lookup(ip(text)), METADATA, text);
    assert.equal(new PolicyTable(parseRules(["@metadata"], ["169.0.0.0/8"]), nowhere).lookup(ip(text)), ALLOWED, text);
  }
});

test("the longest prefix decides, block on a tie, whatever the order", () => {
  const rules = parseRules(["10.0.0.0/8", "10.1.1.0/24"], ["10.1.0.0/16", "10.1.1.0/24", "10.1.1.7/32"]);
  const table = new PolicyTable(rules, nowhere);
  assert.equal(table.lookup(ip("10.2.0.1")), ALLOWED);
  assert.equal(table.lookup(ip("10.1.2.1")), BLOCKED);
  assert.equal(table.lookup(ip("10.1.1.1")), BLOCKED);
});

test("0.0.0.0/0 in --allow opens all but loopback, and a longer block still holds", () => {
  const table = new PolicyTable(parseRules(["0.0.0.0/0"], ["10.0.0.0/8"]), nowhere);
  assert.equal(table.lookup(ip("192.168.1.1")), ALLOWED);
  assert.equal(table.lookup(ip("224.0.0.251")), ALLOWED);
  assert.equal(table.lookup(ip("169.254.169.254")), ALLOWED);
  assert.equal(table.lookup(ip("10.0.0.1")), BLOCKED);
  assert.equal(table.lookup(ip("127.0.0.1")), LOOPBACK);
});

test("@host is the gateway at the moment, and nothing without one", () => {
  const rules = parseRules([], ["@host"]);
  const gateway = ip("192.168.64.1");
  assert.equal(new PolicyTable(rules, { ...nowhere, gateway }).lookup(gateway), BLOCKED);
  assert.equal(new PolicyTable(rules, nowhere).lookup(gateway), NOT_GLOBAL);
  assert.equal(new PolicyTable([], { ...nowhere, gateway }).lookup(gateway), GATEWAY);
});

test("@private and @global rank below every CIDR but 0.0.0.0/0, and all three tie", () => {
  const wide = new PolicyTable(parseRules(["8.0.0.0/5"], ["@private", "@global"]), nowhere);
  assert.equal(wide.lookup(ip("10.1.2.3")), ALLOWED);
  assert.equal(wide.lookup(ip("11.1.2.3")), ALLOWED);
  assert.equal(wide.lookup(ip("172.16.0.1")), BLOCKED);
  assert.equal(wide.lookup(ip("1.1.1.1")), BLOCKED);
  assert.equal(wide.lookup(ip("169.254.1.1")), NOT_GLOBAL);
  const tie = new PolicyTable(parseRules(["0.0.0.0/0"], ["@private"]), nowhere);
  assert.equal(tie.lookup(ip("192.168.1.1")), BLOCKED);
  assert.equal(tie.lookup(ip("100.64.0.1")), ALLOWED);
});

test("@dns, @host and @metadata rank as /32 and tie with one", () => {
  const around = { ...nowhere, gateway: ip("10.0.0.1"), dnsServers: [ip("10.0.0.53"), ip("10.0.0.54")] };
  const table = new PolicyTable(parseRules(["@dns", "@host"], ["10.0.0.0/31", "10.0.0.54/32"]), around);
  assert.equal(table.lookup(ip("10.0.0.1")), ALLOWED);
  assert.equal(table.lookup(ip("10.0.0.53")), ALLOWED);
  assert.equal(table.lookup(ip("10.0.0.54")), BLOCKED);
});

test("a rule with a port comes before a longer prefix without one", () => {
  const table = new PolicyTable(parseRules(["10.0.0.0/8:22"], ["10.1.1.0/24"]), nowhere);
  assert.equal(table.ask(OUT, ip("10.1.1.1"), 22), ALLOWED);
  assert.equal(table.ask(OUT, ip("10.1.1.1"), 23), BLOCKED);
  assert.equal(table.ask(OUT, ip("10.1.1.1"), NO_PORT), BLOCKED);
  assert.equal(table.ask(OUT, ip("10.2.1.1"), 23), NOT_GLOBAL);
});

test("G19 I7 a block of @metadata without a port holds against allow rules with a port that are about more", () => {
  const metadata = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"];
  for (const wide of ["0.0.0.0/0", "169.254.0.0/16", "169.254.169.254/31", "168.63.129.16/31", "@private", "@global"]) {
    const table = new PolicyTable(parseRules([`${wide}:80`], ["@metadata"]), nowhere);
    for (const text of metadata) assert.equal(table.ask(OUT, ip(text), 80), BLOCKED, `${wide} ${text}`);
  }
  const narrow = new PolicyTable(parseRules(["169.254.169.254/32:80", "0.0.0.0/0:80"], ["@metadata"]), nowhere);
  assert.equal(narrow.ask(OUT, ip("169.254.169.254"), 80), ALLOWED);
  assert.equal(narrow.ask(OUT, ip("169.254.169.254"), 81), BLOCKED);
  assert.equal(narrow.ask(OUT, ip("169.254.170.2"), 80), BLOCKED);
  assert.equal(narrow.ask(OUT, ip("1.1.1.1"), 80), ALLOWED);
  const own = new PolicyTable(parseRules(["@metadata:80"], ["@metadata", "169.254.170.2/32:80"]), nowhere);
  assert.equal(own.ask(OUT, ip("169.254.169.254"), 80), ALLOWED);
  assert.equal(own.ask(OUT, ip("169.254.170.2"), 80), BLOCKED);
  // Azure's gateway and DNS server is a metadata address, and that rule means it.
  const azure = { ...nowhere, gateway: ip("168.63.129.16"), dnsServers: [ip("169.254.169.254")] };
  const named = new PolicyTable(parseRules(["@dns:53", "@host:53"], ["@metadata"]), azure);
  assert.equal(named.ask(OUT, ip("168.63.129.16"), 53), ALLOWED);
  assert.equal(named.ask(OUT, ip("169.254.169.254"), 53), ALLOWED);
  assert.equal(
    new PolicyTable(parseRules(["0.0.0.0/0:53"], ["@metadata"]), azure).ask(OUT, azure.gateway, 53),
    BLOCKED,
  );
});

test("G19 a block of @private without a port holds against wider allow rules with a port, and opens for those within", () => {
  const web = new PolicyTable(
    parseRules(["0.0.0.0/0:443", "10.0.0.0/7:443", "10.1.0.0/16:443"], ["@private"]),
    nowhere,
  );
  for (const text of ["10.0.0.1", "172.16.0.1", "192.168.1.1"])
    assert.equal(web.ask(OUT, ip(text), 443), BLOCKED, text);
  for (const text of ["10.1.2.3", "11.0.0.1", "100.64.0.1"]) assert.equal(web.ask(OUT, ip(text), 443), ALLOWED, text);
  const whole = new PolicyTable(
    parseRules(["192.168.0.0/16:22", "172.0.0.0/8:22", "@private:80"], ["@private"]),
    nowhere,
  );
  assert.equal(whole.ask(OUT, ip("192.168.1.1"), 22), ALLOWED);
  assert.equal(whole.ask(OUT, ip("172.16.1.1"), 22), BLOCKED);
  assert.equal(whole.ask(OUT, ip("172.16.1.1"), 80), ALLOWED);
});

test("G19 what is no block of such an alias without a port keeps the order of before", () => {
  const asked = (allow: string[], block: string[], text: string, port = 443) =>
    new PolicyTable(parseRules(allow, block), { ...nowhere, gateway: ip("10.0.0.1") }).ask(OUT, ip(text), port);
  assert.equal(asked(["0.0.0.0/0:443"], ["@global"], "1.1.1.1"), ALLOWED); // only HTTPS
  assert.equal(asked(["0.0.0.0/0:443"], ["@global"], "1.1.1.1", 80), BLOCKED);
  assert.equal(asked(["0.0.0.0/0:443"], ["10.0.0.0/8"], "10.1.1.1"), ALLOWED);
  assert.equal(asked(["0.0.0.0/0:443"], ["@host"], "10.0.0.1"), ALLOWED);
  assert.equal(asked(["0.0.0.0/0:443"], ["@private:80"], "10.1.1.1"), ALLOWED);
  assert.equal(asked(["0.0.0.0/0:443"], ["in @private"], "10.1.1.1"), ALLOWED); // of the other direction
  assert.equal(asked(["out 0.0.0.0/0:443"], ["out @private"], "10.1.1.1"), BLOCKED);
  assert.equal(asked(["10.0.0.0/8"], ["@private"], "10.1.1.1"), ALLOWED); // without a port the longer prefix decides
});

test("rules for one direction say nothing of the other", () => {
  const table = new PolicyTable(parseRules(["in 10.0.0.1/32:22", "10.0.0.2/32"], ["in 0.0.0.0/0"]), nowhere);
  assert.equal(table.ask(IN, ip("10.0.0.1"), 22), ALLOWED);
  assert.equal(table.ask(IN, ip("10.0.0.1"), 23), BLOCKED);
  assert.equal(table.ask(OUT, ip("10.0.0.1"), 22), NOT_GLOBAL);
  assert.equal(table.ask(IN, ip("10.0.0.2"), 9), ALLOWED);
  assert.equal(table.ask(OUT, ip("10.0.0.2"), 9), ALLOWED);
  assert.equal(table.ask(IN, ip("127.0.0.1"), 22), BLOCKED);
});

test("the ports' ends belong to a range, and port 0 to none", () => {
  const table = new PolicyTable(parseRules(["10.0.0.0/8:1-65535"], ["10.0.0.0/8:100-200"]), nowhere);
  const values = [0, 1, 99, 100, 200, 201, 65_535].map((port) => table.ask(OUT, ip("10.0.0.1"), port));
  assert.deepEqual(values, [NOT_GLOBAL, ALLOWED, ALLOWED, BLOCKED, BLOCKED, ALLOWED, ALLOWED]);
});

test("directed broadcast of the VM's own subnet is not global even on a global subnet", () => {
  const around = { gateway: 0, address: ip("9.9.9.9"), netmask: netmaskOf(24), dnsServers: [] };
  assert.equal(new PolicyTable([], around).lookup(ip("9.9.9.255")), BROADCAST);
  const pointToPoint = { ...around, netmask: netmaskOf(31) };
  assert.equal(new PolicyTable([], pointToPoint).lookup(ip("9.9.9.9")), GLOBAL);
});

test("every entry of the registry table is a prefix without host bits", () => {
  for (const { cidr: entry } of SPECIAL_PURPOSE) {
    assert.deepEqual(parseCidr(`${formatIPv4(entry.address)}/${entry.length}`), { ...entry });
  }
});

test("as many rules as there may be, nested in each other, are made and asked in no time", () => {
  // 128 branches of 32 prefixes, each within the one before, each with a port of its own: what grows with the square of
  // that would take minutes.
  const texts = Array.from({ length: MOST_RULES }, (_, index) => {
    const length = 1 + (index % 32);
    return `${index >> 5}.255.255.255/${length}:${1 + index}`;
  });
  const rules = parseRules(texts, []);
  const begin = performance.now();
  const table = new PolicyTable(rules, nowhere);
  for (let round = 0; round < 20; round++) new PolicyTable(rules, nowhere);
  assert.ok(performance.now() - begin < 5000);
  assert.equal(table.ask(OUT, ip("100.255.255.255"), 1 + 100 * 32), ALLOWED, "the /1 of the branch");
  assert.equal(table.ask(OUT, ip("100.255.255.255"), 1 + 100 * 32 + 31), ALLOWED, "its /32");
  assert.equal(table.ask(OUT, ip("100.255.255.254"), 1 + 100 * 32 + 31), GLOBAL);
});

test("more rules than there may be make no table", () => {
  const [rule] = parseRules(["10.0.0.0/8"], []);
  assert.throws(() => new PolicyTable(new Array(MOST_RULES + 1).fill(rule), nowhere), RangeError);
});
