/** Networks of the VM's own, on a host with an uplink: what works, what is closed, and what is left behind (nothing). */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { dhclient, lease } from "./harness/clients.ts";
import { type Guest, ping } from "./harness/guest.ts";
import { asBefore, hostState, natGuest, started, tapOf } from "./harness/nat.ts";
import { ask, listen, MEGABYTE, NEEDS, openLab, PYTHON, refusal, UPLINK } from "./harness/nat-scenes.ts";
import { assertDropped, assertInnocent } from "./harness/softnet.ts";
import { GATEWAY, INTERNET, type Lab, labNeeds, NAME_ADDRESS, NEIGHBOUR } from "./harness/topology.ts";

async function assertOnline(guest: Guest, gateway: string): Promise<void> {
  assert.ok(await guest.ping(gateway), "no ping to the gateway");
  assert.ok(await guest.ping(INTERNET), "no ping to the internet");
  assert.equal(await guest.resolve(INTERNET, "udp"), NAME_ADDRESS);
  assert.equal(await guest.resolve(INTERNET, "tcp"), NAME_ADDRESS);
  assert.equal(await guest.download(8 * MEGABYTE), 8 * MEGABYTE, "the TCP download is not intact");
}

/** How often the host answers segments that belong to no connection, sent from an exposed port to the gateway. */
async function answersToProbes(lab: Lab, guest: Guest, router: string, address: string): Promise<number> {
  await guest.ping(router, 1); // the card knows the gateway's MAC address, or cannot
  const gatewayMac = String(lab.host.ipJson<{ address: string }>("link", "show", tapOf(guest))[0]?.address);
  const card = await lab.watch(guest.namespace, guest.link);
  const script = [
    "from scapy.all import *",
    `to = Ether(src='${guest.mac}', dst='${gatewayMac}')/IP(src='${address}', dst='${router}')`,
    "for flags in ('A', 'SA', 'FA', 'F', 'R', 'PA', ''):",
    `    sendp(to/TCP(sport=22, dport=99, flags=flags), iface='${guest.link}', verbose=0)`,
  ].join("\n");
  assert.equal((await guest.namespace.run(PYTHON, ["-c", script])).code, 0);
  await guest.ping(INTERNET, 2); // what was on its way has arrived behind this
  await card.until("an answer from the internet", ({ ip }) => ip?.source === INTERNET);
  return card.count(({ ip, sent }) => !sent && ip?.source === router && ip.protocol === 6);
}

