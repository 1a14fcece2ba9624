import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { candidates, type HostState, overlapOf, parseSubnet, widerRoute } from "../../src/host/subnet.ts";
import { type Cidr, formatCidr, lastOf, parseCidr } from "../../src/policy/rule.ts";
import { parseIPv4 } from "../../src/wire/address.ts";

const cidrs = (...texts: string[]): Cidr[] => texts.map((text) => parseCidr(text)!);
const overlaps = (a: Cidr, b: Cidr): boolean => a.address <= lastOf(b) && lastOf(a) >= b.address;
const SPACE = cidrs("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16");

function first(networks: string[], routes: string[] = [], random = 0): string | undefined {
  const state: HostState = { networks: cidrs(...networks), routes: cidrs(...routes) };
  const next = candidates(state, [], () => random).next();
  if (next.done) return undefined;
  const { subnet, inside } = next.value;
  return formatCidr(subnet) + (inside === undefined ? "" : ` inside ${formatCidr(inside)}`);
}

test("the first free subnet, and the last, and around what is taken", () => {
  assert.equal(first([]), "10.0.0.0/30");
  assert.equal(first([], [], 0.9999999999), "192.168.255.252/30");
  assert.equal(first(["10.0.0.0/24"]), "10.0.1.0/30");
  assert.equal(first(["10.0.0.1/32"]), "10.0.0.4/30");
  assert.equal(first([], ["10.0.0.4/31", "10.0.0.0/30"]), "10.0.0.8/30");
  assert.equal(first(["10.0.0.0/8"]), "172.16.0.0/30");
});

test("a route that is wider than /8 is a default route or half of one", () => {
  assert.equal(first([], ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/5"]), "10.0.0.0/30");
});

test("inside a wider route only as the last choice, and told", () => {
  assert.equal(first([], ["10.0.0.0/8"]), "172.16.0.0/30");
  assert.equal(first([], ["10.0.0.0/8", "172.16.0.0/12"]), "192.168.0.0/30");
  const all = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
  assert.equal(first([], all), "10.0.0.0/30 inside 10.0.0.0/8");
  assert.equal(first(["10.0.0.0/30"], [...all, "10.0.0.0/24"]), "10.0.0.4/30 inside 10.0.0.0/24");
  assert.equal(first(all), undefined);
});

test("addresses to avoid are not in it", () => {
  const state = { networks: [], routes: [] };
  const next = candidates(state, [parseIPv4("10.0.0.3")!], () => 0).next();
  assert.equal(formatCidr((next.value as { subnet: Cidr }).subnet), "10.0.0.4/30");
});

test("all that is free is tried, each once", () => {
  const networks = cidrs("172.16.0.0/12", "192.168.0.0/16", "10.128.0.0/9", "10.64.0.0/10", "10.32.0.0/11");
  const rest = cidrs("10.16.0.0/12", "10.8.0.0/13", "10.4.0.0/14", "10.2.0.0/15", "10.1.0.0/16", "10.0.16.0/20");
  const more = cidrs("10.0.32.0/19", "10.0.64.0/18", "10.0.128.0/17", "10.0.8.0/21");
  const state = { networks: [...networks, ...rest, ...more], routes: [] };
  const found = [...candidates(state, [], () => 0.7)].map(({ subnet }) => formatCidr(subnet));
  assert.equal(found.length, 512);
  assert.equal(new Set(found).size, 512);
});

const cidr = fc
  .tuple(fc.constantFrom(...SPACE), fc.nat(), fc.integer({ min: 9, max: 32 }))
  .map(([space, offset, length]) => {
    const size = lastOf(space) - space.address + 1;
    const address = space.address + (offset % size);
    return { address: address - (address % 2 ** (32 - length)), length };
  });

test("no candidate overlaps what is taken, all are private, and the wide route is told (property)", () => {
  fc.assert(
    fc.property(
      fc.array(cidr, { maxLength: 12 }),
      fc.array(cidr, { maxLength: 12 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (networks, routes, random) => {
        const state = { networks, routes };
        let count = 0;
        for (const { subnet, inside } of candidates(state, [], () => random)) {
          assert.equal(subnet.length, 30);
          assert.equal(subnet.address % 4, 0);
          assert.ok(SPACE.some((space) => overlaps(space, subnet)));
          assert.equal(overlapOf(subnet, state), undefined);
          for (const other of networks) assert.ok(!overlaps(other, subnet));
          assert.deepEqual(inside, widerRoute(subnet, state));
          if (++count === 20) break;
        }
      },
    ),
  );
});

test("--subnet takes four addresses that begin where a /30 begins", () => {
  assert.equal(formatCidr(parseSubnet("10.1.2.4/30")!), "10.1.2.4/30");
  for (const wrong of ["10.1.2.5/30", "10.1.2.4/29", "10.1.2.4", "127.0.0.0/30", "0.0.0.4/30", "224.0.0.0/30", "x"]) {
    assert.equal(parseSubnet(wrong), undefined, wrong);
  }
});
