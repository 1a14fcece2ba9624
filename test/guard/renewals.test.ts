/**
 * A VM that believes in an address which is not bound: its lease ended while it slept, or softnet was started again
 * (findings G2 and G3). It may ask; only a server's ACK binds. Each relaxation is tried with and without its condition.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIPv4 } from "../../src/wire/address.ts";
import { bound, OTHER, rogue, server } from "./dhcp-support.ts";
import {
  ADDRESS,
  address,
  arp,
  arpReply,
  Bench,
  bytes,
  Client,
  DNS_SERVER,
  dhcp,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  HOUR,
  hex,
  MINUTE,
  NAK,
  NEIGHBOUR,
  NOBODY,
  OTHER_MAC,
  SECOND,
  Server,
  tcp,
  UNANSWERED,
  udp,
  VM,
} from "./support.ts";

const client = new Client({ xid: 2 });
/** REBINDING as systemd-networkd, NetworkManager and ConnMan send it: from 0.0.0.0. */
const rebindUnaddressed = (own: string, change = {}) => client.rebind(own, { source: NOBODY, ...change });
/** The server, or the router before it, looks for the VM's MAC. */
const asks = (sender: string, from = GATEWAY_MAC) => arp({ sender, target: ADDRESS, from, to: VM });
const tells = (target: string, change = {}) =>
  arp({ operation: 2, sender: ADDRESS, target, to: GATEWAY_MAC, targetMac: GATEWAY_MAC, ...change });

/** A VM that slept an hour longer than its lease of two minutes. */
function asleep(from = server, options = {}): Bench {
  const bench = new Bench(options);
  const { address: source, identifier, mac, router } = from;
  bench.bind(ADDRESS, new Client(), new Server({ address: source, identifier, mac, router, lease: 120 }));
  bench.wait(HOUR);
  bench.assertOffline();
  return bench;
}

test("G2 REBINDING from 0.0.0.0 renews the bound address", () => {
  const bench = bound(120);
  bench.wait(105 * SECOND);
  bench.passesOut(rebindUnaddressed(ADDRESS));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.wait(HOUR - 1);
  bench.assertOnline();
  assert.deepEqual(
    bench.changes.map(({ kind }) => kind),
    ["learned", "renewed"],
  );
});

test("G2 D25 another server that acknowledges it may confirm the address, and no more", () => {
  const bench = bound();
  bench.passesOut(rebindUnaddressed(ADDRESS));
  bench.dropsIn("dhcp.server", rogue.nak(client));
  bench.dropsIn("dhcp.assigned-address", rogue.ack(client, OTHER));
  bench.passesIn(rogue.ack(client, ADDRESS));
  const { router, dnsServers } = bench.guard.binding.ipv4!;
  assert.deepEqual([router, ...dnsServers].map(formatIPv4), [GATEWAY, DNS_SERVER]);
});

test("G2 a REQUEST from 0.0.0.0 with ciaddr and option 50 or 54 is none, and neither is one by unicast", () => {
  for (const bench of [bound(), asleep(), new Bench()]) {
    for (const code of [50, 54]) {
      bench.dropsOut(
        // Option 54 makes it SELECTING, which may name the last address but takes an offer.
        code === 54 && bench.changes.length > 0 ? "dhcp.server" : "dhcp.client-address",
        rebindUnaddressed(ADDRESS, { options: [[code, address(code === 50 ? ADDRESS : GATEWAY)]] }),
      );
    }
    bench.dropsOut("dhcp.addresses", rebindUnaddressed(ADDRESS, { destination: GATEWAY }));
    bench.dropsOut("dhcp.addresses", rebindUnaddressed(ADDRESS, { to: GATEWAY_MAC }));
  }
});

