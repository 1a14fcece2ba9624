/** What the guard is told by the host's registry: addresses of other VMs (threat row D6), its VM's own of before (D28). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BoundIPv4Address, GuardOptions, RestoredAddress } from "../../src/index.ts";
import { formatIPv4, parseIPv4, parseMac } from "../../src/wire/address.ts";
import {
  ADDRESS,
  address,
  arp,
  arpProbe,
  Bench,
  bytes,
  Client,
  DNS_SERVER,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  MINUTE,
  OTHER_MAC,
  SECOND,
  Server,
  tcp,
  UNANSWERED,
  udp,
  VM,
} from "./support.ts";

const OTHER = "192.168.64.6";
const server = new Server();
const rapid = { options: [[80, bytes()] as const] };
const ip = (text: string) => parseIPv4(text)!;

/** A bench whose registry says that others hold these addresses, and notes what it was asked. */
function registered(...held: readonly string[]): { bench: Bench; asked: string[]; held: Set<string> } {
  const asked: string[] = [];
  const set = new Set(held);
  const heldElsewhere = (wanted: number) => {
    asked.push(formatIPv4(wanted));
    return set.has(formatIPv4(wanted));
  };
  return { bench: new Bench({ heldElsewhere }), asked, held: set };
}

test("D6 an address that another VM holds is not learned, in whichever way it is assigned", () => {
  const { bench, asked } = registered(ADDRESS);
  const client = new Client();
  bench.passesOut(client.discover(rapid));
  bench.passesIn(server.offer(client, ADDRESS));
  assert.deepEqual(asked, [], "an offer assigns nothing");
  bench.dropsIn("dhcp.address-held", server.ack(client, ADDRESS, rapid));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.address-held", server.ack(client, ADDRESS));
  bench.wait(UNANSWERED);
  bench.passesOut(client.reboot(ADDRESS));
  bench.dropsIn("dhcp.address-held", server.ack(client, ADDRESS));
  bench.assertOffline();
  assert.deepEqual(bench.changes, []);
  assert.equal(asked.length, 3);
});

test("D6 another address of the same network is learned", () => {
  const { bench } = registered(ADDRESS);
  bench.bind(OTHER);
  bench.assertOnline(OTHER);
});

test("D6 a bound VM keeps its address when the one that it should move to is another's", () => {
  const { bench } = registered(OTHER);
  bench.bind(ADDRESS);
  const client = new Client({ xid: 2 });
  bench.passesOut(client.reboot(OTHER));
  bench.dropsIn("dhcp.address-held", server.ack(client, OTHER));
  bench.assertOnline(ADDRESS);
});

test("D6 a refused ACK leaves its transaction open: when the other VM is gone, the same answer counts", () => {
  const { bench, held } = registered(ADDRESS);
  const client = new Client();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.address-held", server.ack(client, ADDRESS));
  held.clear();
  bench.passesIn(server.ack(client, ADDRESS));
  bench.assertOnline();
});

test("D6 the registry is not asked for a renewal, nor for an ACK that fails otherwise", () => {
  const { bench, asked } = registered();
  bench.bind();
  assert.deepEqual(asked, [ADDRESS]);
  const client = new Client({ xid: 3 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.passesOut(client.rebind(ADDRESS));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.passesOut(client.reboot(OTHER));
  bench.dropsIn("dhcp.lease-time", new Server({ lease: 0 }).ack(client, OTHER));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, GATEWAY), server.ack(client, "192.168.64.7"));
  assert.deepEqual(asked, [ADDRESS]);
});

test("D6 the registry is not asked for a static address", () => {
  const bench = new Bench({ address: ADDRESS, heldElsewhere: () => assert.fail("asked") });
  const client = new Client();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.assertOnline();
});

test("D6 a registry that fails counts as one that says held", () => {
  const bench = new Bench({
    heldElsewhere: () => {
      throw new Error("cannot be read");
    },
  });
  const client = new Client();
  bench.passesOut(client.reboot(ADDRESS));
  bench.dropsIn("dhcp.address-held", server.ack(client, ADDRESS));
  bench.assertOffline();
});

/** An address as it was kept an hour after the bench's beginning ends it. */
function kept(change: Partial<RestoredAddress> = {}): RestoredAddress {
  return {
    family: "ipv4",
    address: ip(ADDRESS),
    server: ip(GATEWAY),
    expiry: 1_700_000_000 * SECOND + 60 * MINUTE,
    netmask: ip("255.255.255.0"),
    router: ip(GATEWAY),
    dnsServers: [ip(DNS_SERVER)],
    acknowledged: { source: ip(GATEWAY), sourceMac: parseMac(GATEWAY_MAC)!, clientIdentifier: bytes(0, 7) },
    ...change,
  };
}

const after = (change?: Partial<RestoredAddress>, options: Partial<GuardOptions> = {}) =>
  new Bench({ restored: { addresses: [kept(change)] }, ...options });

test("D28 a VM goes on with its binding of before: traffic, the gateway's questions, DNS, and nobody is told", () => {
  const bench = after();
  assert.deepEqual(bench.guard.binding.ipv4, { ...kept(), origin: "snooped" } satisfies BoundIPv4Address);
  // The gateway speaks first; its MAC is the one that acknowledged.
  const question = (sender: string) =>
    arp({ operation: 1, sender: GATEWAY, senderMac: sender, target: ADDRESS, from: sender, to: VM });
  bench.dropsIn("arp.gateway", question(OTHER_MAC));
  bench.passesIn(question(GATEWAY_MAC));
  bench.assertOnline();
  bench.passesOut(udp(53, 53, { source: ADDRESS, destination: DNS_SERVER }));
  assert.deepEqual(bench.changes, []);
});

