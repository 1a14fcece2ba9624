/** Networks of the VM's own, on a host with an uplink: what works, what is closed, and what is left behind (nothing). */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { dhclient, lease } from "./harness/clients.ts";
import { type Guest, ping } from "./harness/guest.ts";
import { asBefore, helperOf, hostState, natGuest, started, tapOf } from "./harness/nat.ts";
import type { Namespace } from "./harness/netns.ts";
import { until } from "./harness/program.ts";
import { assertDropped, assertInnocent, Softnet, softnetCommand } from "./harness/softnet.ts";
import { GATEWAY, INTERNET, INTERNET_2, Lab, labNeeds, NAME_ADDRESS, NEIGHBOUR, tool } from "./harness/topology.ts";
import type { Watch } from "./harness/watch.ts";

const NEEDS = { ...labNeeds("nft", "udhcpc"), ...LIMIT };
const MEGABYTE = 1 << 20;
/** The host's address on its uplink: what the internet sees. */
const UPLINK = "100.64.0.1";
const PYTHON = "/usr/bin/python3";
/** Of ping(8)'s frames as ping() in guest.ts has it send them. */
const PING_LENGTH = 98;

function openLab(t: Parameters<typeof Lab.open>[0], forwarding = "0"): Lab {
  const lab = Lab.open(t);
  lab.host.sysctl({ "net/ipv4/ip_forward": forwarding, "net/ipv4/conf/all/accept_redirects": "1" });
  return lab;
}

async function listen(lab: Lab, namespace: Namespace, address: string, port: number) {
  const server = lab.start(namespace, PYTHON, [tool("port.py"), "listen", address, String(port)]);
  await server.line(/^ready$/);
  return server;
}

/** What the listener saw as the client's address, or "no: …". */
async function ask(from: Namespace, address: string, port: number): Promise<string> {
  return (await from.run(PYTHON, [tool("port.py"), "ask", address, String(port)])).stdout.trim();
}