test("G2 with a static address only that one is renewed", () => {
  const bench = new Bench({ address: ADDRESS, dhcpServer: GATEWAY });
  bench.dropsOut("dhcp.client-address", rebindUnaddressed(OTHER), client.rebind(OTHER), client.renew(OTHER, GATEWAY));
  bench.passesOut(rebindUnaddressed(ADDRESS));
  bench.passesIn(server.ack(client, ADDRESS));
});

test("G3 after the lease's end RENEWING and both forms of REBINDING ask, and the server's ACK binds again", () => {
  for (const ask of [client.renew(ADDRESS, GATEWAY), client.rebind(ADDRESS), rebindUnaddressed(ADDRESS)]) {
    const bench = asleep();
    bench.passesOut(ask);
    bench.assertOffline();
    bench.passesIn(server.ack(client, ADDRESS));
    bench.assertOnline();
  }
});

test("G3 the ARP that a unicast renewal needs passes, both ways, and nothing else does", () => {
  const bench = asleep();
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  bench.dropsOut("ipv4.unbound", tcp(443), udp(5000, 53));
  bench.dropsOut("arp.sender-address", tells(GATEWAY));
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(asks(GATEWAY));
  bench.passesOut(tells(GATEWAY));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.assertOnline();
});

test("G3 the server may be another machine than the gateway, and its ACK may come from another address of its own", () => {
  const other = new Server({ address: "192.168.64.3", identifier: "192.168.64.2", mac: OTHER_MAC });
  const bench = asleep(other);
  bench.passesOut(arp({ target: "192.168.64.2" }), arp({ target: "192.168.64.3" }), arp());
  bench.passesOut(client.renew(ADDRESS, "192.168.64.2"));
  bench.passesOut(tells("192.168.64.3"), tells("192.168.64.2"), tells(GATEWAY));
  bench.dropsOut("dhcp.addresses", client.renew(ADDRESS, "192.168.64.3"), client.renew(ADDRESS, GATEWAY));
});

test("G3 A1 D6 ARP with the former address goes to nobody but server and gateway, and never as a broadcast reply", () => {
  const bench = asleep();
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.dropsOut(
    "arp.sender-address",
    arp({ target: NEIGHBOUR }),
    arp({ target: ADDRESS }),
    arp({ target: GLOBAL }),
    arp({ target: NOBODY }),
    tells(NEIGHBOUR),
    tells(GATEWAY, { to: EVERYONE_MAC }),
    arp({ operation: 2, sender: ADDRESS, target: ADDRESS }),
    arp({ sender: OTHER }),
  );
  bench.dropsOut("arp.hardware-address", arp({ senderMac: OTHER_MAC }));
});

test("G3 D6 a reply with the former address passes for 60 s after a renewal of exactly that address", () => {
  const bench = asleep();
  bench.passesOut(rebindUnaddressed(OTHER));
  bench.wait(UNANSWERED);
  bench.passesOut(client.discover());
  bench.dropsOut("arp.sender-address", tells(GATEWAY));
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.wait(MINUTE);
  bench.passesOut(tells(GATEWAY));
  bench.wait(1);
  bench.dropsOut("arp.sender-address", tells(GATEWAY));
});

test("G3 D6 ten ARP frames with the former address pass at once, then one a second", () => {
  const bench = asleep();
  for (let frame = 0; frame < 10; frame++) bench.passesOut(arp());
  bench.dropsOut("arp.rate", arp());
  bench.wait(SECOND - 1);
  bench.dropsOut("arp.rate", arp());
  bench.wait(1);
  bench.passesOut(arp());
  bench.dropsOut("arp.rate", arp());
});

