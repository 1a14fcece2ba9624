/**
 * softnet with IPv6 beside the real ufw, firewalld, Docker and nftables.conf, which drop what they do not know of IPv6 as of IPv4:
 * the VM gets no IPv6 rather than one that leads nowhere, softnet says in one line what to run, and with that the VM has IPv6.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lease } from "../lab/harness/clients.ts";
import { ControlPath } from "../lab/harness/control.ts";
import type { Guest } from "../lab/harness/guest.ts";
import { refusal } from "../lab/harness/nat-scenes.ts";
import { addresses, addressIn, guest6, hasRoute, INTERNET6, prefixOf, scene } from "../lab/harness/nat6.ts";
import { until } from "../lab/harness/program.ts";
import { INTERNET, type Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import { type Firewall, firewallsOfBoth, firewallsOfIPv6 } from "./harness/firewalls.ts";
import { PrivateHost } from "./harness/private-host.ts";
import { commandOf, connects, listen, warnings } from "./harness/vm.ts";

/** A host with IPv6 of its own, a server behind it, and a firewall that lets IPv4 of VMs through, and no IPv6. */
async function open(t: Parameters<typeof scene>[0], firewall: Firewall): Promise<{ lab: Lab; host: PrivateHost }> {
  const { lab } = await scene(t);
  lab.host.sysctl({ "net/ipv4/ip_forward": firewall.turnsForwardingOn === true ? "0" : "1" });
  // Docker turns IPv6 forwarding on, and with 1 the host would forget its own route.
  lab.host.sysctl({ "net/ipv6/conf/up0/accept_ra": "2" });
  await listen(lab, lab.internet, INTERNET6, 80);
  return { lab, host: await PrivateHost.open(lab) };
}

const byIPv6 = (guest: Guest): Promise<boolean> => connects(guest.namespace, INTERNET6, 80);

async function noticesOf(control: ControlPath): Promise<readonly string[]> {
  const client = await control.client();
  const { host } = (await client.ask("softnet.status", {})) as { host: { notices: readonly string[] } };
  client.close();
  return host.notices;
}

/** The lines with which softnet refuses to start. */
async function refusals(lab: Lab): Promise<string[]> {
  const line = await refusal(lab, "--ipv6");
  return line.replace(/^softnet: /, "").split("; and ");
}

suite("other firewalls and IPv6", () => {
  for (const firewall of firewallsOfBoth()) {
    const needs = { ...labNeeds("nft", "udhcpc", ...firewall.tools), ...LIMIT };

    test(
      `${firewall.name} drops both families: with what softnet says the VM has both, and keeps them`,
      needs,
      async (t) => {
        const { lab, host } = await open(t, firewall);
        await lab.services();
        await firewall.start(host);
        const lines = await refusals(lab);
        for (const line of lines) {
          assert.match(line, new RegExp(`^${firewall.name} drops what the VM sends`));
          await host.run(commandOf(line));
          await firewall.keep?.(host, line);
        }
        const guest = await guest6(lab);
        await lease(guest);
        await addressIn(guest, prefixOf(guest));
        for (const state of ["with the command", "after a reload"]) {
          if (state === "after a reload") await firewall.reload(host);
          assert.ok(await connects(guest.namespace, INTERNET, 80), `${state}: no IPv4`);
          assert.ok(await byIPv6(guest), `${state}: no IPv6`);
        }
        assert.deepEqual(warnings(guest), []);
      },
    );
  }

  for (const firewall of firewallsOfIPv6()) {
    const needs = { ...labNeeds("nft", ...firewall.tools), ...LIMIT };

    test(
      `${firewall.name} drops the VM's IPv6: no address, one line; with its command the VM has IPv6`,
      needs,
      async (t) => {
        const { lab, host } = await open(t, firewall);
        await firewall.start(host);
        const control = new ControlPath(lab);
        const guest = await guest6(lab, ...control.options);
        const line = await until("softnet says so", () => warnings(guest)[0], PATIENCE);
        assert.match(
          line,
          new RegExp(`^${firewall.name} drops what the VM sends by IPv6 .*, so the VM gets no IPv6; this`),
        );
        assert.deepEqual(await noticesOf(control), [line]);
        assert.deepEqual(addresses(guest.namespace, guest.link), []);
        assert.equal(hasRoute(guest.namespace), false);
        await host.run(commandOf(line));
        await firewall.keep?.(host, line);
        await addressIn(guest, prefixOf(guest));
        assert.ok(await byIPv6(guest), "with the command the VM has no IPv6");
        assert.deepEqual(await noticesOf(control), []);
        await firewall.reload(host);
        assert.ok(await byIPv6(guest), "after a reload the VM has no IPv6");
        assert.deepEqual(warnings(guest), [line], "it was said once");
      },
    );

    test(
      `${firewall.name} later: the VM's IPv6 ends with one line, and comes back with the command`,
      needs,
      async (t) => {
        const { lab, host } = await open(t, firewall);
        const control = new ControlPath(lab);
        const guest = await guest6(lab, ...control.options);
        await addressIn(guest, prefixOf(guest));
        assert.ok(await byIPv6(guest), "without a firewall the VM has no IPv6");
        await firewall.start(host);
        const line = await until("softnet notices", () => warnings(guest).at(-1), PATIENCE);
        assert.match(line, new RegExp(`^${firewall.name} drops what the VM sends by IPv6 `));
        assert.deepEqual(await noticesOf(control), [line]);
        await until("the VM is told that there is no router", () => !hasRoute(guest.namespace));
        await host.run(commandOf(line));
        await firewall.keep?.(host, line);
        await until("the VM has its route again", () => hasRoute(guest.namespace));
        assert.ok(await byIPv6(guest), "with the command the VM has no IPv6");
      },
    );
  }
});
