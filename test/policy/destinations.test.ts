/** The destination table against a slow, obvious one: every rule asked for every address. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as destinations from "../../src/policy/destinations.ts";
import { type Cidr, lastOf, netmaskOf, parseCidr, parseRules, type Rule } from "../../src/policy/rule.ts";
import { METADATA_ADDRESSES, SPECIAL_PURPOSE } from "../../src/policy/special-purpose.ts";
import { formatIPv4, parseIPv4 } from "../../src/wire/address.ts";

const { ALLOWED, BLOCKED, BROADCAST, DestinationTable, DNS_SERVER, GATEWAY, GLOBAL, LOOPBACK, METADATA } = destinations;
const { MULTICAST_GROUP, NOT_GLOBAL } = destinations;

const ip = (text: string): number => parseIPv4(text)!;
const nowhere = { gateway: 0, address: 0, netmask: 0, dnsServers: [] };
const inside = (address: number, cidr: Cidr): boolean => cidr.address <= address && address <= lastOf(cidr);

/** The same semantics, an address at a time. */
function slowLookup(rules: readonly Rule[], surroundings: destinations.Surroundings, address: number): number {
  const { gateway, netmask, dnsServers } = surroundings;
  if (address >>> 24 === 0 || address >>> 24 === 127) return LOOPBACK;
  let longest = -1;
  let decision = 0;
  for (const { action, target } of rules) {
    const cidr = target.kind === "cidr" ? target.cidr : { address: gateway, length: 32 };
    if (target.kind === "host" && gateway === 0) continue;
    if (!inside(address, cidr) || cidr.length < longest) continue;
    if (cidr.length > longest) decision = 0;
    longest = cidr.length;
    if (action === "block") decision = BLOCKED;
    else if (decision === 0) decision = ALLOWED;
  }
  if (longest >= 0) return decision;
  if (gateway !== 0 && address === gateway) return GATEWAY;
  const dns = dnsServers.includes(address) ? DNS_SERVER : 0;
  const directed = netmask !== 0 && netmask <= netmaskOf(30) ? (surroundings.address | ~netmask) >>> 0 : undefined;
  if (address === 0xffffffff || address === directed) return BROADCAST | dns;
  if (address >>> 28 === 14) return MULTICAST_GROUP | dns;
  if (METADATA_ADDRESSES.some((metadata) => metadata.address === address)) return METADATA | dns;
  const covering = SPECIAL_PURPOSE.filter(({ cidr }) => inside(address, cidr)).sort(
    (a, b) => b.cidr.length - a.cidr.length,
  );
  return ((covering[0]?.global ?? true) ? GLOBAL : NOT_GLOBAL) | dns;
}

const address = fc.oneof(
  fc.nat({ max: 0xffffffff }),
  // Few distinct values, so that rules overlap and tie.
  fc
    .constantFrom("10.0.0.0", "10.0.0.255", "10.128.0.0", "8.8.8.8", "192.168.64.1", "255.255.255.255", "0.0.0.0")
    .map(ip),
);
const cidr = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([value, length]) => {
  return `${formatIPv4(value)}/${length}`;
});
const target = fc.oneof({ weight: 9, arbitrary: cidr }, { weight: 1, arbitrary: fc.constant("@host") });

test("the destination table equals the slow obvious one", () => {
  const surroundings = fc.record({
    gateway: fc.oneof(fc.constant(0), address),
    address,
    netmask: fc.integer({ min: 0, max: 32 }).map(netmaskOf),
    dnsServers: fc.array(address, { maxLength: 3 }),
  });
  const rules = fc.array(target, { maxLength: 24 });
  fc.assert(
    fc.property(rules, rules, surroundings, fc.array(address, { maxLength: 40 }), (allow, block, around, probes) => {
      const parsed = parseRules(allow, block);
      const table = new DestinationTable(parsed, around);
      const edges = parsed.flatMap(({ target: of }) => (of.kind === "cidr" ? [of.cidr.address, lastOf(of.cidr)] : []));
      const special = SPECIAL_PURPOSE.flatMap((entry) => [entry.cidr.address, lastOf(entry.cidr)]);
      const near = [...edges, ...special, around.gateway, ...around.dnsServers].flatMap((at) => [at - 1, at, at + 1]);
      for (const probe of [...probes, ...near]) {
        const at = probe >>> 0;
        assert.equal(table.lookup(at), slowLookup(parsed, around, at), formatIPv4(at));
      }
    }),
    { numRuns: process.env.SOFTNET_TEST_ALL === "1" ? 2000 : 300 },
  );
});

test("I6 what is global without rules", () => {
  const table = new DestinationTable([], nowhere);
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
  const table = new DestinationTable([], nowhere);
  for (const text of ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"]) {
    assert.equal(table.lookup(ip(text)), METADATA, text);
  }
});

test("the longest prefix decides, block on a tie, whatever the order", () => {
  const rules = parseRules(["10.0.0.0/8", "10.1.1.0/24"], ["10.1.0.0/16", "10.1.1.0/24", "10.1.1.7/32"]);
  const table = new DestinationTable(rules, nowhere);
  assert.equal(table.lookup(ip("10.2.0.1")), ALLOWED);
  assert.equal(table.lookup(ip("10.1.2.1")), BLOCKED);
  assert.equal(table.lookup(ip("10.1.1.1")), BLOCKED);
});

test("0.0.0.0/0 in --allow opens all but loopback, and a longer block still holds", () => {
  const table = new DestinationTable(parseRules(["0.0.0.0/0"], ["10.0.0.0/8"]), nowhere);
  assert.equal(table.lookup(ip("192.168.1.1")), ALLOWED);
  assert.equal(table.lookup(ip("224.0.0.251")), ALLOWED);
  assert.equal(table.lookup(ip("169.254.169.254")), ALLOWED);
  assert.equal(table.lookup(ip("10.0.0.1")), BLOCKED);
  assert.equal(table.lookup(ip("127.0.0.1")), LOOPBACK);
});

test("@host is the gateway at the moment, and nothing without one", () => {
  const rules = parseRules([], ["@host"]);
  const gateway = ip("192.168.64.1");
  assert.equal(new DestinationTable(rules, { ...nowhere, gateway }).lookup(gateway), BLOCKED);
  assert.equal(new DestinationTable(rules, nowhere).lookup(gateway), NOT_GLOBAL);
  assert.equal(new DestinationTable([], { ...nowhere, gateway }).lookup(gateway), GATEWAY);
});

test("directed broadcast of the VM's own subnet is not global even on a global subnet", () => {
  const around = { gateway: 0, address: ip("9.9.9.9"), netmask: netmaskOf(24), dnsServers: [] };
  assert.equal(new DestinationTable([], around).lookup(ip("9.9.9.255")), BROADCAST);
  const pointToPoint = { ...around, netmask: netmaskOf(31) };
  assert.equal(new DestinationTable([], pointToPoint).lookup(ip("9.9.9.9")), GLOBAL);
});

test("every entry of the registry table is a prefix without host bits", () => {
  for (const { cidr: entry } of SPECIAL_PURPOSE) {
    assert.deepEqual(parseCidr(`${formatIPv4(entry.address)}/${entry.length}`), { ...entry });
  }
});
