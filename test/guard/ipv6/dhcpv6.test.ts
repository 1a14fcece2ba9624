/** DHCPv6 (docs/guard-ipv6.md, DHCPv6), check by check. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { bytes, join, word } from "../support.ts";
import {
  address6,
  Bench6,
  CLIENT_ID,
  clientId,
  type Dhcp6Words,
  dhcp6,
  dhcp6In,
  iaAddress,
  iaNa,
  iaPd,
  iaTa,
  LINK,
  naIn,
  nsDad,
  OTHER,
  OTHER_LINK,
  OTHER_SERVER_ID,
  OWN,
  option6,
  ROUTER,
  rapidCommit,
  SECOND,
  SERVER,
  SERVER_ID,
  serverId,
  status,
  TENTATIVE,
  tcp6,
  udp6,
} from "./support.ts";

const LEASED = "2001:db8:1::1000";
const MINUTE10 = 600 * SECOND;
const [SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const INFORMATION_REQUEST = 11;
const INFORM = 36;
const INFORM_REPLY = 37;

const solicit = (xid = 1, words: Dhcp6Words = {}): Uint8Array =>
  dhcp6(SOLICIT, [clientId(), iaNa(7)], { xid, ...words });
const advertise = (xid = 1, duid = SERVER_ID): Uint8Array =>
  dhcp6In(ADVERTISE, [clientId(), serverId(duid), iaNa(7, iaAddress(LEASED))], { xid });
const request = (xid = 2, duid = SERVER_ID): Uint8Array =>
  dhcp6(REQUEST, [clientId(), serverId(duid), iaNa(7, iaAddress(LEASED))], { xid });
const replying = (xid: number, ...options: readonly Uint8Array[]): Uint8Array =>
  dhcp6In(REPLY, [clientId(), serverId(), ...options], { xid });
const reply = (xid = 2, valid = 3600): Uint8Array => replying(xid, iaNa(7, iaAddress(LEASED, valid)));
const named = (type: number, xid: number, address = LEASED, iaid = 7, words: Dhcp6Words = {}): Uint8Array =>
  dhcp6(type, [clientId(), serverId(), iaNa(iaid, iaAddress(address))], { xid, ...words });

const leased = (options = {}): Bench6 => {
  const bench = new Bench6(options).start();
  bench.passesOut(solicit());
  bench.passesIn(advertise());
  bench.passesOut(request());
  bench.passesIn(reply());
  assert.ok(bench.addresses.includes(LEASED));
  return bench;
};

test("S5 four messages give an address, valid at once, until its lifetime is over", () => {
  const bench = leased();
  const bound = bench.bound6(LEASED)!;
  assert.equal(bound.origin, "dhcpv6");
  assert.equal(bound.expiry, bench.now + 3600 * SECOND);
  assert.deepEqual(bound.lease, { server: SERVER_ID, client: CLIENT_ID, iaid: 7 });
  bench.passesOut(tcp6({ source: LEASED }));
  bench.wait(3600 * SECOND - 1);
  bench.passesOut(tcp6({ source: LEASED }));
  bench.wait(1);
  assert.ok(!bench.addresses.includes(LEASED));
});

test("S5 an infinite lifetime, and Rapid Commit in both messages", () => {
  const bench = new Bench6().start();
  bench.passesOut(dhcp6(SOLICIT, [clientId(), iaNa(7), rapidCommit()]));
  bench.dropsIn("dhcpv6.transaction", reply(1));
  bench.passesIn(replying(1, rapidCommit(), iaNa(7, iaAddress(LEASED, 0xffffffff))));
  assert.equal(bench.bound6(LEASED)!.expiry, Number.POSITIVE_INFINITY);
  const plain = new Bench6().start();
  plain.passesOut(solicit());
  plain.dropsIn("dhcpv6.transaction", replying(1, rapidCommit(), iaNa(7, iaAddress(LEASED))));
});

test("S7 form, both ways", () => {
  const bench = new Bench6().start();
  const both = (reason: string, ...options: readonly Uint8Array[]): void => {
    bench.dropsOut(reason, dhcp6(SOLICIT, options));
    bench.dropsIn(reason, dhcp6In(REPLY, options));
  };
  both("dhcpv6.format", clientId(), clientId());
  both("dhcpv6.format", serverId(), serverId());
  both("dhcpv6.format", option6(1, bytes()));
  both("dhcpv6.format", clientId(new Uint8Array(131)));
  both("dhcpv6.format", option6(13, bytes(0)));
  both("dhcpv6.format", iaAddress(LEASED));
  both("dhcpv6.format", iaNa(1, iaNa(2)));
  both("dhcpv6.format", iaTa(1, iaPd(2)));
  both("dhcpv6.format", option6(3, new Uint8Array(11)));
  both("dhcpv6.format", option6(4, new Uint8Array(3)));
  both("dhcpv6.format", option6(25, new Uint8Array(11)));
  both("dhcpv6.format", iaNa(1, option6(5, new Uint8Array(23))));
  both("dhcpv6.format", iaNa(1, bytes(0, 13, 0, 9, 0, 0)));
  both("dhcpv6.format", iaNa(1, iaAddress(LEASED, 1, 1, bytes(0))));
  both("dhcpv6.format", bytes(0, 99, 0, 1));
  both("dhcpv6.format", bytes(0));
  both("dhcpv6.format", ...Array.from({ length: 9 }, (_, index) => iaNa(index)));
  both("dhcpv6.format", iaNa(1, ...new Array<Uint8Array>(17).fill(iaAddress(LEASED))));
  bench.dropsOut("dhcpv6.format", udp6(546, 547, bytes(1, 0, 0), { source: LINK, destination: "ff02::1:2" }));
  bench.dropsOut("dhcpv6.checksum", solicit(1, { wrong: 1 }));
  bench.dropsOut("dhcpv6.format", dhcp6(INFORM, [clientId()]), dhcp6(INFORM, [iaNa(1, iaAddress(LINK))]));
  bench.passesOut(
    dhcp6(SOLICIT, [clientId(new Uint8Array(130)), iaNa(1, ...new Array<Uint8Array>(16).fill(iaAddress(LEASED)))]),
  );
});

test("S7 a server's messages and a relay's drop from the VM", () => {
  const bench = new Bench6().start();
  for (const type of [0, ADVERTISE, REPLY, 10, 12, 13, 14, 20, INFORM_REPLY, 255]) {
    const options = type === INFORM_REPLY ? [iaAddress(LINK)] : [clientId(), serverId()];
    bench.dropsOut("dhcpv6.message-type", dhcp6(type, options));
  }
  for (const type of [SOLICIT, REQUEST, 10, 12, 13]) bench.dropsIn("dhcpv6.message-type", dhcp6In(type, [clientId()]));
});

test("S7 from a valid link-local address to all servers; by unicast only where the server replied from", () => {
  const bench = leased();
  bench.dropsOut("dhcpv6.addresses", solicit(9, { source: OWN }), solicit(9, { source: OTHER_LINK }));
  bench.dropsOut("dhcpv6.addresses", solicit(9, { destination: SERVER }), solicit(9, { destination: "ff05::1:3" }));
  bench.passesOut(named(RENEW, 10, LEASED, 7, { destination: SERVER }));
  bench.dropsOut("dhcpv6.addresses", named(RENEW, 11, LEASED, 7, { destination: OTHER_LINK }));
  bench.dropsOut(
    "dhcpv6.addresses",
    dhcp6(RENEW, [clientId(), serverId(OTHER_SERVER_ID)], { destination: SERVER, xid: 12 }),
  );
  bench.passesOut(nsDad(OTHER_LINK));
  bench.dropsOut("dhcpv6.addresses", solicit(9, { source: OTHER_LINK }));
  bench.wait(TENTATIVE);
  bench.passesOut(solicit(9, { source: OTHER_LINK }));
});

test("S7 identifiers: the client's always, the server's where one is asked", () => {
  const bench = new Bench6().start();
  bench.dropsOut("dhcpv6.identity", dhcp6(SOLICIT, [iaNa(7)]), dhcp6(REBIND, [iaNa(7)]));
  bench.passesOut(dhcp6(INFORMATION_REQUEST, [], { xid: 3 }), dhcp6(INFORMATION_REQUEST, [serverId()], { xid: 3 }));
  for (const type of [SOLICIT, CONFIRM, REBIND])
    bench.dropsOut("dhcpv6.server", dhcp6(type!, [clientId(), serverId()]));
  for (const type of [REQUEST, RENEW, RELEASE, DECLINE]) bench.dropsOut("dhcpv6.server", dhcp6(type!, [clientId()]));
  bench.dropsOut("dhcpv6.server", request());
  bench.passesOut(solicit());
  bench.passesIn(advertise());
  bench.dropsOut("dhcpv6.server", request(2, OTHER_SERVER_ID));
  bench.passesOut(request());
  bench.wait(60 * SECOND);
  bench.passesOut(request(3));
  bench.wait(1);
  bench.dropsOut("dhcpv6.server", request(4));
});

test("S7 who renews, releases or declines names the server that gave the address", () => {
  const bench = leased();
  for (const type of [RENEW, RELEASE, DECLINE]) {
    bench.dropsOut(
      "dhcpv6.server",
      dhcp6(type!, [clientId(), serverId(OTHER_SERVER_ID), iaNa(7, iaAddress(LEASED))], { xid: 9 }),
    );
  }
  // Of an address that is none of the VM's any server may say what it thinks.
  bench.passesOut(dhcp6(RENEW, [clientId(), serverId(OTHER_SERVER_ID), iaNa(7, iaAddress(OTHER))], { xid: 9 }));
});

test("S7 RELEASE and DECLINE give up the VM's own leases only, and end them", () => {
  const bench = leased();
  bench.dropsOut("dhcpv6.addresses", named(RELEASE, 9, OTHER), named(RELEASE, 9, OWN), named(RELEASE, 9, LEASED, 8));
  bench.dropsOut(
    "dhcpv6.addresses",
    dhcp6(RELEASE, [clientId(bytes(9)), serverId(), iaNa(7, iaAddress(LEASED))], { xid: 9 }),
  );
  bench.passesOut(named(RENEW, 8));
  bench.passesOut(named(RELEASE, 9));
  assert.ok(!bench.addresses.includes(LEASED));
  // What is still on its way gives nothing again.
  bench.dropsIn("dhcpv6.transaction", reply(8), reply(2));
  bench.passesIn(replying(9, status(0)));
  assert.deepEqual(bench.changes.at(-1)?.kind === "lost" && bench.changes.at(-1), {
    ...bench.changes.at(-1),
    why: "released",
  });
});

test("S12 two DECLINEs in 10 minutes", () => {
  const bench = leased();
  const again = (xid: number): void => {
    bench.passesOut(named(DECLINE, xid));
    bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7)], { xid: xid + 1 }));
    bench.passesIn(reply(xid + 1));
  };
  again(20);
  again(30);
  bench.dropsOut("dhcpv6.decline", named(DECLINE, 40));
  bench.wait(MINUTE10 - 1);
  bench.dropsOut("dhcpv6.decline", named(DECLINE, 40));
  bench.wait(1);
  again(40);
});

test("S12 eight pairs of DUID and IAID in 10 minutes", () => {
  const bench = new Bench6().start();
  const ask = (iaid: number): Uint8Array => dhcp6(SOLICIT, [clientId(), iaNa(iaid)], { xid: 1 });
  for (let iaid = 1; iaid <= 8; iaid++) bench.passesOut(ask(iaid));
  bench.dropsOut(
    "dhcpv6.identity",
    ask(9),
    dhcp6(INFORMATION_REQUEST, [clientId()]),
    dhcp6(SOLICIT, [clientId(), iaPd(9)]),
  );
  bench.passesOut(ask(1), dhcp6(SOLICIT, [clientId(), iaNa(2), iaPd(2), iaTa(3)]));
  bench.wait(MINUTE10 - 1);
  bench.dropsOut("dhcpv6.identity", ask(9));
  bench.wait(1);
  bench.passesOut(ask(9));
  // All or none: eight others do not fit while one of the known is fresh.
  bench.dropsOut(
    "dhcpv6.identity",
    dhcp6(SOLICIT, [clientId(), ...Array.from({ length: 8 }, (_, index) => iaNa(100 + index))]),
  );
  bench.passesOut(dhcp6(SOLICIT, [clientId(), ...Array.from({ length: 7 }, (_, index) => iaNa(100 + index))]));
});

test("S12 eight transactions for 60 s; an answered one gives its place", () => {
  const bench = leased();
  for (let xid = 10; xid < 17; xid++) bench.passesOut(solicit(xid));
  // Two were there, and one of them was answered.
  const open = [solicit(18)];
  bench.dropsOut("dhcpv6.pending", ...open);
  bench.wait(60 * SECOND);
  bench.dropsOut("dhcpv6.pending", ...open);
  bench.wait(1);
  bench.passesOut(...open);
});

test("S12 50 messages at once, then 10 a second", () => {
  const bench = new Bench6().start();
  for (let count = 0; count < 50; count++) bench.passesOut(solicit());
  bench.dropsOut("dhcpv6.rate", solicit());
  bench.wait(99_999);
  bench.dropsOut("dhcpv6.rate", solicit());
  bench.wait(1);
  bench.passesOut(solicit());
});

test("S7 an answer goes where its question came from, and fits it", () => {
  const bench = new Bench6().start();
  bench.passesOut(solicit());
  bench.dropsIn("dhcpv6.transaction", advertise(2), reply(2));
  const options = [clientId(), serverId()];
  bench.dropsIn("dhcpv6.addresses", dhcp6In(ADVERTISE, options, { xid: 1, destination: OWN }));
  bench.dropsIn(
    "dhcpv6.addresses",
    dhcp6In(ADVERTISE, options, { xid: 1, source: OWN }),
    dhcp6In(ADVERTISE, options, { source: "::" }),
  );
  bench.dropsIn("dhcpv6.transaction", reply(1), dhcp6In(INFORM_REPLY, [iaAddress(LINK)], { xid: 1 }));
  bench.dropsIn("dhcpv6.server", dhcp6In(ADVERTISE, [clientId()]), dhcp6In(ADVERTISE, [serverId()]));
  bench.dropsIn("dhcpv6.server", dhcp6In(ADVERTISE, [clientId(bytes(1)), serverId()]));
  bench.passesIn(advertise(), dhcp6In(ADVERTISE, options, { xid: 1, source: "2001:db8:9::1" }));
  bench.wait(60 * SECOND + 1);
  bench.dropsIn("dhcpv6.transaction", advertise());
});

test("S12 eight servers advertise in a transaction", () => {
  const bench = new Bench6().start();
  bench.passesOut(solicit());
  for (let index = 0; index < 8; index++) bench.passesIn(advertise(1, bytes(1, index)));
  bench.dropsIn("dhcpv6.pending", advertise(1, bytes(1, 8)));
  bench.passesIn(advertise(1, bytes(1, 7)));
});

test("S7 the server that was named answers, and after a REPLY the same alone, until the VM asks otherwise", () => {
  const bench = new Bench6().start();
  bench.passesOut(solicit());
  bench.passesIn(advertise(), advertise(1, OTHER_SERVER_ID));
  bench.passesOut(request());
  const other = (xid: number): Uint8Array => dhcp6In(REPLY, [clientId(), serverId(OTHER_SERVER_ID)], { xid });
  bench.dropsIn("dhcpv6.server", other(2));
  bench.passesIn(reply(), reply());
  bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7)], { xid: 5 }));
  bench.passesIn(other(5));
  bench.dropsIn("dhcpv6.server", reply(5));
  bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7)], { xid: 5 }));
  bench.dropsIn("dhcpv6.server", reply(5));
  bench.passesOut(dhcp6(CONFIRM, [clientId(), iaNa(7)], { xid: 5 }));
  bench.passesIn(reply(5));
});

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
