/** What one VM with a network of its own can do to its host and to others: no more than docs/nat.md says. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { lease } from "./harness/clients.ts";
import { connections } from "./harness/connections.ts";
import { type Guest, ping } from "./harness/guest.ts";
import { natGuest } from "./harness/nat.ts";
import type { Namespace } from "./harness/netns.ts";
import { until } from "./harness/program.ts";
import { BRIDGE, INTERNET, Lab, labNeeds, NEIGHBOUR, tool } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("nft", "udhcpc"), ...LIMIT };
const UPLINK = "100.64.0.1";
const PYTHON = "/usr/bin/python3";

/** Packets that an interface has received. */
async function received(at: Namespace, link: string): Promise<number> {
  const { stdout } = await at.run("cat", ["/proc/net/dev"]);
  const line = stdout.split("\n").find((text) => text.trim().startsWith(`${link}:`))!;
  return Number(line.trim().split(/[:\s]+/)[2]);
}

/** Nothing on the Internet replies to UDP, so no flow of it is ever an answered one. */
async function silence(lab: Lab): Promise<void> {
  const { code } = await lab.internet.run("nft", [
    "add table ip quiet; add chain ip quiet i { type filter hook input priority 0; }; add rule ip quiet i meta l4proto udp drop",
  ]);
  assert.equal(code, 0);
}

/** UDP from the guest, one datagram from each of `sources` ports in turn. Returns how many seconds it took. */
async function flood(guest: Guest, sources: number): Promise<number> {
  const begun = performance.now();
  const script = [
    "import socket, time",
    `for port in range(1024, ${1024 + sources}):`,
    "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "    s.bind(('', port))",
    `    s.sendto(b'x', ('${INTERNET}', 10000 + port % 50))`,
    "    s.close()",
    "    if port % 50 == 0: time.sleep(0.005)", // the TAP's queue is short
  ].join("\n");
  const { code, stderr } = await guest.namespace.run(PYTHON, ["-c", script]);
  assert.equal(code, 0, stderr);
  return (performance.now() - begun) / 1000;
}

/** UDP from the guest to `ports` ports of an address, a new connection each, at most 80 a second. */
async function begin(guest: Guest, address: string, ports: number, first = 20_000): Promise<void> {
  const script = [
    "import socket, time",
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    `for port in range(${first}, ${first + ports}):`,
    `    s.sendto(b'x', ('${address}', port))`,
    "    time.sleep(1 / 80)",
  ].join("\n");
  assert.equal((await guest.namespace.run(PYTHON, ["-c", script])).code, 0);
}

