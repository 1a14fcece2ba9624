/** What must keep working behind softnet, in peace and while another guest attacks; and what the policy opens and closes. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { lease, noLease, udhcpc } from "./harness/clients.ts";
import { type Guest, ping } from "./harness/guest.ts";
import { until } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertDropped, assertInnocent } from "./harness/softnet.ts";
import {
  BRIDGE,
  BRIDGE_MAC,
  DNS_SERVER,
  GATEWAY,
  INTERNET,
  INTERNET_2,
  Lab,
  labNeeds,
  NAME_ADDRESS,
  NEIGHBOUR,
  SIDE_BY_SIDE,
  tool,
} from "./harness/topology.ts";
import type { Seen } from "./harness/watch.ts";

const MEGABYTE = 1 << 20;

async function assertAllWorks(guest: Guest): Promise<void> {
  assert.ok(await guest.ping(GATEWAY), "no ping to the gateway");
  assert.equal(await guest.resolve(DNS_SERVER, "udp"), NAME_ADDRESS);
  assert.equal(await guest.resolve(DNS_SERVER, "tcp"), NAME_ADDRESS);
  assert.equal(await guest.resolve(INTERNET, "udp"), NAME_ADDRESS);
  assert.equal(await guest.download(8 * MEGABYTE), 8 * MEGABYTE, "the TCP download is not intact");
}

suite("traffic", SIDE_BY_SIDE, () => {
  test("lease, ping, DNS over UDP and TCP, and a TCP download work", {
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    await lab.services();
    const guest = await lab.guest();
    await lease(guest);
    await assertAllWorks(guest);
    assertInnocent(await guest.stop());
  });

  test("all of it works while another guest sends 1,000 ARP, DHCP and spoofed frames a second", {
    ...labNeeds("udhcpc", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd", { last: 110 });
    await lab.services();
    const guest = await lab.guest();
    const attacker = await lab.guest();
    const client = udhcpc(guest);
    const { address } = await client.event(/bound/);
    await lease(attacker);
    const internet = await lab.watch(lab.internet, "up0");
    const bridge = await lab.watch(lab.host, BRIDGE);
    const flood = [tool("flood.py"), attacker.link, "1000", GATEWAY, address, INTERNET_2, BRIDGE_MAC];
    const flooding = attacker.start("/usr/bin/python3", flood);
    await flooding.line(/^sent 1000$/);

    await assertAllWorks(guest);
    client.program.signal("SIGUSR1"); // renew now
    await client.event(/renew/);
    const third = await lab.guest();
    await lease(third);
    assert.ok(await third.ping(GATEWAY), "a guest that comes now has no network");

    await flooding.line(/^sent 3000$/);
    flooding.kill();
    assert.equal(guest.neighbourMac(GATEWAY), BRIDGE_MAC);
    assert.equal(
      internet.count(({ ip }) => ip?.destination === INTERNET_2),
      0,
      "spoofed frames came through",
    );
    const forged = bridge.count(({ arp, source }) => source === attacker.mac && arp?.sender === GATEWAY);
    assert.equal(forged, 0, "forged ARP came through");
    assertInnocent(await guest.stop());
    assertInnocent(await third.stop());
    const summary = await attacker.stop();
    for (const reason of ["arp.sender-address", "dhcp.hardware-address", "ipv4.source"]) assertDropped(summary, reason);
  });

  test("an unprotected network drowns: the same flood, bare, moves the guest's gateway", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await lab.guest({ bare: true, address: "10.77.0.77/24" });
    const attacker = await lab.guest({ bare: true, address: "10.77.0.66/24" });
    assert.ok(await guest.ping(GATEWAY));
    const internet = await lab.watch(lab.internet, "up0");
    const flood = [tool("flood.py"), attacker.link, "1000", GATEWAY, "10.77.0.77", INTERNET_2, BRIDGE_MAC];
    const flooding = attacker.start("/usr/bin/python3", flood);
    await flooding.line(/^sent 2000$/);
    flooding.kill();
    assert.equal(guest.neighbourMac(GATEWAY), attacker.mac);
    const spoofed = ({ ip }: Seen) => ip?.source === "10.77.0.77" && ip.destination === INTERNET_2;
    await internet.until("a spoofed frame", spoofed);
  });

  test("the default policy: private addresses closed, the announced DNS server open at port 53 only (I6)", {
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    await lab.services();
    const guest = await lab.guest();
    await lease(guest);
    assert.equal(await guest.resolve(DNS_SERVER, "udp"), NAME_ADDRESS);
    assert.equal(await guest.ping(DNS_SERVER), false);
    assert.equal(await guest.ping(NEIGHBOUR), false);
    await assert.rejects(guest.resolve(NEIGHBOUR, "udp"));
    assertDropped(await guest.stop(), "policy.destination");
  });

  test("what comes in from a neighbour arrives, and the answer does not leave unless allowed", {
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const closed = await lab.guest();
    const { address } = await lease(closed);
    const card = await lab.watch(closed.namespace, closed.link);
    assert.equal(await ping(lab.neighbour, address), false);
    await card.until("what the neighbour sent", ({ ip }) => ip?.source === NEIGHBOUR && ip.destination === address);
    const open = await lab.guest({ args: ["--allow", `${NEIGHBOUR}/32`] });
    const other = await lease(open);
    assert.ok(await ping(lab.neighbour, other.address));
    assert.ok(await open.ping(NEIGHBOUR));
  });

  test("--allow and --block: the longest prefix decides, block on a tie", {
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const guest = await lab.guest({
      args: ["--allow", `10.77.0.0/24,${INTERNET}/32`, "--block", `${INTERNET_2}/32,${INTERNET}/32,10.77.0.0/25,@host`],
    });
    await lease(guest);
    assert.equal(await guest.ping(INTERNET, 2), false, "a tie must block");
    assert.equal(await guest.ping(INTERNET_2, 2), false, "a blocked global address");
    assert.equal(await guest.ping(NEIGHBOUR, 2), false, "the longer block must win");
    assert.equal(await guest.ping(GATEWAY, 2), false, "@host is the gateway");
    assertDropped(await guest.stop(), "policy.block");
  });

  test("a static address needs no DHCP, and DHCP teaches no other", {
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await lab.guest({
      address: "10.77.0.40/24",
      args: ["--vm-ip-address", "10.77.0.40", "--gateway", GATEWAY],
    });
    assert.ok(await guest.ping(GATEWAY));
    assert.ok(await guest.ping(INTERNET));
    guest.namespace.ip("address", "flush", "dev", guest.link);
    guest.setAddress("10.77.0.41/24");
    assert.equal(await guest.ping(GATEWAY, 2), false);
    assertDropped(await guest.stop(), "arp.sender-address");
  });

  test("a guest's boot noise is told at debug level only: IPv6, IGMP, mDNS", {
    ...labNeeds("udhcpc", "dnsmasq", "scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const guest = await lab.guest();
    await lease(guest);
    const script = [
      "import socket, time",
      "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
      // Joining the mDNS group makes the kernel send IGMP; then one mDNS datagram.
      "s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('224.0.0.251') + bytes(4))",
      "s.sendto(bytes(12), ('224.0.0.251', 5353))",
      "time.sleep(1)",
    ].join("\n");
    await guest.namespace.run("/usr/bin/python3", ["-c", script]);
    assert.ok(await guest.ping(GATEWAY));
    if (guest.softnet === undefined) return;
    const { drops } = await guest.stop();
    assert.ok((drops["ethernet.ipv6"] ?? 0) > 0);
    const loud = guest.softnet.records.filter(
      ({ level, message }) => level !== "debug" && /drop/.test(String(message)),
    );
    assert.deepEqual(loud, []);
  });

  test("the gateway's MAC address changes: the guest is online again after three unanswered requests (A9)", {
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const guest = await lab.guest();
    await lease(guest);
    assert.ok(await guest.ping(GATEWAY));
    lab.host.ip("link", "set", BRIDGE, "address", "02:77:00:00:00:02");
    guest.namespace.ip("neighbour", "flush", "dev", guest.link);
    await until("the guest is online", () => guest.ping(GATEWAY, 1));
    assert.equal(guest.neighbourMac(GATEWAY), "02:77:00:00:00:02");
  });

  test("--dhcp-server: no other server's answer arrives (D25)", {
    ...labNeeds("udhcpc", "dnsmasq", "scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await lab.guest({ args: ["--dhcp-server", GATEWAY] });
    const attack = [tool("attack.py"), "rogue-server", "nb0", NEIGHBOUR, "10.77.0.200"];
    const rogue = lab.start(lab.neighbour, "/usr/bin/python3", attack);
    await rogue.line(/^ready$/);
    if (guest.softnet !== undefined) assert.ok(await noLease(guest), "the guest took the rogue's lease");
    await rogue.line(/answered offer/);
    await DhcpServer.start(lab, "dnsmasq");
    assert.equal((await lease(guest)).server, GATEWAY);
    assert.ok(await guest.ping(INTERNET));
    assertDropped(await guest.stop(), "dhcp.server");
  });

  test("a network without a router: the guest has its address, @host matches nothing, and that is warned of once", {
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq", { router: "" });
    const guest = await lab.guest({ bare: false, args: ["--allow", "@host"] });
    const client = udhcpc(guest);
    const bound = await client.event(/bound/);
    assert.equal(bound.router, "");
    client.program.signal("SIGUSR1");
    await client.event(/renew/);
    assert.equal(await guest.ping(GATEWAY, 2), false);
    await guest.stop();
    const warnings = guest.softnet!.records.filter(({ level }) => level === "warn");
    assert.equal(warnings.length, 1, JSON.stringify(warnings));
  });
});
