/** DHCP as an attacker would have it (threat rows D1–D13, D18–D22, D24–D27, D29, D30). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIPv4 } from "../../src/wire/address.ts";
import {
  ACK,
  ADDRESS,
  address,
  arpProbe,
  Bench,
  bytes,
  Client,
  DECLINE,
  DISCOVER,
  DNS_SERVER,
  dhcp,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  HOUR,
  hex,
  icmp,
  join,
  MESSAGE,
  MINUTE,
  mac,
  NAK,
  NEIGHBOUR,
  NOBODY,
  OFFER,
  OTHER_MAC,
  patch,
  REQUEST,
  SECOND,
  Server,
  tcp,
  udp,
  VM,
  word,
} from "./support.ts";

const OTHER = "192.168.64.6";
const server = new Server();
const rogue = new Server({ address: "192.168.64.66", mac: OTHER_MAC, router: "192.168.64.66", dns: ["192.168.64.66"] });

function bound(lease = 3600): Bench {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client(), new Server({ lease }));
  return bench;
}

const identified = (identifier: number, xid = 1000 + identifier) =>
  new Client({ xid, identifier: bytes(0, identifier >>> 8, identifier & 255) });

/** Sets the checksum of a UDP frame to "not computed", so that bytes behind can be changed at will. */
const unchecked = (frame: Uint8Array) => patch(frame, 40, 0, 0);

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
  bench.dropsOut("dhcp.addresses", client.release(ADDRESS, GATEWAY, { destination: EVERYONE }));
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
  assert.deepEqual(bench.changes.at(-1), { kind: "lost", binding: bench.changes[0]!.binding, why: "expired" });
});

test("D7 a reply to another transaction teaches nothing", () => {
  const bench = new Bench();
  const client = new Client({ xid: 1 });
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.transaction", server.ack(client, ADDRESS, { xid: 2 }), server.offer(client, ADDRESS, { xid: 2 }));
  bench.dropsIn("dhcp.transaction", server.nak(client, { xid: 2 }), server.ackInform(client, ADDRESS, { xid: 2 }));
  bench.dropsIn("dhcp.transaction", server.ack(client, ADDRESS, { xid: 0x01000000 }));
  bench.assertOffline();
  bench.passesIn(server.ack(client, ADDRESS));
  bench.assertOnline();
});

test("D7 a reply for another hardware address teaches nothing, whoever it is sent to", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  for (const to of [VM, EVERYONE_MAC])
    bench.dropsIn("dhcp.other-client", server.ack(client, ADDRESS, { chaddr: OTHER_MAC, to }));
  bench.assertOffline();
});

test("D7 an unasked reply teaches nothing: a VM that sent no DHCP gets no address from another's doing", () => {
  const bench = new Bench();
  for (const frame of [
    server.ack(new Client(), ADDRESS),
    server.offer(new Client(), ADDRESS),
    server.nak(new Client()),
  ]) {
    bench.dropsIn("dhcp.transaction", frame);
  }
  bench.assertOffline();
});

test("D7 a transaction lives 60 s after the VM's last message in it, and not 1 µs longer", () => {
  for (const late of [0, 1]) {
    const bench = new Bench();
    const client = new Client();
    bench.passesOut(client.discover());
    bench.wait(MINUTE);
    bench.passesIn(server.offer(client, ADDRESS));
    bench.passesOut(client.select(ADDRESS, GATEWAY));
    bench.wait(MINUTE + late);
    assert.equal(bench.in(server.ack(client, ADDRESS)), late === 0 ? "pass" : "dhcp.transaction");
    assert.equal(bench.bound, late === 0 ? ADDRESS : undefined);
  }
});

test("D7 replies do not keep a transaction alive", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  for (let second = 0; second < 60; second++) {
    bench.passesIn(server.offer(client, ADDRESS));
    bench.wait(SECOND);
  }
  bench.wait(1);
  bench.dropsIn("dhcp.transaction", server.offer(client, ADDRESS));
  bench.dropsOut("dhcp.server", client.select(ADDRESS, GATEWAY));
});

test("D8 the ACK of an INFORM teaches nothing, whatever address and lease it carries", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.inform(ADDRESS));
  const before = bench.guard.binding;
  bench.passesIn(
    server.ackInform(client, ADDRESS),
    server.ackInform(client, ADDRESS, { yiaddr: NEIGHBOUR }),
    server.ack(client, NEIGHBOUR),
    new Server({ lease: 86_400, dns: ["10.0.0.1"], router: "10.0.0.2" }).ack(client, NEIGHBOUR),
  );
  assert.deepEqual(bench.guard.binding, before);
  bench.dropsIn("dhcp.server", rogue.ackInform(client, ADDRESS));
  assert.equal(bench.changes.length, 1);
});

test("D8 an ACK without a lease time, or with yiaddr 0, neither makes nor moves a binding", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.reboot(NEIGHBOUR));
  bench.dropsIn("dhcp.lease-time", server.ackInform(client, ADDRESS, { yiaddr: NEIGHBOUR, destination: NEIGHBOUR }));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, NOBODY, { destination: EVERYONE }));
  bench.assertOnline();
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.lease-time", server.ackInform(client, ADDRESS, { yiaddr: ADDRESS }));
  assert.equal(bench.changes.length, 1);
});

