/** Which server may say what in which state, and what a transaction is (threat rows D13, D18–D25). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIPv4 } from "../../src/wire/address.ts";
import { bound, OTHER, rogue, server, unchecked } from "./dhcp-support.ts";
import {
  ACK,
  ADDRESS,
  address,
  arpProbe,
  Bench,
  bytes,
  Client,
  dhcp,
  EVERYONE,
  GATEWAY,
  GATEWAY_MAC,
  HOUR,
  hex,
  MESSAGE,
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
  UNANSWERED,
  word,
} from "./support.ts";

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

test("D13 a NAK that names no server drops where the VM has a binding that it may end", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.rebind(ADDRESS));
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
  bench.passesOut(client.discover(rapid));
  bench.wait(UNANSWERED);
  bench.passesOut(client.discover());
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
  bench.dropsOut("dhcp.pending", client.inform(ADDRESS));
  bench.wait(UNANSWERED);
  bench.passesOut(client.inform(ADDRESS));
  bench.passesIn(server.ack(client, NEIGHBOUR));
  bench.assertOnline();
  assert.equal(bench.changes.length, 1);
});

test("D20 the ACK of a renewal, sent under the transaction of a REQUEST for another address, teaches nothing", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  const inTurn = (...asks: readonly Uint8Array[]) => {
    for (const ask of asks) {
      bench.wait(UNANSWERED);
      bench.passesOut(ask);
    }
  };
  inTurn(client.renew(ADDRESS, GATEWAY), client.reboot(NEIGHBOUR));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, ADDRESS));
  inTurn(client.reboot(NEIGHBOUR), client.renew(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, NEIGHBOUR));
  bench.assertOnline();
});

test("D20 the address is the ACK's yiaddr, and must be the one asked for, in every state", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  for (const ask of [client.renew(ADDRESS, GATEWAY), client.rebind(ADDRESS), client.reboot(ADDRESS)]) {
    bench.passesOut(ask);
    bench.dropsIn("dhcp.assigned-address", server.ack(client, OTHER));
    bench.wait(UNANSWERED);
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
  for (const ask of [
    client.discover(),
    client.select(ADDRESS, GATEWAY),
    client.discover(),
    client.select(ADDRESS, GATEWAY),
    client.reboot(ADDRESS),
  ]) {
    bench.wait(UNANSWERED);
    bench.passesOut(ask);
  }
  bench.dropsIn("dhcp.transaction", server.offer(client, ADDRESS));
  bench.wait(UNANSWERED);
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
  for (let xid = 1; xid <= 8; xid++) bench.passesOut(new Client({ xid }).discover());
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
        bench.wait(UNANSWERED);
        bench.passesOut(client.reboot(OTHER));
        bench.dropsIn("dhcp.addresses", accomplice.ack(client, OTHER, { destination }));
        bench.wait(UNANSWERED);
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
  assert.equal(formatIPv4(bench.guard.binding.ipv4!.router), GATEWAY);
});

test("D25 a renewal answered after the binding ended binds by the server that was asked, and by no other", () => {
  const bench = bound(120);
  bench.wait(119 * SECOND);
  const client = new Client({ xid: 2 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.wait(SECOND);
  bench.dropsIn("dhcp.server", rogue.ack(client, ADDRESS), rogue.nak(client));
  bench.assertOffline();
  bench.passesIn(server.ack(client, ADDRESS));
  bench.assertOnline();
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
    bench.wait(UNANSWERED);
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
    bench.wait(UNANSWERED);
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
