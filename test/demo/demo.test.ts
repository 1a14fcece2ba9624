/** The demo as its user meets it: what it tells, and that nothing of it stays, however it ends. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { MAIN, softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT } from "../support/patience.ts";
import { needs, needsReadable, needsTun } from "../support/tools.ts";
import { inhabitants, maskedCommand, withoutIPv6Command } from "./support.ts";

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
  ["reaching the other guest", []],
  ["reaching the host's loopback", ["ipv4.loopback"]],
];

/** Those by IPv6. */
const IPV6_ATTACKS: typeof ATTACKS = [
  ["IPv6 router theft", ["icmpv6.router"]],
  ["hidden router advertisement", ["icmpv6.router"]],
  ["IPv6 neighbour theft", ["nd.target"]],
  ["rogue DHCPv6 server", ["dhcpv6.ports"]],
];

/** Those that are tried through NAT too. */
const NAT_ATTACKS: Readonly<Record<string, readonly string[]>> = {
  "IP spoof": ["ipv4.source"],
  "forged lease": ["ipv4.source", "ipv4.unbound"],
  "reaching a private neighbour": ["policy.destination"],
  "reaching the other guest": ["policy.destination"],
  "reaching the host's loopback": ["ipv4.loopback"],
};

/** What a job with a list of names tries, the system's error with which that ends, and the drop reason. */
const ATTEMPTS: readonly (readonly [title: string, code: string, reason: string])[] = [
  ["another name", "ENOTFOUND", "dns.denied"],
  ["another name in a TLS hello", "ECONNRESET", "name.denied"],
  ["another name in HTTP's Host", "ECONNRESET", "name.denied"],
  ["an address alone", "ECONNREFUSED", "name.unpinned"],
  ["another resolver", "ECONNREFUSED", "name.resolver"],
  ["QUIC", "ECONNREFUSED", "name.quic"],
];

/** Those by IPv6. */
const IPV6_ATTEMPTS: typeof ATTEMPTS = [
  ["a TLS hello by IPv6", "ECONNRESET", "name.denied"],
  ["an IPv6 address alone", "ECONNREFUSED", "name.unpinned"],
];

const SERVICES = ["lease from DHCP", "ping the gateway", "TCP to a global address", "DNS"];

/** What of a demo is on this machine: its processes, namespaces and folders, and links that were not there before it. */
interface Remains {
  readonly folders: readonly string[];
  readonly links: readonly string[];
  readonly namespaces: readonly string[];
  readonly processes: readonly string[];
}

const NOTHING: Remains = { folders: [], links: [], namespaces: [], processes: [] };
/** Marks the environment of a demo, and so of all that it starts: other demos may run on this machine. */
const MARK = "SOFTNET_DEMO_TEST";

function lines(...args: readonly string[]): string[] {
  return execFileSync("ip", args, { encoding: "utf8" }).split("\n").filter(Boolean);
}

function links(): string[] {
  return lines("-o", "link").map((line) => line.split(": ")[1]!);
}