test("D9 the VM steers no reply elsewhere: hops, giaddr and a foreign ciaddr drop", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.dropsOut(
    "dhcp.relay",
    client.discover({ giaddr: NEIGHBOUR }),
    client.discover({ hops: 1 }),
    client.discover({ hops: 255 }),
  );
  bench.dropsOut(
    "dhcp.relay",
    client.renew(ADDRESS, GATEWAY, { giaddr: ADDRESS }),
    client.inform(ADDRESS, { giaddr: GATEWAY }),
  );
  bench.dropsOut(
    "dhcp.client-address",
    client.discover({ ciaddr: NEIGHBOUR }),
    client.reboot(ADDRESS, { ciaddr: NEIGHBOUR }),
  );
  bench.dropsOut(
    "dhcp.client-address",
    client.inform(ADDRESS, { ciaddr: NEIGHBOUR }),
    client.inform(ADDRESS, { ciaddr: NOBODY }),
  );
  bench.dropsOut(
    "dhcp.client-address",
    client.renew(ADDRESS, GATEWAY, { ciaddr: NOBODY }),
    client.rebind(ADDRESS, { ciaddr: NOBODY }),
  );
  bench.dropsOut("dhcp.client-address", client.reboot(ADDRESS, { ciaddr: ADDRESS }));
  bench.dropsOut("dhcp.client-address", client.select(ADDRESS, GATEWAY, { ciaddr: ADDRESS }));
});

test("D9 a DISCOVER may carry the address of the last binding in ciaddr, however it ended, and nobody else's", () => {
  for (const end of ["expired", "released", "declined", "refused"] as const) {
    const bench = bound(120);
    const client = new Client({ xid: 2 });
    if (end === "expired") bench.wait(2 * MINUTE);
    if (end === "released") bench.passesOut(client.release(ADDRESS, GATEWAY));
    if (end === "declined") bench.passesOut(client.decline(ADDRESS, GATEWAY));
    if (end === "refused") bench.passesOut(client.renew(ADDRESS, GATEWAY));
    if (end === "refused") bench.passesIn(server.nak(client));
    bench.assertOffline();
    bench.wait(HOUR);
    bench.dropsOut("dhcp.client-address", client.discover({ ciaddr: NEIGHBOUR }));
    bench.dropsOut("dhcp.client-address", client.reboot(ADDRESS, { ciaddr: ADDRESS }), client.rebind(ADDRESS));
    bench.dropsOut("dhcp.addresses", client.discover({ ciaddr: ADDRESS, source: ADDRESS }));
    bench.passesOut(client.discover({ ciaddr: ADDRESS }));
  }
  new Bench().dropsOut("dhcp.client-address", new Client().discover({ ciaddr: ADDRESS }));
});

test("D8 D9 a yiaddr from the VM, which a server might copy into its answer, drops", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  for (const yiaddr of [NEIGHBOUR, ADDRESS]) {
    bench.dropsOut(
      "dhcp.client-address",
      client.discover({ yiaddr }),
      client.reboot(ADDRESS, { yiaddr }),
      client.inform(ADDRESS, { yiaddr }),
    );
    bench.dropsOut(
      "dhcp.client-address",
      client.renew(ADDRESS, GATEWAY, { yiaddr }),
      client.release(ADDRESS, GATEWAY, { yiaddr }),
    );
  }
});

test("D10 the VM is no server and no relay: nothing leaves port 67, and no BOOTP reply", () => {
  const bench = bound();
  const offer = {
    type: OFFER,
    op: 2,
    yiaddr: NEIGHBOUR,
    options: [
      [54, address(ADDRESS)],
      [51, word(60)],
    ],
  } as const;
  for (const destination of [EVERYONE, NEIGHBOUR, GATEWAY, GLOBAL]) {
    for (const source of [ADDRESS, NOBODY, GATEWAY]) {
      const words = { ...offer, source, destination };
      bench.dropsOut("dhcp.ports", dhcp({ ...words, sourcePort: 67, destinationPort: 68 }));
      bench.dropsOut("dhcp.ports", dhcp({ ...words, sourcePort: 67, destinationPort: 67 }));
      bench.dropsOut("dhcp.ports", dhcp({ ...words, sourcePort: 67, destinationPort: 53 }));
    }
  }
  bench.dropsOut(
    "dhcp.operation",
    dhcp(offer),
    new Client().discover({ op: 2 }),
    new Client().discover({ op: 0 }),
    new Client().discover({ op: 3 }),
  );
  new Bench({ address: ADDRESS, allow: ["0.0.0.0/0"] }).dropsOut("dhcp.ports", udp(67, 68, { destination: EVERYONE }));
});

test("D10 replies that are requests, and DHCP to the VM from another port, drop", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  bench.dropsIn("dhcp.operation", server.offer(client, ADDRESS, { op: 1 }));
  bench.dropsIn(
    "dhcp.ports",
    server.offer(client, ADDRESS, { sourcePort: 68 }),
    server.offer(client, ADDRESS, { sourcePort: 4011 }),
  );
  bench.dropsIn("dhcp.ports", udp(53, 68, { source: GATEWAY, destination: ADDRESS, from: GATEWAY_MAC, to: VM }));
});

test("D11 ports 67 and 68 are DHCP's, in no other pair and to no other place", () => {
  const bench = bound();
  for (const destination of [GLOBAL, GATEWAY, NEIGHBOUR, EVERYONE, DNS_SERVER]) {
    for (const [from, to] of [
      [68, 53],
      [68, 68],
      [40_000, 67],
      [40_000, 68],
      [53, 67],
      [67, 40_000],
    ] as const) {
      bench.dropsOut("dhcp.ports", udp(from, to, { destination }, new Uint8Array(300)));
      bench.dropsOut("dhcp.ports", udp(from, to, { destination, source: NOBODY }, new Uint8Array(300)));
    }
  }
  bench.passesOut(udp(40_000, 69), udp(69, 40_000), udp(66, 66));
});

test("D11 a well-formed REQUEST or INFORM goes to the server or to everyone, not through the DHCP exception elsewhere", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  for (const destination of [GLOBAL, NEIGHBOUR, DNS_SERVER, "192.168.64.255", "224.0.0.1", NOBODY]) {
    bench.dropsOut("dhcp.addresses", client.renew(ADDRESS, destination), client.inform(ADDRESS, { destination }));
    bench.dropsOut("dhcp.addresses", client.discover({ destination }), client.reboot(ADDRESS, { destination }));
  }
});

