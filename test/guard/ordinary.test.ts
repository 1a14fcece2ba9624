/**
 * What ordinary clients and servers send that is not in the usual books (findings G1 and G4 to G8), and what somebody
 * hostile could try with it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIPv4 } from "../../src/wire/address.ts";
import { bound, OTHER, rogue, server } from "./dhcp-support.ts";
import {
  ADDRESS,
  address,
  Bench,
  bytes,
  Client,
  dhcp,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  hex,
  icmp,
  join,
  MINUTE,
  NAK,
  NEIGHBOUR,
  NOBODY,
  OTHER_MAC,
  SECOND,
  Server,
} from "./support.ts";

/* G1: another xid in the REQUEST */

const another = (xid: number) => new Client({ xid });

test("G1 a REQUEST with another xid takes the offer of the DISCOVER, and the ACK comes under its own", () => {
  const bench = new Bench();
  bench.passesOut(another(1).discover());
  bench.passesIn(server.offer(another(1), ADDRESS));
  bench.passesOut(another(2).select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.transaction", server.ack(another(1), ADDRESS));
  bench.passesIn(server.ack(another(2), ADDRESS));
  bench.assertOnline();
});

test("G1 a REQUEST that is repeated, each time with another xid, goes on with the offer", () => {
  const bench = new Bench();
  bench.passesOut(another(1).discover());
  bench.passesIn(server.offer(another(1), ADDRESS));
  for (let xid = 2; xid < 30; xid++) {
    bench.passesOut(another(xid).select(ADDRESS, GATEWAY));
    bench.wait(20 * SECOND);
  }
  bench.passesIn(server.ack(another(29), ADDRESS));
  bench.assertOnline();
});

test("G1 D20 the offer must be this server's of this address, to this VM, within 60 s of its last message", () => {
  const bench = new Bench();
  bench.passesOut(another(1).discover());
  bench.passesIn(server.offer(another(1), ADDRESS), rogue.offer(another(1), OTHER));
  bench.dropsOut(
    "dhcp.server",
    another(2).select(OTHER, GATEWAY),
    another(2).select(ADDRESS, rogue.address),
    another(2).select(NEIGHBOUR, GATEWAY),
  );
  bench.wait(MINUTE + 1);
  bench.dropsOut("dhcp.server", another(2).select(ADDRESS, GATEWAY));
});

test("G1 D25 the ACK must come from the address and MAC that made the offer", () => {
  const bench = new Bench();
  bench.passesOut(another(1).discover());
  bench.passesIn(server.offer(another(1), ADDRESS));
  bench.passesOut(another(2).select(ADDRESS, GATEWAY));
  bench.dropsIn(
    "dhcp.server",
    rogue.ack(another(2), ADDRESS),
    server.ack(another(2), ADDRESS, { from: OTHER_MAC }),
    server.ack(another(2), ADDRESS, { source: rogue.address }),
    rogue.nak(another(2)),
  );
  bench.passesIn(server.ack(another(2), ADDRESS));
});

test("G1 an offer under the REQUEST's own xid comes first, then of those under others the latest", () => {
  const bench = new Bench();
  bench.passesOut(another(1).discover(), another(2).discover());
  bench.passesIn(server.offer(another(1), ADDRESS), server.offer(another(2), ADDRESS, { from: OTHER_MAC }));
  bench.passesOut(another(1).discover());
  bench.passesOut(another(3).select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.server", server.ack(another(3), ADDRESS));
  bench.passesOut(another(1).select(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(another(3), ADDRESS, { from: OTHER_MAC }), server.ack(another(1), ADDRESS));
});

test("G1 a REQUEST under the xid of another transaction replaces that one", () => {
  const bench = bound();
  bench.passesOut(another(1).discover(), another(2).inform(ADDRESS));
  bench.passesIn(server.offer(another(1), OTHER));
  bench.passesOut(another(2).select(OTHER, GATEWAY));
  bench.passesIn(server.ack(another(2), OTHER));
  bench.assertOnline(OTHER);
});

test("G1 D24 it takes no further place: eight transactions stay eight", () => {
  const bench = new Bench();
  for (let xid = 1; xid <= 8; xid++) bench.passesOut(another(xid).discover());
  bench.passesIn(server.offer(another(1), ADDRESS));
  bench.passesOut(another(9).select(ADDRESS, GATEWAY));
  bench.dropsOut("dhcp.pending", another(1).discover(), another(10).discover());
  bench.passesIn(server.ack(another(9), ADDRESS));
  bench.assertOnline();
});

test("G1 D13 a DISCOVER's NAK is none, also under the new xid before the REQUEST", () => {
  const bench = new Bench();
  bench.passesOut(another(1).discover());
  bench.passesIn(server.offer(another(1), ADDRESS));
  bench.dropsIn("dhcp.transaction", server.nak(another(1)), server.nak(another(2)));
});

/* G4: an answered transaction gives its place back */

test("G4 a lease of 10 s, renewed every 5 s with a new xid, is renewed for an hour", () => {
  const short = new Server({ lease: 10 });
  const bench = new Bench();
  bench.bind(ADDRESS, another(1), short);
  for (let xid = 2; xid < 722; xid++) {
    bench.wait(5 * SECOND);
    bench.passesOut(another(xid).renew(ADDRESS, GATEWAY));
    bench.passesIn(short.ack(another(xid), ADDRESS));
  }
  bench.assertOnline();
});

test("G4 INFORMs that are answered keep no renewal out", () => {
  const bench = bound();
  for (let xid = 2; xid < 30; xid++) {
    bench.passesOut(another(xid).inform(ADDRESS));
    bench.passesIn(server.ackInform(another(xid), ADDRESS));
  }
  bench.passesOut(another(30).renew(ADDRESS, GATEWAY));
});

test("G4 D24 an answered one gives way only where all places are taken, the oldest first; until then its ACK may come twice", () => {
  const bench = bound();
  for (let xid = 1; xid <= 3; xid++) {
    bench.passesOut(another(xid).renew(ADDRESS, GATEWAY));
    bench.passesIn(server.ack(another(xid), ADDRESS));
    bench.wait(SECOND);
  }
  bench.passesOut(another(1).renew(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(another(1), ADDRESS));
  for (let xid = 4; xid <= 8; xid++) bench.passesOut(another(xid).discover());
  bench.passesIn(server.ack(another(2), ADDRESS), server.ack(another(3), ADDRESS));
  bench.passesOut(another(9).discover());
  bench.dropsIn("dhcp.transaction", server.ack(another(2), ADDRESS));
  bench.passesIn(server.ack(another(3), ADDRESS), server.ack(another(1), ADDRESS));
  bench.passesOut(another(10).discover(), another(11).discover());
  bench.dropsOut("dhcp.pending", another(12).discover());
});

test("G4 D24 one that is asked again is not answered any more", () => {
  const bench = bound();
  bench.passesOut(another(0x11111111).renew(ADDRESS, GATEWAY));
  for (let xid = 1; xid <= 7; xid++) bench.passesOut(another(xid).discover());
  bench.dropsOut("dhcp.pending", another(8).discover());
});

/* G5: the subnet's broadcast address */

const toSubnet = { destination: "192.168.64.255", to: EVERYONE_MAC };

test("G5 an OFFER and an ACK to the subnet's broadcast address count", () => {
  for (const options of [{}, { subnet: "192.168.64.0/24" }]) {
    const bench = new Bench(options);
    const client = another(1);
    bench.passesOut(client.discover());
    bench.passesIn(server.offer(client, ADDRESS, toSubnet));
    bench.passesOut(client.select(ADDRESS, GATEWAY));
    bench.passesIn(server.ack(client, ADDRESS, toSubnet));
    bench.assertOnline();
  }
});

test("G5 D7 D25 not in a unicast frame, without a fitting option 1, or from outside the subnet", () => {
  const client = another(1);
  for (const [from, change] of [
    [server, { ...toSubnet, to: "7e:1a:00:00:00:01" }],
    [server, { ...toSubnet, to: "01:00:5e:00:00:01" }],
    [server, { ...toSubnet, destination: "192.168.64.127" }],
    [new Server({ netmask: undefined }), toSubnet],
    [new Server({ netmask: "255.255.0.0" }), toSubnet],
    [new Server({ netmask: "255.0.255.0" }), toSubnet],
    [new Server({ netmask: "255.255.255.254" }), { ...toSubnet, destination: "192.168.64.5" }],
    [new Server({ address: "203.0.113.7", identifier: GATEWAY }), toSubnet],
    [new Server({ address: "192.168.65.1", identifier: GATEWAY }), toSubnet],
    [server, { ...toSubnet, source: NOBODY }],
  ] as const) {
    const bench = new Bench();
    bench.passesOut(client.discover());
    const yiaddr = from.netmask === "255.255.255.254" ? "192.168.64.4" : ADDRESS;
    bench.dropsIn("dhcp.addresses", from.offer(client, yiaddr, change));
  }
  const narrow = new Bench({ subnet: "192.168.64.0/26" });
  narrow.passesOut(client.discover());
  narrow.dropsIn("dhcp.addresses", new Server({ address: "192.168.64.200" }).offer(client, ADDRESS, toSubnet));
});

/* G6: a NAK that names no server */

const anonymousNak = dhcp({
  type: NAK,
  op: 2,
  xid: 1,
  source: GATEWAY,
  from: GATEWAY_MAC,
  to: EVERYONE_MAC,
  sourcePort: 67,
  destinationPort: 68,
});

test("G6 a NAK without option 54 refuses an INIT-REBOOT, and the client starts anew", () => {
  const bench = new Bench();
  bench.passesOut(another(1).reboot(OTHER));
  bench.passesIn(anonymousNak);
  bench.bind(ADDRESS, another(2));
  bench.assertOnline();
});

test("G6 D13 nowhere else, nor with a trusted server, and not with an absurd one in option 54", () => {
  for (const ask of [
    another(1).renew(ADDRESS, GATEWAY),
    another(1).rebind(ADDRESS),
    another(1).discover(),
    another(1).inform(ADDRESS),
  ]) {
    const bench = bound();
    bench.passesOut(ask);
    bench.dropsIn("dhcp.server", anonymousNak);
    bench.assertOnline();
  }
  const bench = new Bench({ dhcpServer: GATEWAY });
  bench.passesOut(another(1).reboot(ADDRESS));
  bench.dropsIn("dhcp.server", anonymousNak);
  const open = new Bench();
  open.passesOut(another(1).reboot(ADDRESS));
  open.dropsIn("dhcp.server", new Server({ identifier: "127.0.0.1" }).nak(another(1)));
});

/* G7: RELEASE to everyone */

test("G7 a RELEASE to 255.255.255.255 gives the address back", () => {
  const bench = bound();
  bench.passesOut(another(2).release(ADDRESS, GATEWAY, { destination: EVERYONE }));
  bench.assertOffline();
});

test("G7 D5 it names the binding's server and the VM's own address, in a broadcast frame", () => {
  const bench = bound();
  const client = another(2);
  const everyone = { destination: EVERYONE };
  bench.dropsOut("dhcp.server", client.release(ADDRESS, NEIGHBOUR, everyone));
  bench.dropsOut("dhcp.client-address", client.release(ADDRESS, GATEWAY, { ...everyone, ciaddr: NEIGHBOUR }));
  bench.dropsOut(
    "dhcp.addresses",
    client.release(ADDRESS, GATEWAY, { ...everyone, source: NOBODY }),
    client.release(ADDRESS, GATEWAY, { ...everyone, to: GATEWAY_MAC }),
  );
  bench.assertOnline();
});

/* G8: the router of option 121 */

const ON_LINK = hex("20 a9fea9fe 00000000");
const DEFAULT = join(bytes(0), address(GATEWAY));

function routerOf(options: readonly (readonly [number, Uint8Array])[], netmask: string | undefined = "255.255.255.0") {
  const bench = new Bench();
  const client = another(1);
  bench.passesOut(client.reboot(ADDRESS));
  const verdict = bench.in(new Server({ router: undefined, netmask }).ack(client, ADDRESS, { options }));
  return bench.guard.binding.ipv4 === undefined ? verdict : formatIPv4(bench.guard.binding.ipv4.router);
}

test("G8 a default route in option 121 is the gateway, before 249, before option 3 (RFC 3442)", () => {
  const other = address("192.168.64.254");
  assert.equal(routerOf([[121, DEFAULT]]), GATEWAY);
  assert.equal(
    routerOf([
      [3, other],
      [121, join(ON_LINK, DEFAULT)],
    ]),
    GATEWAY,
  );
  assert.equal(
    routerOf([
      [3, other],
      [249, DEFAULT],
    ]),
    GATEWAY,
  );
  assert.equal(
    routerOf([
      [249, join(bytes(0), other)],
      [121, DEFAULT],
    ]),
    GATEWAY,
  );
  assert.equal(
    routerOf([
      [3, other],
      [121, ON_LINK],
      [249, ON_LINK],
    ]),
    "192.168.64.254",
  );
  assert.equal(routerOf([[121, join(DEFAULT, bytes(0), other)]]), GATEWAY);
});

test("G8 option 121 is read whole: in parts (RFC 3396), with prefixes of every length, up to 512 bytes", () => {
  const routes = Array.from({ length: 33 }, (_, prefix) =>
    join(bytes(prefix), new Uint8Array((prefix + 7) >> 3).fill(10), address(prefix === 0 ? NOBODY : "192.168.64.7")),
  );
  const all = join(...routes, DEFAULT);
  assert.equal(
    routerOf([
      [121, all.subarray(0, 100)],
      [12, bytes(65)],
      [121, all.subarray(100)],
    ]),
    GATEWAY,
  );
  const padding = (length: number) => join(...Array.from({ length: length / 9 }, () => ON_LINK));
  assert.equal(routerOf([[121, join(padding(504), hex("08 0a c0a84007"), bytes()).subarray(0, 504)]]), NOBODY);
  assert.equal(routerOf([[121, join(DEFAULT, padding(504))]]), GATEWAY);
  assert.equal(routerOf([[121, join(DEFAULT, padding(513))]]), NOBODY);
});

test("G8 what is not made of whole routes counts as absent", () => {
  for (const broken of [
    join(DEFAULT, bytes(0)),
    join(DEFAULT, bytes(24, 10, 0)),
    join(DEFAULT, hex("21 0a000001 00 c0a84001")),
    DEFAULT.subarray(0, 4),
    bytes(0),
    join(DEFAULT, hex("20 0a000001 c0a840")),
  ]) {
    assert.equal(routerOf([[121, broken]]), NOBODY);
  }
});

test("G8 D26 a default route by way of a host outside the subnet, or of a metadata address, is none", () => {
  for (const router of ["10.0.0.1", "169.254.169.254", "127.0.0.1", "224.0.0.1"]) {
    assert.equal(routerOf([[121, join(bytes(0), address(router))]]), NOBODY);
  }
  assert.equal(routerOf([[121, join(bytes(0), address("10.0.0.1"))]], "255.255.255.255"), "10.0.0.1");
  assert.equal(routerOf([[121, join(bytes(0), address("169.254.169.254"))]], "255.255.255.255"), NOBODY);
});

test("G8 D26 the router of option 121, and that of option 3 beside it, are never assigned to the VM", () => {
  const option = [121, join(bytes(0), address(ADDRESS))] as const;
  assert.equal(routerOf([option]), "dhcp.assigned-address");
  assert.equal(
    routerOf([
      [121, DEFAULT],
      [3, address(ADDRESS)],
    ]),
    "dhcp.assigned-address",
  );
});

test("G8 @host and the guarded gateway are the router of option 121", () => {
  const bench = new Bench({ block: ["@host"] });
  const client = another(1);
  bench.passesOut(client.reboot(ADDRESS));
  const words = { options: [[121, DEFAULT]] } as const;
  bench.passesIn(new Server({ router: "192.168.64.254" }).ack(client, ADDRESS, words));
  bench.dropsOut("policy.block", icmp(8, { destination: GATEWAY }));
  bench.dropsOut("policy.destination", icmp(8, { destination: "192.168.64.254" }));
});
