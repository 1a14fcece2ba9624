/** DHCP from a hostile VM: starvation, floods, DECLINE and RELEASE (threat rows D1–D6). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bound, identified, OTHER, rogue, server, unchecked } from "./dhcp-support.ts";
import {
  ADDRESS,
  address,
  arpProbe,
  Bench,
  bytes,
  Client,
  DECLINE,
  DISCOVER,
  dhcp,
  GATEWAY,
  HOUR,
  join,
  MESSAGE,
  MINUTE,
  mac,
  NEIGHBOUR,
  NOBODY,
  OTHER_MAC,
  patch,
  SECOND,
  tcp,
  UNANSWERED,
} from "./support.ts";

/* Starvation */

test("D1 a DISCOVER for another hardware address drops, also where one bit differs", () => {
  const bench = new Bench();
  bench.dropsOut("dhcp.hardware-address", new Client().discover({ chaddr: OTHER_MAC }));
  for (let bit = 0; bit < 48; bit++) {
    const at = MESSAGE + 28 + (bit >>> 3);
    const frame = unchecked(new Client().discover());
    bench.dropsOut("dhcp.hardware-address", patch(frame, at, frame[at]! ^ (1 << (bit & 7))));
  }
});

test("D1 what pads the hardware address is ignored", () => {
  const bench = new Bench();
  bench.passesOut(patch(unchecked(new Client().discover()), MESSAGE + 34, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
});

test("D2 four client identifiers pass, a fifth drops for 10 minutes, to the microsecond", () => {
  const bench = new Bench();
  for (let identifier = 0; identifier < 4; identifier++) {
    bench.passesOut(identified(identifier).discover());
    bench.wait(MINUTE);
  }
  bench.dropsOut("dhcp.client-identifier", identified(4).discover(), new Client({ xid: 9 }).discover());
  bench.wait(6 * MINUTE - 1);
  bench.dropsOut("dhcp.client-identifier", identified(4).discover());
  bench.wait(1);
  bench.passesOut(identified(4).discover());
  bench.dropsOut("dhcp.client-identifier", identified(0).discover(), identified(5).discover());
  bench.passesOut(identified(1).discover(), identified(2).discover(), identified(3).discover());
});

test("D2 the identifier used longest ago makes room; every message that passes is a use", () => {
  const bench = new Bench();
  for (let identifier = 0; identifier < 4; identifier++) {
    bench.passesOut(identified(identifier).discover());
    bench.wait(SECOND);
  }
  bench.wait(9 * MINUTE);
  bench.passesOut(identified(0, 77).discover());
  bench.wait(57 * SECOND);
  bench.passesOut(identified(4).discover());
  bench.dropsOut("dhcp.client-identifier", identified(1).discover(), identified(5).discover());
  bench.passesOut(identified(0).discover(), identified(2).discover(), identified(3).discover());
});

test("D2 no identifier at all and an empty one are the same one of the four", () => {
  const bench = new Bench();
  for (let identifier = 0; identifier < 3; identifier++) bench.passesOut(identified(identifier).discover());
  bench.passesOut(new Client({ xid: 1 }).discover(), new Client({ xid: 2, identifier: bytes() }).discover());
  bench.dropsOut("dhcp.client-identifier", identified(3).discover());
});

test("D2 identifiers are told apart by every byte and by length, not by how they are cut (RFC 3396)", () => {
  const long = (last: number) => join(new Uint8Array(199).fill(7), bytes(last));
  const bench = new Bench();
  bench.passesOut(
    new Client({ xid: 1, identifier: long(0) }).discover(),
    new Client({ xid: 2, identifier: long(1) }).discover(),
  );
  bench.passesOut(new Client({ xid: 3, identifier: long(0).subarray(0, 199) }).discover());
  bench.passesOut(new Client({ xid: 4, identifier: bytes(7) }).discover());
  bench.dropsOut("dhcp.client-identifier", new Client({ xid: 5, identifier: long(2) }).discover());
  const parts = dhcp({
    type: DISCOVER,
    xid: 6,
    options: [
      [61, long(0).subarray(0, 100)],
      [12, bytes(65)],
      [61, long(0).subarray(100)],
    ],
  });
  bench.passesOut(parts);
});

test("D2 a message that drops for another reason takes no place among the identifiers", () => {
  const bench = new Bench();
  for (let identifier = 0; identifier < 20; identifier++) {
    bench.dropsOut("dhcp.server", identified(identifier).select(ADDRESS, GATEWAY));
    bench.dropsOut("dhcp.hardware-address", identified(identifier).discover({ chaddr: OTHER_MAC }));
  }
  for (let identifier = 20; identifier < 24; identifier++) bench.passesOut(identified(identifier).discover());
});

test("D2 an INIT-REBOOT and an INFORM cannot smuggle a fifth identifier in either", () => {
  const bench = bound();
  for (let identifier = 1; identifier < 4; identifier++) bench.passesOut(identified(identifier).reboot(ADDRESS));
  bench.dropsOut(
    "dhcp.client-identifier",
    identified(5).reboot(ADDRESS),
    identified(5).inform(ADDRESS),
    identified(5).renew(ADDRESS, GATEWAY),
    identified(5).rebind(ADDRESS),
  );
});

test("D3 50 DHCP messages pass at once, then 10 a second, to the microsecond", () => {
  const bench = bound();
  bench.wait(10 * SECOND);
  const client = new Client({ xid: 2 });
  for (let message = 0; message < 25; message++) bench.passesOut(client.discover(), client.inform(ADDRESS));
  bench.dropsOut(
    "dhcp.rate",
    client.discover(),
    client.inform(ADDRESS),
    client.rebind(ADDRESS),
    client.reboot(ADDRESS),
  );
  for (let message = 0; message < 20; message++) {
    bench.wait(99_999);
    bench.dropsOut("dhcp.rate", client.discover());
    bench.wait(1);
    bench.passesOut(client.discover());
    bench.dropsOut("dhcp.rate", client.discover());
  }
  bench.wait(HOUR - MINUTE);
  bench.assertOnline();
});

test("D3 a flood of messages that drop anyway costs an honest client in the same VM nothing", () => {
  const bench = new Bench();
  for (let message = 0; message < 1000; message++) {
    bench.dropsOut("dhcp.hardware-address", new Client().discover({ chaddr: OTHER_MAC }));
    bench.dropsOut("dhcp.decline", new Client().decline(NEIGHBOUR, GATEWAY));
  }
  const client = new Client();
  let passed = 0;
  while (bench.out(client.discover()) === "pass") passed++;
  assert.equal(passed, 50);
});

test("D3 replies take nothing from the bucket", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  for (let message = 0; message < 500; message++) bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
});

/* DECLINE and RELEASE */

test("D4 a DECLINE passes only for an address offered or acknowledged just now, naming its server", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  bench.dropsOut("dhcp.decline", client.decline(ADDRESS, GATEWAY));
  bench.passesIn(server.offer(client, ADDRESS), rogue.offer(client, OTHER));
  bench.dropsOut("dhcp.decline", client.decline(NEIGHBOUR, GATEWAY), client.decline(OTHER, GATEWAY));
  bench.dropsOut("dhcp.decline", client.decline(ADDRESS, rogue.address));
  bench.dropsOut("dhcp.decline", dhcp({ type: DECLINE, options: [[50, address(ADDRESS)]] }));
  bench.dropsOut("dhcp.decline", dhcp({ type: DECLINE, options: [[54, address(GATEWAY)]] }));
  bench.passesOut(new Client({ xid: 99 }).decline(ADDRESS, GATEWAY));
  bench.dropsOut("dhcp.decline", client.decline(ADDRESS, GATEWAY));
  bench.dropsOut("arp.probe", arpProbe(ADDRESS));
});

