/**
 * Networks of the VM's own with IPv6, on a host that learns its own IPv6 route from a router's advertisements. There is no guard
 * here (tools/nat-open.ts): what is closed is closed by the network.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { lease } from "./harness/clients.ts";
import { connections } from "./harness/connections.ts";
import { Guest } from "./harness/guest.ts";
import { helperOf, started } from "./harness/nat.ts";
import { ask, listen, PYTHON } from "./harness/nat-scenes.ts";
import { addresses, addressIn, asBefore6, hasRoute, INTERNET6, ping6, scene, state, uplinkOf } from "./harness/nat6.ts";
import { type Program, until } from "./harness/program.ts";
import { Softnet } from "./harness/softnet.ts";
import { INTERNET, type Lab, labNeeds, tool } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("nft", "udhcpc"), ...LIMIT };
let created = 0;

interface Guest6 {
  readonly guest: Guest;
  readonly program: Program;
  readonly prefix: string;
  readonly router: string;
}

async function guest6(lab: Lab, options: object = {}): Promise<Guest6> {
  const link = `svm${++created}`;
  const mac = `7e:1a:00:00:06:${created.toString(16).padStart(2, "0")}`;
  const dns = "type" in options ? {} : { dns: INTERNET };
  const args = [tool("nat-open.ts"), link, mac, JSON.stringify({ ...dns, ...options })];
  const program = lab.start(lab.host, process.execPath, args, { label: "nat-open", input: true });
  const softnet = new Softnet(program);
  await softnet.ready();
  const namespace = lab.namespace(link);
  lab.host.ip("link", "set", link, "netns", namespace.name);
  namespace.ip("link", "set", link, "up");
  const guest = Guest.at(lab, namespace, link, mac, softnet);
  const { prefix6, hostAddresses6 } = started(guest);
  return { guest, program, prefix: String(prefix6).replace("/64", ""), router: String(hostAddresses6) };
}

const autoconfigured = ({ guest, prefix }: Guest6): Promise<string> => addressIn(guest, prefix);

/** Tells the network the guest's addresses, as a guard would. */
async function tell({ program }: Guest6, list: readonly string[]): Promise<void> {
  const from = program.lines.length;
  program.write(`${JSON.stringify(list)}\n`);
  await program.line(/"told"/, undefined, from);
}

/** UDP from the guest to `ports` ports of the internet, at most 80 a second, from a new address of its /64 each time. */
async function begin({ guest, prefix }: Guest6, ports: number): Promise<void> {
  const script = [
    "import socket, time",
    `for port in range(20000, ${20_000 + ports}):`,
    "    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
    "    s.setsockopt(socket.IPPROTO_IPV6, 78, 1)", // IPV6_FREEBIND
    `    s.bind(('${prefix}' + hex(port)[2:], 0))`,
    `    s.sendto(b'x', ('${INTERNET6}', port))`,
    "    s.close()",
    "    time.sleep(1 / 80)",
  ].join("\n");
  const { code, stderr } = await guest.namespace.run(PYTHON, ["-c", script]);
  assert.equal(code, 0, stderr);
}

