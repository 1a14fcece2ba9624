/**
 * NetworkManager 1.42, whose lease ended while it could not renew: it looks for a server anew and names its former address
 * in ciaddr, in DISCOVER and in SELECTING too, against RFC 2131 table 5. Seen from the real program (test/clients).
 */
import { test } from "node:test";
import { ADDRESS, Bench, bytes, Client, GATEWAY, HOUR, join, mac, NOBODY, Server, VM } from "./support.ts";

const OTHER = "192.168.64.6";
const client = new Client({
  xid: 0xb6651bb4,
  identifier: join(bytes(1), mac(VM)),
  options: [
    [55, bytes(1, 2, 6, 12, 15, 26, 28, 121, 3, 33, 40, 41, 42, 119, 249, 252, 17)],
    [57, bytes(2, 64)],
  ],
});
const server = new Server({ lease: 120 });

test("G3 SELECTING with the former address in ciaddr, where it was offered again, binds", () => {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client(), server);
  bench.wait(HOUR);
  bench.assertOffline();
  bench.passesOut(client.discover({ ciaddr: ADDRESS }));
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY, { ciaddr: ADDRESS }));
  bench.passesIn(server.ack(client, ADDRESS));
  bench.assertOnline();
});

test("G3 SELECTING with the refused address in ciaddr, where another one was offered after a NAK, binds", () => {
  const bench = new Bench();
  bench.bind(ADDRESS, client, server);
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(server.nak(client));
  bench.passesOut(client.discover({ ciaddr: ADDRESS }));
  bench.passesIn(server.offer(client, OTHER));
  bench.passesOut(client.select(OTHER, GATEWAY, { ciaddr: ADDRESS }));
  bench.passesIn(server.ack(client, OTHER));
  bench.assertOnline(OTHER);
});

test("D5 SELECTING names nobody else's address in ciaddr", () => {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client(), server);
  bench.wait(HOUR);
  bench.passesOut(client.discover());
  bench.passesIn(server.offer(client, ADDRESS));
  bench.dropsOut(
    "dhcp.client-address",
    client.select(ADDRESS, GATEWAY, { ciaddr: "192.168.64.77" }),
    client.select(ADDRESS, GATEWAY, { ciaddr: GATEWAY }),
  );
  bench.passesOut(client.select(ADDRESS, GATEWAY, { ciaddr: NOBODY }));
});
