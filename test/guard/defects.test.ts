/**
 * The known defects of the Rust softnet of May 2026, one regression test each. Two of the twelve are not the guard's:
 * 8 (periodic work starves under load) and 12 (one system call a frame) belong to the relay.
 */
import { test } from "node:test";
import {
  ADDRESS,
  address,
  arp,
  arpProbe,
  arpReply,
  Bench,
  bytes,
  Client,
  EVERYONE,
  EVERYONE_MAC,
  ethernet,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  hex,
  icmp,
  join,
  MINUTE,
  NEIGHBOUR,
  OTHER_MAC,
  packet,
  patch,
  SECOND,
  Server,
  tcp,
  UDP,
  udp,
  VM,
  withChecksum,
} from "./support.ts";

const server = new Server();

test("defect 1 ARP with a protocol length other than 4 drops and crashes nothing", () => {
  const bench = new Bench();
  bench.bind();
  for (let length = 0; length < 256; length++) {
    if (length === 4) continue;
    bench.dropsOut("arp.format", patch(arp(), 19, length), patch(arp({ operation: 2 }), 19, length));
    bench.dropsIn("arp.format", patch(arpReply(NEIGHBOUR, OTHER_MAC), 19, length));
  }
  bench.dropsOut(
    "arp.format",
    hex(
      "ffffffffffff 7e1a00000001 0806 0001 0800 06 10 0002 7e1a00000001 00000000000000000000000000000001 020000000064 00000000000000000000000000000002",
    ),
  );
  bench.assertOnline();
});

test("defect 2 a block of 0.0.0.0/0 does not cut the renewal", () => {
  const bench = new Bench({ block: ["0.0.0.0/0"] });
  bench.bind(ADDRESS, new Client(), new Server({ lease: 600 }));
  for (let renewal = 2; renewal < 12; renewal++) {
    bench.wait(5 * MINUTE);
    const client = new Client({ xid: renewal });
    bench.passesOut(client.renew(ADDRESS, GATEWAY));
    bench.passesIn(new Server({ lease: 600 }).ack(client, ADDRESS));
  }
  bench.dropsOut("policy.block", tcp(443), udp(40_000, 67 + 2, { destination: GATEWAY }));
  bench.passesOut(arp());
});

test("defect 3 the DHCP exception is 68 and 67, between exact addresses, not 68 or 67 to anywhere", () => {
  for (const bench of [new Bench(), new Bench({ address: ADDRESS })]) {
    for (const source of ["0.0.0.0", ADDRESS, NEIGHBOUR, GATEWAY]) {
      for (const [from, to] of [
        [68, 1],
        [68, 68],
        [1, 67],
        [67, 67],
        [67, 68],
      ] as const) {
        bench.dropsOut(
          "dhcp.ports",
          udp(from, to, { source, destination: EVERYONE, to: EVERYONE_MAC }, new Uint8Array(300)),
        );
      }
    }
    bench.dropsOut(
      "dhcp.addresses",
      new Client().discover({ source: NEIGHBOUR }),
      new Client().discover({ destination: "192.168.64.255" }),
    );
    bench.dropsOut(
      "dhcp.format",
      udp(68, 67, { source: "0.0.0.0", destination: EVERYONE, to: EVERYONE_MAC }, bytes(1, 2, 3)),
    );
  }
});

test("defect 4 a client that sets the broadcast flag is learned", () => {
  const bench = new Bench();
  const client = new Client({ broadcast: true });
  const everyone = { destination: EVERYONE, to: EVERYONE_MAC, flags: 0x8000 };
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS, everyone));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.passesIn(server.ack(client, ADDRESS, everyone));
  bench.assertOnline();
});

test("defect 5 neither another guest's transaction nor a reflected datagram to port 68 plants a lease", () => {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.transaction", server.ack(client, NEIGHBOUR, { xid: 0x22222222 }));
  bench.dropsIn("dhcp.other-client", server.ack(client, NEIGHBOUR, { chaddr: OTHER_MAC }));
  bench.dropsIn("dhcp.ports", server.ack(client, NEIGHBOUR, { sourcePort: 53 }));
  bench.dropsIn("dhcp.assigned-address", server.ack(client, NEIGHBOUR));
  bench.assertOffline();
  bench.passesIn(server.ack(client, ADDRESS));
  bench.dropsOut("dhcp.ports", udp(68, 53, { destination: GLOBAL }));
});

test("defect 6 multicast is not global", () => {
  const bench = new Bench({ address: ADDRESS });
  for (const destination of ["224.0.0.1", "224.0.0.251", "239.255.255.250"]) {
    bench.dropsOut("policy.multicast", udp(5353, 5353, { destination }), icmp(8, { destination }));
  }
});

test("defect 7 ARP probes pass after an expiry", () => {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client(), new Server({ lease: 60 }));
  bench.wait(MINUTE);
  bench.assertOffline();
  bench.passesOut(arpProbe(ADDRESS));
  bench.wait(30 * SECOND);
  bench.passesOut(arpProbe(ADDRESS));
});

test("defect 9 neither IP options nor fragments pass unseen", () => {
  const bench = new Bench({ address: ADDRESS });
  const routed = join(tcp(443).subarray(0, 34), hex("830708c0a8400900"), tcp(443).subarray(34));
  bench.dropsOut("ipv4.options", withChecksum(patch(patch(routed, 14, 0x47), 16, 0, 48)));
  bench.dropsOut(
    "ipv4.fragment",
    packet(UDP, new Uint8Array(16), { offset: 1 }),
    packet(UDP, new Uint8Array(4), { more: true }),
  );
  bench.dropsOut("policy.destination", packet(UDP, new Uint8Array(16), { more: true, destination: NEIGHBOUR }));
  bench.dropsOut("ipv4.fragment-unknown", packet(UDP, new Uint8Array(16), { offset: 2, destination: NEIGHBOUR }));
  bench.dropsOut("dhcp.fragment", withChecksum(patch(new Client().discover(), 20, 0x20, 0)));
});

test("defect 10 what comes in is checked too", () => {
  const bench = new Bench();
  bench.bind();
  bench.passesOut(arp());
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  const incoming = { source: GLOBAL, destination: ADDRESS, from: GATEWAY_MAC, to: VM } as const;
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
  bench.dropsIn("arp.conflict", arpReply(ADDRESS, OTHER_MAC));
  bench.dropsIn("arp.format", patch(arpReply(NEIGHBOUR, OTHER_MAC), 19, 16));
  bench.dropsIn("ethernet.source", tcp(443, { ...incoming, from: VM }));
  bench.dropsIn("ethernet.destination", tcp(443, { ...incoming, to: OTHER_MAC }));
  bench.dropsIn("ethernet.type", ethernet(VM, GATEWAY_MAC, 0x8100, bytes(0, 0, 8, 0)));
  bench.dropsIn("ipv4.checksum", patch(tcp(443, incoming), 24, 0, 0));
  bench.dropsIn("ipv4.fragment", packet(UDP, new Uint8Array(16), { ...incoming, offset: 1 }));
  bench.dropsIn("dhcp.transaction", server.ack(new Client({ xid: 99 }), NEIGHBOUR));
  bench.assertOnline();
});

test("defect 11 DHCP and ARP have rates", () => {
  const bench = new Bench();
  bench.bind();
  const client = new Client({ xid: 2 });
  for (let frame = 0; frame < 1000; frame++) {
    bench.out(client.inform(ADDRESS, { options: [[50, address(ADDRESS)]] }));
    bench.out(arp());
  }
  bench.dropsOut("dhcp.rate", client.inform(ADDRESS));
  bench.dropsOut("arp.rate", arp());
});
