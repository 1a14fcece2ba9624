/**
 * The registry between real softnets on a real bridge, with DHCP servers and clients as they are: restarts under a running
 * guest (threat row D28), two guests with one address (D6), and addresses that are given back at the end.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { needsReadable } from "../support/tools.ts";
import { Accounts, ALICE, threadsOf } from "./harness/accounts.ts";
import { dhclient, lease, noLease, udhcpc } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import { LastingGuest, LASTING_MAC as MAC } from "./harness/lasting-guest.ts";
import { until } from "./harness/program.ts";
import { recordsOf, registryScope } from "./harness/registry.ts";
import { DhcpServer, SERVER_KINDS } from "./harness/servers.ts";
import { assertDropped, assertInnocent, Softnet, softnetCommand } from "./harness/softnet.ts";
import { BRIDGE, GATEWAY, INTERNET, Lab, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";
import type { Seen } from "./harness/watch.ts";

const NOBODY = 65_534;
const ADDRESS = "10.77.0.100";
/** A pool of one address. */
const ONE = { first: 100, last: 100 } as const;
const RELEASE = 7;

const isRelease = ({ dhcp }: Seen) => dhcp?.type === RELEASE;
const asks = ({ dhcp }: Seen) => dhcp?.operation === 1 && dhcp.type !== RELEASE;

/** What `softnet list` prints, one object a line, of this lab's host. */
async function listed(lab: Lab, as = NOBODY): Promise<Record<string, unknown>[]> {
  const command = [
    "--reuid",
    String(as),
    "--regid",
    String(as),
    "--clear-groups",
    ...softnetCommand(["list", "--json"]),
  ];
  const { code, stdout, stderr } = await lab.host.run("setpriv", command);
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ network }) => `${network} `.includes(registryScope(lab.host)));
}

const states = async (lab: Lab) => (await listed(lab)).map(({ address, state }) => `${address} ${state}`);