test("G3 D6 whoever else is heard with the former address has it: the VM must start anew", () => {
  for (const claim of [
    arp({ sender: ADDRESS, target: ADDRESS, from: OTHER_MAC }),
    arp({ sender: ADDRESS, from: OTHER_MAC }),
    arpReply(ADDRESS, OTHER_MAC),
    arp({ sender: ADDRESS, from: GATEWAY_MAC, senderMac: OTHER_MAC }),
  ]) {
    const bench = asleep();
    bench.passesOut(client.renew(ADDRESS, GATEWAY));
    bench.passesIn(claim);
    bench.dropsOut("arp.sender-address", arp(), tells(GATEWAY));
    bench.dropsOut("dhcp.addresses", client.renew(ADDRESS, GATEWAY));
    bench.wait(UNANSWERED);
    bench.passesOut(client.discover());
  }
});

test("G3 D6 also while a claim of it drops as a conflict, within 60 s of the lease's end", () => {
  const bench = bound(120);
  bench.wait(2 * MINUTE);
  bench.passesOut(arp());
  bench.dropsIn("arp.conflict", arp({ sender: ADDRESS, target: ADDRESS, from: OTHER_MAC }));
  bench.dropsOut("arp.sender-address", arp());
});

test("G3 D6 the registry is asked for ARP and for the ACK; what it holds, or cannot say, is not the VM's", () => {
  for (const held of [
    () => true,
    () => {
      throw new Error("the registry is gone");
    },
  ]) {
    let isHeld = false;
    const bench = asleep(server, { heldElsewhere: () => isHeld && held() });
    bench.passesOut(arp(), client.renew(ADDRESS, GATEWAY), rebindUnaddressed(ADDRESS));
    isHeld = true;
    bench.dropsIn("dhcp.address-held", server.ack(client, ADDRESS));
    bench.dropsOut("arp.sender-address", arp());
    isHeld = false;
    bench.dropsOut("arp.sender-address", arp());
    bench.assertOffline();
  }
});

test("G3 D6 the registry is asked no more often than ARP with the former address may pass", () => {
  let asked = 0;
  const bench = asleep(server, { heldElsewhere: () => ++asked < 0 });
  asked = 0;
  for (let frame = 0; frame < 1000; frame++) bench.out(arp());
  assert.equal(asked, 10);
});

test("G3 D6 what is sent to the former address does not reach the VM until it is bound again", () => {
  const bench = asleep();
  const toVm = { source: GLOBAL, destination: ADDRESS, from: GATEWAY_MAC, to: VM };
  bench.dropsIn("ipv4.unbound", tcp(443, toVm), udp(53, 5000, toVm));
  bench.passesIn(udp(53, 5000, { ...toVm, destination: EVERYONE, to: EVERYONE_MAC }));
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.dropsIn("ipv4.unbound", tcp(443, toVm));
  bench.passesIn(server.ack(client, ADDRESS), tcp(443, toVm));
});

test("G3 A9 the gateway stays guarded while the VM asks, and after: nobody takes its place in between", () => {
  const bench = bound(120);
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  bench.wait(HOUR);
  bench.passesOut(arp());
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC), asks(GATEWAY, OTHER_MAC));
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC), asks(GATEWAY));
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
  bench.assertOnline();
});

test("G3 A9 a gateway whose MAC is not known is learned by the VM's question from its former address, and may ask first", () => {
  const bench = asleep();
  bench.dropsIn("arp.gateway", asks(GATEWAY, OTHER_MAC), arpReply(GATEWAY, OTHER_MAC));
  bench.passesIn(asks(GATEWAY));
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
});

test("G3 the server's NAK ends it: no ARP, no unicast, no guarded gateway", () => {
  const bench = asleep();
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.server", rogue.nak(client));
  bench.passesIn(server.nak(client));
  bench.dropsOut("arp.sender-address", arp());
  bench.dropsOut("dhcp.addresses", client.renew(ADDRESS, GATEWAY));
  bench.passesIn(arp({ sender: GATEWAY, target: NEIGHBOUR, from: OTHER_MAC }));
});

