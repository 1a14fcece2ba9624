/** `softnet ctl` and `softnet list` with VMs that have names: one, several by a pattern, all. */
import assert from "node:assert/strict";
import { chownSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { softnet } from "../support/cli.ts";
import { startSoftnet, until } from "../support/running.ts";
import { AS_USER, arrives, FAR, isDropped, NOBODY, PRIVATE, place, READABLE, STATIC, udp } from "./control-support.ts";

/** Three VMs of a user's: web-1, web-2, db. */
async function scene(t: TestContext) {
  const runtime = place(t, "runtime");
  mkdirSync(runtime, { mode: 0o700 });
  if (process.getuid!() === 0) chownSync(runtime, NOBODY, NOBODY);
  const environment = { ...AS_USER, env: { XDG_RUNTIME_DIR: runtime } };
  const vms = [];
  for (const name of ["web-1", "web-2", "db"]) {
    vms.push(await startSoftnet(t, { ...environment, args: [...STATIC, "--name", name] }));
    await until(name, () => existsSync(join(runtime, "softnet", name, "ctl")));
  }
  const run = (...words: readonly string[]) => softnet(words, environment);
  return { vms, run, runtime };
}

test("VMs are asked and changed by name, by a pattern, or all at once", READABLE, async (t) => {
  const { vms, run, runtime } = await scene(t);
  const one = run("ctl", "db", "get");
  assert.deepEqual([one.stderr, one.stdout, one.status], ["", "# the default policy: no hits\n", 0]);
  const set = run("ctl", "web-*", "set", "--allow", "10.0.0.0/8", "--block", "");
  assert.equal(set.stdout, "== web-1\nallow 10.0.0.0/8\n== web-2\nallow 10.0.0.0/8\n");
  await arrives(vms[0]!, udp(PRIVATE));
  await arrives(vms[0]!, udp(FAR));
  await isDropped(vms[2]!, udp(PRIVATE));
  const all = run("ctl", "--all", "status", "--json").stdout.trim().split("\n");
  const answers = all.map((line) => JSON.parse(line));
  assert.deepEqual(
    answers.map(({ vm, name, path, policy }) => [vm, name, path, policy.source]),
    ["db", "web-1", "web-2"].map((name) => {
      return [name, name, join(runtime, "softnet", name, "ctl"), name === "db" ? "options" : "control"];
    }),
  );
  const explained = run("ctl", "--all", "explain", "out", "udp", "10.0.0.1", "443").stdout;
  assert.deepEqual(explained.match(/^(== .*|out udp 10\.0\.0\.1 port 443: (?:passes|is dropped))/gm), [
    "== db",
    "out udp 10.0.0.1 port 443: is dropped",
    "== web-1",
    "out udp 10.0.0.1 port 443: passes",
    "== web-2",
    "out udp 10.0.0.1 port 443: passes",
  ]);
  const list = run("list");
  assert.equal(list.stderr, "");
  const rows = list.stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/))
    .filter(([name]) => name !== "-");
  assert.deepEqual(
    rows.map(([name, mac, state, , addresses, policy, , drops]) => [name, mac, state, addresses, policy, drops]),
    [
      ["NAME", "MAC", "STATE", "ADDRESSES", "POLICY", "DROPS"],
      ["db", "02:00:00:00:00:11", "live", "192.168.64.9", "options", "1"],
      ["web-1", "02:00:00:00:00:11", "live", "192.168.64.9", "control", "0"],
      ["web-2", "02:00:00:00:00:11", "live", "192.168.64.9", "control", "0"],
    ],
  );
  const objects = run("list", "--json")
    .stdout.trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const { uptime, ...web } = objects.find(({ name }) => name === "web-1");
  assert.ok(uptime >= 0);
  assert.deepEqual(web, {
    address: "192.168.64.9",
    mac: "02:00:00:00:00:11",
    state: "live",
    origin: "static",
    expires: null,
    pid: null,
    control: join(runtime, "softnet", "web-1", "ctl"),
    network: web.network,
    name: "web-1",
    interface: null,
    policy: "control",
    drops: 0,
  });
});

test("one of many that refuses is a line on stderr, the others answer, and the exit code is 1", READABLE, async (t) => {
  const { vms, run } = await scene(t);
  const some = run("ctl", "web-*", "db", "lane", "off");
  assert.equal(some.status, 1);
  assert.equal(some.stdout, "");
  assert.equal(some.stderr.match(/^softnet: (?:web-1|web-2|db): /gm)?.length, 3, some.stderr);
  vms[1]!.child.kill("SIGKILL");
  await vms[1]!.ended();
  const rest = run("ctl", "web-*", "get");
  assert.deepEqual([rest.stdout.split("\n")[0], rest.stderr, rest.status], ["== web-1", "", 0], "a dead one is none");
  const dead = run("ctl", "web-2", "get");
  assert.equal(dead.status, 1);
  assert.match(dead.stderr, /^softnet: \S+\/web-2\/ctl: no softnet listens there\n$/);
  assert.doesNotMatch(run("list").stdout, /web-2/);
});

test("a name that no VM has, and words that contradict each other, are mistakes", READABLE, async (t) => {
  const { run } = await scene(t);
  for (const [words, message] of [
    [["nobody", "get"], /^softnet: nobody: no VM of this host has this name; softnet list prints them/],
    [["nobody-*", "get"], /^softnet: nobody-\*: no VM of this host has such a name/],
    [["--all", "db", "get"], /^softnet: ctl --all asks every VM of this host: leave db out/],
    [["--all"], /^softnet: ctl needs a VM and a command/],
    [["db"], /^softnet: ctl needs a VM and a command/],
    [["db", "frobnicate"], /^softnet: ctl frobnicate: there is no such command/],
  ] as const) {
    const { status, stderr } = run("ctl", ...words);
    assert.equal(status, 1);
    assert.match(stderr, message);
  }
});
