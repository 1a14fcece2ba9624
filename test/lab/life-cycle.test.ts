/** How softnet starts and ends, what it says and what it leaves behind: nothing. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { isDeepStrictEqual } from "node:util";
import { LIMIT } from "../support/patience.ts";
import type { Namespace } from "./harness/netns.ts";
import { until } from "./harness/program.ts";
import { Softnet, softnetCommand } from "./harness/softnet.ts";
import { BRIDGE, GATEWAY, Lab, labNeeds } from "./harness/topology.ts";

const MAC = "7e:1a:00:00:00:01";
const OPTIONS = ["--vm-tap", "vm0", "--vm-mac-address", MAC, "--bridge", BRIDGE];

/** Everything on the host that a filter could leave behind. */
async function inventory(host: Namespace): Promise<unknown> {
  const { stdout: rules } = await host.run("sh", ["-c", "ip rule; ip route"]);
  return { links: host.links(), ports: host.bridgeJson("link", "show").length, rules };
}

/** The name of softnet's own TAP on the bridge. */
async function hostTap(host: Namespace, before: readonly string[]): Promise<string> {
  return await until("a TAP on the bridge", () => {
    return host
      .ipJson<{ ifname: string; master?: string }>("link", "show")
      .find((link) => link.master === BRIDGE && !before.includes(link.ifname))?.ifname;
  });
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends it with exit 0, and nothing is left on the host`, { ...labNeeds(), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    const before = await inventory(lab.host);
    const softnet = Softnet.start(lab, lab.host, OPTIONS);
    await softnet.ready();
    assert.notDeepEqual(await inventory(lab.host), before);
    const { exit } = await softnet.stop(signal);
    assert.deepEqual(exit, { code: 0, signal: null });
    assert.deepEqual(await inventory(lab.host), before);
  });
}

test("SIGKILL leaves nothing on the host either", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const before = await inventory(lab.host);
  const guest = await lab.guest({ bare: false, address: "10.77.0.5/24" });
  guest.softnet!.program.kill();
  await guest.softnet!.program.ended();
  await until("the guest's card is gone", () => !guest.namespace.hasLink(guest.link));
  await until("the host is as it was", async () => isDeepStrictEqual(await inventory(lab.host), before));
});

test("a signal while it starts ends it cleanly", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const before = await inventory(lab.host);
  for (const delay of [100, 200, 300, 400]) {
    const softnet = Softnet.start(lab, lab.host, OPTIONS);
    await new Promise((resolve) => setTimeout(resolve, delay));
    const exit = await softnet.program.stop("SIGTERM");
    assert.ok(exit.code === 0 || exit.signal === "SIGTERM", JSON.stringify(exit));
    assert.deepEqual(await inventory(lab.host), before);
  }
});

test("the VM's namespace is deleted: exit 0", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const before = await inventory(lab.host);
  const guest = await lab.guest({ bare: false });
  guest.namespace.delete();
  const { exit } = await guest.softnet!.ended();
  assert.deepEqual(exit, { code: 0, signal: null });
  assert.deepEqual(await inventory(lab.host), before);
});

test("the VM's TAP is deleted: exit 0", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const guest = await lab.guest({ bare: false });
  guest.namespace.ip("link", "delete", guest.link);
  assert.deepEqual((await guest.softnet!.ended()).exit, { code: 0, signal: null });
});

test("the bridge is deleted: exit 1 with its name", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const guest = await lab.guest({ bare: false });
  lab.host.ip("link", "delete", BRIDGE);
  const { exit } = await guest.softnet!.ended();
  assert.equal(exit.code, 1);
  const errors = guest.softnet!.records.filter(({ level }) => level === "error");
  assert.equal(errors.length, 1);
  assert.match(String(errors[0]!.message), new RegExp(`\\b${BRIDGE}\\b`));
});

test("its TAP is deleted: exit 1 with the TAP's name", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const before = lab.host.links();
  const guest = await lab.guest({ bare: false });
  const tap = await hostTap(lab.host, before);
  lab.host.ip("link", "delete", tap);
  const { exit } = await guest.softnet!.ended();
  assert.equal(exit.code, 1);
  const errors = guest.softnet!.records.filter(({ level }) => level === "error");
  assert.equal(errors.length, 1);
  assert.match(String(errors[0]!.message), new RegExp(`\\b${tap}\\b`));
});

test("its TAP is taken off the bridge: exit 1", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const before = lab.host.links();
  const guest = await lab.guest({ bare: false });
  lab.host.ip("link", "set", await hostTap(lab.host, before), "nomaster");
  assert.equal((await guest.softnet!.ended()).exit.code, 1);
});

test("a TAP that was there before is used, and is still there afterwards", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  lab.host.ip("tuntap", "add", "vm0", "mode", "tap");
  lab.host.ip("link", "set", "vm0", "address", MAC);
  const before = lab.host.links();
  const softnet = Softnet.start(lab, lab.host, [...OPTIONS, "--vm-ip-address", "10.77.0.5", "--gateway", GATEWAY]);
  await softnet.ready();
  const guest = lab.namespace("guest");
  lab.host.ip("link", "set", "vm0", "netns", guest.name);
  guest.ipBatch(["link set vm0 up", "address add 10.77.0.5/24 dev vm0"]);
  await until("the gateway answers", async () => (await guest.run("ping", ["-c", "1", "-W", "1", GATEWAY])).code === 0);
  guest.ip("link", "set", "vm0", "netns", lab.host.name);
  assert.equal((await softnet.stop()).exit.code, 0);
  assert.deepEqual(lab.host.links(), before);
});

test("a TAP that joins a bridge without a fixed address does not change its address (A9)", {
  ...labNeeds(),
  ...LIMIT,
}, async (t) => {
  const lab = Lab.open(t);
  lab.host.ipBatch([
    "link add br1 type bridge forward_delay 0 stp_state 0",
    "link add p0 address f2:00:00:00:00:01 type veth peer name p1",
    "link set p0 master br1 up",
    "link set p1 up",
    "link set br1 up",
  ]);
  const address = () => lab.host.ipJson<{ address: string }>("link", "show", "br1")[0]!.address;
  const before = address();
  for (const tap of ["vm0", "vm1", "vm2"]) {
    const softnet = Softnet.start(lab, lab.host, ["--vm-tap", tap, "--vm-mac-address", MAC, "--bridge", "br1"]);
    await softnet.ready();
    assert.equal(address(), before);
  }
});

for (const [what, args, text] of [
  ["a bridge that does not exist", ["--vm-tap", "vm0", "--vm-mac-address", MAC, "--bridge", "nobr"], /nobr/],
  ["an interface that is no bridge", ["--vm-tap", "vm0", "--vm-mac-address", MAC, "--bridge", "up0"], /up0/],
  ["a TAP name that is another interface's", ["--vm-tap", "up0", "--vm-mac-address", MAC, "--bridge", BRIDGE], /up0/],
  ["a MAC address that is none", ["--vm-tap", "vm0", "--vm-mac-address", "7e:1a", "--bridge", BRIDGE], /7e:1a/],
  [
    "a multicast MAC address",
    ["--vm-tap", "vm0", "--vm-mac-address", "01:00:5e:00:00:01", "--bridge", BRIDGE],
    /01:00:5e/,
  ],
  ["no VM", ["--vm-mac-address", MAC, "--bridge", BRIDGE], /--vm-fd/],
  ["two networks", [...OPTIONS, "--host-socket", "/nowhere"], /--host-socket/],
  ["two VM sides", [...OPTIONS, "--vm-fd", "5"], /--vm-fd/],
  ["a wrong rule", [...OPTIONS, "--allow", "10.0.0.0/33"], /10\.0\.0\.0\/33/],
  ["a wrong gateway", [...OPTIONS, "--gateway", "10.77.0.256"], /10\.77\.0\.256/],
  ["a closed descriptor", ["--vm-fd", "77", "--vm-mac-address", MAC, "--bridge", BRIDGE], /77/],
  [
    "a socket that nobody listens on",
    ["--vm-tap", "vm0", "--vm-mac-address", MAC, "--host-socket", "/nowhere"],
    /\/nowhere/,
  ],
  ["a capture file that cannot be written", [...OPTIONS, "--capture", "/nowhere/x.pcapng"], /\/nowhere/],
] as const) {
  test(`${what}: one line that names it, exit 1, nothing left`, { ...labNeeds(), ...LIMIT }, async (t) => {
    const lab = Lab.open(t);
    const before = await inventory(lab.host);
    const softnet = Softnet.start(lab, lab.host, args);
    const exit = await softnet.program.ended();
    assert.equal(exit.code, 1, softnet.program.text());
    assert.equal(softnet.program.stderr.length, 1, softnet.program.text());
    assert.match(softnet.program.stderr[0]!, text);
    assert.deepEqual(softnet.program.stdout, []);
    assert.deepEqual(await inventory(lab.host), before);
  });
}

test("--capture writes what replay reads, with the same verdicts", { ...labNeeds(), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const capture = join(lab.directory, "frames.pcapng");
  const options = ["--vm-ip-address", "10.77.0.5", "--gateway", GATEWAY];
  const guest = await lab.guest({ bare: false, address: "10.77.0.5/24", args: [...options, "--capture", capture] });
  assert.ok(await guest.ping(GATEWAY));
  await guest.ping("10.77.0.9", 2);
  const { drops } = await guest.stop();
  assert.ok(existsSync(capture));
  const replay = softnetCommand(["replay", capture, "--vm-mac-address", guest.mac, ...options, "--json"]);
  const { stdout, code } = await lab.host.run(replay[0]!, replay.slice(1));
  assert.equal(code, 0);
  const last = JSON.parse(stdout.trim().split("\n").at(-1)!) as { summary: { reasons: Record<string, number> } };
  assert.deepEqual(last.summary.reasons, drops);
});