test("D11 the sources of DHCP are 0.0.0.0 and the bound address", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.dropsOut("dhcp.addresses", client.discover({ source: NEIGHBOUR }), client.discover({ source: ADDRESS }));
  bench.dropsOut(
    "dhcp.addresses",
    client.renew(ADDRESS, GATEWAY, { source: NEIGHBOUR }),
    client.rebind(ADDRESS, { source: GATEWAY }),
  );
  bench.dropsOut(
    "dhcp.addresses",
    client.inform(ADDRESS, { source: NOBODY }),
    client.renew(ADDRESS, GATEWAY, { source: NOBODY }),
  );
  new Bench().dropsOut("dhcp.addresses", new Client().discover({ source: ADDRESS }));
});

test("D11 what goes to 255.255.255.255 goes to the broadcast MAC", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  for (const to of [GATEWAY_MAC, OTHER_MAC, VM, "01:00:5e:00:00:01"]) {
    bench.dropsOut(
      "dhcp.addresses",
      client.discover({ to }),
      client.reboot(ADDRESS, { to }),
      client.rebind(ADDRESS, { to }),
    );
  }
});

test("D11 before a lease only DHCP leaves 0.0.0.0", () => {
  const bench = new Bench({ allow: ["0.0.0.0/0"] });
  for (const destination of [EVERYONE, GLOBAL, GATEWAY]) {
    bench.dropsOut(
      "ipv4.unbound",
      udp(40_000, 53, { source: NOBODY, destination }),
      icmp(8, { source: NOBODY, destination }),
    );
  }
  bench.bind();
  bench.dropsOut("ipv4.source", udp(40_000, 53, { source: NOBODY, destination: EVERYONE }));
});

test("D13 a NAK ends the binding only from the binding's server, or from any server in INIT-REBOOT", () => {
  for (const [ask, from, verdict] of [
    ["renew", server, "pass"],
    ["renew", rogue, "dhcp.server"],
    ["rebind", server, "pass"],
    ["rebind", rogue, "dhcp.server"],
    ["reboot", server, "pass"],
    ["reboot", rogue, "pass"],
    ["discover", server, "dhcp.transaction"],
    ["discover", rogue, "dhcp.transaction"],
    ["inform", server, "dhcp.transaction"],
    ["inform", rogue, "dhcp.transaction"],
  ] as const) {
    const bench = bound();
    const client = new Client({ xid: 2 });
    bench.passesOut(
      {
        discover: () => client.discover(),
        renew: () => client.renew(ADDRESS, GATEWAY),
        rebind: () => client.rebind(ADDRESS),
        reboot: () => client.reboot(ADDRESS),
        inform: () => client.inform(ADDRESS),
      }[ask](),
    );
    assert.equal(bench.in(from.nak(client)), verdict, `${ask}, NAK from ${from.address}`);
    assert.equal(bench.bound, verdict === "pass" ? undefined : ADDRESS, `${ask}, NAK from ${from.address}`);
  }
});

test("D13 in SELECTING a NAK counts only from the server and the MAC whose offer was taken", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, OTHER), rogue.offer(client, NEIGHBOUR));
  bench.passesOut(client.select(OTHER, GATEWAY));
  bench.dropsIn(
    "dhcp.server",
    rogue.nak(client),
    server.nak(client, { from: OTHER_MAC }),
    server.nak(client, { source: rogue.address }),
  );
  bench.assertOnline();
  bench.passesIn(server.nak(client));
  bench.assertOffline();
});

test("D13 a NAK ends its transaction: an ACK behind it teaches nothing", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(server.nak(client));
  bench.dropsIn("dhcp.transaction", server.ack(client, ADDRESS), server.nak(client));
  bench.assertOffline();
});

test("D13 a NAK that names no server drops", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.reboot(ADDRESS));
  bench.dropsIn(
    "dhcp.server",
    dhcp({ type: NAK, op: 2, xid: 2, source: GATEWAY, from: GATEWAY_MAC, sourcePort: 67, destinationPort: 68 }),
  );
  bench.assertOnline();
});

test("D18 an ACK straight after a DISCOVER teaches only when both carry option 80", () => {
  const rapid = { options: [[80, bytes()]] } as const;
  for (const [asked, answered] of [
    [false, false],
    [false, true],
    [true, false],
  ]) {
    const bench = new Bench();
    const client = new Client();
    bench.passesOut(client.discover(asked ? rapid : {}));
    bench.dropsIn("dhcp.transaction", server.ack(client, ADDRESS, answered ? rapid : {}));
    bench.assertOffline();
  }
});

test("D18 it is the last DISCOVER of the transaction that must have asked", () => {
  const rapid = { options: [[80, bytes()]] } as const;
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover(rapid), client.discover());
  bench.dropsIn("dhcp.transaction", server.ack(client, ADDRESS, rapid));
  bench.passesOut(client.discover(rapid));
  bench.passesIn(server.ack(client, ADDRESS, rapid));
  bench.dropsIn("dhcp.server", rogue.ack(client, OTHER, rapid));
  bench.assertOnline();
});

test("D19 the VM sends DISCOVER, REQUEST, DECLINE, RELEASE and INFORM, and no other type", () => {
  for (let type = 1; type < 256; type++) {
    if ([1, 3, 4, 7, 8].includes(type)) continue;
    bound().dropsOut("dhcp.message-type", dhcp({ type, options: [[54, address(GATEWAY)]] }));
  }
  bound().dropsOut("dhcp.format", dhcp({ type: 0 }));
});

