/** Networks of the VM's own with IPv6 as users have them: softnet with `--ipv6`, its guard between the VM and the network. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ControlPath, setPolicy } from "./harness/control.ts";
import type { Guest } from "./harness/guest.ts";
import { tapOf } from "./harness/nat.ts";
import { ask, hasLogged, listen, NEEDS, PYTHON, refusal } from "./harness/nat-scenes.ts";
import {
  addresses,
  addressIn,
  asBefore6,
  guest6,
  hasRoute,
  INTERNET6,
  ping6,
  prefixOf,
  routerOf,
  scene,
  state,
  uplinkOf,
} from "./harness/nat6.ts";
import { until } from "./harness/program.ts";
import { assertDropped, assertInnocent, softnetCommand } from "./harness/softnet.ts";
import { INTERNET } from "./harness/topology.ts";

/** Echo requests with `data` from each of these addresses to the internet, past the guest's own stack. */
async function forge(guest: Guest, sources: readonly string[], data: number): Promise<void> {
  const mac = guest.namespace.ipJson<{ lladdr: string }>("-6", "neigh", "show", "fe80::1", "dev", guest.link)[0]
    ?.lladdr;
  const script = [
    "from scapy.all import *",
    `to = Ether(src='${guest.mac}', dst='${mac}')`,
    `for source in ${JSON.stringify(sources)}:`,
    `    sendp(to/IPv6(src=source, dst='${INTERNET6}')/ICMPv6EchoRequest(data=b'x' * ${data}), iface='${guest.link}', verbose=0)`,
  ].join("\n");
  const { code, stderr } = await guest.namespace.run(PYTHON, ["-c", script]);
  assert.equal(code, 0, stderr);
}

