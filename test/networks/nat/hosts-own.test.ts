/** Subnets that an ordinary user may not choose by himself: what is the host's in them, each case by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  gatewaysOf,
  type HostsOwn,
  hostsOwnIn,
  knownAddresses,
  tunnelsOf,
} from "../../../src/networks/nat/hosts-own.ts";
import { type Cidr, formatCidr, lastOf, parseCidr } from "../../../src/policy/rule.ts";
import { formatIPv4, parseIPv4 } from "../../../src/wire/address.ts";

const cidrs = (...texts: readonly string[]): Cidr[] => texts.map((text) => parseCidr(text)!);
const NOTHING: HostsOwn = { networks: [], routes: [], gateways: [], resolvers: [], tunnels: [] };
const why = (subnet: string, host: Partial<HostsOwn> = {}): string | undefined =>
  hostsOwnIn(parseCidr(subnet)!, { ...NOTHING, ...host });

test("a private subnet with nothing of the host's in it", () => {
  const routes = cidrs("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.9.1.0/24");
  for (const subnet of ["10.0.0.0/30", "10.9.0.252/30", "172.31.255.252/30", "192.168.7.4/30"]) {
    assert.equal(
      why(subnet, { routes, networks: cidrs("10.9.2.0/24"), resolvers: [parseIPv4("10.9.0.1")!] }),
      undefined,
    );
  }
});

test("what is not private, or is the host's", () => {
  for (const subnet of [
    "8.8.8.8/30",
    "100.64.0.0/30",
    "169.254.1.0/30",
    "172.32.0.0/30",
    "192.169.0.0/30",
    "11.0.0.0/30",
  ]) {
    assert.equal(why(subnet), "is not private (RFC 1918)", subnet);
  }
  const subnet = "10.9.0.4/30";
  for (const text of ["10.9.0.0/24", "10.9.0.5/32", "10.0.0.0/8", "10.9.0.4/30", "10.9.0.6/31"]) {
    const told = `overlaps ${text}, which this host has an address in or a route to`;
    assert.equal(why(subnet, { networks: cidrs(text) }), told);
    assert.equal(why(subnet, { routes: cidrs("0.0.0.0/0", text) }), told);
    assert.equal(why(subnet, { tunnels: cidrs(text) }), told);
  }
  assert.match(why(subnet, { routes: cidrs("8.0.0.0/5") })!, /^overlaps 8\.0\.0\.0\/5/);
  for (const text of ["10.9.0.4", "10.9.0.7"]) {
    const address = [parseIPv4(text)!];
    assert.equal(why(subnet, { resolvers: address }), `contains ${text}, a DNS server of this host's`);
    assert.equal(why(subnet, { gateways: address }), `contains ${text}, a gateway of this host's`);
  }
});

test("whatever the host has: a subnet that is granted has no address of it", () => {
  const address = fc.integer({ min: 0x0a090000, max: 0x0a0900ff });
  const cidr = fc
    .tuple(address, fc.integer({ min: 20, max: 32 }))
    .map(([from, length]) => parseCidr(`${formatIPv4(from)}/${length}`)!);
  const host = fc.record({
    networks: fc.array(cidr, { maxLength: 2 }),
    routes: fc.array(cidr, { maxLength: 2 }),
    tunnels: fc.array(cidr, { maxLength: 2 }),
    gateways: fc.array(address, { maxLength: 2 }),
    resolvers: fc.array(address, { maxLength: 2 }),
  });
  fc.assert(
    fc.property(host, address, (own, from) => {
      const subnet = parseCidr(`${formatIPv4(from)}/30`)!;
      const all = Array.from({ length: 4 }, (_, index) => subnet.address + index);
      const taken = all.some(
        (each) =>
          [...own.networks, ...own.routes, ...own.tunnels].some((one) => one.address <= each && each <= lastOf(one)) ||
          [...own.gateways, ...own.resolvers].includes(each),
      );
      assert.equal(hostsOwnIn(subnet, own) !== undefined, taken, formatCidr(subnet));
    }),
  );
});

test("gateways as ip tells them: one, several, of the other family, none", () => {
  const routes = [
    { gateway: "10.0.0.1" },
    { nexthops: [{ gateway: "10.0.0.2" }, { via: { host: "10.0.0.3" } }] },
    { via: { host: "fe80::1" } },
    {},
  ];
  assert.deepEqual(gatewaysOf(routes).map(formatIPv4), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
  assert.deepEqual(knownAddresses({ ...NOTHING, gateways: [1, 2], resolvers: [2, 3] }), [1, 2, 3]);
});

test("IPsec policies as ip tells them", () => {
  const text = `src 10.1.0.0/16 dst 10.2.0.0/16
\tdir out priority 375423 ptype main
\ttmpl src 192.0.2.1 dst 192.0.2.2
\t\tproto esp reqid 1 mode tunnel
src ::/0 dst ::/0
\tsocket in priority 0 ptype main
src 0.0.0.0/0 dst 0.0.0.0/0
\tsocket out priority 0 ptype main
`;
  assert.deepEqual(tunnelsOf(text).map(formatCidr), ["10.1.0.0/16", "10.2.0.0/16"]);
});