suite("nat", { concurrency: 2 }, () => {
  test("udhcpc: lease, ping, DNS, TCP; the internet sees the host only; nothing is left behind", NEEDS, async (t) => {
    const lab = openLab(t);
    await lab.services();
    const before = await hostState(lab.host);
    const uplink = await lab.watch(lab.internet, "up0");
    const guest = await natGuest(lab);
    const bound = await lease(guest);
    assert.equal(bound.server, bound.router);
    assert.equal(bound.dns, INTERNET);
    assert.equal(started(guest).gateway, bound.router);
    await assertOnline(guest, bound.router);
    assert.deepEqual(
      uplink.frames.filter(({ ip, sent }) => ip !== undefined && !sent && ip.source !== UPLINK),
      [],
    );
    const learned = guest.softnet!.records.find(({ message }) => message === "binding learned");
    assert.equal(learned?.origin, "served");
    assertInnocent(await guest.stop());
    await asBefore(lab.host, before);
  });

  test("dhclient gets its lease too, and renews it", {
    ...labNeeds("nft", "dhclient"),
    ...LIMIT,
  }, async (t) => {
    const lab = openLab(t);
    const guest = await natGuest(lab);
    const { address } = await dhclient(guest).event(/BOUND/);
    assert.deepEqual(guest.addresses(), [address]);
    assert.ok(await guest.ping(INTERNET));
  });

  test("nat is what there is when no other network is given, and --subnet chooses it", NEEDS, async (t) => {
    const lab = openLab(t);
    const guest = await natGuest(lab, ["--subnet", "10.99.0.4/30"]);
    assert.equal(started(guest).network, "nat 10.99.0.4/30");
    assert.equal((await lease(guest)).address, "10.99.0.6");
  });

  test("a private neighbour is closed, and --allow opens it", NEEDS, async (t) => {
    const lab = openLab(t);
    const closed = await natGuest(lab);
    await lease(closed);
    assert.equal(await closed.ping(NEIGHBOUR, 2), false);
    assertDropped(await closed.stop(), "policy.destination");
    const open = await natGuest(lab, ["--allow", `${NEIGHBOUR}/32`]);
    await lease(open);
    assert.ok(await open.ping(NEIGHBOUR));
    const server = await listen(lab, lab.neighbour, NEIGHBOUR, 99);
    assert.equal(await ask(open.namespace, NEIGHBOUR, 99), GATEWAY, "not translated");
    assert.equal(server.count(/client/), 1);
  });

  test("another VM is closed, also for who is allowed by one side only; both sides open it", NEEDS, async (t) => {
    const lab = openLab(t);
    const one = await natGuest(lab, ["--subnet", "10.99.1.0/30", "--allow", "10.99.0.0/16"]);
    const two = await natGuest(lab, ["--subnet", "10.99.2.0/30", "--allow", "10.99.1.0/30"]);
    const three = await natGuest(lab, ["--subnet", "10.99.3.0/30"]);
    for (const guest of [one, two, three]) await lease(guest);
    await listen(lab, two.namespace, "10.99.2.2", 99);
    await listen(lab, three.namespace, "10.99.3.2", 99);
    assert.equal(await ask(one.namespace, "10.99.2.2", 99), "10.99.1.2", "allowed by both, and not translated");
    assert.match(await ask(one.namespace, "10.99.3.2", 99), /^no:/);
    const card = await lab.watch(three.namespace, three.link);
    assert.equal(await one.ping("10.99.3.2", 2), false);
    assert.equal(
      card.some(({ ip }) => ip?.source === "10.99.1.2"),
      false,
      "a frame of a VM that is not allowed arrived",
    );
  });

  test("0.0.0.0/0 allowed on both sides: VMs meet", NEEDS, async (t) => {
    const lab = openLab(t);
    const one = await natGuest(lab, ["--allow", "0.0.0.0/0"]);
    const two = await natGuest(lab, ["--allow", "0.0.0.0/0"]);
    await lease(one);
    const { address } = await lease(two);
    assert.ok(await one.ping(address));
    assert.ok(await one.ping(NEIGHBOUR));
  });

  test("what a neighbour routes to the VM does not arrive", NEEDS, async (t) => {
    const lab = openLab(t);
    const guest = await natGuest(lab, ["--allow", `${NEIGHBOUR}/32`]);
    const { address } = await lease(guest);
    const card = await lab.watch(guest.namespace, guest.link);
    assert.equal(await ping(lab.neighbour, address, 2), false);
    assert.equal(
      card.some(({ ip }) => ip?.source === NEIGHBOUR),
      false,
    );
  });

  test("the host's loopback services are out of reach, with all allowed and ports exposed (I6)", {
    ...labNeeds("nft", "udhcpc", "scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = openLab(t);
    const guest = await natGuest(lab, ["--allow", "0.0.0.0/0", "--expose", "2222:22"]);
    const { router, address } = await lease(guest);
    const server = await listen(lab, lab.host, "127.0.0.1", 99);
    assert.ok(await guest.ping(router));
    const frames = [
      "from scapy.all import *",
      `to = Ether(src='${guest.mac}', dst='${guest.neighbourMac(router)}')`,
      "for target in ('127.0.0.1', '127.1.2.3', '0.0.0.0'):",
      `    sendp(to/IP(src='${address}', dst=target)/TCP(sport=4000, dport=99, flags='S'), iface='${guest.link}', verbose=0)`,
    ].join("\n");
    assert.equal((await guest.namespace.run(PYTHON, ["-c", frames])).code, 0);
    assert.match(await ask(guest.namespace, router, 99), /^no:/);
    assert.equal(server.count(/client/), 0);
    assertDropped(await guest.stop(), "ipv4.loopback");
  });

  test("--expose: from the LAN, the internet, the host's own addresses and 127.0.0.1", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const guest = await natGuest(lab, ["--expose", "2222:22,8080:80"]);
    const { address, router } = await lease(guest);
    await listen(lab, guest.namespace, address, 22);
    await listen(lab, guest.namespace, address, 80);
    assert.equal(await ask(lab.neighbour, GATEWAY, 2222), router, "a LAN client appears as the gateway");
    assert.equal(await ask(lab.neighbour, GATEWAY, 8080), router);
    assert.equal(await ask(lab.host, "127.0.0.1", 2222), router);
    assert.equal(await ask(lab.host, GATEWAY, 2222), router);
    assert.equal(await ask(lab.host, UPLINK, 8080), router);
    lab.internet.ip("route", "replace", `${UPLINK}/32`, "dev", "up0", "src", INTERNET);
    assert.equal(await ask(lab.internet, UPLINK, 2222), INTERNET, "a client that the VM may answer appears as itself");
    assert.match(await ask(lab.neighbour, GATEWAY, 22), /^no:/, "only what is exposed");
    assert.match(await ask(guest.namespace, router, 2222), /^no:/, "not for VMs");
    assertInnocent(await guest.stop());
    await asBefore(lab.host, before);
  });

  test("--expose with a rule that allows the client: it appears as itself", NEEDS, async (t) => {
    const lab = openLab(t);
    const guest = await natGuest(lab, ["--expose", "2222:22", "--allow", `${NEIGHBOUR}/32`]);
    const { address } = await lease(guest);
    await listen(lab, guest.namespace, address, 22);
    lab.neighbour.ip("route", "replace", `${GATEWAY}/32`, "dev", "nb0", "src", NEIGHBOUR);
    assert.equal(await ask(lab.neighbour, GATEWAY, 2222), NEIGHBOUR);
  });

  test("--expose with the gateway blocked: every client is answered, and nothing else reaches the host", {
    ...labNeeds("nft", "udhcpc", "scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = openLab(t);
    const closed = await natGuest(lab, ["--expose", "2222:22", "--block", "@host"]);
    assert.deepEqual(
      closed.softnet!.records.filter(({ level }) => level === "warn"),
      [],
    );
    const { address, router } = await lease(closed);
    await listen(lab, closed.namespace, address, 22);
    assert.equal(await ask(lab.neighbour, GATEWAY, 2222), router, "a LAN client");
    assert.equal(await ask(lab.host, "127.0.0.1", 2222), router);
    assert.equal(await ask(lab.host, GATEWAY, 2222), router, "the host's own address");
    assert.equal(await ask(lab.host, router, 2222), router, "the host as the gateway");
    lab.internet.ip("route", "replace", `${UPLINK}/32`, "dev", "up0", "src", INTERNET);
    assert.equal(await ask(lab.internet, UPLINK, 2222), INTERNET, "a client that the VM may reach");
    assert.match(await ask(lab.host, address, 22), /^no:/, "the host past the exposed port");
    assert.equal(await closed.ping(router, 2), false);
    assert.match(await ask(closed.namespace, router, 99), /^no:/);
    assert.equal(await answersToProbes(lab, closed, router, address), 0, "the host answered");

    const open = await natGuest(lab, ["--expose", "2223:22"]);
    const bound = await lease(open);
    assert.ok((await answersToProbes(lab, open, bound.router, bound.address)) > 0, "the probes are no probes");
  });

  test("--expose of a port that is taken, by a program or by another softnet, is one line", NEEDS, async (t) => {
    const lab = openLab(t);
    await listen(lab, lab.host, "127.0.0.1", 7777);
    await natGuest(lab, ["--expose", "2222:22"]);
    const before = await hostState(lab.host);
    for (const port of [7777, 2222]) {
      assert.match(
        await refusal(lab, "--expose", `${port}:22`),
        new RegExp(`^softnet: --expose: port ${port} [^\n]*$`),
      );
    }
    await asBefore(lab.host, before);
  });

  test("host: gateway only, no DNS, no router; nothing else even where the host forwards already", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    const before = await hostState(lab.host);
    const uplink = await lab.watch(lab.internet, "up0");
    const guest = await natGuest(lab, ["--vm-net-type", "host", "--allow", "0.0.0.0/0"]);
    const bound = await lease(guest);
    assert.deepEqual([bound.router, bound.dns], ["", ""]);
    assert.ok(await guest.ping(bound.server));
    guest.namespace.ip("route", "replace", "default", "via", bound.server);
    assert.equal(await guest.ping(INTERNET, 2), false);
    assert.equal(await guest.ping(NEIGHBOUR, 2), false);
    assert.deepEqual(
      uplink.frames.filter(({ ip }) => ip?.source === bound.address),
      [],
    );
    assertInnocent(await guest.stop());
    await asBefore(lab.host, before);
  });

  test("a VPN over all private addresses: the last choice, told, and it works", NEEDS, async (t) => {
    const lab = openLab(t);
    for (const network of ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]) {
      lab.host.ip("route", "add", network, "via", "100.64.0.2");
    }
    const guest = await natGuest(lab);
    const warnings = guest.softnet!.records.filter(({ level }) => level === "warn");
    assert.equal(warnings.length, 1);
    assert.match(String(warnings[0]!.message), /lies inside the route/);
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
  });

  test("a VPN over 10.0.0.0/8: another network is found", NEEDS, async (t) => {
    const lab = openLab(t);
    lab.host.ip("route", "add", "10.0.0.0/8", "via", "100.64.0.2");
    const guest = await natGuest(lab);
    assert.match(String(started(guest).network), /^nat (172|192)\./);
    assert.deepEqual(
      guest.softnet!.records.filter(({ level }) => level === "warn"),
      [],
    );
  });
});