suite("nat with IPv6 and the guard", { concurrency: 2 }, () => {
  test("SLAAC through the guard, ping and TCP by masquerade; list and status show the addresses", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const before = await state(lab.host);
    const control = new ControlPath(lab);
    const guest = await guest6(lab, ...control.options);
    const address = await addressIn(guest, prefixOf(guest));
    assert.ok(await ping6(guest.namespace, INTERNET6), "no ping to the internet");
    await listen(lab, lab.internet, INTERNET6, 99);
    assert.equal(await ask(guest.namespace, INTERNET6, 99), uplinkOf(lab), "not masqueraded");
    assert.ok(await ping6(guest.namespace, routerOf(guest)), "no ping to the router");
    assert.ok(await ping6(lab.host, address), "the host does not reach the VM");
    const client = await control.client();
    const { ipv6 } = (await client.ask("softnet.status")) as { ipv6: { address: string; origin: string }[] };
    const own = ipv6.map((one) => one.address);
    assert.ok(own.includes(address) && own.some((one) => one.startsWith("fe80:")), own.join());
    const [command, ...args] = softnetCommand(["list"]);
    const { stdout } = await lab.host.run(command!, args);
    assert.match(stdout, new RegExp(`${guest.mac} .*${address}`));
    client.close();
    assertInnocent(await guest.stop());
    await asBefore6(lab.host, before);
    assert.ok(hasRoute(lab.host));
  });

  test(
    "S5 forged sources go nowhere, also when the policy is open: not announced, of others, of the router",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const guest = await guest6(lab, "--allow", "0.0.0.0/0,::/0");
      const other = await guest6(lab);
      const address = await addressIn(guest, prefixOf(guest));
      const second = await addressIn(other, prefixOf(other));
      assert.ok(await ping6(guest.namespace, INTERNET6));
      const card = await lab.watch(lab.internet, "up0");
      const never = [second, routerOf(guest), uplinkOf(lab)!, "2001:db8:9::9", "fe80::9", "fe80::1", "::"];
      await forge(guest, [`${prefixOf(guest)}abcd`, ...never], 7);
      await forge(guest, [address], 777);
      await card.until("the last one", ({ length }) => length === 14 + 40 + 8 + 777);
      const left = card.count(({ length }) => length === 14 + 40 + 8 + 7);
      assert.equal(left, 0, "a forged source left the host");
      const summary = await guest.stop();
      assertDropped(summary, "ipv6.source");
      assertDropped(summary, "ipv6.unbound");
    },
  );

  test(
    "a VM reaches neither another's prefix nor its router, nor the host beyond what IPv4 nat allows",
    NEEDS,
    async (t) => {
      const { lab } = await scene(t);
      const control = new ControlPath(lab);
      const one = await guest6(lab, ...control.options);
      const two = await guest6(lab);
      const first = await addressIn(one, prefixOf(one));
      const second = await addressIn(two, prefixOf(two));
      const uplink = uplinkOf(lab)!;
      await listen(lab, two.namespace, second, 99);
      await listen(lab, lab.host, "::", 98);
      const closed = async (): Promise<void> => {
        for (const [address, port] of [
          [second, 99],
          [second, 98],
          [routerOf(two), 98],
          [uplink, 98],
          [`fe80::1%${one.link}`, 97],
        ] as const) {
          assert.match(await ask(one.namespace, address, port), /^no:/, `${address} ${port}`);
        }
        assert.equal(await ping6(one.namespace, second, 2), false, "another VM");
      };
      await closed();
      assert.equal(await ask(one.namespace, routerOf(one), 98), first, "its own router, as the gateway in IPv4");
      const client = await control.client();
      await setPolicy(client, [`${prefixOf(two)}/64`]);
      assert.match(await ask(one.namespace, second, 99), /^no:/, "opened by one side only");
      await setPolicy(client, [], ["@host"]);
      assert.match(await ask(one.namespace, routerOf(one), 98), /^no:/);
      assert.match(await ask(one.namespace, `fe80::1%${one.link}`, 98), /^no:/);
      assert.ok(await ping6(one.namespace, INTERNET6), "the way out is not what was closed");
      client.close();
    },
  );

  test("--expose by IPv6: from outside, with the router closed to the VM, too", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const guest = await guest6(lab, "--expose", "2222:22", "--block", "@host");
    await addressIn(guest, prefixOf(guest));
    await listen(lab, guest.namespace, "::", 22);
    const uplink = uplinkOf(lab)!;
    await until("the port leads to the VM", async () => (await ask(lab.internet, uplink, 2222)) === routerOf(guest));
    assert.equal(await ask(lab.host, uplink, 2222), routerOf(guest), "from the host itself");
    const other = await guest6(lab);
    await addressIn(other, prefixOf(other));
    assert.match(await ask(other.namespace, routerOf(guest), 2222), /^no:/, "not for other VMs");
    assert.match(await ask(other.namespace, routerOf(other), 2222), /^no:/, "not for other VMs");
  });

  test("no IPv6 route on the host: log and status say so, the VM hears of no router, IPv4 works", NEEDS, async (t) => {
    const { lab, router } = await scene(t, 0);
    const control = new ControlPath(lab);
    const guest = await guest6(lab, ...control.options);
    const text = /this host has no IPv6 default route: the VM gets no IPv6 until it has one/;
    await until("the log says so", () => hasLogged(guest, text));
    const client = await control.client();
    const { host } = (await client.ask("softnet.status")) as { host: { notices: string[] } };
    assert.match(host.notices.join("\n"), text);
    assert.deepEqual(addresses(guest.namespace, guest.link), []);
    assert.equal(hasRoute(guest.namespace), false);
    router.write("1800\n");
    await addressIn(guest, prefixOf(guest));
    assert.ok(await ping6(guest.namespace, INTERNET6));
    const after = (await client.ask("softnet.status")) as { host: { notices: string[] } };
    assert.doesNotMatch(after.host.notices.join("\n"), text);
    client.close();
  });

  test("SIGKILL: the same VM has the same prefix and addresses again, and nothing is left", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const before = await state(lab.host);
    const one = await guest6(lab);
    const address = await addressIn(one, prefixOf(one));
    await until("softnet knows it", () => hasLogged(one, /^binding/));
    const earlier = prefixOf(one);
    process.kill(one.softnet!.program.pid, "SIGKILL");
    await one.softnet!.program.ended();
    await asBefore6(lab.host, before);

    const args = ["--vm-tap", one.link, "--vm-mac-address", one.mac, "--dns", INTERNET, "--ipv6"];
    const [command, ...rest] = softnetCommand([...args, "--log-format", "json"]);
    const again = lab.start(lab.host, command!, rest, { label: "softnet" });
    await again.line(/"message":"started"/);
    assert.ok(again.text().includes(earlier), "another prefix");
    lab.host.ip("link", "set", one.link, "netns", one.namespace.name);
    one.namespace.ip("link", "set", one.link, "up");
    assert.equal(await addressIn(one, earlier), address);
    assert.ok(await ping6(one.namespace, INTERNET6));
    again.signal("SIGTERM");
    await again.ended();
    await asBefore6(lab.host, before);
  });

  test("type host with IPv6: an address and the router, nothing beyond; its TAP forwards nothing", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const guest = await guest6(lab, "--vm-net-type", "host");
    const own = (): string | undefined => addresses(guest.namespace, guest.link)[0];
    await until("the guest has an address", () => own()?.startsWith(prefixOf(guest).replace(/::$/, ":")) === true);
    assert.ok(await ping6(guest.namespace, routerOf(guest)));
    guest.namespace.ip("-6", "route", "add", "default", "via", "fe80::1", "dev", guest.link);
    assert.equal(await ping6(guest.namespace, INTERNET6, 2), false);
    const forwards = await lab.host.run("cat", [`/proc/sys/net/ipv6/conf/${tapOf(guest)}/forwarding`]);
    assert.equal(forwards.stdout.trim(), "0");
  });

  test("options that have no meaning there: one line, nothing left", NEEDS, async (t) => {
    const { lab } = await scene(t);
    const before = await state(lab.host);
    const cases = [
      [
        ["--vm-ip-address", "2001:db8::7"],
        /--vm-ip-address 2001:db8::7: in nat .* out of fd[0-9a-f:]+\/64; leave it out$/,
      ],
      [["--router6", "fe80::7"], /--router6 fe80::7: the router in nat \S+ is fe80::1; leave it out$/],
      [["--mtu", "1000"], /--mtu 1000: IPv6 needs 1280 or more; give a larger one, or leave --ipv6 out$/],
    ] as const;
    for (const [args, wanted] of cases) {
      assert.match(await refusal(lab, "--ipv6", ...args), wanted);
      await asBefore6(lab.host, before);
    }
  });
});