test("D4 a DECLINE may come 60 s after the offer or the ACK, and not 1 µs later", () => {
  for (const late of [0, 1]) {
    const bench = bound();
    bench.wait(MINUTE + late);
    assert.equal(bench.out(new Client({ xid: 2 }).decline(ADDRESS, GATEWAY)), late === 0 ? "pass" : "dhcp.decline");
    assert.equal(bench.bound, late === 0 ? undefined : ADDRESS);
  }
});

test("D4 two DECLINEs pass in 10 minutes, a third drops", () => {
  const bench = new Bench();
  const decline = (third: boolean) => {
    const client = new Client();
    bench.passesOut(client.discover());
    bench.passesIn(server.offer(client, ADDRESS));
    return assert.equal(bench.out(client.decline(ADDRESS, GATEWAY)), third ? "dhcp.decline" : "pass");
  };
  decline(false);
  bench.wait(MINUTE);
  decline(false);
  decline(true);
  bench.wait(9 * MINUTE - 1);
  decline(true);
  bench.wait(1);
  decline(false);
  decline(true);
});

test("D4 a DECLINE goes from 0.0.0.0 to everyone, with ciaddr 0 and an identifier that was used", () => {
  const bench = bound();
  const client = new Client();
  bench.dropsOut("dhcp.addresses", client.decline(ADDRESS, GATEWAY, { source: ADDRESS }));
  bench.dropsOut("dhcp.addresses", client.decline(ADDRESS, GATEWAY, { destination: GATEWAY }));
  bench.dropsOut("dhcp.addresses", client.decline(ADDRESS, GATEWAY, { source: ADDRESS, destination: GATEWAY }));
  bench.dropsOut("dhcp.client-address", client.decline(ADDRESS, GATEWAY, { ciaddr: ADDRESS }));
  bench.dropsOut("dhcp.client-identifier", identified(5).decline(ADDRESS, GATEWAY));
  bench.assertOnline();
  bench.passesOut(client.decline(ADDRESS, GATEWAY));
  bench.assertOffline();
});

