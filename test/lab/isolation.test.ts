/** Two VMs on one bridge exchange frames only if both were started with 0.0.0.0/0 in --allow. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { udhcpc } from "./harness/clients.ts";
import type { Guest } from "./harness/guest.ts";
import { DhcpServer } from "./harness/servers.ts";
import { GATEWAY, INTERNET, Lab, labNeeds, SIDE_BY_SIDE } from "./harness/topology.ts";

const EVERYTHING = ["--allow", "0.0.0.0/0"];
/** Rules that cover the other VM, yet not everything. */
const SUBNET = ["--allow", "10.77.0.0/24"];

interface Pair {
  readonly lab: Lab;
  readonly one: Guest;
  readonly other: Guest;
}

async function pair(lab: Lab, first: readonly string[], second: readonly string[]): Promise<Pair> {
  const guest = (address: string, args: readonly string[]) =>
    lab.guest({ address: `${address}/24`, args: ["--vm-ip-address", address, "--gateway", GATEWAY, ...args] });
  const one = await guest("10.77.0.21", first);
  const other = await guest("10.77.0.22", second);
  for (const each of [one, other]) {
    assert.ok(await each.ping(GATEWAY), "a guest has no network");
    assert.ok(await each.ping(INTERNET), "a guest has no internet");
  }
  return { lab, one, other };
}

/** Sends unicast and broadcast from one guest to the other, and answers how many frames arrived. */
async function arrived({ lab, one, other }: Pair): Promise<number> {
  const card = await lab.watch(other.namespace, other.link);
  one.namespace.ip("neighbour", "replace", "10.77.0.22", "lladdr", other.mac, "dev", one.link);
  await one.ping("10.77.0.22");
  one.namespace.ip("neighbour", "delete", "10.77.0.22", "dev", one.link);
  await one.ping("10.77.0.22", 1); // asks for the address by broadcast
  return card.count(({ source }) => source === one.mac);
}

async function arrivedBothWays(both: Pair): Promise<[number, number]> {
  const there = await arrived(both);
  const { lab, one, other } = both;
  const card = await lab.watch(one.namespace, one.link);
  other.namespace.ip("neighbour", "replace", "10.77.0.21", "lladdr", one.mac, "dev", other.link);
  await other.ping("10.77.0.21");
  return [there, card.count(({ source }) => source === other.mac)];
}

suite("isolation", SIDE_BY_SIDE, () => {
  test("two guests that allow everything reach each other", { ...labNeeds(), ...LIMIT }, async (t) => {
    const { one, other } = await pair(Lab.open(t), EVERYTHING, EVERYTHING);
    assert.ok(await one.ping("10.77.0.22"));
    assert.ok(await other.ping("10.77.0.21"));
  });

  for (const [what, first, second] of [
    ["two guests with the default policy", [], []],
    ["two guests that allow their subnet, yet not everything,", SUBNET, SUBNET],
    ["a guest that allows everything and one with the default policy", EVERYTHING, []],
    ["a guest that allows everything and one that allows its subnet", EVERYTHING, SUBNET],
  ] as const) {
    test(`${what} exchange no frame`, { ...labNeeds(), ...LIMIT }, async (t) => {
      const both = await pair(Lab.open(t), first, second);
      assert.deepEqual(await arrivedBothWays(both), [0, 0]);
    });
  }

  for (const [what, args, count] of [
    ["a rule that covers the guest's own subnet while it is isolated is warned of once", SUBNET, 1],
    ["a rule for the whole internet is not warned of", EVERYTHING, 0],
    ["no rule is not warned of", [], 0],
  ] as const) {
    test(what, { ...labNeeds("udhcpc", "dnsmasq"), ...LIMIT }, async (t) => {
      const lab = Lab.open(t);
      await DhcpServer.start(lab, "dnsmasq");
      const guest = await lab.guest({ bare: false, args });
      const client = udhcpc(guest);
      await client.event(/bound/);
      client.program.signal("SIGUSR1"); // a renewal must not warn again
      await client.event(/renew/);
      await guest.stop();
      const warnings = guest.softnet!.records.filter(
        ({ level, message }) => level === "warn" && /isolat/.test(String(message)),
      );
      assert.equal(warnings.length, count, JSON.stringify(warnings));
    });
  }
});