suite("what a VM can cost its host", () => {
  test(
    "H4 connections: no more than --max-connections, others go on, and at the end none is left",
    NEEDS,
    async (t) => {
      const lab = Lab.open(t);
      const guest = await natGuest(lab, ["--max-connections", "100"]);
      const other = await natGuest(lab);
      await lease(guest);
      await lease(other);
      const before = await connections(lab.host);
      await begin(guest, INTERNET, 400);
      const during = await connections(lab.host);
      assert.ok(during - before >= 90 && during - before <= 105, `${before} connections, then ${during}`);
      assert.equal(await guest.ping(INTERNET, 1), false, "its hundred and first connection");
      assert.ok(await other.ping(INTERNET), "the other VM is cut off");
      await guest.stop();
      await other.stop();
      await until("none is left", async () => (await connections(lab.host)) === 0);
    },
  );

  test("H4 of a network of type host, and to the gateway, too", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const guest = await natGuest(lab, ["--vm-net-type", "host", "--max-connections", "50"]);
    const { server } = await lease(guest);
    const before = await connections(lab.host);
    await begin(guest, server, 200);
    const during = await connections(lab.host);
    assert.ok(during - before <= 55, `${before} connections, then ${during}`);
    await guest.stop();
    await until("none is left", async () => (await connections(lab.host)) === 0);
  });

  test("H3 a VM cannot take a client's connection to the host: its own leave from other ports", {
    ...labNeeds("nft", "udhcpc", "scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await natGuest(lab);
    const { address, router } = await lease(guest);
    assert.ok(await guest.ping(router));
    const service = lab.start(lab.host, PYTHON, [tool("port.py"), "listen", UPLINK, "28022"]);
    await service.line(/^ready$/);
    const clients = "range(5000, 5020)";
    const attack = [
      "from scapy.all import *",
      `to = Ether(src='${guest.mac}', dst='${guest.neighbourMac(router)}')/IP(src='${address}', dst='${INTERNET}')`,
      `sendp([to/TCP(sport=28022, dport=port, flags='S') for port in ${clients}], iface='${guest.link}', verbose=0)`,
    ].join("\n");
    // Nothing there answers: a reset would end what the attack has begun.
    await lab.internet.run("nft", [
      "add table ip quiet; add chain ip quiet o { type filter hook output priority 0; }; add rule ip quiet o tcp flags rst drop",
    ]);
    assert.equal((await guest.namespace.run(PYTHON, ["-c", attack])).code, 0);
    const victims = [
      "import socket",
      `for port in ${clients}:`,
      "    s = socket.socket()",
      `    s.bind(('${INTERNET}', port))`,
      "    s.settimeout(3)",
      `    s.connect(('${UPLINK}', 28022))`,
      "    assert s.recv(64), port",
    ].join("\n");
    const { code, stderr } = await lab.internet.run(PYTHON, ["-c", victims]);
    assert.equal(code, 0, stderr);
    assert.equal(service.lines.filter((line) => line.startsWith("client")).length, 20);
  });

  test("H3 nor does one leave from a port of the dynamic ones that a service of the host's has", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const services = [
      "import socket, time",
      "all = []",
      "for port in range(50000, 54000, 4):",
      "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
      "    s.bind(('', port))",
      "    all.append(s)",
      "print('ready', flush=True)",
      "time.sleep(600)",
    ].join("\n");
    await lab.start(lab.host, "sh", ["-c", `ulimit -n 4096; exec ${PYTHON} -c "$0"`, services]).line(/^ready$/);
    const uplink = await lab.watch(lab.internet, "up0");
    const guest = await natGuest(lab);
    await lease(guest);
    await begin(guest, INTERNET, 600);
    const ports = uplink.frames.flatMap(({ ip, udp }) =>
      ip?.source === UPLINK && udp !== undefined ? udp.source : [],
    );
    assert.ok(ports.length > 400, `${ports.length} left`);
    assert.deepEqual(
      ports.filter((port) => port < 49_152),
      [],
    );
    assert.deepEqual(
      ports.filter((port) => port >= 50_000 && port < 54_000 && port % 4 === 0),
      [],
    );
  });

  test("H5 bridged frames go on where br_netfilter shows them to the host's rules", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const second = lab.namespace("second");
    lab.host.ipBatch([`link add nb1 type veth peer name nb1 netns ${second.name}`, `link set nb1 master ${BRIDGE} up`]);
    second.ipBatch(["address add 10.77.0.10/24 dev nb1", "link set nb1 up"]);
    lab.host.sysctl({ "net/ipv4/ip_forward": "0", "net/bridge/bridge-nf-call-iptables": "1" });
    assert.ok(await ping(second, NEIGHBOUR, 3), "before");
    const guest = await natGuest(lab);
    await lease(guest);
    assert.ok(await ping(second, NEIGHBOUR, 3), "a softnet cut the bridge");
    assert.ok(await guest.ping(INTERNET));
    assert.equal(await ping(second, INTERNET, 2), false, "the host routes for others");
  });

  test("a VM's new connections: a hundred a second behind the first two thousand", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const guest = await natGuest(lab);
    await lease(guest);
    const before = await connections(lab.host);
    const script = [
      "import socket",
      "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
      `for port in range(10000, 14000): s.sendto(b'x', ('${INTERNET}', port))`,
    ].join("\n");
    const { code } = await guest.namespace.run(PYTHON, ["-c", script]);
    assert.equal(code, 0);
    const begun = (await connections(lab.host)) - before;
    assert.ok(begun <= 3000, `${begun} connections at once`);
  });

  test("limits of new connections do not slow UDP that is never replied to", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const guest = await natGuest(lab, ["--max-connections", "20"]);
    await lease(guest);
    await silence(lab);
    const before = await received(lab.internet, "up0");
    const script = [
      "import socket, time",
      "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
      "for _ in range(500):",
      `    for _ in range(10): s.sendto(b'x', ('${INTERNET}', 514))`,
      "    time.sleep(1 / 250)",
    ].join("\n");
    const { code, stderr } = await guest.namespace.run(PYTHON, ["-c", script]);
    assert.equal(code, 0, stderr);
    // 2,000 and 100 a second arrive where each datagram counts as a new connection.
    await until("nearly all arrive", async () => (await received(lab.internet, "up0")) - before >= 4500);
    const during = await connections(lab.host);
    await begin(guest, INTERNET, 100);
    assert.ok((await connections(lab.host)) <= during + 20, "more connections than it may have");
  });

  test("a flood of UDP from many source ports is held to the limit of new connections", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const guest = await natGuest(lab, ["--max-connections", "60000"]);
    await lease(guest);
    await silence(lab);
    const before = await connections(lab.host);
    const seconds = await flood(guest, 8000);
    await until("it has begun many", async () => (await connections(lab.host)) - before > 1000);
    const begun = (await connections(lab.host)) - before;
    assert.ok(begun <= 2100 + 100 * seconds, `${begun} connections in ${seconds} s`);
  });

  test("UDP that is never replied to goes on when a service of the host's gets its port", NEEDS, async (t) => {
    const lab = Lab.open(t);
    const guest = await natGuest(lab);
    await lease(guest);
    await silence(lab);
    const uplink = await lab.watch(lab.internet, "up0");
    const sender = lab.start(guest.namespace, PYTHON, [
      "-c",
      [
        "import socket, time",
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "while True:",
        `    s.sendto(b'x', ('${INTERNET}', 514))`,
        "    time.sleep(0.1)",
      ].join("\n"),
    ]);
    const sent = (): readonly number[] =>
      uplink.frames.flatMap(({ ip, udp }) =>
        ip?.source === UPLINK && udp?.destination === 514 && udp.source !== undefined ? udp.source : [],
      );
    await until("it sends", async () => sent().length > 3);
    const port = sent()[0]!;
    const service = `import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', ${port})); print('ready', flush=True); time.sleep(600)`;
    await lab.start(lab.host, PYTHON, ["-c", service]).line(/^ready$/);
    await natGuest(lab); // at a VM's start the ports of services are listed anew
    const before = sent().length;
    await until("it goes on", async () => sent().length > before + 10);
    assert.deepEqual([...new Set(sent())], [port]);
    await sender.stop();
  });

  test(
    "source ports that all VMs share towards one port of an address: 1,024 for one VM, the others have theirs",
    NEEDS,
    async (t) => {
      const lab = Lab.open(t);
      const guest = await natGuest(lab);
      const other = await natGuest(lab);
      await lease(guest);
      await lease(other);
      const before = await connections(lab.host);
      const script = [
        "import resource, socket, time",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048))",
        "sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(1300)]",
        "for number, s in enumerate(sockets):",
        "    if number % 50 == 0: time.sleep(0.02)", // or they do not all fit into the TAP's queue
        `    s.sendto(b'x', ('${INTERNET}', 443))`,
      ].join("\n");
      const { code, stderr } = await guest.namespace.run(PYTHON, ["-c", script]);
      assert.equal(code, 0, stderr);
      await until("1,000 connections to one port", async () => (await connections(lab.host)) - before >= 1000);
      const begun = (await connections(lab.host)) - before;
      assert.ok(begun <= 1030, `${begun} connections to one port`);
      const during = await connections(lab.host);
      await begin(other, INTERNET, 10, 443);
      assert.ok((await connections(lab.host)) >= during + 10, "the other VM has no port left");
    },
  );
});
