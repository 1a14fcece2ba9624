/** What `softnet list` prints, for people and for programs, and who may ask. */
import assert from "node:assert/strict";
import { chownSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import type { ClosedInterface } from "../../src/attach/closed.ts";
import { type ListArguments, list } from "../../src/commands/list.ts";
import { type DomainsCards, NO_DOMAINS } from "../../src/operate/libvirt-cards.ts";
import { UserError } from "../../src/user-error.ts";
import { needsRoot } from "../support/tools.ts";
import {
  ADDRESS,
  ADDRESS_6,
  Bench,
  boundIPv6,
  LINK_LOCAL,
  learn6,
  leased,
  NETWORK,
  ONLY_LINUX,
  OTHER_ADDRESS,
  OTHER_ADDRESS_6,
  OTHER_VM,
  temporaryFolder,
  VM,
} from "./support.ts";

/** Runs it with a file as its output. */
async function printed(
  t: TestContext,
  bench: Bench,
  given: ListArguments = {},
  closed: readonly ClosedInterface[] = [],
  domains: DomainsCards = NO_DOMAINS,
  complain: (line: string) => void = () => assert.fail("a complaint"),
): Promise<string> {
  const path = `${temporaryFolder(t)}.txt`;
  await list({ registry: bench.system, runtimes: [], closed, domains }, given, openSync(path, "w"), complain);
  return readFileSync(path, "utf8");
}

/** Three VMs: one behind a live softnet, one released, one for ever; and what must not be listed. */
function busy(t: TestContext): Bench {
  const bench = new Bench(t);
  const live = bench.open();
  assert.ok(bench.learn(live, OTHER_ADDRESS));
  const released = bench.open(OTHER_VM);
  assert.ok(bench.learn(released, ADDRESS));
  released.released();
  released.close();
  const ended = bench.open(VM + 5, "bridge br1");
  assert.ok(bench.learn(ended, ADDRESS, { expiry: Number.POSITIVE_INFINITY }));
  ended.close();
  bench.open(VM + 7); // no address yet
  const over = bench.open(VM + 8);
  over.follow(bench.learned(ADDRESS + 9, { expiry: bench.system.sinceBoot() - 1 }));
  return bench;
}

test("the table: a line for each VM, first those whose softnet runs, columns in line", ONLY_LINUX, async (t) => {
  const lines = (await printed(t, busy(t))).split("\n");
  assert.equal(lines.pop(), "");
  assert.deepEqual(
    lines.map((line) => line.split(/ {2,}/)),
    [
      ["NAME", "MAC", "STATE", "INTERFACE", "ADDRESSES", "POLICY", "UPTIME", "DROPS", "NETWORK"],
      ["-", "7e:1a:00:00:00:01", "live", "-", "10.77.0.6", "-", "-", "-", NETWORK],
      ["-", "7e:1a:00:00:00:08", "live", "-", "-", "-", "-", "-", NETWORK],
      ["-", "7e:1a:00:00:00:09", "live", "-", "-", "-", "-", "-", NETWORK],
      ["-", "7e:1a:00:00:00:02", "released", "-", "10.77.0.5", "-", "-", "-", NETWORK],
      ["-", "7e:1a:00:00:00:06", "ended", "-", "10.77.0.5", "-", "-", "-", "bridge br1"],
    ],
  );
  const columns = lines.map((line) => line.search(/NETWORK|bridge/));
  assert.equal(new Set(columns).size, 1);
});

test(
  "interfaces that ended softnets have left closed come last, also where no VM has an address",
  ONLY_LINUX,
  async (t) => {
    const closed = [
      { name: "vnet0", mac: "7e:1a:00:00:00:09", bridge: "br0" },
      { name: "fc0", mac: "7e:1a:00:00:00:0a" },
    ];
    const lines = (await printed(t, new Bench(t), {}, closed)).trimEnd().split("\n");
    assert.deepEqual(
      lines.slice(1).map((line) => line.split(/ {2,}/)),
      [
        ["-", "7e:1a:00:00:00:09", "closed", "vnet0", "-", "-", "-", "-", "before on bridge br0"],
        ["-", "7e:1a:00:00:00:0a", "closed", "fc0", "-", "-", "-", "-", "-"],
      ],
    );
    const [first] = (await printed(t, new Bench(t), { json: true }, closed)).split("\n");
    assert.deepEqual(JSON.parse(first!), {
      address: null,
      mac: "7e:1a:00:00:00:09",
      state: "closed",
      origin: null,
      expires: null,
      pid: null,
      control: null,
      network: "bridge br0",
      interface: "vnet0",
      name: null,
      policy: null,
      uptime: null,
      drops: null,
    });
  },
);

test("--json: one object a line", ONLY_LINUX, async (t) => {
  const lines = (await printed(t, busy(t), { json: true })).trimEnd().split("\n");
  const [live, released, ended] = lines.map((line) => JSON.parse(line));
  assert.equal(lines.length, 5);
  const left = Date.parse(live.expires) - Date.now();
  assert.ok(left > 58 * 60_000 && left <= 60 * 60_000, live.expires);
  const { expires: _, ...rest } = live;
  assert.deepEqual(rest, {
    address: "10.77.0.6",
    mac: "7e:1a:00:00:00:01",
    state: "live",
    origin: "snooped",
    pid: process.pid,
    control: null,
    network: NETWORK,
    name: null,
    interface: null,
    policy: null,
    uptime: null,
    drops: null,
  });
  const [, , , none] = lines.map((line) => JSON.parse(line));
  assert.deepEqual([none.state, none.address, none.mac], ["live", null, "7e:1a:00:00:00:08"], "no address yet");
  assert.deepEqual([released.state, released.pid], ["released", null]);
  assert.deepEqual([ended.state, ended.expires], ["ended", null]);
});

test("IPv6 addresses have objects of their own, behind IPv4's of the same network", ONLY_LINUX, async (t) => {
  const bench = new Bench(t);
  const live = bench.open6();
  assert.ok(learn6(live, boundIPv6(ADDRESS_6)));
  assert.ok(learn6(live, boundIPv6(OTHER_ADDRESS_6, leased(bench.system))));
  assert.ok(bench.learn(live));
  const ended = bench.open6(OTHER_VM);
  assert.ok(learn6(ended, boundIPv6(LINK_LOCAL)));
  assert.ok(bench.learn(ended, OTHER_ADDRESS));
  ended.released();
  ended.close();
  const rows = (await printed(t, bench)).trimEnd().split("\n").slice(1);
  assert.deepEqual(
    rows.map((row) => row.split(/ {2,}/).slice(1, 5)),
    [
      ["7e:1a:00:00:00:01", "live", "-", "10.77.0.5, 2001:db8:77::5, 2001:db8:77::6"],
      ["7e:1a:00:00:00:02", "released", "-", "10.77.0.6"],
      ["7e:1a:00:00:00:02", "ended", "-", "fe80::7c1a:ff:fe00:1"],
    ],
  );
  const objects = (await printed(t, bench, { json: true }))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    objects.map(({ address, origin }) => `${address} ${origin}`),
    [
      "10.77.0.5 snooped",
      "2001:db8:77::5 slaac",
      "2001:db8:77::6 dhcpv6",
      "10.77.0.6 snooped",
      "fe80::7c1a:ff:fe00:1 slaac",
    ],
  );
});

