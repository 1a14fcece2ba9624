/** What a REPLY gives and takes (docs/guard-ipv6.md, DHCPv6, To the VM). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { bytes, join, word } from "../support.ts";
import {
  INFORM,
  INFORM_REPLY,
  INFORMATION_REQUEST,
  LEASED,
  leased,
  named,
  REBIND,
  RELEASE,
  RENEW,
  REPLY,
  reply,
  replying,
} from "./dhcpv6-support.ts";
import {
  address6,
  Bench6,
  clientId,
  dhcp6,
  dhcp6In,
  iaAddress,
  iaNa,
  iaTa,
  LINK,
  naIn,
  nsDad,
  OTHER,
  OWN,
  option6,
  ROUTER,
  SECOND,
  serverId,
  status,
  udp6,
} from "./support.ts";

test("S7 what a REPLY may give: asked for, preferred no longer than valid, global or unique local, none that embeds IPv4", () => {
  const bench = new Bench6({ hostAddresses6: ["2001:db8:1::1"] }).start();
  const drops = (...options: readonly Uint8Array[]): void => {
    bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7), iaTa(8)], { xid: 5 }));
    bench.dropsIn("dhcpv6.assigned-address", replying(5, ...options));
    bench.wait(SECOND);
  };
  drops(iaNa(8, iaAddress(LEASED)));
  drops(iaTa(7, iaAddress(LEASED)));
  drops(iaNa(7, iaAddress(LEASED, 100, 101)));
  for (const address of [
    "fe80::5",
    "ff02::5",
    "::5",
    "64:ff9b::1.2.3.4",
    "2002:102:304::5",
    "2001::5",
    "2001:db8:1::1",
    "4000::1",
  ]) {
    drops(iaNa(7, iaAddress(address)));
  }
  // Nothing is taken where one cannot be.
  drops(iaNa(7, iaAddress(LEASED), iaAddress(ROUTER)));
  assert.ok(!bench.addresses.includes(LEASED));
  bench.passesIn(replying(5, iaNa(7, iaAddress(LEASED)), iaTa(8, iaAddress("fd00::5"))));
  assert.ok(bench.addresses.includes(LEASED) && bench.addresses.includes("fd00::5"));
});

test("S5 a status other than success, of the message, an association or an address, gives nothing", () => {
  const bench = new Bench6().start();
  for (const options of [
    [status(1), iaNa(7, iaAddress(LEASED))],
    [status(0), status(2), iaNa(7, iaAddress(LEASED))],
    [iaNa(7, status(2), iaAddress(LEASED))],
    [iaNa(7, iaAddress(LEASED, 100, 100, status(4)))],
  ]) {
    bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7)], { xid: 5 }));
    bench.passesIn(replying(5, ...options));
    assert.ok(!bench.addresses.includes(LEASED));
  }
  bench.passesIn(replying(5, status(0), iaNa(7, status(0), iaAddress(LEASED, 100, 100, status(0)))));
  assert.ok(bench.addresses.includes(LEASED));
});

test("S5 a lifetime of 0 takes the address back, in its own association", () => {
  const bench = leased();
  bench.passesOut(named(RENEW, 9), named(RENEW, 10, LEASED, 8));
  bench.passesIn(replying(10, iaNa(8, iaAddress(LEASED, 0))));
  assert.ok(bench.addresses.includes(LEASED));
  bench.passesIn(reply(9, 0));
  assert.ok(!bench.addresses.includes(LEASED));
  bench.passesOut(named(RENEW, 11));
  bench.passesIn(replying(11, iaNa(7, iaAddress(OWN, 0))));
  assert.ok(bench.addresses.includes(OWN));
});

test("S5 an address of SLAAC that a REPLY gives is DHCPv6's from then on; a renewal moves its end", () => {
  const bench = leased();
  bench.passesOut(nsDad(OTHER), named(RENEW, 9));
  bench.passesIn(replying(9, iaNa(7, iaAddress(LEASED, 100), iaAddress(OWN, 100), iaAddress(OTHER, 100))));
  for (const address of [LEASED, OWN, OTHER]) {
    assert.equal(bench.bound6(address)!.origin, "dhcpv6");
    assert.equal(bench.bound6(address)!.expiry, bench.now + 100 * SECOND);
  }
  assert.deepEqual(
    bench.changes.slice(-3).map(({ kind }) => kind),
    ["renewed", "renewed", "learned"],
  );
  bench.passesIn(naIn({ target: OTHER }));
  assert.ok(bench.addresses.includes(OTHER));
});

test("S11 sixteen leases; DHCPv6 takes SLAAC's places, and SLAAC none of its", () => {
  const bench = new Bench6().start();
  const many = (count: number, from = 0): readonly Uint8Array[] =>
    Array.from({ length: count }, (_, index) => iaAddress(`2001:db8:1::${(0x2000 + from + index).toString(16)}`));
  bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7)], { xid: 5 }));
  bench.passesIn(replying(5, iaNa(7, ...many(15))));
  assert.ok(bench.addresses.includes(OWN));
  bench.dropsIn("dhcpv6.pending", replying(5, iaNa(7, ...many(2, 15))));
  bench.passesIn(replying(5, iaNa(7, ...many(1, 15))));
  assert.ok(!bench.addresses.includes(OWN));
  bench.dropsOut("nd.address-full", nsDad(OWN));
  bench.dropsIn("dhcpv6.pending", replying(5, iaNa(7, ...many(1, 16))));
  bench.passesIn(replying(5, iaNa(7, ...many(16))));
});

test("S5 an address that another VM of this host holds is not learned; one that the VM has is not asked about again", () => {
  const asked: bigint[] = [];
  const heldElsewhere6 = (address: bigint): boolean => {
    asked.push(address);
    return address === parseIPv6(OTHER);
  };
  const bench = leased({ heldElsewhere6 });
  bench.passesOut(named(RENEW, 9));
  asked.length = 0;
  bench.dropsIn("dhcpv6.address-held", replying(9, iaNa(7, iaAddress(LEASED), iaAddress(OTHER))));
  assert.deepEqual(asked, [parseIPv6(OTHER)]);
  bench.passesIn(reply(9));
  assert.equal(asked.length, 1);
});

test("S5 with a static address a REPLY gives that one or none, and it stays static", () => {
  const bench = new Bench6({ address6: OWN });
  bench.detect(LINK);
  bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7)], { xid: 5 }));
  bench.dropsIn("dhcpv6.assigned-address", reply(5));
  bench.passesIn(replying(5, iaNa(7, iaAddress(OWN, 100))));
  assert.equal(bench.bound6(OWN)!.origin, "static");
  bench.dropsOut("dhcpv6.addresses", named(RELEASE, 6, OWN));
  bench.wait(100 * SECOND);
  assert.ok(bench.addresses.includes(OWN));
});

test("S7 an address is registered from itself (RFC 9686), which teaches nothing", () => {
  const bench = new Bench6().start();
  const inform = (source: string, address = source): Uint8Array =>
    dhcp6(INFORM, [clientId(), iaAddress(address)], { xid: 5, source });
  bench.passesOut(inform(OWN));
  bench.dropsOut("dhcpv6.addresses", inform(OWN, OTHER), inform(OTHER));
  const before = bench.changes.length;
  bench.dropsIn("dhcpv6.addresses", dhcp6In(INFORM_REPLY, [clientId(), iaAddress(OWN)], { xid: 5 }));
  bench.dropsIn("dhcpv6.transaction", dhcp6In(REPLY, [clientId(), serverId()], { xid: 5, destination: OWN }));
  bench.passesIn(dhcp6In(INFORM_REPLY, [clientId(), iaAddress(OWN)], { xid: 5, destination: OWN }));
  assert.equal(bench.changes.length, before);
});

test("I6 DNS servers of a REPLY: the first option's, open on port 53; the next REPLY's take their place", () => {
  const bench = new Bench6().start();
  const ask = (to: string): Uint8Array => udp6(40_000, 53, bytes(1), { destination: to });
  const dns = (...servers: readonly string[]): Uint8Array => option6(23, address6(...servers));
  bench.passesOut(dhcp6(INFORMATION_REQUEST, [clientId()], { xid: 5 }));
  bench.passesIn(replying(5, dns("ff02::1", "::", "fd00::53", "fd00::54"), dns("fd00::55")));
  bench.passesOut(ask("fd00::53"), ask("fd00::54"));
  bench.dropsOut("policy.destination", ask("fd00::55"));
  bench.passesIn(replying(5), replying(5, dns("ff02::1")));
  bench.passesOut(ask("fd00::53"));
  bench.passesIn(replying(5, option6(23, join(address6("fd00::55"), word(0)))));
  bench.passesOut(ask("fd00::55"));
  bench.dropsOut("policy.destination", ask("fd00::53"));
});