/** Empty when it has ended. */
function commandOf(pid: string): string {
  return read(pid, "cmdline");
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

let started = 0;

class Running {
  readonly child: ChildProcess;
  readonly #mark = `${process.pid}-${++started}`;
  readonly #linksBefore = links();
  readonly exited: Promise<number | string>;
  stdout = "";
  stderr = "";

  constructor(command: readonly string[] = [process.execPath, MAIN, "demo"]) {
    this.child = spawn(command[0]!, command.slice(1), {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, [MARK]: this.#mark },
    });
    this.child.stdout!.on("data", (data) => {
      this.stdout += data;
    });
    this.child.stderr!.on("data", (data) => {
      this.stderr += data;
    });
    this.exited = new Promise((resolve) => this.child.on("close", (code, signal) => resolve(code ?? signal ?? "")));
  }

  /** What of it is there now. */
  remains(): Remains {
    const isOwn = (pid: string) => read(pid, "environ").split("\0").includes(`${MARK}=${this.#mark}`);
    return {
      folders: [`/run/softnet-demo-${this.child.pid}`].filter(existsSync),
      links: links().filter((link) => !this.#linksBefore.includes(link)),
      namespaces: lines("netns", "list").filter((name) => name.startsWith(`softnet-demo-${this.child.pid}-`)),
      processes: readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isOwn(name)),
    };
  }

  /** Waits until it has printed this. */
  async prints(text: string | RegExp): Promise<void> {
    const isThere = () => (typeof text === "string" ? this.stdout.includes(text) : text.test(this.stdout));
    while (!isThere()) {
      assert.equal(this.child.exitCode, null, `it ended before it printed ${text}: ${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Attacks, and services in peace and in the flood, as they should be. */
function assertTable(stdout: string, nat: boolean, ipv6: boolean): void {
  const table = stdout.split("What happened")[1]!;
  for (const [title, onBridge] of ipv6 ? [...ATTACKS, ...IPV6_ATTACKS] : ATTACKS) {
    const throughNat = nat ? NAT_ATTACKS[title] : undefined;
    const words = throughNat === undefined ? "stopped" : "stopped +stopped";
    const counted = (throughNat ?? onBridge).map((reason) => `.*${reason.replaceAll(".", "\\.")} \\(\\d+\\)`).join("");
    assert.match(table, new RegExp(`^ *${title} +succeeded +${words}(?! +stopped)${counted}`, "m"));
  }
  const [calm, flood] = table.split("in the flood");
  for (const title of SERVICES) {
    assert.match(calm!, new RegExp(`^ *${title} +works +works${nat ? " +works" : ""}$`, "m"));
    assert.match(flood!, new RegExp(`^ *${title} +(works|fails) +works$`, "m"));
  }
  const rate = /flood of ([\d,]+) frames a second/.exec(flood!)?.[1]?.replaceAll(",", "");
  assert.ok(Number(rate) >= 1000, `the flood had ${rate} frames a second`);
}

/** What a job with a list does works by name, nothing else does, and each line of that is explained. */
function assertNames(stdout: string, ipv6: boolean): void {
  const [story, tables] = stdout.split("4. Only two names")[1]!.split("What happened");
  const table = tables!.split("without a list")[1]!;
  for (const title of ["npm-like download", ...(ipv6 ? ["npm-like download by IPv6"] : [])]) {
    assert.match(table, new RegExp(`^ *${title} +works +works$`, "m"));
  }
  for (const [title, code, reason] of ipv6 ? [...ATTEMPTS, ...IPV6_ATTEMPTS] : ATTEMPTS) {
    const dropped = reason.replaceAll(".", "\\.");
    assert.match(table, new RegExp(`^ *${title} +succeeded +stopped +${dropped} \\(\\d+\\)$`, "m"));
    assert.match(story!, new RegExp(`^ *stopped +${title} +${code} after \\d+ ms: ${dropped}\n *out (tcp|udp) `, "m"));
  }
  assert.match(story!, /^ *out tcp paste\.example port 443: is dropped as dns\.denied: no rule allows the name$/m);
  const passed = ipv6 ? 2 : 1;
  assert.match(story!, new RegExp(`^ *${passed} +0 +${passed} +${passed} +0  registry\\.example$`, "m"));
  assert.match(story!, /^ *1 +1 +0 +0 +[1-9]\d* {2}paste\.example$/m);
}

const NEEDS = { ...needs("ip", "unshare"), ...needsTun(), ...LIMIT };
const NAT = { ...NEEDS, ...needs("nft", "setpriv") };

test("every attack works without softnet and none behind it, nor through NAT", NAT, async () => {
  const demo = new Running();
  assert.equal(await demo.exited, 0, demo.stdout + demo.stderr);
  assert.equal(demo.stderr, "");
  assert.deepEqual(demo.remains(), NOTHING);
  assert.doesNotMatch(demo.stdout, /not as it should be|not shown/);
  assert.ok(!demo.stdout.includes("\x1b"), "no colours where there is no terminal");
  assertTable(demo.stdout, true, true);
  assertNames(demo.stdout, true);
});

test("without nft or IPv6 a line each says what was not shown, and the rest is as ever", NEEDS, async (t) => {
  const command = maskedCommand("nft", "/dev/null", [process.execPath, MAIN, "demo"]);
  const demo = new Running(withoutIPv6Command(temporaryFolder(t), command));
  assert.equal(await demo.exited, 0, demo.stdout + demo.stderr);
  assert.equal(demo.stderr, "");
  assert.deepEqual(demo.remains(), NOTHING);
  const told = demo.stdout.split("\n").filter((line) => /NAT|nft|IPv6|DHCPv6|hidden/.test(line));
  assert.deepEqual(told, [
    "IPv6: not shown, since this kernel has no IPv6: start it without ipv6.disable=1",
    "3. Through NAT: not shown, since nft is not installed; install it, on Debian with: apt-get install nftables",
  ]);
  assert.doesNotMatch(demo.stdout, /not as it should be/);
  assertTable(demo.stdout, false, false);
  assertNames(demo.stdout, false);
});

for (const [signal, moment, code] of [
  ["SIGINT", "softnet demo", 130],
  ["SIGTERM", "1. Without softnet", 143],
  ["SIGINT", "IP spoof", 130],
  ["SIGHUP", "2. Behind softnet", 129],
] as const) {
  test(`${signal} at "${moment}" leaves nothing behind`, NEEDS, async () => {
    const demo = new Running();
    await demo.prints(moment);
    demo.child.kill(signal);
    assert.equal(await demo.exited, code);
    assert.equal(demo.stderr, "softnet: interrupted; nothing is left behind\n");
    assert.deepEqual(demo.remains(), NOTHING);
  });
}

test("SIGINT while the guests are behind NAT leaves nothing behind, the helper neither", NAT, async () => {
  const demo = new Running();
  await demo.prints(/3\. Through NAT(.|\n)*asked DHCP/);
  const alive = inhabitants(demo.child.pid!);
  assert.ok(
    alive.some((pid) => commandOf(pid).includes("--host-helper")),
    "no helper",
  );
  assert.ok(demo.remains().processes.length > 4, "its agents and softnets are not counted");
  demo.child.kill("SIGINT");
  assert.equal(await demo.exited, 130);
  assert.equal(demo.stderr, "softnet: interrupted; nothing is left behind\n");
  assert.deepEqual(demo.remains(), NOTHING);
  assert.deepEqual(alive.filter(commandOf), []);
});

test("SIGTERM while a job has a list of names leaves nothing behind", NEEDS, async () => {
  const demo = new Running(maskedCommand("nft", "/dev/null", [process.execPath, MAIN, "demo"]));
  await demo.prints("another name in a TLS hello");
  assert.equal(demo.remains().folders.length, 1, "its control socket is not counted");
  demo.child.kill("SIGTERM");
  assert.equal(await demo.exited, 143);
  assert.equal(demo.stderr, "softnet: interrupted; nothing is left behind\n");
  assert.deepEqual(demo.remains(), NOTHING);
});

test("a reader that goes away ends it, and leaves nothing behind", NEEDS, async () => {
  const demo = new Running();
  await demo.prints("1. Without softnet");
  demo.child.stdout!.destroy();
  assert.equal(await demo.exited, 141);
  assert.deepEqual(demo.remains(), NOTHING);
});

test("what a killed demo left behind, the next one removes", NEEDS, async () => {
  const killed = new Running();
  await killed.prints("works");
  killed.child.kill("SIGKILL");
  await killed.exited;
  assert.notDeepEqual(killed.remains(), NOTHING);
  const next = new Running();
  await next.prints("1. Without softnet");
  next.child.kill("SIGINT");
  await next.exited;
  assert.deepEqual([killed.remains(), next.remains()], [NOTHING, NOTHING]);
});

test("without root it says so in one line", {
  ...(process.platform !== "linux" && { skip: "needs Linux" }),
  ...needsReadable(),
}, () => {
  const options = process.getuid?.() === 0 ? { uid: 65_534 } : {};
  const { status, stdout, stderr } = softnet(["demo"], options);
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^softnet: the demo makes network namespaces, which needs root: run it with sudo\n$/);
});