test("D19 the VM hears OFFER, ACK and NAK, and no other type: no FORCERENEW", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.discover());
  for (let type = 1; type < 256; type++) {
    if ([OFFER, ACK, NAK].includes(type)) continue;
    bench.dropsIn("dhcp.message-type", server.ack(client, ADDRESS, { type }));
  }
});

test("D19 option 82 from the VM drops, however short", () => {
  const bench = new Bench();
  for (const value of [bytes(), hex("0104 00000007")])
    bench.dropsOut("dhcp.relay", new Client().discover({ options: [[82, value]] }));
});

test("D20 a REQUEST for a victim's address to a server that is none, completed by an INFORM of the same transaction, teaches nothing", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.dropsOut("dhcp.server", client.select(NEIGHBOUR, "192.168.64.250"));
  bench.passesOut(client.inform(ADDRESS));
  bench.passesIn(server.ackInform(client, ADDRESS), server.ackInform(client, ADDRESS, { yiaddr: NEIGHBOUR }));
  bench.assertOnline();
  bench.passesOut(client.reboot(NEIGHBOUR));
  bench.dropsIn("dhcp.lease-time", server.ackInform(client, ADDRESS, { destination: EVERYONE }));
  bench.passesOut(client.inform(ADDRESS));
  bench.passesIn(server.ack(client, NEIGHBOUR));
  bench.assertOnline();
  assert.equal(bench.changes.length, 1);
});

test("D20 the ACK of a renewal, sent under the transaction of a REQUEST for another address, teaches nothing", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY), client.reboot(NEIGHBOUR));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, ADDRESS));
  bench.passesOut(client.reboot(NEIGHBOUR), client.renew(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, NEIGHBOUR));
  bench.assertOnline();
});

test("D20 the address is the ACK's yiaddr, and must be the one asked for, in every state", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  for (const ask of [client.renew(ADDRESS, GATEWAY), client.rebind(ADDRESS), client.reboot(ADDRESS)]) {
    bench.passesOut(ask);
    bench.dropsIn("dhcp.assigned-address", server.ack(client, OTHER));
  }
  client.xid = 3;
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, OTHER), server.offer(client, "192.168.64.7"));
  bench.passesOut(client.select(OTHER, GATEWAY));
  assert.notEqual(bench.in(server.ack(client, "192.168.64.7")), "pass");
  bench.assertOnline();
});

test("D20 a renewal that names another address in option 50 is answered for its ciaddr only", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY, { options: [[50, address(NEIGHBOUR)]] }));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, NEIGHBOUR));
  bench.passesIn(server.ack(client, ADDRESS));
});

test("D20 a REQUEST takes only what its own transaction was offered, by the server it names", () => {
  const bench = new Bench();
  const client = new Client({ xid: 1 });
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS), rogue.offer(client, OTHER));
  bench.dropsOut(
    "dhcp.server",
    client.select(OTHER, GATEWAY),
    client.select(ADDRESS, rogue.address),
    client.select(NEIGHBOUR, GATEWAY),
  );
  bench.dropsOut("dhcp.server", dhcp({ type: REQUEST, xid: 1, options: [[54, address(GATEWAY)]] }));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
});

test("D20 a message of another kind forgets the offers of its transaction; a repeated DISCOVER keeps them", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(
    client.discover(),
    client.select(ADDRESS, GATEWAY),
    client.discover(),
    client.select(ADDRESS, GATEWAY),
  );
  bench.passesOut(client.reboot(ADDRESS));
  bench.dropsIn("dhcp.transaction", server.offer(client, ADDRESS));
  bench.passesOut(client.discover());
  bench.dropsOut("dhcp.server", client.select(ADDRESS, GATEWAY));
});

test("D20 an INIT-REBOOT without option 50 asks for nothing and drops", () => {
  new Bench().dropsOut(
    "dhcp.format",
    dhcp({ type: REQUEST }),
    dhcp({ type: REQUEST, options: [[50, address(NOBODY)]] }),
  );
});

test("D21 a hardware length other than 6, or a hardware type other than Ethernet's, drops in both directions", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  for (let value = 0; value < 256; value++) {
    const out = unchecked(client.discover());
    const back = unchecked(server.offer(client, ADDRESS));
    if (value !== 6) bench.dropsOut("dhcp.hardware-address", patch(out, MESSAGE + 2, value));
    if (value !== 6) bench.dropsIn("dhcp.hardware-address", patch(back, MESSAGE + 2, value));
    if (value !== 1) bench.dropsOut("dhcp.hardware-address", patch(out, MESSAGE + 1, value));
    if (value !== 1) bench.dropsIn("dhcp.hardware-address", patch(back, MESSAGE + 1, value));
  }
});

test("D22 a lease of 0 seconds binds nothing, and neither does none", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.lease-time", new Server({ lease: 0 }).ack(client, ADDRESS));
  bench.dropsIn("dhcp.lease-time", server.ackInform(client, ADDRESS, { yiaddr: ADDRESS }));
  bench.assertOffline();
});

test("D22 a lease of 1 second lasts 1 second, and a renewal may shorten one", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(new Server({ lease: 1 }).ack(client, ADDRESS));
  bench.wait(SECOND - 1);
  bench.assertOnline();
  bench.wait(1);
  bench.assertOffline();
});

test("D22 the clock does not go back: an earlier time counts as the last one", () => {
  const bench = bound(600);
  bench.wait(599 * SECOND);
  bench.passesOut(tcp(443));
  bench.now -= HOUR;
  bench.passesOut(tcp(443));
  bench.now += HOUR + SECOND;
  bench.assertOffline();
  bench.now -= HOUR;
  bench.assertOffline();
});