test("G3 an address that was given back, declined or refused is not remembered", () => {
  for (const end of [
    (bench: Bench) => bench.passesOut(client.release(ADDRESS, GATEWAY)),
    (bench: Bench) => bench.passesOut(client.decline(ADDRESS, GATEWAY)),
    (bench: Bench) => {
      bench.passesOut(client.renew(ADDRESS, GATEWAY));
      bench.passesIn(server.nak(client));
    },
  ]) {
    const bench = bound();
    end(bench);
    bench.dropsOut("arp.sender-address", arp());
    bench.dropsOut("dhcp.addresses", client.renew(ADDRESS, GATEWAY));
  }
});

test("G3 D11 a renewal in another's name reaches no host by unicast, but a trusted server", () => {
  for (const bench of [asleep(), new Bench(), bound()]) {
    bench.dropsOut(
      "dhcp.addresses",
      client.renew(NEIGHBOUR, GATEWAY),
      client.renew(NEIGHBOUR, GLOBAL),
      client.renew(NEIGHBOUR, NOBODY),
      client.renew(OTHER, GATEWAY, { source: NEIGHBOUR }),
    );
  }
  const bench = new Bench({ dhcpServer: GATEWAY });
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.dropsOut("dhcp.addresses", client.renew(ADDRESS, NEIGHBOUR));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.assertOnline();
});

test("G3 H20 a softnet that knows nothing of before: REBINDING is enough, and the ACK must be for that address", () => {
  for (const ask of [client.rebind(ADDRESS), rebindUnaddressed(ADDRESS)]) {
    const bench = new Bench();
    bench.dropsOut("arp.sender-address", arp());
    bench.passesOut(ask);
    bench.dropsOut("arp.sender-address", arp(), tells(GATEWAY));
    bench.dropsIn("dhcp.assigned-address", server.ack(client, OTHER));
    bench.assertOffline();
    bench.passesIn(server.ack(client, ADDRESS));
    bench.assertOnline();
  }
});

test("G3 D20 the question teaches nothing: neither alone, nor with an INFORM, an OFFER or another's ACK", () => {
  for (const bench of [new Bench(), asleep()]) {
    bench.passesOut(rebindUnaddressed(NEIGHBOUR));
    bench.dropsIn("dhcp.lease-time", server.ackInform(client, NEIGHBOUR, { yiaddr: NEIGHBOUR }));
    bench.dropsIn("dhcp.transaction", server.offer(client, NEIGHBOUR));
    bench.dropsIn("dhcp.transaction", server.ack(new Client({ xid: 3 }), NEIGHBOUR));
    bench.dropsIn("dhcp.other-client", server.ack(client, NEIGHBOUR, { chaddr: OTHER_MAC }));
    bench.assertOffline();
    bench.assertOffline(NEIGHBOUR);
  }
});

test("G3 D26 an address that no VM can have is not asked for", () => {
  for (const absurd of ["0.0.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"]) {
    const bench = new Bench();
    bench.dropsOut("dhcp.client-address", client.rebind(absurd), rebindUnaddressed(absurd));
  }
  const bench = new Bench({ gateway: GATEWAY });
  bench.passesOut(rebindUnaddressed(GATEWAY));
  bench.dropsIn("dhcp.assigned-address", new Server({ address: "192.168.64.3" }).ack(client, GATEWAY));
});

test("G3 D2 D3 D24 renewals of any address cost what every message costs", () => {
  const bench = new Bench();
  for (let identifier = 0; identifier < 4; identifier++) {
    bench.passesOut(new Client({ xid: identifier, identifier: bytes(0, identifier) }).rebind(ADDRESS));
  }
  bench.dropsOut("dhcp.client-identifier", new Client({ xid: 1, identifier: bytes(9) }).rebind(ADDRESS));
  const known = (xid: number) => new Client({ xid, identifier: bytes(0, 0) });
  for (let xid = 4; xid < 8; xid++) bench.passesOut(known(xid).rebind(`192.168.64.${xid + 20}`));
  bench.dropsOut("dhcp.pending", known(8).rebind(ADDRESS));
  for (let message = 0; message < 42; message++) bench.passesOut(known(4).rebind("192.168.64.24"));
  bench.dropsOut("dhcp.rate", known(4).rebind("192.168.64.24"));
});