suite("the registry", SIDE_BY_SIDE, () => {
  for (const [how, end] of [
    ["killed", "SIGKILL"],
    ["ended in order, its address given back (as with a VM that is suspended)", "SIGINT"],
  ] as const) {
    test(`D28 softnet is ${how}: the next one goes on with the guest's address, without DHCP`, {
      ...needsReadable(),
      ...labNeeds("udhcpc", "dnsmasq"),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, "dnsmasq");
      const lasting = await LastingGuest.create(lab);
      const { guest } = lasting;
      const client = udhcpc(guest);
      const { address } = await client.event(/bound/);
      assert.ok(await guest.ping(INTERNET));
      const bridge = await lab.watch(lab.host, BRIDGE);
      const pings = guest.start("ping", ["-n", "-i", "0.2", "-W", "5", INTERNET]);
      await pings.line(/icmp_seq=/);

      await lasting.softnet.program.stop(end);
      assert.deepEqual(await states(lab), [`${address} ${end === "SIGKILL" ? "ended" : "released"}`]);
      const before = pings.count(/icmp_seq=/);
      await lasting.again();
      await until("ping goes on", () => pings.count(/icmp_seq=/) > before + 3);
      await pings.stop("SIGINT");
      assert.ok(lasting.restored());
      assert.equal(bridge.count(asks), 0, "the guest asked nobody");
      assert.equal(bridge.count(isRelease), end === "SIGKILL" ? 0 : 1);
      assert.deepEqual(await states(lab), [`${address} live`]);

      if (end === "SIGKILL") {
        client.program.signal("SIGUSR1"); // renew now
        assert.equal((await client.event(/renew/)).address, address);
        assert.ok(await guest.ping(INTERNET));
      }
      assertInnocent(await lasting.softnet.stop());
    });
  }

  test("D28 a second restart, and --no-release-on-exit: the lease is the server's all along", {
    ...needsReadable(),
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq", ONE);
    const lasting = await LastingGuest.create(lab, ["--no-release-on-exit"]);
    const client = udhcpc(lasting.guest);
    await client.event(/bound/);
    const bridge = await lab.watch(lab.host, BRIDGE);
    for (let round = 0; round < 2; round++) {
      await lasting.softnet.stop();
      assert.deepEqual(await states(lab), [`${ADDRESS} ended`]);
      await lasting.again();
      assert.ok(await lasting.guest.ping(GATEWAY));
    }
    assert.equal(bridge.count(isRelease), 0);
    const other = await lab.guest();
    assert.ok(await noLease(other), "the only address is still leased");
    client.program.signal("SIGUSR1");
    assert.equal((await client.event(/renew/)).address, ADDRESS);
    assertInnocent(await lasting.softnet.stop());
  });

  test("D28 the guest's own RELEASE after a restart passes, and is the only one", {
    ...needsReadable(),
    ...labNeeds("dhclient", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd", ONE);
    const lasting = await LastingGuest.create(lab);
    const client = dhclient(lasting.guest);
    await client.event(/BOUND/);
    await client.program.line(/^bound to/);
    await client.program.stop("SIGKILL");
    const bridge = await lab.watch(lab.host, BRIDGE);
    await lasting.softnet.program.stop("SIGKILL");
    await lasting.again();
    assert.ok(await lasting.guest.ping(GATEWAY)); // and its kernel knows the server's MAC, so that the RELEASE need not wait
    const releases = dhclient(lasting.guest, "-r");
    await releases.program.ended();
    await bridge.until("the guest's RELEASE", isRelease);
    assertInnocent(await lasting.softnet.stop(), "ipv4.unbound");
    assert.equal(bridge.count(isRelease), 1);
    assert.deepEqual(await states(lab), []);
  });

  test("D6 a resumed VM does not get back what another live softnet's VM has by then", {
    ...needsReadable(),
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq", ONE);
    const lasting = await LastingGuest.create(lab);
    assert.equal((await lease(lasting.guest)).address, ADDRESS);
    await lasting.softnet.stop();
    const other = await lab.guest();
    assert.equal((await lease(other)).address, ADDRESS);
    await lasting.again();
    assert.equal(lasting.restored(), false);
    assert.equal(await lasting.guest.ping(GATEWAY), false);
    assert.ok(await other.ping(GATEWAY));
    assertDropped(await lasting.softnet.stop(), "ipv4.unbound", "arp.sender-address");
    assertInnocent(await other.stop());
  });

  test("D6 a server that has lost its leases gives a live VM's address to another: that one does not learn it", {
    ...needsReadable(),
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const first = await DhcpServer.start(lab, "dnsmasq", ONE);
    const guest = await lab.guest({ bare: false });
    assert.equal((await lease(guest)).address, ADDRESS);
    await first.stop();
    const second = await DhcpServer.start(lab, "dnsmasq", ONE);
    const other = await lab.guest({ bare: false, args: ["--no-release-on-exit"] });
    assert.ok(await noLease(other));
    assert.ok(second.program.count(/DHCPACK/) > 0, "the server did give it");
    other.setAddress(`${ADDRESS}/24`); // and the guest takes it nevertheless
    assert.equal(await other.ping(INTERNET), false);
    // dnsmasq told the host's kernel that the address is the other's now; the guest's own ARP puts that right.
    guest.namespace.ip("neighbour", "flush", "dev", guest.link);
    assert.ok(await guest.ping(INTERNET, 10));
    assert.deepEqual(
      (await listed(lab)).map(({ address, mac, state, pid }) => ({ address, mac, state, pid })),
      [
        { address: ADDRESS, mac: guest.mac, state: "live", pid: guest.softnet!.program.pid },
        { address: null, mac: other.mac, state: "live", pid: other.softnet!.program.pid },
      ],
    );
    assertInnocent(await guest.stop());
    other.namespace.ip("address", "flush", "dev", other.link);
    assert.equal((await lease(other)).address, ADDRESS, "free once the other is gone");
    assertDropped(await other.stop(), "dhcp.address-held");
  });

  test("D6 the same address on two bridges is two addresses", {
    ...needsReadable(),
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    lab.host.ipBatch(["link add br1 type bridge forward_delay 0 stp_state 0", "link set br1 up"]);
    const options = ["--vm-ip-address", "10.77.0.5", "--gateway", GATEWAY];
    const guest = await lab.guest({ bare: false, args: options });
    const elsewhere = ["--vm-tap", "vm9", "--vm-mac-address", MAC, "--bridge", "br1", ...options];
    const softnet = Softnet.start(lab, lab.host, elsewhere);
    await softnet.ready();
    const networks = (await listed(lab)).map(({ network, origin }) => [String(network).split(",")[0], origin]);
    assert.deepEqual(networks.sort(), [
      ["bridge br0", "static"],
      ["bridge br1", "static"],
    ]);

    // On the same one the user is told.
    const third = ["--vm-tap", "vm8", "--vm-mac-address", "7e:1a:00:00:aa:02", "--bridge", BRIDGE, ...options];
    const records = recordsOf(lab.host);
    const refused = Softnet.start(lab, lab.host, third);
    assert.equal((await refused.program.ended()).code, 1);
    assert.equal(refused.errors.length, 1);
    assert.match(
      refused.errors[0]!,
      /--vm-ip-address 10\.77\.0\.5: another softnet's VM has this address on bridge br0/,
    );
    assert.ok(!lab.host.hasLink("vm8"));
    assert.deepEqual(recordsOf(lab.host), records, "it left no record");
    await softnet.stop();
    await guest.stop();
    assert.deepEqual(await states(lab), [], "static addresses end with their softnet");
  });

  test("what is refused before the VM could be served leaves no record", {
    ...needsReadable(),
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const closed = join(lab.directory, "closed");
    mkdirSync(closed, { mode: 0o755 });
    const card = ["--vm-tap", "vm0", "--vm-mac-address", MAC, "--bridge", BRIDGE];
    const socket = ["--vm-mac-address", MAC, "--bridge", BRIDGE];
    for (const [args, words] of [
      [[...card, "--control-socket", join(closed, "ctl")], /^softnet: --control-socket \S+: no permission to make/],
      [[...card, "--control-socket", join(closed, "none", "ctl")], /none does not exist; make it/],
      [[...socket, "--vm-socket", join(closed, "vm")], /^softnet: --vm-socket \S+: no permission to make/],
    ] as const) {
      const softnet = Softnet.start(lab, lab.host, args);
      assert.equal((await softnet.program.ended()).code, 1);
      assert.equal(softnet.errors.length, 1);
      assert.match(softnet.errors[0]!, words);
      assert.deepEqual(recordsOf(lab.host), []);
    }
  });

  test("a network of the VM's own is listed as well", {
    ...needsReadable(),
    ...labNeeds("nft", "setpriv"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const softnet = Softnet.start(lab, lab.host, [
      ...["--vm-tap", "vm0", "--vm-mac-address", MAC, "--vm-net-type", "host", "--subnet", "10.99.7.4/30"],
      ...["--vm-ip-address", "10.99.7.6"],
    ]);
    await softnet.ready();
    const [{ network, ...rest }] = (await listed(lab)) as [Record<string, unknown>];
    assert.match(String(network), /^host 10\.99\.7\.4\/30, /);
    const pid = softnet.program.pid;
    const known = { address: "10.99.7.6", mac: MAC, state: "live", origin: "static", expires: null, control: null };
    // It has no control socket, so it cannot be asked for the rest.
    const asked = { name: null, interface: null, policy: null, uptime: null, drops: null };
    assert.deepEqual(rest, { ...known, ...asked, pid });
    await softnet.stop();
  });

  test("through sudo, with the caller's umask: the record is root's, and written by who softnet has become", {
    ...needsReadable(),
    ...labNeeds("sudo", "udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const sudoers = `Defaults umask=0077,umask_override\n${ALICE.name} ALL=(root) NOPASSWD: {softnet}`;
    const home = lab.namespace("guest"); // before the accounts, which see no later one
    const accounts = new Accounts(lab, { sudoers, conf: `allow-bridge ${BRIDGE} user ${ALICE.name}\n` });
    const cable = accounts.cable(["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--bridge", BRIDGE], {});
    await cable.softnet.ready();
    const guest = Guest.at(lab, home, "vm0", MAC, cable.softnet);
    const card = ["/usr/bin/python3", tool("tapfd.py"), "vm0", MAC, "{vm}"];
    await cable.run("guest", ["ip", "netns", "exec", guest.namespace.name, ...card]);
    await until("the guest's card", () => guest.namespace.hasLink("vm0"));
    const { address } = await lease(guest);
    assert.deepEqual(await states(lab), [`${address} live`]);
    const records = recordsOf(lab.host).map((path) => statSync(path));
    assert.deepEqual(
      records.map(({ uid, gid, mode, nlink }) => [uid, gid, mode & 0o7777, nlink]),
      [[0, 0, 0o644, 1]],
    );
    const [{ pid }] = (await listed(lab)) as [Record<string, unknown>];
    assert.equal(threadsOf(pid as number)[0]!.uid[0], ALICE.uid);
    await accounts.start(["kill", "-INT", String(pid)]).ended();
    assert.equal((await cable.softnet.ended()).exit.code, 0);
    assert.deepEqual(await states(lab), [`${address} released`]);
  });

  test("where nobody knows the network there is no registry, and only debug tells", {
    ...needsReadable(),
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    const guest = await lab.guest({ bare: false });
    const told = (softnet: Softnet) =>
      softnet.records.filter(({ message }) => String(message).startsWith("no registry"));
    assert.deepEqual(told(guest.softnet!), []);
    const path = join(lab.directory, "cable");
    const server = createServer(() => {}).listen(path);
    t.after(() => server.close());
    await once(server, "listening");
    const args = ["--vm-tap", "vm7", "--vm-mac-address", MAC, "--host-socket", path, "--vm-ip-address", "10.77.0.7"];
    const softnet = Softnet.start(lab, lab.host, args);
    await softnet.ready();
    assert.deepEqual(
      told(softnet).map(({ level }) => level),
      ["debug"],
    );
    assert.deepEqual(await states(lab), ["null live"], "the guest on the bridge, which has no address");
    assert.equal((await softnet.stop()).exit.code, 0);
  });
});

/** What each server says of a RELEASE that it took. */
const FREED: Readonly<Record<(typeof SERVER_KINDS)[number], RegExp>> = {
  dnsmasq: /DHCPRELEASE\(br0\) 10\.77\.0\.100 /,
  dhcpd: /DHCPRELEASE of 10\.77\.0\.100 from .* \(found\)/,
  "kea-dhcp4": /DHCP4_RELEASE .*10\.77\.0\.100 was released/,
};

suite("release on exit", SIDE_BY_SIDE, () => {
  for (const kind of SERVER_KINDS) {
    for (const [client, take] of [
      ["udhcpc, with a client identifier", (guest: Guest) => lease(guest)],
      [
        "dhclient, without one",
        async (guest: Guest) => {
          const client = dhclient(guest);
          const bound = await client.event(/BOUND/);
          await client.program.stop("SIGKILL");
          return bound;
        },
      ],
    ] as const) {
      test(`${kind} has the address back at once and gives it to the next VM (${client})`, {
        ...needsReadable(),
        ...labNeeds("udhcpc", "dhclient", kind),
        ...LIMIT,
      }, async (t) => {
        const lab = Lab.open(t);
        const server = await DhcpServer.start(lab, kind, ONE);
        const bridge = await lab.watch(lab.host, BRIDGE);
        const guest = await lab.guest({ bare: false });
        assert.equal((await take(guest)).address, ADDRESS);
        const other = await lab.guest({ bare: false });
        assert.ok(await noLease(other), "the pool is empty");
        const asked = bridge.frames.findLast((frame) => frame.dhcp?.type === 3 && frame.dhcp.chaddr === guest.mac)!;

        const summary = await guest.stop();
        assertInnocent(summary);
        const { dhcp, ip, udp, source, destination } = await bridge.until("a RELEASE", isRelease);
        assert.deepEqual([source, ip?.source, ip?.destination], [guest.mac, ADDRESS, GATEWAY]);
        assert.deepEqual(udp, { source: 68, destination: 67 });
        assert.notEqual(destination, "ff:ff:ff:ff:ff:ff");
        assert.deepEqual(
          [dhcp?.ciaddr, dhcp?.yiaddr, dhcp?.chaddr, dhcp?.server, dhcp?.clientIdentifier, dhcp?.requested],
          [ADDRESS, "0.0.0.0", guest.mac, GATEWAY, asked.dhcp?.clientIdentifier, undefined],
        );
        await server.program.line(FREED[kind]);
        assert.equal((await take(other)).address, ADDRESS);
        assert.ok(await other.ping(GATEWAY));
      });
    }
  }

  test("a VM that goes away is an end in order too; --no-release-on-exit is heeded", {
    ...needsReadable(),
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const bridge = await lab.watch(lab.host, BRIDGE);
    const silent = await lab.guest({ bare: false, args: ["--no-release-on-exit"] });
    const guest = await lab.guest({ bare: false });
    await lease(silent);
    await lease(guest);
    for (const one of [silent, guest]) {
      one.namespace.delete();
      assert.deepEqual((await one.softnet!.ended()).exit, { code: 0, signal: null });
    }
    assert.equal((await bridge.until("a RELEASE", isRelease)).source, guest.mac);
    assert.equal(bridge.count(isRelease), 1);
    assert.deepEqual(
      (await listed(lab)).map(({ mac, state }) => `${mac} ${state}`).sort(),
      [`${silent.mac} ended`, `${guest.mac} released`].sort(),
    );
  });

  test("a VM that was heard from elsewhere on the network has moved: its address is not given back", {
    ...labNeeds("udhcpc", "dnsmasq", "python3"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const bridge = await lab.watch(lab.host, BRIDGE);
    const guest = await lab.guest({ bare: false });
    await lease(guest);
    // QEMU's announcement at the new place: a RARP from the VM's MAC to everybody (net/announce.c).
    const mac = guest.mac.replaceAll(":", "");
    const rarp = `ffffffffffff${mac}80350001080006040003${mac}00000000${mac}00000000`.padEnd(120, "0");
    const send = `import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("${BRIDGE}", 0)); s.send(bytes.fromhex("${rarp}"))`;
    assert.equal((await lab.host.run("/usr/bin/python3", ["-c", send])).code, 0);
    await until("softnet has heard it", () =>
      guest.softnet!.records.some(({ message, reason }) => message === "first drop" && reason === "ethernet.source"),
    );
    guest.namespace.delete();
    assert.deepEqual((await guest.softnet!.ended()).exit, { code: 0, signal: null });
    assert.equal(bridge.count(isRelease), 0);
    assert.ok(guest.softnet!.records.some(({ message }) => /^the address is not given back/.test(String(message))));
    assert.deepEqual(
      (await listed(lab)).map(({ mac, state }) => `${mac} ${state}`),
      [`${guest.mac} ended`],
    );
  });

  test("nothing is given back for a static address, for none, and for one that the VM has released", {
    ...needsReadable(),
    ...labNeeds("udhcpc", "dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dnsmasq");
    const bridge = await lab.watch(lab.host, BRIDGE);
    const fixed = await lab.guest({ bare: false, args: ["--vm-ip-address", ADDRESS] });
    const idle = await lab.guest({ bare: false });
    const polite = await lab.guest({ bare: false });
    assert.equal((await lease(fixed, "-r", ADDRESS)).address, ADDRESS);
    const client = udhcpc(polite, "-R"); // releases when it ends
    await client.event(/bound/);
    assert.ok(await polite.ping(GATEWAY)); // the RELEASE need not wait for ARP, and so for the end of the address
    await client.program.stop("SIGTERM");
    await bridge.until("the VM's own RELEASE", isRelease);
    for (const guest of [fixed, idle, polite]) assert.equal((await guest.stop()).exit.code, 0);
    await lab.host.run("ping", ["-c", "1", "-W", "1", "10.77.0.9"]); // the bridge has seen whatever came
    assert.equal(bridge.count(isRelease), 1);
    assert.deepEqual(await states(lab), []);
  });

  test("a lease that is over is not given back", {
    ...needsReadable(),
    ...labNeeds("udhcpc", "dhcpd"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd", { lease: 4 });
    const bridge = await lab.watch(lab.host, BRIDGE);
    const guest = await lab.guest({ bare: false });
    await lease(guest);
    await until("the lease's end", async () => !(await guest.ping(GATEWAY, 1)));
    assert.equal((await guest.stop()).exit.code, 0);
    assert.equal(bridge.count(isRelease), 0);
  });
});
