/** DHCPv6 (docs/guard-ipv6.md, DHCPv6), check by check. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes } from "../support.ts";
import {
  ADVERTISE,
  advertise,
  CONFIRM,
  DECLINE,
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
  REQUEST,
  reply,
  replying,
  request,
  SOLICIT,
  solicit,
} from "./dhcpv6-support.ts";
import {
  Bench6,
  CLIENT_ID,
  clientId,
  dhcp6,
  dhcp6In,
  iaAddress,
  iaNa,
  iaPd,
  iaTa,
  LINK,
  nsDad,
  OTHER,
  OTHER_LINK,
  OTHER_SERVER_ID,
  OWN,
  option6,
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

const MINUTE10 = 600 * SECOND;

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
