/** DHCP clients as they come with real systems get, keep, give back and regain their address behind softnet. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { dhclient, lease, udhcpc } from "./harness/clients.ts";
import type { Guest } from "./harness/guest.ts";
import { until } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { BRIDGE, DNS_SERVER, GATEWAY, INTERNET, Lab, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";
import type { Seen } from "./harness/watch.ts";

const REQUEST = 3;
const DECLINE = 4;
const RELEASE = 7;

/** A DHCP REQUEST in REBINDING: from the bound address to everyone. */
function rebinds(address: string): (frame: Seen) => boolean {
  return ({ dhcp, ip }) =>
    dhcp?.type === REQUEST && ip?.source === address && ip.destination === "255.255.255.255" && dhcp.ciaddr === address;
}

async function assertOnline(guest: Guest): Promise<void> {
  assert.ok(await guest.ping(GATEWAY), "the gateway does not answer");
  assert.ok(await guest.ping(INTERNET), "the internet does not answer");
}

suite("DHCP clients", SIDE_BY_SIDE, () => {
  for (const [what, args] of [
    ["udhcpc", []],
    ["udhcpc -B, which asks for broadcast answers (D12)", ["-B"]],
    ["udhcpc -a, which probes its address before it takes it (A5)", ["-a"]],
    ["udhcpc -C, without a client identifier (D2)", ["-C"]],
  ] as const) {
    test(`${what} gets a lease and is online`, { ...labNeeds("udhcpc", "dnsmasq"), ...LIMIT }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, "dnsmasq");
      const guest = await lab.guest();
      const bound = await lease(guest, ...args);
      assert.equal(bound.server, GATEWAY);
      assert.equal(bound.router, GATEWAY);
      assert.equal(bound.dns, DNS_SERVER);
      assert.deepEqual(guest.addresses(), [bound.address]);
      await assertOnline(guest);
      assertInnocent(await guest.stop());
    });
  }

  test("udhcpc -a declines an address that a neighbour uses, and gets another (D4)", {
    ...labNeeds("udhcpc", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    lab.neighbour.ip("address", "add", "10.77.0.100/24", "dev", "nb0");
    await DhcpServer.start(lab, "dhcpd");
    const guest = await lab.guest();
    const bridge = await lab.watch(lab.host, BRIDGE);
    const bound = await lease(guest, "-a");
    assert.equal(bound.address, "10.77.0.101");
    const decline = await bridge.until("a DECLINE", ({ dhcp }) => dhcp?.type === DECLINE);
    assert.equal(decline.dhcp?.requested, "10.77.0.100");
    await assertOnline(guest);
    assertInnocent(await guest.stop());
  });

  test("udhcpc gives its lease back (D5)", { ...labNeeds("udhcpc", "dhcpd"), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd");
    const guest = await lab.guest();
    const bridge = await lab.watch(lab.host, BRIDGE);
    const client = udhcpc(guest, "-R");
    const { address } = await client.event(/bound/);
    await assertOnline(guest);
    await client.program.stop("SIGTERM");
    await bridge.until("a RELEASE", ({ dhcp }) => dhcp?.type === RELEASE && dhcp.ciaddr === address);
    assert.equal((await lease(guest)).address, address, "the server did not hear the RELEASE");
    assertInnocent(await guest.stop());
  });

  test("udhcpc keeps its address by REBINDING to another server after its own died", {
    ...labNeeds("udhcpc", "dhcpd", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const first = await DhcpServer.start(lab, "dhcpd", { lease: 20 });
    const guest = await lab.guest();
    const bridge = await lab.watch(lab.host, BRIDGE);
    const client = udhcpc(guest);
    const bound = await client.event(/bound/);
    await first.stop();
    await DhcpServer.start(lab, "dnsmasq", {
      namespace: lab.neighbour,
      link: "nb0",
      authoritative: true,
    });
    client.program.signal("SIGUSR1"); // renew now
    const renewed = await client.event(/renew/);
    assert.equal(renewed.address, bound.address);
    assert.notEqual(renewed.server, bound.server);
    await bridge.until("a REQUEST from the bound address to everyone", rebinds(bound.address));
    await assertOnline(guest);
    // The guest's kernel may tell the new server, a private neighbour, that it has nobody at port 68.
    assertInnocent(await guest.stop(), "policy.destination");
  });

  test("udhcpc asks everyone while no server answers, then loses its address in time (D22)", {
    ...labNeeds("udhcpc", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const server = await DhcpServer.start(lab, "dhcpd", { lease: 10 });
    const guest = await lab.guest();
    const bridge = await lab.watch(lab.host, BRIDGE);
    const client = udhcpc(guest);
    const { address } = await client.event(/bound/);
    await server.stop();
    client.program.signal("SIGUSR1");
    await bridge.until("REBINDING", rebinds(address));
    const seen = 2; // deconfig at its start, and bound
    await client.event(/deconfig/, undefined, seen);
    await DhcpServer.start(lab, "dhcpd");
    await client.event(/bound/, undefined, seen);
    await assertOnline(guest);
    assertInnocent(await guest.stop());
  });

  test("dhclient gets a lease, reboots with it (INIT-REBOOT) and gives it back", {
    ...labNeeds("dhclient", "kea-dhcp4"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "kea-dhcp4");
    const guest = await lab.guest();
    const bridge = await lab.watch(lab.host, BRIDGE);
    const first = dhclient(guest);
    const bound = await first.event(/BOUND/);
    await first.program.line(/^bound to/); // the lease is in its file now
    await assertOnline(guest);

    await first.program.stop("SIGKILL");
    guest.namespace.ip("address", "flush", "dev", guest.link);
    const second = dhclient(guest);
    const rebooted = await second.event(/REBOOT/);
    assert.equal(rebooted.address, bound.address);
    await assertOnline(guest);

    await second.program.stop("SIGKILL");
    await dhclient(guest, "-r").event(/RELEASE/);
    await bridge.until("a RELEASE", ({ dhcp }) => dhcp?.type === RELEASE && dhcp.ciaddr === bound.address);
    assertInnocent(await guest.stop());
  });

  test("dhclient reboots behind a softnet that never saw its lease (INIT-REBOOT)", {
    ...labNeeds("dhclient", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd");
    const before = await lab.guest({ bare: true, mac: "7e:1a:00:00:01:01" });
    const client = dhclient(before);
    const bound = await client.event(/BOUND/);
    await client.program.line(/^bound to/); // the lease is in its file now
    await client.program.stop("SIGKILL");
    before.namespace.ip("link", "set", before.link, "down");

    // The same card's name: dhclient finds the lease by it.
    const after = await lab.guest({ link: before.link, mac: before.mac });
    const rebooted = await dhclient(after).event(/REBOOT/);
    assert.equal(rebooted.address, bound.address);
    await assertOnline(after);
    assertInnocent(await after.stop());
  });

  test("an INFORM as Windows sends it is answered, and teaches nothing (D8)", {
    ...labNeeds("udhcpc", "scapy", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const guest = await lab.guest();
    const { address } = await lease(guest);
    const { stdout } = await guest.namespace.run("/usr/bin/python3", [
      tool("attack.py"),
      "inform",
      guest.link,
      address,
    ]);
    assert.match(stdout, /^acknowledged by 10\.77\.0\.1 /m);
    await assertOnline(guest);
    assertInnocent(await guest.stop());
  });

  test("a renewal goes on while every destination is blocked (D27)", {
    ...labNeeds("udhcpc", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd");
    const guest = await lab.guest({ args: ["--block", "0.0.0.0/0"] });
    const client = udhcpc(guest);
    const { address } = await client.event(/bound/);
    if (guest.softnet !== undefined) assert.equal(await guest.ping(INTERNET, 2), false);
    client.program.signal("SIGUSR1");
    assert.equal((await client.event(/renew/)).address, address);
  });

  test("a guest may probe for its address after the lease expired, and get it again (A5)", {
    ...labNeeds("udhcpc", "dhcpd", "arping"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd", { lease: 8 });
    const guest = await lab.guest();
    const bridge = await lab.watch(lab.host, BRIDGE);
    const { address } = await lease(guest);
    await until("the lease's end", async () => guest.softnet === undefined || !(await guest.ping(GATEWAY, 1)));
    await until("a probe", async () => {
      // Where the machine is busy, arping's two seconds may be over before it has sent one.
      await guest.namespace.run("arping", ["-D", "-c", "1", "-w", "2", "-I", guest.link, address]);
      return bridge.some(
        ({ arp, source }) => source === guest.mac && arp?.sender === "0.0.0.0" && arp.target === address,
      );
    });
    assert.equal((await lease(guest)).address, address);
    await assertOnline(guest);
  });
});
