/** IPv6 forwarding on a real kernel: what the host keeps, what is put back, and by whom. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { IPv6Forwarding, type IPv6ForwardingTools } from "../../src/host/ipv6-forwarding.ts";
import { readRecord6 } from "../../src/host/records.ts";
import { loadLibc } from "../../src/native/linux/libc.ts";
import { openPacketSocket } from "../../src/native/linux/packet-socket.ts";
import { parseMac } from "../../src/wire/address.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";
import { ALL_NODES, emitRouterAdvertisement } from "../../src/wire/router-advertisement.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { needs, needsRoot, pathOf } from "../support/tools.ts";

const NEEDS = { ...needsRoot(), ...needs("nft", "ip") };
const CONF = "/proc/sys/net/ipv6/conf";

let leave = (): void => {};
beforeEach(() => {
  if (NEEDS.skip !== undefined) return;
  leave = enterFreshNamespace();
  ip("link", "add", "up0", "type", "veth", "peer", "name", "up1");
  for (const link of ["lo", "up0", "up1"]) ip("link", "set", link, "up");
  tap("softnet0");
});
afterEach(() => leave());

function get(link: string, setting = "forwarding"): string {
  return readFileSync(`${CONF}/${link}/${setting}`, "latin1").trim();
}

function set(link: string, value: string, setting = "forwarding"): void {
  writeFileSync(`${CONF}/${link}/${setting}`, value);
}

function tap(name: string): void {
  ip("tuntap", "add", name, "mode", "tap");
  set(name, "0");
}

function nft(...commands: readonly string[]): string | undefined {
  const { status, stderr } = spawnSync(pathOf("nft")!, ["-f", "-"], { input: commands.join("\n"), encoding: "utf8" });
  return status === 0 ? undefined : stderr;
}

/** Every setting that could have changed, but for the TAPs'. */
function state(): unknown {
  const links = ["all", "default", "lo", "up0", "up1"];
  const settings = links.map((link) => [link, get(link), get(link, "accept_ra")]);
  return [
    settings,
    ip("-6", "route", "show", "default").replace(/expires \d+sec/, ""),
    spawnSync(pathOf("nft")!, ["list", "tables"]).stdout.toString(),
  ];
}

interface Helper {
  readonly forwarding: IPv6Forwarding;
  readonly said: string[];
}

/** A helper; `limit`: so many transactions of nft succeed, then it is killed. */
function helper(limit = Number.POSITIVE_INFINITY): Helper {
  const said: string[] = [];
  let left = limit;
  const tools: IPv6ForwardingTools = {
    nft: (commands) => {
      if (left-- <= 0) throw new Error("killed");
      return nft(...commands);
    },
    readRecord: () => readRecord6(pathOf("nft")!),
    isBridge: (link) => existsSync(`/sys/class/net/${link}/bridge`),
    say: (message) => said.push(message),
  };
  return { forwarding: new IPv6Forwarding(tools), said };
}

/** The host learns a default route on up0 from a router behind up1. */
async function learnRoute(lifetime = 1800): Promise<void> {
  const socket = openPacketSocket(loadLibc(), "up1");
  try {
    for (let attempt = 0; attempt < 200; attempt++) {
      socket.send(
        emitRouterAdvertisement({
          sourceMac: parseMac("02:00:00:00:00:99")!,
          destinationMac: parseMac("33:33:00:00:00:01")!,
          source: parseIPv6("fe80::99")!,
          destination: ALL_NODES,
          hopLimit: 64,
          routerLifetime: lifetime,
          mtu: 1500,
          dns: [],
        }),
      );
      await sleep(50);
      if (hasRoute() === lifetime > 0) return;
    }
    throw new Error("the host does not take advertisements");
  } finally {
    socket.close();
  }
}

const hasRoute = (): boolean => ip("-6", "route", "show", "default").includes("fe80::99");

test("the host keeps its learned default route, goes on learning, and everything is put back", NEEDS, async () => {
  await learnRoute();
  const before = state();
  const { forwarding } = helper();
  forwarding.open("softnet0");
  assert.ok(hasRoute(), "the route is gone");
  assert.deepEqual([get("all"), get("softnet0")], ["1", "1"]);
  assert.deepEqual([get("default"), get("up0"), get("up0", "accept_ra")], ["0", "0", "1"]);
  await learnRoute(0);
  await learnRoute();
  tap("softnet1");
  forwarding.open("softnet1");
  forwarding.close("softnet0");
  assert.equal(get("all"), "1");
  assert.ok(hasRoute(), "a second TAP took the route away");
  forwarding.close("softnet1");
  assert.deepEqual(state(), before);
});