test("G3 D25 with a trusted server only that one answers, by ACK or NAK", () => {
  for (const ask of [client.rebind(ADDRESS), rebindUnaddressed(ADDRESS)]) {
    const bench = new Bench({ dhcpServer: GATEWAY });
    bench.passesOut(ask);
    bench.dropsIn("dhcp.server", rogue.ack(client, ADDRESS), rogue.nak(client));
    bench.passesIn(server.ack(client, ADDRESS));
    bench.assertOnline();
  }
});

test("G3 D25 after the lease's end too another server than the former one confirms the address and no more", () => {
  for (const [from, router, dns] of [
    [rogue, GATEWAY, DNS_SERVER],
    [new Server({ router: "192.168.64.254", dns: ["192.168.64.254"] }), "192.168.64.254", "192.168.64.254"],
    [new Server({ router: undefined, netmask: undefined, dns: [] }), GATEWAY, DNS_SERVER],
  ] as const) {
    const bench = asleep();
    bench.passesOut(rebindUnaddressed(ADDRESS));
    bench.passesIn(from.ack(client, ADDRESS));
    const bound = bench.guard.binding.ipv4!;
    assert.deepEqual([bound.router, ...bound.dnsServers].map(formatIPv4), [router, dns]);
    assert.equal(formatIPv4(bound.netmask), "255.255.255.0");
  }
});

test("G3 D7 an accomplice outside cannot acknowledge what is not bound, by a packet routed to that address", () => {
  const outside = new Server({ address: "8.8.8.7", identifier: GATEWAY });
  for (const bench of [new Bench(), asleep()]) {
    bench.passesOut(rebindUnaddressed(ADDRESS));
    bench.dropsIn("dhcp.addresses", outside.ack(client, ADDRESS));
    bench.passesIn(server.ack(client, ADDRESS));
  }
  const known = new Bench({ subnet: "203.0.113.0/24" });
  known.passesOut(rebindUnaddressed("203.0.113.5"));
  known.passesIn(new Server({ address: "203.0.113.1", router: undefined }).ack(client, "203.0.113.5"));
});

test("G3 D13 without a binding any server may refuse a REBINDING, and the client starts anew", () => {
  const words = { type: NAK, op: 2, xid: 2, source: GATEWAY, from: GATEWAY_MAC, sourcePort: 67, destinationPort: 68 };
  for (const refuse of [rogue.nak(client), server.nak(client), dhcp(words)]) {
    const bench = asleep();
    bench.passesOut(rebindUnaddressed(ADDRESS));
    bench.passesIn(refuse);
    bench.dropsIn("dhcp.transaction", server.ack(client, ADDRESS));
    bench.bind(OTHER);
  }
});

test("G3 the events tell the loss, and that the address is learned again", () => {
  const bench = asleep();
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(client, ADDRESS));
  assert.deepEqual(
    bench.changes.map((change) => (change.kind === "lost" ? change.why : change.kind)),
    ["learned", "expired", "learned"],
  );
});

test("G3 a renewal as systemd-networkd 257 sends it after its lease ended, byte by byte", () => {
  const bench = asleep();
  const message = hex(`
    01 01 06 00 00000002 0000 0000 c0a84005 00000000 00000000 00000000
    7e1a00000001 0000000000000000 0000 ${"00".repeat(192)} 63825363
    35 01 03  3d 13 ff a1b2c3d4 0002 0000ab11 0123456789abcdef  37 05 01 03 06 0c 79  39 02 05c0 ff`);
  bench.passesOut(udp(68, 67, { source: NOBODY, destination: EVERYONE, to: EVERYONE_MAC }, message));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.assertOnline();
});