async function assertOnline(guest: Guest, gateway: string): Promise<void> {
  assert.ok(await guest.ping(gateway), "no ping to the gateway");
  assert.ok(await guest.ping(INTERNET), "no ping to the internet");
  assert.equal(await guest.resolve(INTERNET, "udp"), NAME_ADDRESS);
  assert.equal(await guest.resolve(INTERNET, "tcp"), NAME_ADDRESS);
  assert.equal(await guest.download(8 * MEGABYTE), 8 * MEGABYTE, "the TCP download is not intact");
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

  test("Docker drops what is forwarded: one line with a command, and with that it works", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    const docker = [
      "add table ip filter",
      "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
      "add chain ip filter DOCKER-USER",
      "add rule ip filter FORWARD jump DOCKER-USER",
      'add rule ip filter FORWARD oifname "docker0" ct state established,related accept',
      'add rule ip filter FORWARD iifname "docker0" accept',
    ];
    await lab.host.run("nft", [docker.join("; ")]);
    const before = await hostState(lab.host);
    const message = await refusal(lab);
    assert.match(message, /^softnet: Docker drops [^\n]* FORWARD [^\n]*DOCKER-USER[^\n]*$/);
    await asBefore(lab.host, before);
    const command = /: ((?:nft|iptables) .*)$/.exec(message)![1]!;
    assert.equal((await lab.host.run("sh", ["-ec", command])).code, 0);
    const guest = await natGuest(lab);
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
  });

  test(
    "a firewall that forgets the clients of exposed ports: one line, and with its command they are answered",
    NEEDS,
    async (t) => {
      const lab = openLab(t, "1");
      const chain = [
        "add table inet site",
        "add chain inet site forward { type filter hook forward priority 0; policy drop; }",
        "add rule inet site forward ct state established,related accept",
        'add rule inet site forward iifname "softnet*" accept',
      ];
      await lab.host.run("nft", [chain.join("; ")]);
      const before = await hostState(lab.host);
      const online = await natGuest(lab);
      await lease(online);
      assert.ok(await online.ping(INTERNET), "without exposed ports it starts, and works");
      await online.stop();
      const message = await refusal(lab, "--expose", "2222:22");
      assert.match(
        message,
        /^softnet: nftables drops [^\n]*--expose \(chain forward of the table inet site\); [^\n]*$/,
      );
      await asBefore(lab.host, before);
      assert.equal((await lab.host.run("nft", [/nft '(.*)'$/.exec(message)![1]!])).code, 0);
      const guest = await natGuest(lab, ["--expose", "2222:22"]);
      const { address, router } = await lease(guest);
      await listen(lab, guest.namespace, address, 22);
      assert.equal(await ask(lab.neighbour, GATEWAY, 2222), router);
    },
  );

  test("forwarding was on: it stays on, and others are forwarded as before", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    const before = await hostState(lab.host);
    const guest = await natGuest(lab);
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
    assert.ok(await ping(lab.neighbour, INTERNET, 2));
    await guest.stop();
    await asBefore(lab.host, before);
  });

  test("forwarding was off: for others it stays off, and the last softnet turns it off", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const first = await natGuest(lab);
    const second = await natGuest(lab);
    await lease(second);
    assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
    await first.stop();
    assert.ok(await second.ping(INTERNET), "the second lost its forwarding");
    assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
    await second.stop();
    await asBefore(lab.host, before);
  });

  test("SIGKILL of softnet: the host is as it was, and nothing leaves untranslated", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const { guest, uplink, address, flood } = await flooding(lab);
    const helper = helperOf(lab.host)!;
    process.kill(guest.softnet!.program.pid, "SIGKILL");
    assert.deepEqual(await guest.softnet!.program.ended(), { code: null, signal: "SIGKILL" });
    await asBefore(lab.host, before);
    flood.kill();
    await until("the helper ends", () => !isRunning(helper));
    await assertTranslated(lab, uplink, address);
  });

  test(
    "SIGKILL of the helper: the VM goes on behind its rules, is told of, and the next softnet cleans up",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      const before = await hostState(lab.host);
      const { guest, uplink, address, flood } = await flooding(lab);
      process.kill(helperOf(lab.host)!, "SIGKILL");
      await until("softnet tells", () => told(guest, /helper has ended: the VM's rules .* stand/));
      flood.kill();
      assert.ok(await guest.ping(INTERNET), "the VM is offline");
      assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
      const second = await natGuest(lab);
      await lease(second);
      assert.ok(await second.ping(INTERNET));
      assert.ok(await guest.ping(INTERNET), "a new helper cut the first VM off");
      await guest.stop();
      assert.ok(await second.ping(INTERNET));
      await second.stop();
      await asBefore(lab.host, before);
      await assertTranslated(lab, uplink, address);
    },
  );

  test(
    "SIGKILL of softnet and the helper at once: no router is left, and the next softnet puts the rest back",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      const before = await hostState(lab.host);
      const { guest, uplink, address, flood } = await flooding(lab);
      const helper = helperOf(lab.host)!;
      for (const pid of [helper, guest.softnet!.program.pid]) process.kill(pid, "SIGKILL");
      await guest.softnet!.program.ended();
      flood.kill();
      await until("its TAP is gone", () => !lab.host.hasLink(tapOf(guest)));
      await assertTranslated(lab, uplink, address);
      assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
      await (await natGuest(lab)).stop();
      await asBefore(lab.host, before);
    },
  );

  test("H1 SIGTERM to all processes at once, as a service manager does: the host is as it was", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const guest = await natGuest(lab);
    for (const pid of [helperOf(lab.host)!, guest.softnet!.program.pid]) process.kill(pid, "SIGTERM");
    assert.deepEqual((await guest.softnet!.ended()).exit, { code: 0, signal: null });
    await asBefore(lab.host, before);
    await until("the helper ends", () => helperOf(lab.host) === undefined);
  });

  test(
    "H10 a program that turns forwarding on later keeps it, and its guests are forwarded at once",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      const guest = await natGuest(lab);
      assert.equal(await ping(lab.neighbour, INTERNET, 2), false);
      lab.host.sysctl({ "net/ipv4/ip_forward": "1" }); // as Docker and libvirt do
      const before = await hostState(lab.host);
      await until("others are forwarded", async () => await ping(lab.neighbour, INTERNET, 2));
      await until("softnet tells", () => told(guest, /another program turned ip_forward on/));
      await lease(guest);
      assert.ok(await guest.ping(INTERNET));
      await guest.stop();
      assert.ok(await ping(lab.neighbour, INTERNET, 2), "forwarding was taken away");
      assert.equal((await hostState(lab.host)).settings, withoutTaps(before.settings));
    },
  );

  test(
    "H21 forwarding that another program turns off, and an address that it takes away, are there again",
    NEEDS,
    async (t) => {
      const lab = openLab(t, "1");
      const guest = await natGuest(lab);
      await lease(guest);
      lab.host.sysctl({ "net/ipv4/ip_forward": "0" });
      await until("the VM is online again", async () => await guest.ping(INTERNET));
      assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
      assert.ok(told(guest, /turned forwarding off/));
      lab.host.ip("address", "flush", "dev", tapOf(guest));
      await until("the VM is online again", async () => await guest.ping(INTERNET));
      assert.ok(told(guest, /was gone: it is there again/));
    },
  );

  test("H13 an uplink whose own forwarding is off: the VM is online, others are not", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    lab.host.sysctl({ "net/ipv4/conf/up0/forwarding": "0", "net/ipv4/conf/default/forwarding": "0" });
    const before = await hostState(lab.host);
    const guest = await natGuest(lab);
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
    await guest.stop();
    await asBefore(lab.host, before);
  });

  test(
    "H6 of the host's addresses a VM reaches its gateway's, and others where a rule opens them",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      await listen(lab, lab.host, "0.0.0.0", 99);
      const closed = await natGuest(lab, ["--block", "@host"]);
      const { router } = await lease(closed);
      for (const address of [UPLINK, GATEWAY, router]) assert.match(await ask(closed.namespace, address, 99), /^no:/);
      const plain = await natGuest(lab);
      const bound = await lease(plain);
      assert.equal(await ask(plain.namespace, bound.router, 99), bound.address);
      assert.match(await ask(plain.namespace, UPLINK, 99), /^no:/);
      const open = await natGuest(lab, ["--allow", `${UPLINK}/32`]);
      const opened = await lease(open);
      assert.equal(await ask(open.namespace, UPLINK, 99), opened.address);
      assert.match(await ask(open.namespace, GATEWAY, 99), /^no:/);
    },
  );

  test("H6 a DNS server on another address of the host's answers, and nothing else there does", NEEDS, async (t) => {
    const lab = openLab(t);
    const dns = lab.start(lab.host, process.execPath, [tool("services.ts"), "--http", GATEWAY, "--dns", GATEWAY]);
    await dns.line(/^ready$/);
    const guest = await natGuest(lab, [], GATEWAY);
    await lease(guest);
    assert.equal(await guest.resolve(GATEWAY, "udp"), NAME_ADDRESS);
    assert.match(await ask(guest.namespace, GATEWAY, 80), /^no:/);
  });

  test("H8 a machine beside the uplink cannot speak in the VM's name", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    lab.host.sysctl({ "net/ipv4/conf/up0/rp_filter": "0", "net/ipv4/conf/all/rp_filter": "0" });
    const guest = await natGuest(lab);
    const { address, router } = await lease(guest);
    const inside = await lab.watch(lab.neighbour, "nb0");
    lab.internet.ip("address", "add", `${address}/32`, "dev", "lo");
    for (const to of [NEIGHBOUR, router]) await lab.internet.run("ping", ["-c", "1", "-W", "1", "-I", address, to]);
    assert.ok(await ping(lab.internet, NEIGHBOUR, 2), "nothing of the internet's arrives at all");
    assert.equal(
      inside.count(({ ip }) => ip?.source === address),
      0,
      "a frame in the VM's name arrived",
    );
  });

  test(
    "H11 nat started again under a running VM: the same subnet, and the VM goes on without asking",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      const guest = await natGuest(lab);
      await lease(guest);
      const network = started(guest).network;
      const { pid } = guest.softnet!.program;
      process.kill(pid, "SIGKILL");
      await guest.softnet!.program.ended();
      const args = ["--vm-tap", "again0", "--vm-mac-address", guest.mac, "--dns", INTERNET];
      const again = Softnet.start(lab, lab.host, args);
      await again.ready();
      const record = again.records.find(({ message }) => message === "started");
      assert.equal(record?.network, network);
      assert.ok(again.records.some(({ message }) => message === "binding restored"));
    },
  );

  test("Ctrl-C to the process group: in order, exit 0", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const args = softnetCommand(["--vm-tap", "cc0", "--vm-mac-address", "7e:1a:00:00:02:01", "--dns", INTERNET]);
    const program = lab.start(lab.host, "setsid", args, { label: "softnet" });
    await program.line(/started/);
    process.kill(-program.pid, "SIGINT"); // setsid(1): it leads its group
    assert.deepEqual(await program.ended(), { code: 0, signal: null });
    await asBefore(lab.host, before);
  });

  test("the helper is not root, has one capability, and a session of its own; one serves all", NEEDS, async (t) => {
    const lab = openLab(t);
    const guest = await natGuest(lab);
    const helper = helperOf(lab.host)!;
    for (const thread of readdirSync(`/proc/${helper}/task`)) {
      const status = readFileSync(`/proc/${helper}/task/${thread}/status`, "utf8");
      assert.doesNotMatch(status, /^[UG]id:.*\b0\b/m);
      const wanted = Number(thread) === helper ? "0000000000001000" : "0000000000000000";
      for (const set of ["Prm", "Eff"]) assert.match(status, new RegExp(`^Cap${set}:\t${wanted}$`, "m"));
    }
    const status = readFileSync(`/proc/${helper}/status`, "utf8");
    assert.match(status, /^CapBnd:\t0000000000001000$/m);
    assert.match(status, /^NoNewPrivs:\t1$/m);
    const [, session] = /\) \S+ \d+ \d+ (\d+)/.exec(readFileSync(`/proc/${helper}/stat`, "utf8"))!;
    assert.equal(Number(session), helper);
    await natGuest(lab);
    assert.equal(helperOf(lab.host), helper);
    assert.deepEqual(
      childrenOf(guest.softnet!.program.pid).filter((pid) => pid !== helper),
      [],
    );
  });

  test("four starts at the same instant: four subnets, all online, and forwarding goes back", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const guests = await Promise.all([1, 2, 3, 4].map(() => natGuest(lab)));
    assert.equal(new Set(guests.map((guest) => started(guest).network)).size, 4);
    for (const guest of guests) await lease(guest);
    for (const guest of guests) assert.ok(await guest.ping(INTERNET_2, 2));
    await Promise.all(guests.map((guest) => guest.stop()));
    await asBefore(lab.host, before);
  });

  test("a TAP that is deleted under it: exit 1, with nothing left behind", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const guest = await natGuest(lab);
    lab.host.ip("link", "delete", tapOf(guest));
    assert.equal((await guest.softnet!.ended()).exit.code, 1);
    await asBefore(lab.host, before);
  });

  test("bad values are one line, and leave nothing", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const wrong = [
      ["--subnet", "10.77.0.8/30"],
      ["--subnet", "10.1.1.1/30"],
      ["--dns", "127.0.0.53"],
      ["--expose", "22"],
      ["--vm-net-type", "host", "--expose", "2222:22"],
      ["--vm-net-type", "host", "--bridge", "br0"],
      ["--bridge", "br0", "--subnet", "10.1.1.0/30"],
      ["--subnet", "10.1.1.0/30", "--vm-ip-address", "10.1.1.1"],
    ];
    for (const args of wrong) assert.match(await refusal(lab, ...args), /^softnet: --[^\n]*$/, args.join(" "));
    await asBefore(lab.host, before);
  });
});

