/**
 * REBINDING behind a softnet that was started again without a record, at servers that send their ACK through the kernel
 * (dnsmasq, udhcpd): it looks for the VM's MAC address first. Seen with the real programs (test/clients).
 */
import { test } from "node:test";
import {
  ADDRESS,
  arp,
  Bench,
  Client,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  NEIGHBOUR,
  NOBODY,
  SECOND,
  Server,
} from "./support.ts";

const client = new Client({ xid: 7 });
const server = new Server();
const asked = arp({ sender: GATEWAY, target: ADDRESS, from: GATEWAY_MAC, to: EVERYONE_MAC });
const told = arp({ operation: 2, target: GATEWAY, to: GATEWAY_MAC, targetMac: GATEWAY_MAC });

for (const source of [NOBODY, ADDRESS]) {
  test(`G3 after a restart without a record the server that was asked from ${source} hears which MAC it looks for`, () => {
    const bench = new Bench();
    bench.passesOut(client.rebind(ADDRESS, { source }));
    bench.passesIn(asked);
    bench.passesOut(told);
    bench.assertOffline();
    bench.passesIn(server.ack(client, ADDRESS));
    bench.assertOnline();
  });
}

test("D6 A1 without a record the VM tells nobody that an address is its own unless it was asked, and asks itself", () => {
  const bench = new Bench();
  bench.passesIn(asked);
  bench.dropsOut("arp.sender-address", told);
  bench.passesOut(client.rebind(ADDRESS, { source: NOBODY }));
  bench.dropsOut(
    "arp.sender-address",
    arp({ operation: 2, target: NEIGHBOUR, to: GATEWAY_MAC, targetMac: GATEWAY_MAC }),
    arp({ operation: 2, target: GATEWAY, to: EVERYONE_MAC }),
    arp({ sender: ADDRESS, target: ADDRESS }),
  );
  bench.wait(60 * SECOND + 1);
  bench.dropsOut("arp.sender-address", told);
});
