/** The IPv6 half of a network of the VM's own: which address exposed ports lead to, routes, servers, the MTU. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { HostHelper } from "../../../src/host/client.ts";
import { leadsOut } from "../../../src/host/host-ipv6.ts";
import { checkMtu, NatIPv6 } from "../../../src/networks/nat/nat-ipv6.ts";
import { findBothResolvers, hostResolvers6 } from "../../../src/networks/nat/resolvers.ts";
import { formatIPv6, parseIPv6 } from "../../../src/wire/ipv6-address.ts";

const PREFIX = "fd12:3456:789a:1::";
const address = (text: string): bigint => parseIPv6(text)!;

function network(t: TestContext, routes = true) {
  const told: string[] = [];
  const helper = {
    followAddress6: (one: bigint | undefined) => told.push(one === undefined ? "none" : formatIPv6(one)),
  } as unknown as HostHelper;
  const options = { prefix: `${PREFIX}/64`, routerMac: 1, vmMac: 2, mtu: 1500, routes, dnsServers: [] };
  const one = new NatIPv6(helper, options);
  t.after(() => one.advertiser.close());
  return { one, told, follow: (...list: string[]) => one.followAddresses(list.map(address)) };
}

test("exposed ports lead to one address of the VM's, and to another only when that one ends", (t) => {
  const { told, follow } = network(t);
  const [temporary, ofMac] = [`${PREFIX}aaaa`, "fd12:3456:789a:1:7c1a:ff:fe00:1"];
  follow("fe80::1234", "fd99::1");
  assert.deepEqual(told, [], "neither is in its prefix");
  follow("fe80::1234", temporary);
  follow("fe80::1234", temporary, ofMac);
  assert.deepEqual(told, [temporary], "connections stay where they are");
  follow("fe80::1234", ofMac);
  follow(ofMac, temporary);
  follow(temporary, ofMac);
  follow();
  follow();
  assert.deepEqual(told, [temporary, ofMac, "none"]);
});

test("of several addresses the one that is made of a MAC address comes first", (t) => {
  const { told, follow } = network(t);
  follow(`${PREFIX}aaaa`, "fd12:3456:789a:1:7c1a:ff:fe00:1");
  assert.deepEqual(told, ["fd12:3456:789a:1:7c1a:ff:fe00:1"]);
});

test("without a route: a notice, and an event when it comes; type host says nothing", (t) => {
  const { one } = network(t);
  assert.equal(one.follow({ present: false }), undefined);
  assert.match(one.notices[0]!, /no IPv6 default route/);
  assert.match(one.follow({ present: true })!, /has an IPv6 default route/);
  assert.deepEqual(one.notices, []);
  const host = network(t, false).one;
  host.follow({ present: false });
  assert.deepEqual(host.notices, []);
});

test("where another firewall drops its IPv6, the VM hears of no router, until that is over", (t) => {
  const { one } = network(t);
  one.close(); // as it is at the start
  one.follow({ present: true });
  assert.equal(one.advertiser.hasRoute, false, "the helper has not looked yet");
  assert.deepEqual(one.notices, [], "it is told elsewhere");
  one.follow({ present: true, closed: false });
  assert.equal(one.advertiser.hasRoute, true);
  one.follow({ present: true, closed: true });
  assert.equal(one.advertiser.hasRoute, false);
  one.follow({ present: false, closed: true });
  assert.equal(one.follow({ present: true, closed: true }), undefined, "the route alone gives it no IPv6");
});

test("what the guard is told", (t) => {
  const { router6, prefix6, hostAddresses6 } = network(t).one.known;
  assert.deepEqual([router6, prefix6, hostAddresses6], ["fe80::1", `${PREFIX}/64`, [`${PREFIX}1`]]);
});

test("a route leads to the internet when it covers all global unicast addresses", () => {
  const route = (destination: string, prefixLength: number) => ({
    link: "eth0",
    destination: address(destination),
    prefixLength,
  });
  for (const [to, length] of [
    ["::", 0],
    ["::", 1],
    ["2000::", 3],
  ] as const) {
    assert.ok(leadsOut(route(to, length)));
  }
  for (const [to, length] of [
    ["8000::", 1],
    ["2000::", 4],
    ["2001:db8::", 32],
    ["fd00::", 8],
    ["fe80::", 64],
  ] as const) {
    assert.equal(leadsOut(route(to, length)), false, `${to}/${length}`);
  }
});

const files = (all: Readonly<Record<string, string>>) => (path: string) => all[path] ?? "";
const text = (servers: readonly bigint[]): string => servers.map(formatIPv6).join();

test("IPv6 servers of the host's: global or unique local ones, also behind systemd-resolved", () => {
  const direct =
    "nameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver 2620:fe::fe\nnameserver ::1\nnameserver fd12::53\n";
  assert.equal(text(hostResolvers6(files({ "/etc/resolv.conf": direct }))), "2620:fe::fe,fd12::53");
  const stub = {
    "/etc/resolv.conf": "nameserver 127.0.0.53\n",
    "/run/systemd/resolve/resolv.conf": "nameserver 192.0.2.1\nnameserver 2620:fe::9\n",
  };
  assert.equal(text(hostResolvers6(files(stub))), "2620:fe::9");
  assert.equal(text(hostResolvers6(files({ "/etc/resolv.conf": "nameserver 192.0.2.1\n" }))), "");
});

test("--dns with servers of both families; a host with IPv6 servers only", () => {
  const both = findBothResolvers("9.9.9.9, 2620:fe::fe");
  assert.deepEqual([both.ipv4.length, text(both.ipv6)], [1, "2620:fe::fe"]);
  assert.deepEqual(findBothResolvers("2620:fe::fe").ipv4, []);
  for (const wrong of ["fe80::1", "::1", "ff02::1", "::ffff:9.9.9.9"]) {
    assert.throws(() => findBothResolvers(wrong), /is not an address that a VM can reach/);
  }
  assert.throws(() => findBothResolvers("9.9.9.9,nine"), /--dns "nine"/);
  const only = findBothResolvers(undefined, files({ "/etc/resolv.conf": "nameserver 2620:fe::fe\n" }));
  assert.deepEqual([only.ipv4, text(only.ipv6)], [[], "2620:fe::fe"]);
  assert.throws(() => findBothResolvers(undefined, files({})), /cannot be reached/);
});

test("an MTU that IPv6 does not fit in is one line with the remedy", () => {
  checkMtu(1280);
  assert.throws(
    () => checkMtu(1279),
    /^UserError: --mtu 1279: IPv6 needs 1280 or more; give a larger one, or leave --ipv6 out$/,
  );
});
