/** The demo as its user meets it: what it tells, and that nothing of it stays, however it ends. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { MAIN, softnet } from "../support/cli.ts";
import { needsRoot } from "../support/tools.ts";

/** Ten times what the demo promises. */
const LIMIT = { timeout: 600_000 };

/** Each attack with the drop reasons that answer it. */
const ATTACKS: readonly (readonly [title: string, reasons: readonly string[]])[] = [
  ["ARP theft of the gateway", ["arp.sender-address"]],
  ["MAC spoof", ["ethernet.source"]],
  ["IP spoof", ["ipv4.source"]],
  ["rogue DHCP server", ["dhcp.ports"]],
  ["DHCP starvation", ["dhcp.hardware-address", "dhcp.client-identifier"]],
  ["forged lease", ["ipv4.source"]],
  ["VLAN-tagged ARP theft", ["ethernet.type"]],
  ["reaching a private neighbour", ["policy.destination"]],
];

const SERVICES = ["lease from DHCP", "ping the gateway", "TCP to a global address", "DNS"];

/** Links and namespaces of this machine, and the demo's own processes. */
function inventory(): unknown {
  const ip = (...args: string[]) => execFileSync("ip", args, { encoding: "utf8" }).trim().split("\n").sort();
  const links = ip("-o", "link").map((line) => line.split(": ")[1]);
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isOfDemo(name));
  return { links, namespaces: ip("netns", "list").filter((name) => name.includes("softnet-demo")), processes };
}

function isOfDemo(pid: string): boolean {
  try {
    return /demo\/agent\/main|--vm-tap\0card-|main\.[jt]s\0demo/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return false; // it ended meanwhile
  }
}

class Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | string>;
  stdout = "";
  stderr = "";

  constructor() {
    this.child = spawn(process.execPath, [MAIN, "demo"], { stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout!.on("data", (data) => {
      this.stdout += data;
    });
    this.child.stderr!.on("data", (data) => {
      this.stderr += data;
    });
    this.exited = new Promise((resolve) => this.child.on("close", (code, signal) => resolve(code ?? signal ?? "")));
  }

  /** Waits until it has printed this. */
  async prints(text: string): Promise<void> {
    while (!this.stdout.includes(text)) {
      assert.equal(this.child.exitCode, null, `it ended before it printed ${text}: ${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

test("every attack works without softnet and none behind it", { ...needsRoot(), ...LIMIT }, async () => {
  const before = inventory();
  const demo = new Running();
  assert.equal(await demo.exited, 0, demo.stdout + demo.stderr);
  assert.equal(demo.stderr, "");
  assert.deepEqual(inventory(), before);
  assert.doesNotMatch(demo.stdout, /not as it should be/);
  assert.ok(!demo.stdout.includes("\x1b"), "no colours where there is no terminal");
  const table = demo.stdout.split("What happened")[1]!;
  for (const [title, reasons] of ATTACKS) {
    const counted = reasons.map((reason) => `.*${reason.replaceAll(".", "\\.")} \\(\\d+\\)`).join("");
    assert.match(table, new RegExp(`^ *${title} +succeeded +stopped${counted}`, "m"));
  }
  const [calm, flood] = table.split("in the flood");
  for (const title of SERVICES) {
    assert.match(calm!, new RegExp(`^ *${title} +works +works$`, "m"));
    assert.match(flood!, new RegExp(`^ *${title} +(works|fails) +works$`, "m"));
  }
  const rate = /flood of ([\d,]+) frames a second/.exec(flood!)?.[1]?.replaceAll(",", "");
  assert.ok(Number(rate) >= 1000, `the flood had ${rate} frames a second`);
});

for (const [signal, moment, code] of [
  ["SIGINT", "softnet demo", 130],
  ["SIGTERM", "1. Without softnet", 143],
  ["SIGINT", "IP spoof", 130],
  ["SIGHUP", "2. Behind softnet", 129],
] as const) {
  test(`${signal} at "${moment}" leaves nothing behind`, { ...needsRoot(), ...LIMIT }, async () => {
    const before = inventory();
    const demo = new Running();
    await demo.prints(moment);
    demo.child.kill(signal);
    assert.equal(await demo.exited, code);
    assert.equal(demo.stderr, "softnet: interrupted; nothing is left behind\n");
    assert.deepEqual(inventory(), before);
  });
}

test("a reader that goes away ends it, and leaves nothing behind", { ...needsRoot(), ...LIMIT }, async () => {
  const before = inventory();
  const demo = new Running();
  await demo.prints("1. Without softnet");
  demo.child.stdout!.destroy();
  assert.equal(await demo.exited, 141);
  assert.deepEqual(inventory(), before);
});

test("what a killed demo left behind, the next one removes", { ...needsRoot(), ...LIMIT }, async () => {
  const before = inventory();
  const killed = new Running();
  await killed.prints("works");
  killed.child.kill("SIGKILL");
  await killed.exited;
  assert.notDeepEqual(inventory(), before);
  const next = new Running();
  await next.prints("1. Without softnet");
  next.child.kill("SIGINT");
  await next.exited;
  assert.deepEqual(inventory(), before);
});

test("without root it says so in one line", { skip: process.platform !== "linux" && "needs Linux" }, () => {
  const options = process.getuid?.() === 0 ? { uid: 65_534 } : {};
  const { status, stdout, stderr } = softnet(["demo"], options);
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^softnet: the demo makes network namespaces, which needs root: run it with sudo\n$/);
});