test("D24 eight transactions at once, a ninth drops until one is 60 s old, to the microsecond", () => {
  const bench = new Bench();
  for (let xid = 1; xid <= 8; xid++) {
    bench.passesOut(new Client({ xid }).discover());
    bench.wait(SECOND);
  }
  bench.dropsOut("dhcp.pending", new Client({ xid: 9 }).discover(), new Client({ xid: 9 }).reboot(ADDRESS));
  bench.passesOut(new Client({ xid: 8 }).discover(), new Client({ xid: 2 }).discover());
  bench.wait(52 * SECOND);
  bench.dropsOut("dhcp.pending", new Client({ xid: 9 }).discover());
  bench.wait(1);
  bench.passesOut(new Client({ xid: 9 }).discover());
  bench.dropsOut("dhcp.pending", new Client({ xid: 10 }).discover());
  bench.dropsIn("dhcp.transaction", server.offer(new Client({ xid: 1 }), ADDRESS));
  bench.passesIn(server.offer(new Client({ xid: 2 }), ADDRESS), server.offer(new Client({ xid: 9 }), ADDRESS));
});

test("D24 a full table keeps no VM from releasing or declining, and a bound lease is never evicted", () => {
  const bench = bound();
  for (let xid = 1; xid <= 7; xid++) bench.passesOut(new Client({ xid }).discover());
  bench.dropsOut(
    "dhcp.pending",
    new Client({ xid: 100 }).inform(ADDRESS),
    new Client({ xid: 100 }).renew(ADDRESS, GATEWAY),
  );
  bench.assertOnline();
  bench.passesOut(new Client({ xid: 101 }).release(ADDRESS, GATEWAY));
});

test("D24 eight offers in a transaction, a ninth drops; the same offer again is no further one", () => {
  const bench = new Bench();
  const client = new Client();
  const offers = Array.from({ length: 9 }, (_, index) => server.offer(client, `192.168.64.${20 + index}`));
  bench.passesOut(client.discover());
  bench.passesIn(...offers.slice(0, 8), ...offers.slice(0, 8));
  bench.dropsIn(
    "dhcp.pending",
    offers[8]!,
    rogue.offer(client, "192.168.64.20"),
    server.offer(client, "192.168.64.20", { from: OTHER_MAC }),
  );
  bench.dropsOut("dhcp.server", client.select("192.168.64.28", GATEWAY));
  bench.passesOut(client.select("192.168.64.27", GATEWAY));
});

test("D24 a proxy's offers without an address count too", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  for (let index = 0; index < 8; index++)
    bench.passesIn(new Server({ address: `192.168.64.${100 + index}` }).offer(client, NOBODY));
  bench.dropsIn("dhcp.pending", server.offer(client, ADDRESS));
  bench.dropsOut("arp.probe", arpProbe(NOBODY), arpProbe(ADDRESS));
});

test("D25 in SELECTING only the offer's server, source address and source MAC acknowledge", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.server", rogue.ack(client, ADDRESS), server.ack(client, ADDRESS, { from: OTHER_MAC }));
  bench.dropsIn("dhcp.server", server.ack(client, ADDRESS, { source: rogue.address }));
  bench.dropsIn("dhcp.server", new Server({ identifier: rogue.address }).ack(client, ADDRESS));
  bench.assertOffline();
  bench.passesIn(server.ack(client, ADDRESS));
});

test("D7 D25 an accomplice outside the segment assigns nothing: what is routed to the VM's own address assigns no other", () => {
  const outside = new Server({ address: "203.0.113.7", router: undefined, netmask: undefined, dns: [] });
  const forger = new Server({
    address: "203.0.113.7",
    identifier: GATEWAY,
    router: undefined,
    netmask: undefined,
    dns: [],
  });
  const rapid = { options: [[80, bytes()]] } as const;
  for (const options of [{}, { dhcpServer: GATEWAY }]) {
    for (const accomplice of "dhcpServer" in options ? [forger] : [outside, forger]) {
      const bench = new Bench(options);
      bench.bind();
      const client = new Client({ xid: 2 });
      for (const destination of [ADDRESS, "192.168.64.255", "224.0.0.1", NEIGHBOUR, NOBODY]) {
        bench.passesOut(client.discover(rapid));
        bench.dropsIn("dhcp.addresses", accomplice.offer(client, OTHER, { destination }));
        bench.dropsIn("dhcp.addresses", accomplice.offer(client, NOBODY, { destination: ADDRESS }));
        bench.dropsIn("dhcp.addresses", accomplice.ack(client, OTHER, { destination, ...rapid }));
        bench.passesOut(client.reboot(OTHER));
        bench.dropsIn("dhcp.addresses", accomplice.ack(client, OTHER, { destination }));
      }
      bench.assertOnline();
      assert.equal(bench.changes.length, 1);
    }
  }
});

test("D7 a NAK, and the ACK of an INFORM, may come to any address of the VM's", () => {
  for (const destination of [ADDRESS, EVERYONE, "192.168.64.255"]) {
    const bench = bound();
    const client = new Client({ xid: 2 });
    bench.passesOut(client.inform(ADDRESS));
    bench.passesIn(server.ackInform(client, ADDRESS, { destination }));
    bench.passesOut(client.renew(ADDRESS, GATEWAY));
    bench.passesIn(server.nak(client, { destination }));
  }
});

test("D25 a rogue that offers after the REQUEST gets nothing acknowledged", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.passesIn(rogue.offer(client, ADDRESS));
  bench.dropsIn("dhcp.server", rogue.ack(client, ADDRESS));
});

test("D25 in RENEWING only the binding's server acknowledges, whatever MAC brings it", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.server", rogue.ack(client, ADDRESS), rogue.ack(client, OTHER));
  bench.passesIn(server.ack(client, ADDRESS, { from: OTHER_MAC }));
  assert.equal(formatIPv4(bench.guard.binding!.router), GATEWAY);
});

