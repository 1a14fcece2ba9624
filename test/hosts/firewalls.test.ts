/**
 * softnet beside the real ufw, firewalld, Docker and nftables.conf, started before it and after it, and reloaded under it:
 * it says in one line what to run; with that the VM is online, stays online, and nothing else is open.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lease } from "../lab/harness/clients.ts";
import { ControlPath } from "../lab/harness/control.ts";
import type { Guest } from "../lab/harness/guest.ts";
import { natGuest } from "../lab/harness/nat.ts";
import { until } from "../lab/harness/program.ts";
import { Softnet } from "../lab/harness/softnet.ts";
import { INTERNET, Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import { type Firewall, firewalls } from "./harness/firewalls.ts";
import { PrivateHost } from "./harness/private-host.ts";
import { commandOf, connects, listen, warnings } from "./harness/vm.ts";

const MAC = "7e:1a:00:00:02:01";

function openLab(t: Parameters<typeof Lab.open>[0], firewall: Firewall): Lab {
  const lab = Lab.open(t);
  lab.host.sysctl({ "net/ipv4/ip_forward": firewall.turnsForwardingOn === true ? "0" : "1" });
  return lab;
}

/** What softnet says when it refuses to start. */
async function refusal(lab: Lab, ...args: readonly string[]): Promise<string> {
  const all = ["--vm-tap", "novm", "--vm-mac-address", MAC, "--dns", INTERNET, ...args];
  const softnet = Softnet.start(lab, lab.host, all);
  assert.equal((await softnet.program.ended(PATIENCE)).code, 1);
  assert.equal(softnet.errors.length, 1, softnet.errors.join("\n"));
  return softnet.errors[0]!;
}

/** Nothing but the VM got a way through the host, and none into it. */
async function assertElseClosed(lab: Lab, guest: Guest, firewall: Firewall, gateway: string): Promise<void> {
  assert.equal(await connects(lab.neighbour, INTERNET, 80), false, "a neighbour is forwarded, too");
  if (firewall.name === "ufw" || firewall.name === "firewalld") {
    assert.equal(await connects(guest.namespace, gateway, 7777), false, "the VM reaches a service of the host's");
  }
}

suite("other firewalls", () => {
  for (const firewall of firewalls()) {
    const needs = { ...labNeeds("nft", "udhcpc", ...firewall.tools), ...LIMIT };

    test(`${firewall.name} first: one line, and with its command the VM is online and stays it`, needs, async (t) => {
      const lab = openLab(t, firewall);
      await lab.services();
      const host = await PrivateHost.open(lab);
      await listen(lab, lab.host, "0.0.0.0", 7777);
      await firewall.start(host);
      assert.equal(await connects(lab.neighbour, INTERNET, 80), false, "this firewall lets everything through");
      const line = await refusal(lab, "--expose", "2222:22");
      assert.match(line, new RegExp(`^softnet: ${firewall.name} drops what the VM sends`));
      await host.run(commandOf(line));
      await firewall.keep?.(host, line);
      const guest = await natGuest(lab, ["--expose", "2222:22"]);
      const { address, router } = await lease(guest);
      await listen(lab, guest.namespace, address, 22);
      for (const state of ["with the command", "after a reload"]) {
        if (state === "after a reload") await firewall.reload(host);
        assert.ok(await connects(guest.namespace, INTERNET, 80), `${state}: the VM is offline`);
        assert.ok(await connects(lab.internet, "100.64.0.1", 2222), `${state}: the exposed port is closed`);
        await assertElseClosed(lab, guest, firewall, router);
      }
      assert.deepEqual(warnings(guest), []);
    });

    test(`${firewall.name} later: the line comes into log and status, and goes with the fault`, needs, async (t) => {
      const lab = openLab(t, firewall);
      await lab.services();
      const host = await PrivateHost.open(lab);
      const control = new ControlPath(lab);
      const guest = await natGuest(lab, control.options);
      await lease(guest);
      assert.ok(await connects(guest.namespace, INTERNET, 80), "without a firewall the VM is offline");
      await firewall.start(host);
      assert.equal(await connects(guest.namespace, INTERNET, 80), false, "this firewall lets the VM through");
      const line = await until("softnet notices", () => warnings(guest).at(-1), PATIENCE);
      assert.match(line, new RegExp(`^${firewall.name} drops what the VM sends`));
      const client = await control.client();
      const { host: told } = (await client.ask("softnet.status", {})) as { host: { notices: readonly string[] } };
      assert.deepEqual(told.notices, [line]);
      await host.run(commandOf(line));
      await firewall.keep?.(host, line);
      assert.ok(await connects(guest.namespace, INTERNET, 80), "with the command the VM is offline");
      await until(
        "softnet sees that it is over",
        () => guest.softnet!.records.some(({ message, notice }) => message === "over" && notice === line),
        PATIENCE,
      );
      await firewall.reload(host);
      assert.ok(await connects(guest.namespace, INTERNET, 80), "after a reload the VM is offline");
    });
  }
});