test("the same host without softnet's care loses its route: the test shows something", NEEDS, async () => {
  await learnRoute();
  set("all", "1");
  assert.equal(hasRoute(), false);
});

test("what was a router's before is one again, `default` too; the learned route stays", NEEDS, async () => {
  set("up1", "1");
  await learnRoute();
  set("default", "1");
  const before = state();
  const { forwarding } = helper();
  forwarding.open("softnet0");
  assert.deepEqual([get("up1"), get("up0")], ["1", "0"]);
  forwarding.close("softnet0");
  assert.deepEqual(state(), before);
});

test("it was on before: nothing is touched, and it stays on", NEEDS, async () => {
  set("all", "1");
  set("up0", "0");
  set("default", "0");
  await learnRoute();
  const before = state();
  const { forwarding } = helper();
  forwarding.open("softnet0");
  assert.deepEqual(state(), before);
  forwarding.close("softnet0");
  assert.deepEqual(state(), before);
});

test("another program turns it on as well: it is his, and stays", NEEDS, () => {
  const { forwarding, said } = helper();
  forwarding.open("softnet0");
  set("all", "1");
  forwarding.refresh();
  assert.match(said[0]!, /another program turned IPv6 forwarding on/);
  assert.equal(nft("list table inet softnet_forwarding6") === undefined, false, "nothing is dropped any more");
  forwarding.close("softnet0");
  assert.deepEqual([get("all"), get("up0")], ["1", "1"]);
});

test("another program turns it on and no helper lives to see it: the next one does", NEEDS, () => {
  helper().forwarding.open("softnet0");
  ip("link", "delete", "softnet0");
  set("all", "1");
  helper();
  assert.equal(get("all"), "1");
});

test("another program turns it off: it is on again while a VM needs it", NEEDS, () => {
  const { forwarding, said } = helper();
  forwarding.open("softnet0");
  set("all", "0");
  forwarding.refresh();
  assert.match(said[0]!, /another program turned IPv6 forwarding off/);
  assert.deepEqual([get("all"), get("softnet0"), get("up0")], ["1", "1", "0"]);
  forwarding.close("softnet0");
  assert.equal(get("all"), "0");
});

test("everything was killed: the next helper puts back what the table names", NEEDS, async () => {
  await learnRoute();
  const before = state();
  helper().forwarding.open("softnet0");
  ip("link", "delete", "softnet0");
  helper();
  assert.deepEqual(state(), before);
});

test("the helper was killed while a VM runs: the next one keeps it, and puts back after it", NEEDS, () => {
  const before = state();
  helper().forwarding.open("softnet0");
  const { forwarding } = helper();
  assert.equal(get("all"), "1");
  tap("softnet1");
  forwarding.open("softnet1");
  ip("link", "delete", "softnet0");
  forwarding.refresh();
  assert.equal(get("all"), "1");
  forwarding.close("softnet1");
  assert.deepEqual(state(), before);
});

test("a helper that is killed in the middle: the next one goes on, or puts back", NEEDS, async () => {
  await learnRoute();
  const before = state();
  for (const limit of [0, 1]) {
    assert.throws(() => helper(limit).forwarding.open("softnet0"), /killed/);
    assert.ok(hasRoute());
    const { forwarding } = helper();
    assert.ok(hasRoute());
    forwarding.open("softnet0");
    assert.deepEqual([get("all"), get("default"), get("up0"), get("up0", "accept_ra")], ["1", "0", "0", "1"]);
    assert.ok(hasRoute());
    forwarding.close("softnet0");
    assert.deepEqual(state(), before, `after ${limit}`);
  }
});

test("killed between the two settings of an interface: accept_ra is put back", NEEDS, () => {
  const before = state();
  nft(
    "add table inet softnet_forwarding6",
    "add set inet softnet_forwarding6 raised { type ifname; }",
    'add element inet softnet_forwarding6 raised { "up0" }',
    "add set inet softnet_forwarding6 routers { type ifname; }",
  );
  set("up0", "2", "accept_ra");
  helper();
  assert.deepEqual(state(), before);
});

test("others are not forwarded: the table drops what is not a VM's", NEEDS, () => {
  helper().forwarding.open("softnet0");
  const rules = spawnSync(pathOf("nft")!, ["list", "table", "inet", "softnet_forwarding6"]).stdout.toString();
  assert.match(
    rules,
    /meta nfproto ipv6 iifname != "softnet\*" oifname != "softnet\*" iifname . oifname != @bridges drop/,
  );
});

test("a removed record is made again", NEEDS, () => {
  const { forwarding } = helper();
  forwarding.open("softnet0");
  nft("delete table inet softnet_forwarding6");
  forwarding.recordLost();
  assert.equal(nft("list set inet softnet_forwarding6 settled"), undefined);
});
