/** softnet at an interface that was there before: a container's veth, a hypervisor's TAP. What passes, and what is closed. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { attachedGuest, CARDS, masterOf } from "./harness/attached.ts";
import { lease } from "./harness/clients.ts";
import type { Guest } from "./harness/guest.ts";
import { sleep, until } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertDropped, assertInnocent, Softnet, softnetCommand } from "./harness/softnet.ts";
import { BRIDGE, GATEWAY, INTERNET, Lab, labNeeds, NEIGHBOUR, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const ADDRESS = "10.77.0.21";
const OTHER = "10.77.0.22";
const PYTHON = "/usr/bin/python3";
const SIZE = 8 << 20;
const IPV6 = 0x86dd;
/** Milliseconds for which softnet waits for the host's helper. */
const HELPER_DEADLINE = 60_000;

async function detach(lab: Lab, port: string): Promise<{ code: number | null; stderr: string }> {
  const [command, ...args] = softnetCommand(["detach", port]);
  return await lab.host.run(command!, args);
}

async function listed(lab: Lab): Promise<Record<string, unknown>[]> {
  const [command, ...args] = softnetCommand(["list", "--json"]);
  const { stdout } = await lab.host.run(command!, args);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Sends bytes to the internet as fast as the guest's kernel likes: as large segments, where its card takes them. */
async function upload(lab: Lab, guest: Guest): Promise<void> {
  const sink = lab.start(lab.internet, PYTHON, ["-c", SINK]);
  await sink.line(/^ready$/);
  const { code, stderr } = await guest.namespace.run(PYTHON, ["-c", SOURCE]);
  assert.equal(code, 0, stderr);
  await sink.line(new RegExp(`^${SIZE} intact$`));
}

/** Kills softnet in a way that leaves it no time. */
async function kill(guest: Guest): Promise<void> {
  guest.softnet!.program.kill();
  await guest.softnet!.program.ended();
}

const SINK = `
import socket
s = socket.create_server(("${INTERNET}", 9999))
print("ready", flush=True)
c, _ = s.accept()
data = b"".join(iter(lambda: c.recv(1 << 16), b""))
print(len(data), "intact" if data == bytes(range(256)) * (len(data) // 256) else "broken", flush=True)
`;
const SOURCE = `
import socket
s = socket.create_connection(("${INTERNET}", 9999), 20)
s.sendall(bytes(range(256)) * ${SIZE / 256})
`;

suite("attached", SIDE_BY_SIDE, () => {
  for (const card of CARDS) {
    test(`${card}: traffic passes both ways intact, and what is denied or forged drops`, {
      ...labNeeds(),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await lab.services();
      const guest = await attachedGuest(lab, ADDRESS, card);
      assert.equal(masterOf(lab.host, guest.port), undefined);
      assert.ok(await guest.ping(GATEWAY));
      assert.equal(await guest.download(SIZE), SIZE);
      await upload(lab, guest);
      assert.equal(await guest.ping(NEIGHBOUR, 1), false);
      const internet = await lab.watch(lab.internet, "up0");
      guest.namespace.ip("address", "add", `${OTHER}/24`, "dev", guest.link);
      await guest.namespace.run("ping", ["-c", "3", "-i", "0.2", "-W", "1", "-I", OTHER, INTERNET]);
      assert.equal(
        internet.count(({ ip }) => ip?.source === OTHER),
        0,
      );
      const summary = await guest.stop();
      assertDropped(summary, "policy.destination");
      assertDropped(summary, "ipv4.source", "arp.sender-address");
      assert.equal(summary.drops["frame.long"] ?? 0, 0, "a segment was not cut");
      const { large } = guest.softnet!.records.findLast(({ message }) => message === "summary")!;
      assert.ok(Number(large) > 20, `${large} large frames passed as what they are`);
      assert.deepEqual(summary.exit, { code: 0, signal: null });
    });
  }

  for (const card of CARDS) {
    test(`${card}: a guest without an address gets one by DHCP`, {
      ...labNeeds("udhcpc", "dnsmasq"),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, "dnsmasq");
      const guest = await lab.guest({ card, bare: false });
      await lease(guest);
      assert.ok(await guest.ping(INTERNET));
      assertInnocent(await guest.stop());
    });
  }

  test("a VLAN tag, which the kernel keeps beside the bytes, is judged: ethernet.type (L1)", {
    ...labNeeds("scapy"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const victim = await lab.guest({ bare: true, address: `${OTHER}/24` });
    for (const card of CARDS) {
      const guest = await attachedGuest(lab, ADDRESS, card);
      const attack = [tool("attack.py"), "arp-vlan0", guest.link, victim.mac, GATEWAY];
      await guest.start(PYTHON, attack).line(/^sent /);
      assertDropped(await guest.stop(), "ethernet.type");
    }
  });

  test("killed with SIGKILL it leaves the interface closed; list shows it, detach opens it, the next softnet takes over", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ADDRESS);
    const { port } = guest;
    assert.ok(await guest.ping(GATEWAY));
    await kill(guest);
    const everything = await lab.watch(lab.host, BRIDGE);
    assert.equal(await guest.ping(GATEWAY), false);
    assert.equal(
      everything.count(({ source }) => source === guest.mac),
      0,
    );
    const closed = (await listed(lab)).find(({ interface: name }) => name === port);
    assert.equal(closed?.state, "closed");
    assert.equal(closed?.mac, guest.mac);

    const args = ["attach", port, "--vm-mac-address", guest.mac, "--vm-ip-address", ADDRESS, "--gateway", GATEWAY];
    const next = Softnet.start(lab, lab.host, args);
    await next.ready();
    assert.ok(await guest.ping(GATEWAY));
    assert.equal((await listed(lab)).find(({ interface: name }) => name === port)?.state, undefined);
    const refused = await detach(lab, port);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /softnet \(process \d+\) is attached to it/);
    await next.stop();

    assert.equal(await guest.ping(GATEWAY, 1), false);
    assert.equal((await detach(lab, port)).code, 0);
    assert.equal(masterOf(lab.host, port), BRIDGE);
    assert.ok(await guest.ping(GATEWAY));
    assert.ok(await guest.ping(NEIGHBOUR), "detached, nothing filters");
    assert.deepEqual(
      (await listed(lab)).filter(({ interface: name }) => name === port),
      [],
    );
  });

  test("--open-on-exit puts the interface back as it was, settings of its port too, but not after SIGKILL", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ADDRESS, "veth", ["--open-on-exit"]);
    const { port } = guest;
    const settings = (await lab.host.run("sh", ["-c", `cat /proc/sys/net/ipv4/conf/${BRIDGE}/arp_ignore`])).stdout;
    const begin = performance.now();
    assert.deepEqual((await guest.stop()).exit, { code: 0, signal: null });
    assert.ok(performance.now() - begin < HELPER_DEADLINE / 2, "it waited for a reply that could not come");
    const wrong = guest.softnet!.records.filter(({ message }) => /taken out again/.test(String(message)));
    assert.deepEqual(wrong, [], "it took softnet's own putting back for another program's");
    assert.equal(masterOf(lab.host, port), BRIDGE);
    assert.ok(await guest.ping(NEIGHBOUR), "detached, nothing filters");
    assert.equal((await lab.host.run("sh", ["-c", `cat /proc/sys/net/ipv4/conf/${port}/arp_ignore`])).stdout, settings);
    lab.host.ip("link", "set", port, "type", "bridge_slave", "isolated", "on", "hairpin", "on");
    const args = ["attach", port, "--vm-mac-address", guest.mac, "--vm-ip-address", ADDRESS, "--gateway", GATEWAY];
    const again = Softnet.start(lab, lab.host, [...args, "--open-on-exit"]);
    await again.ready();
    await again.stop();
    const [slave] = lab.host
      .ipJson<{ linkinfo: { info_slave_data: Record<string, unknown> } }>("-details", "link", "show", port)
      .map(({ linkinfo }) => linkinfo.info_slave_data);
    assert.equal(slave!.isolated, true);
    assert.equal(slave!.hairpin, true);
    const killed = Softnet.start(lab, lab.host, [...args, "--open-on-exit"]);
    await killed.ready();
    killed.program.kill();
    await killed.program.ended();
    await sleep(500);
    assert.equal(masterOf(lab.host, port), undefined);
    assert.equal(await guest.ping(GATEWAY, 1), false);
  });

  for (const card of CARDS) {
    test(`${card}: nothing passes unjudged: an attack that begins before attaching ends with it, through kill -9 and deletion`, {
      ...labNeeds("scapy"),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      const victim = await lab.guest({ bare: true, address: `${OTHER}/24` });
      const bare = await attachedGuest(lab, ADDRESS, card);
      const seen = await lab.watch(lab.neighbour, "nb0");
      const spoof = bare.start(PYTHON, [tool("attack.py"), "mac-spoof", bare.link, victim.mac]);
      await spoof.line(/^sent /);
      await kill(bare);
      await sleep(1_000);
      lab.host.ip("link", "set", bare.port, "down");
      lab.host.ip("link", "set", bare.port, "up");
      await sleep(1_000);
      // The victim's own kernel speaks IPv6.
      const forged = seen.count(({ source, type }) => source === victim.mac && type !== IPV6);
      assert.equal(forged, 0, "forged frames came through");
    });
  }

  test("stopped for seconds nothing passes, and it goes on", { ...labNeeds(), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ADDRESS);
    assert.ok(await guest.ping(GATEWAY));
    const seen = await lab.watch(lab.host, BRIDGE);
    guest.softnet!.program.signal("SIGSTOP");
    assert.equal(await guest.ping(GATEWAY), false);
    assert.equal(
      seen.count(({ source }) => source === guest.mac),
      0,
    );
    guest.softnet!.program.signal("SIGCONT");
    assert.ok(await guest.ping(GATEWAY));
    await guest.stop();
  });

  test("without its programs the host's own stack takes nothing from a closed interface", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ADDRESS);
    await kill(guest);
    lab.host.ip("neighbour", "flush", "all");
    const taken = lab.start(lab.host, process.execPath, [tool("take-programs.ts"), guest.port]);
    await taken.line(/^taken$/);
    const internet = await lab.watch(lab.internet, "up0");
    const card = await lab.watch(guest.namespace, guest.link);
    guest.namespace.ip("neighbour", "replace", GATEWAY, "lladdr", "02:77:00:00:00:01", "dev", guest.link);
    // Strict or loose for all: without an address the interface takes nothing. Whoever turns forwarding on, turns it on here too.
    for (const filter of ["0", "1", "2"]) {
      lab.host.sysctl({ "net/ipv4/conf/all/rp_filter": filter, "net/ipv4/ip_forward": "0" });
      lab.host.sysctl({ "net/ipv4/ip_forward": "1" });
      assert.equal(await guest.ping(GATEWAY, 2), false);
      assert.equal(await guest.ping(INTERNET, 2), false);
    }
    guest.namespace.ip("neighbour", "delete", GATEWAY, "dev", guest.link);
    assert.equal(await guest.ping(GATEWAY, 1), false);
    assert.equal(
      internet.count(({ ip }) => ip?.source === ADDRESS),
      0,
    );
    assert.equal(
      card.count(({ sent, arp }) => !sent && arp !== undefined),
      0,
      "the host replied to ARP",
    );
  });

  test("put into a bridge by its hypervisor it is taken out again, and meanwhile nothing passes", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ADDRESS);
    const seen = await lab.watch(lab.neighbour, "nb0");
    lab.host.ip("link", "set", guest.port, "master", BRIDGE);
    await until("it is off the bridge", () => masterOf(lab.host, guest.port) === undefined);
    await guest.softnet!.program.line(/into a bridge: it is taken out again/);
    assert.ok(await guest.ping(GATEWAY));
    assert.equal(await guest.ping(NEIGHBOUR, 1), false);
    assert.equal(
      seen.count(({ ip }) => ip?.source === ADDRESS),
      0,
    );
    await guest.stop();
  });

  for (const [what, change, exit] of [
    ["deleted", (lab: Lab, port: string) => lab.host.ip("link", "delete", port), 0],
    [
      "moved to another network namespace",
      (lab: Lab, port: string) => lab.host.ip("link", "set", port, "netns", lab.internet.name),
      0,
    ],
  ] as const) {
    test(`the interface is ${what}: softnet ends with one line that names it`, {
      ...labNeeds(),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      const guest = await attachedGuest(lab, ADDRESS);
      change(lab, guest.port);
      assert.deepEqual((await guest.softnet!.ended()).exit, { code: exit, signal: null });
      const stopped = guest.softnet!.records.filter(({ message }) => message === "stopped");
      assert.equal(stopped.length, 1);
      assert.match(String(stopped[0]!.why), new RegExp(`${guest.port} was deleted, or moved`));
      assert.deepEqual(
        (await listed(lab)).filter(({ interface: name }) => name === guest.port),
        [],
      );
    });
  }

  test("renamed, down and up, another MTU: it says so, and goes on", { ...labNeeds(), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    const guest = await attachedGuest(lab, ADDRESS);
    lab.host.ip("link", "set", guest.port, "down");
    await guest.softnet!.program.line(/is down: nothing passes/);
    lab.host.ip("link", "set", guest.port, "name", "renamed0");
    await guest.softnet!.program.line(/is called renamed0 now/);
    lab.host.ip("link", "set", "renamed0", "up", "mtu", "1400");
    await guest.softnet!.program.line(/MTU of 1400/);
    assert.ok(await guest.ping(GATEWAY));
    await kill(guest);
    assert.equal((await listed(lab)).find(({ interface: name }) => name === "renamed0")?.state, "closed");
    assert.equal((await detach(lab, "renamed0")).code, 0);
    assert.ok(await guest.ping(GATEWAY));
  });
});