suite("nat with IPv6", { concurrency: 2 }, () => {
  test(
    "H4 connections from ever new addresses of the /64: no more than one VM may have, and none at the end",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const one = await guest6(lab, { connections: 50 });
      const two = await guest6(lab, { connections: 50 });
      await autoconfigured(one);
      await autoconfigured(two);
      await lab.internet.run("nft", [
        "add table ip6 quiet; add chain ip6 quiet i { type filter hook input priority 0; }; add rule ip6 quiet i meta l4proto udp drop",
      ]);
      await begin(one, 200);
      const during = await connections(lab.host, "ipv6");
      assert.ok(during >= 45 && during <= 55, String(during));
      assert.equal(await ping6(one.guest.namespace, INTERNET6, 1), false, "its fifty-first connection");
      assert.ok(await ping6(two.guest.namespace, INTERNET6), "the other VM is cut off");
      await one.program.stop("SIGINT");
      await until("only the other VM's are left", async () => (await connections(lab.host, "ipv6")) < 10);
      await two.program.stop("SIGINT");
      await until("none is left", async () => (await connections(lab.host, "ipv6")) === 0);
    },
  );

  test(
    "SLAAC by softnet's advertisement; the internet sees the host; the host keeps its route; all is put back",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const before = await state(lab.host);
      const one = await guest6(lab);
      assert.ok(hasRoute(lab.host), "the host lost its own route");
      const address = await autoconfigured(one);
      assert.match(one.prefix, /^fd[0-9a-f:]+::$/);
      const routes = one.guest.namespace.ip("-6", "route", "show", "default");
      assert.match(routes, /via fe80::1 .*proto ra/);
      assert.ok(await ping6(one.guest.namespace, INTERNET6), "no ping to the internet");
      await listen(lab, lab.internet, INTERNET6, 99);
      assert.equal(await ask(one.guest.namespace, INTERNET6, 99), uplinkOf(lab), "not masqueraded");
      assert.ok(await ping6(one.guest.namespace, one.router), "no ping to the router");
      assert.ok(await ping6(lab.host, address), "the host does not reach the VM");
      const bound = await lease(one.guest);
      assert.ok(await one.guest.ping(bound.router));
      assert.ok(await one.guest.ping(INTERNET));

      const two = await guest6(lab);
      assert.ok(hasRoute(lab.host), "a second VM took the host's route");
      assert.equal(two.prefix.split(":", 3).join(), one.prefix.split(":", 3).join(), "another /48");
      assert.notEqual(two.prefix, one.prefix);
      await two.program.stop("SIGINT");
      assert.ok(hasRoute(lab.host));
      assert.ok(await ping6(one.guest.namespace, INTERNET6), "the second VM took forwarding with it");
      assert.ok(routes.includes("fe80::1"));
      await one.program.stop("SIGINT");
      await asBefore6(lab.host, before);
      assert.ok(hasRoute(lab.host));
    },
  );

  test(
    "the router says that it is one: after neighbour unreachability detection the route is still there",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const one = await guest6(lab);
      await autoconfigured(one);
      one.guest.namespace.ip("-6", "neigh", "flush", "dev", one.guest.link);
      assert.ok(await ping6(one.guest.namespace, INTERNET6));
      assert.ok(hasRoute(one.guest.namespace));
      assert.match(one.guest.namespace.ip("-6", "neigh", "show", "fe80::1", "dev", one.guest.link), /router/);
    },
  );

  test(
    "another VM, other addresses of the host and foreign sources are closed; others are not forwarded",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const one = await guest6(lab, { allow: ["0.0.0.0/0"] });
      const two = await guest6(lab, { allow: ["0.0.0.0/0"] });
      const [first, second] = [await autoconfigured(one), await autoconfigured(two)];
      await listen(lab, two.guest.namespace, second, 99);
      assert.match(await ask(one.guest.namespace, second, 99), /^no:/, "another VM");
      assert.equal(await ping6(one.guest.namespace, second, 2), false);
      assert.equal(await ping6(one.guest.namespace, two.router, 2), false, "another VM's router");
      const uplink = uplinkOf(lab)!;
      await listen(lab, lab.host, "::", 98);
      assert.match(await ask(one.guest.namespace, uplink, 98), /^no:/, "the host's own address");
      assert.match(await ask(one.guest.namespace, one.router, 98), new RegExp(`^${first}$`), "the router's address");
      assert.match(await ask(one.guest.namespace, `fe80::1%${one.guest.link}`, 98), /^fe80:/);

      const card = await lab.watch(lab.internet, "up0");
      const script = [
        "from scapy.all import *",
        `to = Ether(src='${one.guest.mac}', dst='${started(one.guest).gatewayMac}')`,
        `for source in ('${second}', '${one.router}', '${uplink}', '2001:db8:9::9', 'fe80::9', '::'):`,
        `    sendp(to/IPv6(src=source, dst='${INTERNET6}')/ICMPv6EchoRequest(data=b'spoofed'), iface='${one.guest.link}', verbose=0)`,
        `sendp(to/IPv6(src='${first}', dst='${INTERNET6}')/ICMPv6EchoRequest(data=b'x' * 777), iface='${one.guest.link}', verbose=0)`,
      ].join("\n");
      assert.equal((await one.guest.namespace.run(PYTHON, ["-c", script])).code, 0);
      await card.until("the last one", ({ length }) => length === 14 + 40 + 8 + 777);
      assert.equal(
        card.count(({ length }) => length === 14 + 40 + 8 + 7),
        0,
        "a foreign source left the host",
      );

      // A machine beside the uplink that takes the host for a router.
      lab.internet.ip("-6", "route", "add", `${one.prefix}/64`, "via", uplink);
      assert.equal(await ping6(lab.internet, first, 2), false, "from outside");
    },
  );

  test(
    "--expose: from outside, from the host; a client appears as the router; the address that is followed",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const one = await guest6(lab, { expose: "2222:22" });
      const own = await autoconfigured(one);
      const uplink = uplinkOf(lab)!;
      await listen(lab, one.guest.namespace, "::", 22);
      assert.match(await ask(lab.internet, uplink, 2222), /^no:/, "no address is known yet");
      await tell(one, [`fe80::1234`, own]);
      assert.equal(await ask(lab.internet, uplink, 2222), one.router, "from where the VM may not answer");
      lab.internet.ip("-6", "route", "replace", uplink, "dev", "up0", "src", INTERNET6);
      assert.equal(
        await ask(lab.internet, uplink, 2222),
        INTERNET6,
        "a client that the VM may answer appears as itself",
      );
      assert.equal(await ask(lab.host, uplink, 2222), one.router, "from the host itself");
      assert.equal(await ask(lab.host, one.router, 2222), one.router);
      assert.match(await ask(lab.host, "::1", 2222), /^no:.*refused/, "clients go on with 127.0.0.1 at once");
      assert.match(await ask(one.guest.namespace, one.router, 2222), /^no:/, "not for VMs");
      await tell(one, []);
      assert.match(await ask(lab.internet, uplink, 2222), /^no:/);
    },
  );

  test("::/0 allowed on both sides: VMs meet under their own addresses; one side is not enough", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const [one, two] = [await guest6(lab, { allow: ["::/0"] }), await guest6(lab, { allow: ["::/0"] })];
    const three = await guest6(lab);
    const first = await autoconfigured(one);
    const second = await autoconfigured(two);
    const third = await autoconfigured(three);
    await listen(lab, two.guest.namespace, second, 99);
    assert.equal(await ask(one.guest.namespace, second, 99), first);
    await listen(lab, three.guest.namespace, third, 99);
    assert.match(await ask(one.guest.namespace, third, 99), /^no:/);
  });

  test("no IPv6 route: one line and no advertisement; it comes, goes and comes again", NEEDS, async (t) => {
    const { lab, router } = await scene(t, 0);
    const one = await guest6(lab);
    await one.program.line(/"notices":\["this host has no IPv6 default route: the VM gets no IPv6/);
    await lease(one.guest);
    assert.deepEqual(addresses(one.guest.namespace, one.guest.link), []);
    router.write("1800\n");
    await one.program.line(/this host has an IPv6 default route/);
    await autoconfigured(one);
    assert.ok(await ping6(one.guest.namespace, INTERNET6));
    router.write("0\n");
    await until("the VM has no route any more", () => !hasRoute(one.guest.namespace));
    router.write("1800\n");
    await until("the VM has its route again", () => hasRoute(one.guest.namespace));
    assert.ok(await ping6(one.guest.namespace, INTERNET6));
  });

  test("type host: an address and the router, no route, nothing forwarded", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const before = await state(lab.host);
    const one = await guest6(lab, { type: "host" });
    await until("the guest has an address", () => addresses(one.guest.namespace, one.guest.link).length > 0);
    assert.ok(await ping6(one.guest.namespace, one.router));
    assert.equal(hasRoute(one.guest.namespace), false);
    one.guest.namespace.ip("-6", "route", "add", "default", "via", "fe80::1", "dev", one.guest.link);
    assert.equal(await ping6(one.guest.namespace, INTERNET6, 2), false);
    await one.program.stop("SIGINT");
    await asBefore6(lab.host, before);
  });

  test("SIGKILL of softnet, then of all at once: what is left is put back", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const before = await state(lab.host);
    const one = await guest6(lab);
    await autoconfigured(one);
    process.kill(one.program.pid, "SIGKILL");
    await asBefore6(lab.host, before);

    const two = await guest6(lab);
    await autoconfigured(two);
    for (const pid of [helperOf(lab.host)!, two.program.pid]) process.kill(pid, "SIGKILL");
    await two.program.ended();
    await until("the TAP is gone", () => !lab.host.links().some((name) => name.startsWith("softnet")));
    assert.ok(hasRoute(lab.host));
    const three = await guest6(lab);
    await three.program.stop("SIGINT");
    await asBefore6(lab.host, before);
    assert.ok(hasRoute(lab.host));
  });

  test(
    "addresses of the TAP that somebody removes, and forwarding that he turns off, are there again",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const one = await guest6(lab);
      await autoconfigured(one);
      const tap = String(started(one.guest).port).replace(/^TAP (\S+).*$/, "$1");
      lab.host.sysctl({ [`net/ipv6/conf/${tap}/disable_ipv6`]: "1" });
      await one.program.line(/IPv6 addresses of softnet\d+ were gone/);
      lab.host.sysctl({ "net/ipv6/conf/all/forwarding": "0" });
      await one.program.line(/another program turned IPv6 forwarding off/);
      await until("the VM is online", () => ping6(one.guest.namespace, INTERNET6, 1));
      assert.ok(hasRoute(lab.host));
    },
  );
});