test("D25 a renewal answered after the binding ended teaches nothing", () => {
  const bench = bound(120);
  bench.wait(119 * SECOND);
  const client = new Client({ xid: 2 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.wait(SECOND);
  bench.dropsIn("dhcp.server", server.ack(client, ADDRESS), server.nak(client));
  bench.assertOffline();
});

test("D25 in REBINDING and INIT-REBOOT the first server that acknowledges stays the only one", () => {
  for (const ask of ["rebind", "reboot"] as const) {
    const bench = bound();
    const client = new Client({ xid: 2 });
    const asks = () => (ask === "rebind" ? client.rebind(ADDRESS) : client.reboot(ADDRESS));
    bench.passesOut(asks());
    bench.passesIn(rogue.ack(client, ADDRESS), rogue.ack(client, ADDRESS));
    bench.dropsIn("dhcp.server", server.ack(client, ADDRESS));
    bench.passesOut(asks());
    bench.dropsIn("dhcp.server", server.ack(client, ADDRESS));
    bench.passesOut(ask === "rebind" ? client.reboot(ADDRESS) : client.rebind(ADDRESS));
    bench.passesIn(server.ack(client, ADDRESS));
  }
});

test("D25 a REBINDING that names a server names the binding's", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.dropsOut("dhcp.server", client.rebind(ADDRESS, { options: [[54, address(rogue.address)]] }));
  bench.dropsOut("dhcp.server", client.renew(ADDRESS, GATEWAY, { options: [[54, address(rogue.address)]] }));
  bench.passesOut(client.rebind(ADDRESS, { options: [[54, address(GATEWAY)]] }));
});

test("D25 with a pinned server every OFFER, ACK and NAK names it, and so does the VM", () => {
  const bench = new Bench({ dhcpServer: GATEWAY });
  const client = new Client();
  bench.passesOut(client.discover());
  bench.dropsIn("dhcp.server", rogue.offer(client, OTHER));
  bench.dropsOut("dhcp.server", client.select(OTHER, rogue.address));
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(client, ADDRESS));
  for (const ask of [client.rebind(ADDRESS), client.reboot(ADDRESS), client.inform(ADDRESS)]) {
    bench.passesOut(ask);
    bench.dropsIn("dhcp.server", rogue.ack(client, ADDRESS), rogue.nak(client));
  }
  bench.dropsOut(
    "dhcp.server",
    client.discover({ options: [[54, address(rogue.address)]] }),
    client.inform(ADDRESS, { options: [[54, address(rogue.address)]] }),
  );
  bench.passesOut(client.discover({ options: [[80, bytes()]] }));
  bench.dropsIn("dhcp.server", rogue.ack(client, OTHER, { options: [[80, bytes()]] }));
  bench.assertOnline();
});

test("D25 a reply that names no server drops", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  const words = {
    op: 2,
    xid: client.xid,
    yiaddr: ADDRESS,
    source: GATEWAY,
    from: GATEWAY_MAC,
    sourcePort: 67,
    destinationPort: 68,
  };
  bench.dropsIn("dhcp.server", dhcp({ type: OFFER, ...words, options: [[51, word(60)]] }));
  for (const absurd of [NOBODY, "0.0.0.1", "127.0.0.1", "224.0.0.1", "240.0.0.1", EVERYONE]) {
    bench.dropsIn(
      "dhcp.server",
      dhcp({
        type: OFFER,
        ...words,
        options: [
          [51, word(60)],
          [54, address(absurd)],
        ],
      }),
    );
  }
});

/** Addresses that no VM can have in 192.168.64.0/24 behind 192.168.64.1. */
const UNASSIGNABLE = [
  ...[
    "0.0.0.1",
    "0.255.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    EVERYONE,
  ],
  ...[GATEWAY, "192.168.64.0", "192.168.64.255"],
];

test("D26 an absurd address is neither offered nor acknowledged", () => {
  for (const absurd of UNASSIGNABLE) {
    const bench = new Bench();
    const client = new Client();
    bench.passesOut(client.discover({ options: [[80, bytes()]] }));
    bench.dropsIn("dhcp.assigned-address", server.offer(client, absurd));
    bench.dropsIn("dhcp.assigned-address", server.ack(client, absurd, { options: [[80, bytes()]] }));
    bench.passesOut(client.reboot(absurd));
    bench.dropsIn("dhcp.assigned-address", server.ack(client, absurd));
    bench.assertOffline(absurd);
  }
});

test("D26 the addresses beside the absurd ones are ordinary", () => {
  for (const ordinary of [
    "1.0.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "223.255.255.255",
    "192.168.64.2",
    "192.168.64.254",
  ]) {
    const bench = new Bench();
    const netmask = ordinary.startsWith("192.168.64.") ? "255.255.255.0" : undefined;
    bench.bind(ordinary, new Client(), new Server({ netmask }));
  }
});

test("D26 the server itself and the configured gateway are never assigned", () => {
  const bench = new Bench({ gateway: "192.168.64.254" });
  const client = new Client();
  const relay = new Server({ identifier: "192.168.64.3", router: undefined });
  bench.passesOut(client.discover());
  bench.dropsIn("dhcp.assigned-address", relay.offer(client, "192.168.64.3"), relay.offer(client, "192.168.64.254"));
  bench.passesIn(relay.offer(client, GATEWAY));
});

test("D26 the gateway of the living binding is never assigned, whatever the message says", () => {
  const bench = bound();
  const client = new Client({ xid: 2, options: [[80, bytes()]] });
  const silent = new Server({ address: "192.168.64.3", router: undefined });
  bench.passesOut(client.discover());
  bench.dropsIn(
    "dhcp.assigned-address",
    silent.offer(client, GATEWAY),
    silent.ack(client, GATEWAY, { options: [[80, bytes()]] }),
  );
  bench.passesOut(client.reboot(GATEWAY));
  bench.dropsIn("dhcp.assigned-address", silent.ack(client, GATEWAY));
  bench.assertOnline();
});