test("no folder, or nothing in it: no output", ONLY_LINUX, async (t) => {
  const bench = new Bench(t);
  for (const json of [true, false]) assert.equal(await printed(t, bench, { json }), "");
  mkdirSync(bench.directory, { mode: 0o755 });
  for (const json of [true, false]) assert.equal(await printed(t, bench, { json }), "");
});

test("a folder that is not root's is a user's mistake to tell, not a list", {
  ...ONLY_LINUX,
  ...needsRoot(),
}, async (t) => {
  const bench = busy(t);
  chownSync(bench.directory, 65_534, 65_534);
  await assert.rejects(
    () => printed(t, bench),
    (error) => error instanceof UserError && error.message.includes(bench.directory),
  );
});

test(
  "cards of libvirt's domains that no softnet guards come first; what is not known is a complaint",
  ONLY_LINUX,
  async (t) => {
    const domains: DomainsCards = {
      domains: new Map([["vm1", 2]]),
      unguarded: [
        { domain: "vm1", mac: "52:54:00:00:00:02", interface: "vnet3", network: "bridge br0" },
        { domain: "vm1", network: "type user" },
      ],
      unknown: ["domain vm2: it is not known"],
    };
    const complaints: string[] = [];
    const complain = (line: string): void => void complaints.push(line);
    const lines = (await printed(t, busy(t), {}, [], domains, complain)).trimEnd().split("\n");
    assert.deepEqual(
      lines.slice(1, 4).map((line) => line.split(/ {2,}/)),
      [
        ["vm1", "52:54:00:00:00:02", "UNGUARDED", "vnet3", "-", "-", "-", "-", "bridge br0"],
        ["vm1", "-", "UNGUARDED", "-", "-", "-", "-", "-", "type user"],
        ["-", "7e:1a:00:00:00:01", "live", "-", "10.77.0.6", "-", "-", "-", NETWORK],
      ],
    );
    const [first] = (await printed(t, new Bench(t), { json: true }, [], domains, complain)).split("\n");
    assert.deepEqual(JSON.parse(first!), {
      address: null,
      mac: "52:54:00:00:00:02",
      state: "unguarded",
      origin: null,
      expires: null,
      pid: null,
      control: null,
      network: "bridge br0",
      interface: "vnet3",
      name: "vm1",
      policy: null,
      uptime: null,
      drops: null,
    });
    assert.deepEqual(complaints, [...domains.unknown, ...domains.unknown]);
  },
);

test(
  "of a VM with many addresses the table shows four, and counts the others; --json has all",
  ONLY_LINUX,
  async (t) => {
    const bench = new Bench(t);
    const live = bench.open6();
    assert.ok(bench.learn(live));
    for (let number = 0n; number < 16n; number++) assert.ok(learn6(live, boundIPv6(ADDRESS_6 + number)));
    const [, row = ""] = (await printed(t, bench)).split("\n");
    assert.match(row, / {2}10\.77\.0\.\d+, [0-9a-f:]+, [0-9a-f:]+, [0-9a-f:]+ and 13 more {2}/);
    assert.equal((await printed(t, bench, { json: true })).trimEnd().split("\n").length, 17);
  },
);
