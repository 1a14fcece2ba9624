/** Answers that nobody asked for, fields that steer them, ports that are DHCP's (threat rows D7–D11). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bound, rogue, server } from "./dhcp-support.ts";
import {
  ADDRESS,
  address,
  Bench,
  Client,
  DNS_SERVER,
  dhcp,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  HOUR,
  icmp,
  MINUTE,
  NEIGHBOUR,
  NOBODY,
  OFFER,
  OTHER_MAC,
  SECOND,
  Server,
  UNANSWERED,
  udp,
  VM,
  word,
} from "./support.ts";

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
  const before = bench.guard.binding.ipv4;
  bench.passesIn(
    server.ackInform(client, ADDRESS),
    server.ackInform(client, ADDRESS, { yiaddr: NEIGHBOUR }),
    server.ack(client, NEIGHBOUR),
    new Server({ lease: 86_400, dns: ["10.0.0.1"], router: "10.0.0.2" }).ack(client, NEIGHBOUR),
  );
  assert.deepEqual(bench.guard.binding.ipv4, before);
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
  bench.wait(UNANSWERED);
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
  bench.dropsOut("dhcp.client-address", client.select(ADDRESS, GATEWAY, { ciaddr: NEIGHBOUR }));
  bench.passesOut(client.select(ADDRESS, GATEWAY, { ciaddr: ADDRESS }));
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
    bench.dropsOut("dhcp.client-address", client.reboot(ADDRESS, { ciaddr: ADDRESS }));
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