test("D26 a router that cannot be one counts as none, and so does a DNS server that cannot be", () => {
  for (const [netmask, router, taken] of [
    ["255.255.255.0", GATEWAY, true],
    ["255.255.255.0", "192.168.65.1", false],
    ["255.255.255.0", "10.0.0.1", false],
    ["255.255.255.0", "127.0.0.1", false],
    ["255.255.255.0", "0.0.0.9", false],
    ["255.255.255.0", "224.0.0.1", false],
    ["255.255.255.0", EVERYONE, false],
    ["255.255.255.254", "10.0.0.1", true],
    ["255.255.255.255", "10.0.0.1", true],
    ["255.255.255.255", "169.254.169.254", false],
    ["255.255.255.255", "127.0.0.1", false],
    ["255.0.255.0", "10.0.0.1", true],
    [undefined, "10.0.0.1", true],
    [undefined, "100.100.100.200", false],
    [undefined, "240.0.0.1", false],
  ] as const) {
    const bench = new Bench();
    const dns = ["0.0.0.1", "8.8.8.8", "127.0.0.53", "224.0.0.1", DNS_SERVER, EVERYONE];
    bench.bind(ADDRESS, new Client(), new Server({ netmask, router, dns }));
    const binding = bench.guard.binding!;
    assert.equal(formatIPv4(binding.router), taken ? router : NOBODY, `${router} with ${netmask}`);
    assert.deepEqual(binding.dnsServers.map(formatIPv4), ["8.8.8.8", DNS_SERVER]);
  }
});

test("D26 a router outside the network's own subnet counts as none, whatever netmask the ACK gives", () => {
  const bench = new Bench({ subnet: "192.168.64.0/24" });
  bench.bind(ADDRESS, new Client(), new Server({ netmask: "255.0.0.0", router: "192.168.65.1" }));
  assert.equal(bench.guard.binding?.router, 0);
});

test("D26 the first and last address of the network's own subnet are not assigned", () => {
  const bench = new Bench({ subnet: "192.168.64.0/24" });
  const client = new Client();
  const plain = new Server({ netmask: undefined });
  bench.passesOut(client.discover());
  bench.dropsIn("dhcp.assigned-address", plain.offer(client, "192.168.64.0"), plain.offer(client, "192.168.64.255"));
});

test("D26 a subnet's first and last address are assignable only where it has no such (prefix 31 and 32)", () => {
  for (const [netmask, wanted, verdict] of [
    ["255.255.255.252", "10.0.0.4", "dhcp.assigned-address"],
    ["255.255.255.252", "10.0.0.7", "dhcp.assigned-address"],
    ["255.255.255.252", "10.0.0.5", "pass"],
    ["255.255.255.254", "10.0.0.4", "pass"],
    ["255.255.255.254", "10.0.0.5", "pass"],
    ["255.255.255.255", "10.0.0.4", "pass"],
    ["255.255.0.0", "10.0.0.0", "dhcp.assigned-address"],
    ["255.255.0.0", "10.0.255.255", "dhcp.assigned-address"],
    ["255.255.0.0", "10.0.1.0", "pass"],
    [undefined, "10.0.0.0", "pass"],
  ] as const) {
    const bench = new Bench();
    const client = new Client();
    bench.passesOut(client.discover());
    assert.equal(bench.in(new Server({ netmask }).offer(client, wanted)), verdict, `${wanted} ${netmask}`);
  }
});

test("D26 where the network knows its subnet, no address outside it is bound", () => {
  const bench = new Bench({ subnet: "192.168.64.0/26" });
  const client = new Client();
  bench.passesOut(client.discover());
  bench.dropsIn(
    "dhcp.assigned-address",
    server.offer(client, "192.168.64.64"),
    server.offer(client, "192.168.63.255"),
    server.offer(client, "10.0.0.1"),
  );
  bench.passesIn(server.offer(client, "192.168.64.62"));
  bench.passesOut(client.reboot("192.168.65.5"));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, "192.168.65.5"));
});

test("D26 with a static address no other is offered or acknowledged", () => {
  const bench = new Bench({ address: ADDRESS });
  const client = new Client();
  bench.passesOut(client.discover({ options: [[80, bytes()]] }));
  bench.dropsIn(
    "dhcp.assigned-address",
    server.offer(client, OTHER),
    server.ack(client, OTHER, { options: [[80, bytes()]] }),
  );
  bench.passesOut(client.reboot(OTHER));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, OTHER));
  bench.passesOut(client.reboot(ADDRESS));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(server.nak(client));
  bench.assertOnline();
});

test("D27 no rule of the policy reaches DHCP", () => {
  for (const block of [
    ["0.0.0.0/0"],
    ["255.255.255.255/32", `${GATEWAY}/32`],
    ["@host"],
    ["0.0.0.0/8", "192.168.64.0/24"],
  ]) {
    const bench = new Bench({ block, gateway: GATEWAY });
    bench.bind();
    const client = new Client({ xid: 2 });
    bench.passesOut(client.renew(ADDRESS, GATEWAY), client.rebind(ADDRESS));
    bench.passesIn(server.ack(client, ADDRESS));
    bench.passesOut(client.inform(ADDRESS, { destination: GATEWAY }), client.release(ADDRESS, GATEWAY));
  }
});

test("D29 the first frame behind the ACK passes, and none from the old address", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, OTHER));
  bench.passesOut(client.select(OTHER, GATEWAY), tcp(443));
  bench.dropsOut("ipv4.source", tcp(443, { source: OTHER }));
  bench.passesIn(server.ack(client, OTHER));
  bench.passesOut(tcp(443, { source: OTHER }));
  bench.dropsOut("ipv4.source", tcp(443));
});

