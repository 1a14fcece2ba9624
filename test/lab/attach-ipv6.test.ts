/**
 * IPv6 of guests in front of which softnet is attached: on a bridge by its router's advertisements, behind nat by softnet's own;
 * under a running guest, over an upgrade of softnet and a crash.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { CARDS, type Card, makeCard } from "./harness/attached.ts";
import { scapy6 } from "./harness/attackers6.ts";
import type { Guest } from "./harness/guest.ts";
import { dnsmasq6, globals, INTERNET6, ORDINARY6, online, openLab6, pingRouter, serve6 } from "./harness/ipv6.ts";
import { attachedNatGuest } from "./harness/nat.ts";
import { ask, listen } from "./harness/nat-scenes.ts";
import { addressIn, asBefore6, ping6, prefixOf, routerOf, scene, state, uplinkOf } from "./harness/nat6.ts";
import { type Program, until } from "./harness/program.ts";
import { assertDropped, assertInnocent, Softnet, softnetCommand } from "./harness/softnet.ts";
import { BRIDGE, INTERNET, type Lab, labNeeds, SIDE_BY_SIDE } from "./harness/topology.ts";
import type { Watch } from "./harness/watch.ts";

/** An ICMPv6 router advertisement (RFC 4861 4.2). */
const ADVERTISEMENT = 134;
const MAC = "7e:1a:00:00:00:a6";

/** What another softnet is started with for the same card. */
function again(lab: Lab, port: string, mac: string, ...more: readonly string[]): Softnet {
  return Softnet.start(lab, lab.host, ["attach", port, "--vm-mac-address", mac, "--ipv6", ...more]);
}

const restored = ({ program }: Softnet): boolean => program.count(/"message":"binding restored"/) > 0;

async function listed(lab: Lab): Promise<string> {
  const [command, ...args] = softnetCommand(["list"]);
  return (await lab.host.run(command!, args)).stdout;
}

/** A ping that goes on and on, once it is answered. */
async function pinging(guest: { readonly namespace: Guest["namespace"] }, lab: Lab, to: string): Promise<Program> {
  const pings = lab.start(guest.namespace, "ping", ["-n", "-i", "0.2", to]);
  await pings.line(/icmp_seq=\d+ .*time=/);
  return pings;
}

async function goesOn(pings: Program): Promise<void> {
  const before = pings.count(/time=/);
  await until("ping goes on", () => pings.count(/time=/) > before + 3);
}

const echoes = (watch: Watch, mac: string): number =>
  watch.count(({ source, ip6 }) => source === mac && ip6?.icmp === 128);

const bridged = (lab: Lab, card: Card): Promise<Guest> => lab.guest({ card, bare: false, args: ["--ipv6"] });

suite("attached with IPv6, on a bridge", SIDE_BY_SIDE, () => {
  for (const card of CARDS) {
    test(`${card}: addresses by SLAAC, traffic both ways, the same in list; a router of the guest's own drops (S1)`, {
      ...labNeeds("dnsmasq", "scapy"),
      ...LIMIT,
    }, async (t) => {
      const lab = openLab6(t);
      await dnsmasq6(lab);
      await serve6(lab);
      const guest = await bridged(lab, card);
      const address = await online(guest.namespace, guest.link);
      assert.ok(await pingRouter(guest.namespace, guest.link), "the router");
      assert.equal(await guest.download(1 << 20, `[${INTERNET6}]`), 1 << 20);
      await until("list has the address", async () => (await listed(lab)).includes(address));
      const seen = await lab.watch(lab.neighbour, "nb0");
      const [command, ...args] = scapy6("ra", { attacker: guest } as Parameters<typeof scapy6>[1]);
      await guest.start(command!, args).line(/^sent /);
      const summary = await guest.stop();
      assertDropped(summary, "icmpv6.router");
      assert.equal(
        seen.count(({ source, ip6 }) => source === guest.mac && ip6?.icmp === ADVERTISEMENT),
        0,
      );
      assert.deepEqual(summary.exit, { code: 0, signal: null });
    });
  }

  test("attached under a guest that has IPv6 already: it goes on; --open-on-exit gives it back", {
    ...labNeeds("dnsmasq"),
    ...LIMIT,
  }, async (t) => {
    const lab = openLab6(t);
    await dnsmasq6(lab);
    const namespace = lab.namespace("guest");
    const port = await makeCard(lab, "veth", { namespace, link: "vm0", mac: MAC, bridged: true });
    namespace.ip("link", "set", "vm0", "up");
    await online(namespace, "vm0");
    const own = globals(namespace, "vm0");
    const pings = await pinging({ namespace }, lab, INTERNET6);
    const softnet = again(lab, port, MAC, "--open-on-exit");
    await softnet.ready();
    await goesOn(pings);
    // From its link-local address, of which softnet hears only now.
    await until("the router", () => pingRouter(namespace, "vm0"));
    // The frames by which softnet hears of addresses that it does not know drop, whichever they are.
    assertInnocent(await softnet.stop(), ...ORDINARY6, "nd.source", "nd.target");
    await goesOn(pings);
    assert.deepEqual(globals(namespace, "vm0"), own);
    const disabled = await lab.host.run("cat", [`/proc/sys/net/ipv6/conf/${port}/disable_ipv6`]);
    assert.equal(disabled.stdout.trim(), "0");
  });

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    test(`ended by ${signal} and started again: closed in between, and the guest's addresses are known at once`, {
      ...labNeeds("dnsmasq"),
      ...LIMIT,
    }, async (t) => {
      const lab = openLab6(t);
      await dnsmasq6(lab);
      const guest = await bridged(lab, "veth");
      await online(guest.namespace, guest.link);
      const own = globals(guest.namespace, guest.link);
      const pings = await pinging(guest, lab, INTERNET6);
      await guest.softnet!.program.stop(signal);
      const bridge = await lab.watch(lab.host, BRIDGE);
      const card = await lab.watch(guest.namespace, guest.link);
      const echo = ({ sent, ip6 }: { sent: boolean; ip6?: { icmp?: number } }) => sent && ip6?.icmp === 128;
      await until("the guest has sent", () => card.count(echo) > 5);
      assert.equal(echoes(bridge, guest.mac), 0, "it is not closed");
      const next = again(lab, `a-${guest.link}`, guest.mac);
      await next.ready();
      assert.ok(restored(next));
      await goesOn(pings);
      assert.doesNotMatch(next.program.text(), /binding lost/);
      assert.deepEqual(globals(guest.namespace, guest.link), own);
      assertInnocent(await next.stop(), ...ORDINARY6);
    });
  }
});