/** What softnet says when it does not start. */
async function refusal(lab: Lab, ...args: string[]): Promise<string> {
  const all = ["--vm-tap", "refused0", "--vm-mac-address", "7e:1a:00:00:03:01", ...args];
  if (!args.includes("--dns") && !args.includes("host") && !args.includes("--bridge")) all.push("--dns", INTERNET);
  const [command, ...rest] = softnetCommand(all);
  const { code, stderr } = await lab.host.run(command!, rest);
  assert.equal(code, 1, stderr);
  return stderr.trim();
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
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

/** A guest with traffic that must not leave untranslated. */
async function flooding(lab: Lab) {
  const uplink = await lab.watch(lab.internet, "up0");
  const guest = await natGuest(lab, ["--expose", "2222:22"]);
  const { address } = await lease(guest);
  const flood = guest.start("ping", ["-f", "-s", "1000", INTERNET]);
  await until("traffic", () => uplink.count(({ ip }) => ip?.source === UPLINK) > 50);
  return { guest, uplink, address, flood };
}

/** Asserts that nothing left under the VM's own address. */
async function assertTranslated(lab: Lab, uplink: Watch, address: string): Promise<void> {
  // What the watcher saw before is told once it tells of this.
  assert.ok(await ping(lab.host, INTERNET));
  await uplink.until("a last frame", ({ ip, length }) => ip?.source === UPLINK && length === PING_LENGTH);
  const untranslated = uplink.count(({ ip }) => ip?.source === address);
  assert.equal(untranslated, 0, "frames left untranslated");
}

/** Whether softnet's log has such a line. */
function told(guest: Guest, wanted: RegExp): boolean {
  return guest.softnet!.records.some(({ message }) => wanted.test(String(message)));
}

/** Settings as sysctl prints them, but for those of a TAP that has gone. */
function withoutTaps(settings: unknown): string {
  const lines = String(settings).split("\n");
  return lines.filter((line) => !/\.softnet\d+\./.test(line)).join("\n");
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