test("D29 the binding is there when onBinding tells of it, and gone when it tells of the loss", () => {
  const seen: (string | undefined)[] = [];
  let bench: Bench | undefined;
  bench = new Bench({
    onBinding: ({ kind }) => seen.push(`${kind} ${bench?.guard.binding === undefined ? "unbound" : "bound"}`),
  });
  bench.bind();
  bench.passesOut(new Client({ xid: 2 }).release(ADDRESS, GATEWAY));
  assert.deepEqual(seen, ["learned bound", "lost unbound"]);
});

test("D29 a change of address tells of the loss of the old one, then of the new one", () => {
  const bench = bound();
  bench.bind(OTHER, new Client({ xid: 2 }));
  assert.deepEqual(
    bench.changes.map((change) => [
      change.kind,
      formatIPv4(change.binding.address),
      change.kind === "lost" ? change.why : "",
    ]),
    [
      ["learned", ADDRESS, ""],
      ["lost", ADDRESS, "replaced"],
      ["learned", OTHER, ""],
    ],
  );
});

test("D30 options that the guard has no use for pass unread and unchanged, whatever is in them", () => {
  const bench = new Bench();
  const hostile = Uint8Array.from(Buffer.from('wpad\n"; dhcp-option=6,192.168.64.5\n\0\x1b[2J', "latin1"));
  const frame = new Client().discover({
    options: [12, 15, 43, 60, 66, 67, 77, 81, 119, 121, 252].map((code) => [code, hostile] as const),
  });
  const before = frame.slice();
  bench.passesOut(frame);
  assert.deepEqual(frame, before);
});

/* What an ACK leaves out */

test("an ACK that leaves options 1, 3 and 6 out keeps them, unless the address changes", () => {
  const bench = bound();
  const silent = new Server({ router: undefined, netmask: undefined, dns: [] });
  const client = new Client({ xid: 2 });
  const { netmask, router, dnsServers } = bench.guard.binding!;
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(silent.ack(client, ADDRESS));
  const kept = bench.guard.binding!;
  assert.deepEqual([kept.netmask, kept.router, kept.dnsServers], [netmask, router, dnsServers]);
  bench.bind(OTHER, new Client({ xid: 3 }), silent);
  const gone = bench.guard.binding!;
  assert.deepEqual([gone.netmask, gone.router, gone.dnsServers], [0, 0, []]);
});

test("D25 another server that confirms the address in REBINDING changes nothing but server and expiry", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  const { netmask, router, dnsServers } = bench.guard.binding!;
  bench.passesOut(client.rebind(ADDRESS));
  bench.passesIn(rogue.ack(client, ADDRESS));
  const kept = bench.guard.binding!;
  assert.deepEqual([kept.netmask, kept.router, kept.dnsServers], [netmask, router, dnsServers]);
  assert.deepEqual([formatIPv4(kept.server), kept.expiry], [rogue.address, bench.now + HOUR]);
});

test("options 1, 3 and 6 count as RFC 3396 reads them: a mask of 4 bytes, the first router, 8 whole servers", () => {
  const bench = new Bench();
  const client = new Client();
  const plain = new Server({ router: undefined, netmask: undefined, dns: [] });
  const servers = Array.from({ length: 10 }, (_, index) => `8.8.8.${index}`);
  bench.passesOut(client.reboot(ADDRESS));
  const all = address(...servers);
  bench.passesIn(
    plain.ack(client, ADDRESS, {
      options: [
        [1, bytes(255, 255)],
        [3, bytes(192, 168)],
        [6, all.subarray(0, 6)],
        [1, bytes(0, 0)],
        [3, bytes(64, 1, 192, 168, 64, 2)],
        [6, join(all.subarray(6), bytes(9, 9))],
      ],
    }),
  );
  const { netmask, router, dnsServers } = bench.guard.binding!;
  assert.deepEqual(
    [formatIPv4(netmask), formatIPv4(router), dnsServers.map(formatIPv4)],
    ["255.255.0.0", GATEWAY, servers.slice(0, 8)],
  );
});

test("a netmask that is not 4 bytes long, a router of 3 bytes and a router 0.0.0.0 count as none", () => {
  for (const [mask, routers] of [
    [bytes(255, 255, 255), bytes(192, 168, 64)],
    [bytes(255, 255, 255, 0, 0), bytes()],
    [bytes(), address(NOBODY)],
  ] as const) {
    const bench = new Bench();
    const client = new Client();
    const plain = new Server({ router: undefined, netmask: undefined, dns: [] });
    bench.passesOut(client.reboot(ADDRESS));
    bench.passesIn(
      plain.ack(client, ADDRESS, {
        options: [
          [1, mask],
          [3, routers],
          [6, bytes(1, 2, 3)],
        ],
      }),
    );
    const { netmask, router, dnsServers } = bench.guard.binding!;
    assert.deepEqual([netmask, router, dnsServers], [0, 0, []]);
  }
});

test("D25 a routed ACK to the VM's own address from outside its subnet teaches nothing, whatever server it names", () => {
  for (const server of [undefined, GATEWAY]) {
    const bench = new Bench(server === undefined ? {} : { dhcpServer: server });
    bench.bind(ADDRESS, new Client({ xid: 1 }), new Server({ lease: 3600 }));
    const client = new Client({ xid: 2 });
    bench.passesOut(client.renew(ADDRESS, GATEWAY));
    bench.dropsIn("dhcp.addresses", new Server({ address: "203.0.113.7", identifier: GATEWAY }).ack(client, ADDRESS));
    bench.passesIn(new Server({ lease: 60 }).ack(client, ADDRESS));
  }
});
