/** What an ACK may assign and tell, and when it counts (threat rows D25–D30). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress } from "../../src/wire/ipv6-address.ts";
import { bound, OTHER, rogue, server } from "./dhcp-support.ts";
import {
  ADDRESS,
  address,
  Bench,
  bytes,
  Client,
  DNS_SERVER,
  EVERYONE,
  GATEWAY,
  HOUR,
  join,
  NOBODY,
  Server,
  tcp,
  UNANSWERED,
} from "./support.ts";

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
    bench.wait(UNANSWERED);
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
  bench.wait(UNANSWERED);
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
    const bound = bench.guard.binding.ipv4!;
    assert.equal(formatAddress(bound.router), taken ? router : NOBODY, `${router} with ${netmask}`);
    assert.deepEqual(bound.dnsServers.map(formatAddress), ["8.8.8.8", DNS_SERVER]);
  }
});

test("D26 a router outside the network's own subnet counts as none, whatever netmask the ACK gives", () => {
  const bench = new Bench({ subnet: "192.168.64.0/24" });
  bench.bind(ADDRESS, new Client(), new Server({ netmask: "255.0.0.0", router: "192.168.65.1" }));
  assert.equal(bench.guard.binding.ipv4?.router, 0);
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
  bench.wait(UNANSWERED);
  bench.passesOut(client.reboot(OTHER));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, OTHER));
  bench.wait(UNANSWERED);
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
    onBinding: ({ kind }) => seen.push(`${kind} ${bench?.guard.binding.ipv4 === undefined ? "unbound" : "bound"}`),
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
      formatAddress(change.bound.address),
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
  const { netmask, router, dnsServers } = bench.guard.binding.ipv4!;
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(silent.ack(client, ADDRESS));
  const kept = bench.guard.binding.ipv4!;
  assert.deepEqual([kept.netmask, kept.router, kept.dnsServers], [netmask, router, dnsServers]);
  bench.bind(OTHER, new Client({ xid: 3 }), silent);
  const gone = bench.guard.binding.ipv4!;
  assert.deepEqual([gone.netmask, gone.router, gone.dnsServers], [0, 0, []]);
});

test("D25 another server that confirms the address in REBINDING changes nothing but server and expiry", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  const { netmask, router, dnsServers } = bench.guard.binding.ipv4!;
  bench.passesOut(client.rebind(ADDRESS));
  bench.passesIn(rogue.ack(client, ADDRESS));
  const kept = bench.guard.binding.ipv4!;
  assert.deepEqual([kept.netmask, kept.router, kept.dnsServers], [netmask, router, dnsServers]);
  assert.deepEqual([formatAddress(kept.server), kept.expiry], [rogue.address, bench.now + HOUR]);
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
  const { netmask, router, dnsServers } = bench.guard.binding.ipv4!;
  assert.deepEqual(
    [formatAddress(netmask), formatAddress(router), dnsServers.map(formatAddress)],
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
    const { netmask, router, dnsServers } = bench.guard.binding.ipv4!;
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