test("D5 a RELEASE passes only from the bound address, with ciaddr the same, to the server and naming it", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.dropsOut("dhcp.client-address", client.release(ADDRESS, GATEWAY, { ciaddr: NEIGHBOUR }));
  bench.dropsOut("dhcp.client-address", client.release(ADDRESS, GATEWAY, { ciaddr: NOBODY }));
  bench.dropsOut("dhcp.client-address", client.release(NEIGHBOUR, GATEWAY));
  bench.dropsOut("dhcp.addresses", client.release(ADDRESS, GATEWAY, { source: NEIGHBOUR }));
  bench.dropsOut("dhcp.addresses", client.release(ADDRESS, GATEWAY, { source: NOBODY }));
  bench.dropsOut("dhcp.addresses", client.release(ADDRESS, NEIGHBOUR));
  bench.dropsOut("dhcp.server", client.release(ADDRESS, NEIGHBOUR, { destination: GATEWAY }));
  bench.dropsOut("dhcp.server", dhcp({ type: 7, source: ADDRESS, ciaddr: ADDRESS, destination: GATEWAY }));
  bench.assertOnline();
});

test("D5 a RELEASE under another VM's identity drops: only an identifier that this VM used", () => {
  const bench = bound();
  bench.dropsOut("dhcp.client-identifier", identified(1).release(ADDRESS, GATEWAY));
  bench.dropsOut(
    "dhcp.client-identifier",
    new Client({ identifier: join(bytes(1), mac(OTHER_MAC)) }).release(ADDRESS, GATEWAY),
  );
  bench.dropsOut("dhcp.hardware-address", new Client().release(ADDRESS, GATEWAY, { chaddr: OTHER_MAC }));
  bench.assertOnline();
});

test("D5 a RELEASE ends the binding at once; a second one drops", () => {
  const bench = bound();
  bench.passesOut(new Client({ xid: 2 }).release(ADDRESS, GATEWAY));
  bench.assertOffline();
  bench.dropsOut("dhcp.client-address", new Client({ xid: 3 }).release(ADDRESS, GATEWAY));
  assert.deepEqual(bench.changes.at(-1)?.kind, "lost");
});

test("D5 after a RELEASE or a DECLINE no answer still on its way binds the address again", () => {
  for (const end of ["release", "decline"] as const) {
    const bench = bound();
    const [renews, reboots, discovers] = [2, 3, 4].map((xid) => new Client({ xid })) as [Client, Client, Client];
    bench.passesOut(renews.renew(ADDRESS, GATEWAY), reboots.reboot(ADDRESS), discovers.discover());
    bench.passesIn(server.offer(discovers, OTHER));
    bench.wait(UNANSWERED);
    bench.passesOut(
      end === "release" ? new Client().release(ADDRESS, GATEWAY) : new Client().decline(ADDRESS, GATEWAY),
    );
    bench.dropsIn(
      "dhcp.transaction",
      server.ack(renews, ADDRESS),
      server.ack(reboots, ADDRESS),
      server.offer(discovers, OTHER),
    );
    bench.dropsOut("dhcp.server", discovers.select(OTHER, GATEWAY));
    bench.assertOffline();
    bench.bind(OTHER, new Client({ xid: 5 }));
    bench.assertOnline(OTHER);
  }
});

test("D5 a VM without an address can release none", () => {
  const bench = new Bench();
  bench.passesOut(new Client().discover());
  bench.dropsOut("dhcp.client-address", new Client().release(ADDRESS, GATEWAY));
  bench.dropsOut("dhcp.addresses", new Client().release(NOBODY, GATEWAY));
});

/* What teaches, and what does not */

test("D6 D22 the binding ends with the last microsecond of its lease, and nothing passes from it after", () => {
  const bench = bound(600);
  bench.wait(600 * SECOND - 1);
  bench.passesOut(tcp(443));
  bench.wait(1);
  bench.assertOffline();
  assert.deepEqual(bench.changes.at(-1), { kind: "lost", bound: bench.changes[0]!.bound, why: "expired" });
});