test("D28 the restored binding is renewed by its server, and ends with its lease", () => {
  const bench = after();
  const client = new Client({ xid: 5, identifier: bytes(0, 7) });
  bench.wait(30 * MINUTE);
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  const rogue = new Server({ address: "192.168.64.66", mac: OTHER_MAC });
  bench.dropsIn("dhcp.server", rogue.ack(client, ADDRESS));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.wait(45 * MINUTE);
  bench.assertOnline();
  bench.wait(15 * MINUTE);
  bench.assertOffline();
  assert.deepEqual(
    bench.changes.map(({ kind }) => kind),
    ["renewed", "lost"],
  );
});

test("D22 D28 a restored binding without a renewal ends with its lease, to the microsecond", () => {
  const bench = after();
  bench.wait(60 * MINUTE - 1);
  assert.equal(bench.bound, ADDRESS);
  bench.wait(1);
  bench.assertOffline();
  bench.passesOut(arpProbe(ADDRESS));
});

test("D28 the VM may release what was restored, under the client identifier with which it asked", () => {
  const bench = after();
  bench.dropsOut("dhcp.client-identifier", new Client({ identifier: bytes(0, 8) }).release(ADDRESS, GATEWAY));
  bench.passesOut(new Client({ identifier: bytes(0, 7) }).release(ADDRESS, GATEWAY));
  bench.assertOffline();

  const { source, sourceMac } = kept().acknowledged!;
  const without = after({ acknowledged: { source, sourceMac } });
  without.dropsOut("dhcp.client-identifier", new Client({ identifier: bytes(0, 7) }).release(ADDRESS, GATEWAY));
  without.passesOut(new Client().release(ADDRESS, GATEWAY));
});

test("D28 the restored client identifier is one of the four, and gives its place to a fifth", () => {
  const bench = after();
  for (const last of [1, 2, 3]) bench.passesOut(new Client({ xid: last, identifier: bytes(0, last) }).discover());
  bench.passesOut(new Client({ xid: 4, identifier: bytes(0, 4) }).discover());
  bench.dropsOut("dhcp.client-identifier", new Client({ xid: 6, identifier: bytes(0, 6) }).discover());
});

test("D28 what an ACK could not have made here is not restored", () => {
  const refused: readonly (readonly [string, Partial<RestoredAddress>, Partial<GuardOptions>])[] = [
    ["the gateway's address", { address: ip(GATEWAY) }, {}],
    ["the configured gateway's address", {}, { gateway: ADDRESS }],
    ["the server's address", { server: ip(ADDRESS) }, {}],
    ["an edge of its subnet", { address: ip("192.168.64.255") }, {}],
    ["an address that is none", { address: ip("224.0.0.1") }, {}],
    ["not even a number", { address: Number.NaN }, {}],
    ["outside the network's subnet", {}, { subnet: "10.0.0.0/8" }],
    ["another server is trusted now", {}, { dhcpServer: OTHER }],
    ["a server that is none", { server: ip("127.0.0.1") }, {}],
    ["an expiry that is none", { expiry: Number.NaN }, {}],
    ["an expiry before time began", { expiry: 0 }, {}],
  ];
  for (const [what, change, options] of refused) {
    const bench = after(change, options);
    assert.equal(bench.guard.binding.ipv4, undefined, what);
    bench.dropsOut("ipv4.unbound", tcp(443, { source: ADDRESS }));
  }
});

test("D28 a static address is not replaced by one of before", () => {
  const bench = after({}, { address: OTHER, gateway: GATEWAY });
  assert.equal(bench.bound, OTHER);
});

test("D28 a router and DNS servers that cannot be are left out, as in an ACK", () => {
  const dnsServers = ["127.0.0.53", DNS_SERVER, ...Array.from({ length: 9 }, (_, last) => `10.0.0.${last}`)].map(ip);
  const bench = after({ router: ip("169.254.169.254"), dnsServers });
  assert.equal(bench.guard.gateway, 0);
  assert.deepEqual(bench.guard.binding.ipv4?.dnsServers.map(formatIPv4), [
    DNS_SERVER,
    ...Array.from({ length: 6 }, (_, last) => `10.0.0.${last}`),
  ]);
});

test("D28 an expired binding of before opens nothing", () => {
  const bench = after({ expiry: 1_600_000_000 * SECOND });
  bench.assertOffline();
});

test("the binding tells where its ACK came from and what it answered", () => {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client(), new Server({ mac: OTHER_MAC, identifier: "10.9.9.9" }));
  assert.deepEqual(bench.guard.binding.ipv4?.acknowledged, { source: ip(GATEWAY), sourceMac: parseMac(OTHER_MAC) });
  const client = new Client({ xid: 9, identifier: address("1.2.3.4") });
  bench.passesOut(client.renew(ADDRESS, "10.9.9.9", { to: EVERYONE_MAC }));
  bench.passesIn(new Server({ identifier: "10.9.9.9" }).ack(client, ADDRESS));
  const { acknowledged } = bench.guard.binding.ipv4!;
  assert.deepEqual(acknowledged?.clientIdentifier, address("1.2.3.4"), "of the last request, not of the first");
  assert.equal(acknowledged?.sourceMac, parseMac(GATEWAY_MAC));
  bench.passesOut(tcp(443, { destination: GLOBAL }));
});
