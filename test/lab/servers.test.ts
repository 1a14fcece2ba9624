/** DHCP servers as they stand on real networks: softnet learns, renews, loses and changes the binding with each. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { dhclient, lease, udhcpc } from "./harness/clients.ts";
import { until } from "./harness/program.ts";
import { DhcpServer, SERVER_KINDS } from "./harness/servers.ts";
import { assertDropped, assertInnocent } from "./harness/softnet.ts";
import {
  BRIDGE,
  DNS_SERVER,
  GATEWAY,
  INTERNET,
  Lab,
  labNeeds,
  NAME_ADDRESS,
  NEIGHBOUR,
  SIDE_BY_SIDE,
} from "./harness/topology.ts";

const REQUEST = 3;
const NAK = 6;

/** Kinds that give leases shorter than two minutes. */
const SHORT_LEASES = ["dhcpd", "kea-dhcp4"] as const;

suite("DHCP servers", SIDE_BY_SIDE, () => {
  for (const kind of SERVER_KINDS) {
    test(`${kind}: lease, gateway, announced DNS server and the internet (D12, D29)`, {
      ...labNeeds("udhcpc", kind),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, kind);
      await lab.services();
      const guest = await lab.guest();
      const bound = await lease(guest);
      assert.deepEqual([bound.server, bound.router, bound.dns], [GATEWAY, GATEWAY, DNS_SERVER]);
      assert.ok(await guest.ping(GATEWAY));
      assert.equal(await guest.resolve(DNS_SERVER, "udp"), NAME_ADDRESS);
      assert.equal(await guest.resolve(DNS_SERVER, "tcp"), NAME_ADDRESS);
      assert.equal(await guest.download(1_000_000), 1_000_000);
      assertInnocent(await guest.stop());
    });

    test(`${kind} on a private neighbour: the server is learned from its offer (D25)`, {
      ...labNeeds("udhcpc", kind),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, kind, { namespace: lab.neighbour, link: "nb0" });
      const guest = await lab.guest();
      const client = udhcpc(guest);
      const bound = await client.event(/bound/);
      assert.equal(bound.server, NEIGHBOUR);
      client.program.signal("SIGUSR1"); // renew now, which is unicast to a private address
      assert.equal((await client.event(/renew/)).address, bound.address);
      assert.ok(await guest.ping(INTERNET));
      // The guest's kernel may tell the server that it has nobody at port 68.
      assertInnocent(await guest.stop(), "policy.destination");
    });

    test(`${kind} forgot the lease and gave it to another: NAK, then another address (D13)`, {
      ...labNeeds("udhcpc", kind),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      const first = await DhcpServer.start(lab, kind, { last: 101 });
      const guest = await lab.guest();
      const client = udhcpc(guest, "-r", "10.77.0.100");
      const { address } = await client.event(/bound/);
      await first.stop();
      await DhcpServer.start(lab, kind, { last: 101 });
      const other = await lab.guest({ bare: true });
      assert.equal((await lease(other, "-r", address)).address, address);
      other.namespace.ip("link", "set", other.link, "down");

      const bridge = await lab.watch(lab.host, BRIDGE);
      const seen = client.events.length;
      client.program.signal("SIGUSR1");
      await client.event(/nak/, undefined, seen);
      await bridge.until("a NAK", ({ dhcp }) => dhcp?.type === NAK);
      const changed = await client.event(/bound/, undefined, seen);
      assert.notEqual(changed.address, address);
      assert.ok(await guest.ping(INTERNET));

      // The old address is no longer the guest's.
      guest.namespace.ip("address", "add", `${address}/24`, "dev", guest.link);
      await guest.namespace.run("ping", ["-n", "-c", "2", "-i", "0.2", "-W", "1", "-I", address, INTERNET]);
      if (guest.softnet !== undefined) {
        assert.equal(
          bridge.count(({ ip }) => ip?.source === address && ip.destination === INTERNET),
          0,
        );
        assertDropped(await guest.stop(), "ipv4.source");
      }
    });
  }

  for (const kind of SHORT_LEASES) {
    test(`${kind}: a lease of six seconds is renewed while traffic goes on (D22, D27)`, {
      ...labNeeds("dhclient", kind),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, kind, { lease: 6, renewal: 2, rebinding: 4 });
      const guest = await lab.guest();
      const bridge = await lab.watch(lab.host, BRIDGE);
      const client = dhclient(guest);
      const { address } = await client.event(/BOUND/);
      const pings = guest.start("ping", ["-n", "-i", "0.1", "-W", "5", GATEWAY]);
      const renewals = () =>
        bridge.count(({ dhcp, ip }) => dhcp?.type === REQUEST && ip?.source === address && ip.destination === GATEWAY);
      await until("three renewals", () => renewals() >= 3);
      await pings.stop("SIGINT");
      // The last requests may be on their way; of those before none is without an answer.
      const answered = pings.lines.flatMap(
        (line) => / bytes from .* icmp_seq=(\d+)/.exec(line)?.slice(1).map(Number) ?? [],
      );
      assert.deepEqual(
        answered,
        answered.map((_, index) => index + 1),
      );
      assert.ok(answered.length > 20, pings.text());
      assert.deepEqual(
        // On a busy machine a client may come to REBIND before it has heard the answer.
        client.events.filter(({ event }) => !/PREINIT|BOUND|RENEW|REBIND/.test(event)),
        [],
      );
      assertInnocent(await guest.stop());
    });

    test(`${kind}: the address ends with its lease, and a new lease opens it again (D6, D22)`, {
      ...labNeeds("udhcpc", kind),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, kind, { lease: 8 });
      const guest = await lab.guest();
      await lease(guest); // udhcpc ends here, and leaves the address on the card
      assert.ok(await guest.ping(GATEWAY));
      if (guest.softnet === undefined) return;
      await until("the lease's end", async () => !(await guest.ping(GATEWAY, 1)));
      assert.equal(await guest.ping(INTERNET), false);
      await lease(guest);
      assert.ok(await guest.ping(GATEWAY));
      assertDropped(await guest.stop(), "ipv4.unbound", "arp.sender-address");
    });

    test(`${kind} moved to another network: NAK in INIT-REBOOT, then an address and a gateway there`, {
      ...labNeeds("dhclient", kind),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      const first = await DhcpServer.start(lab, kind);
      const guest = await lab.guest();
      const before = dhclient(guest);
      await before.event(/BOUND/);
      await before.program.line(/^bound to/); // the lease is in its file now
      assert.ok(await guest.ping(GATEWAY));
      await before.program.stop("SIGKILL");
      await first.stop();

      lab.host.ip("address", "flush", "dev", BRIDGE);
      lab.host.ip("address", "add", "10.78.0.1/24", "dev", BRIDGE);
      await DhcpServer.start(lab, kind, { network: "10.78.0" });
      guest.namespace.ip("address", "flush", "dev", guest.link);
      const bridge = await lab.watch(lab.host, BRIDGE);
      const after = dhclient(guest);
      const bound = await after.event(/BOUND|REBOOT/);
      assert.match(bound.address, /^10\.78\.0\./);
      await bridge.until("a NAK", ({ dhcp }) => dhcp?.type === NAK);
      assert.ok(await guest.ping("10.78.0.1"));
      assert.ok(await guest.ping(INTERNET));
      assertInnocent(await guest.stop());
    });
  }
});