suite("attached with IPv6, behind nat", { concurrency: 2 }, () => {
  const NEEDS = { ...labNeeds("nft"), ...LIMIT };
  let created = 0;

  async function natGuest6(lab: Lab, card: Card): Promise<Guest> {
    const number = ++created;
    const mac = `7e:1a:00:00:01:c${number}`;
    return await attachedNatGuest(lab, card, { link: `six${number}`, mac, args: ["--dns", INTERNET, "--ipv6"] });
  }

  for (const card of CARDS) {
    test(
      `${card}: a /64 of its own, the internet by masquerade, its router, not its neighbour's; all is put back`,
      NEEDS,
      async (t) => {
        const { lab } = await scene(t);
        const before = await state(lab.host);
        const guest = await natGuest6(lab, card);
        const other = await natGuest6(lab, "veth");
        const address = await addressIn(guest, prefixOf(guest));
        const second = await addressIn(other, prefixOf(other));
        assert.notEqual(prefixOf(guest), prefixOf(other));
        assert.ok(await ping6(guest.namespace, INTERNET6), "no ping to the internet");
        await listen(lab, lab.internet, INTERNET6, 99);
        assert.equal(await ask(guest.namespace, INTERNET6, 99), uplinkOf(lab), "not masqueraded");
        assert.ok(await ping6(guest.namespace, routerOf(guest)), "no ping to the router");
        assert.ok(await ping6(lab.host, address), "the host does not reach the VM");
        assert.equal(await ping6(guest.namespace, second, 2), false, "another VM");
        await until("list has the address", async () => (await listed(lab)).includes(address));
        for (const one of [guest, other]) assert.deepEqual((await one.stop()).exit, { code: 0, signal: null });
        await asBefore6(lab.host, before);
      },
    );
  }

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    test(
      `ended by ${signal} and started again: the same prefix, and the guest goes on with its addresses`,
      NEEDS,
      async (t) => {
        const { lab } = await scene(t);
        const before = await state(lab.host);
        const guest = await natGuest6(lab, "veth");
        const address = await addressIn(guest, prefixOf(guest));
        const pings = await pinging(guest, lab, INTERNET6);
        await guest.softnet!.program.stop(signal);
        assert.equal(await ping6(guest.namespace, INTERNET6, 1), false, "it is not closed");
        const next = again(lab, `a-${guest.link}`, guest.mac, "--vm-net-type", "nat", "--dns", INTERNET);
        await next.ready();
        assert.ok(next.program.text().includes(prefixOf(guest)), "another prefix");
        await goesOn(pings);
        assert.equal(await addressIn(guest, prefixOf(guest)), address);
        assert.doesNotMatch(next.program.text(), /binding lost/, "what was restored is there still");
        assertInnocent(await next.stop(), ...ORDINARY6);
        await asBefore6(lab.host, before);
      },
    );
  }
});
