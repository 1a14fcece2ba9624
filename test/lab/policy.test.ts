/** Policy that changes while guests with real TCP/IP stacks talk: what goes on, what ends, and how soon. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import type { ControlClient } from "../../src/control/client.ts";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import { ControlPath, setPolicy } from "./harness/control.ts";
import type { Guest } from "./harness/guest.ts";
import type { Namespace } from "./harness/netns.ts";
import { type Program, sleep, until } from "./harness/program.ts";
import { assertDropped, assertInnocent } from "./harness/softnet.ts";
import { BRIDGE_MAC, GATEWAY, INTERNET, Lab, labNeeds, NEIGHBOUR, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const PYTHON = "/usr/bin/python3";
const ADDRESS = "10.77.0.5";
const STATIC = ["--vm-ip-address", ADDRESS, "--gateway", GATEWAY];
/** Milliseconds in which something arrives on a connection that goes on: a kilobyte every 5. */
const QUIET = 1_000;
/** Seconds that a connection is tried for which is refused, and for one that nobody says anything to. */
const TRIED = PATIENCE / 1_000;
const SILENT = 1;
const PORT = "7000";

interface Scene {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly client: ControlClient;
}

/** A guest with a static address whose policy can be changed. */
async function open(t: TestContext, ...args: readonly string[]): Promise<Scene> {
  const lab = Lab.open(t);
  const control = new ControlPath(lab);
  const guest = await lab.guest({
    bare: false,
    address: `${ADDRESS}/24`,
    args: [...STATIC, ...control.options, ...args],
  });
  const client = await control.client();
  t.after(() => client.close());
  return { lab, guest, client };
}

async function serving(lab: Lab, namespace: Namespace, address: string, port = PORT): Promise<Program> {
  const server = lab.start(namespace, PYTHON, [tool("talk.py"), "serve", address, port]);
  await server.line(/^ready$/);
  return server;
}

async function hearing(guest: Guest, address: string): Promise<Program> {
  const hearer = guest.start(PYTHON, [tool("talk.py"), "hear", address, PORT]);
  await hearer.line(/^heard/);
  return hearer;
}

/** Bytes that have arrived so far. */
function heard(hearer: Program): number {
  return Number(hearer.stdout.findLast((line) => line.startsWith("heard"))!.split(" ")[1]);
}

/** Asserts that more arrives. */
async function goesOn(hearer: Program): Promise<void> {
  await hearer.line(/^heard/, undefined, hearer.lines.length);
}

/** True when nothing arrives for a while. */
async function isQuiet(hearer: Program): Promise<boolean> {
  const before = heard(hearer);
  await sleep(QUIET);
  return heard(hearer) === before;
}

/** What becomes of an attempt to connect within some seconds. */
async function attempt(namespace: Namespace, protocol: string, address: string, port: string, seconds = SILENT) {
  const { stdout } = await namespace.run(PYTHON, [tool("talk.py"), "try", protocol, address, port, String(seconds)]);
  const [outcome, , name] = stdout.trim().split(" ");
  return { outcome, name };
}

suite("policy that changes", SIDE_BY_SIDE, () => {
  for (const [what, before, after] of [
    ["stateless", [], [`${INTERNET}/32`]],
    ["both ways", [`out ${INTERNET}/32`], [`${INTERNET}/32`, "in 0.0.0.0/0:1"]],
    ["from the VM only, while the server goes on sending", [`out ${INTERNET}/32`], [`out ${INTERNET}/32`]],
    ["its port only", ["@private"], [`out ${INTERNET}/32:${PORT}`]],
  ] as const) {
    test(`I12 a download that runs is cut by the rule that takes it away: ${what}`, {
      ...labNeeds(),
      ...LIMIT,
    }, async (t) => {
      const { lab, guest, client } = await open(t);
      await serving(lab, lab.internet, INTERNET);
      await setPolicy(client, before);
      const hearer = await hearing(guest, INTERNET);
      await setPolicy(client, [], after);
      await until("nothing arrives any more", () => isQuiet(hearer));
      assert.ok(await isQuiet(hearer), "it arrives again");
      assertDropped(await guest.stop(), before.length === 0 ? "policy.block" : "flow.cut");
    });
  }

  test("I12 with --reject the guest's program hears at once that its connection is over, and the server hears nothing", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, client } = await open(t, "--reject");
    await serving(lab, lab.internet, INTERNET);
    const hearer = await hearing(guest, INTERNET);
    const watch = await lab.watch(lab.internet, "up0");
    await setPolicy(client, [], [`out ${INTERNET}/32`]);
    await hearer.line(/^reset$/); // it only reads: nothing else would ever tell it
    const from = (source: string) => watch.count(({ ip }) => ip?.source === source);
    const goesOn = async () => {
      const sent = from(INTERNET);
      await until("the server goes on, as nobody told it", () => from(INTERNET) > sent + 1);
    };
    await goesOn();
    const before = from(ADDRESS);
    await goesOn();
    assert.equal(from(ADDRESS), before, "something of the guest's still leaves");
  });

  test("a download that stays allowed is not disturbed by a thousand changes", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, client } = await open(t);
    await lab.services();
    await serving(lab, lab.internet, INTERNET);
    const hearer = await hearing(guest, INTERNET);
    const bytes = 20_000_000;
    let ended = false;
    const downloading = guest.download(bytes).finally(() => {
      ended = true;
    });
    let changes = 0;
    while (changes < 1000 || !ended) {
      const port = 1 + (changes % 60_000);
      await setPolicy(client, ["@global", `in ${NEIGHBOUR}/32:${port}`], [`out 192.0.2.0/24:${port}`]);
      changes++;
    }
    assert.equal(await downloading, bytes);
    await goesOn(hearer); // one connection through all of them
    assertInnocent(await guest.stop());
  });

  test("in ADDRESS:22 and nothing else from outside; what the guest begins is answered", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest } = await open(t, "--allow", `in ${NEIGHBOUR}/32:22`, "--block", "in 0.0.0.0/0");
    await lab.services();
    assert.ok(await guest.ping(GATEWAY), "so that the gateway's own ARP requests are believed");
    for (const port of ["22", "23"]) await serving(lab, guest.namespace, ADDRESS, port);
    assert.equal((await attempt(lab.neighbour, "tcp", ADDRESS, "22", TRIED)).outcome, "connected");
    const others = [
      attempt(lab.neighbour, "tcp", ADDRESS, "23"),
      attempt(lab.neighbour, "udp", ADDRESS, "23"),
      attempt(lab.host, "tcp", ADDRESS, "22"),
      attempt(lab.internet, "tcp", ADDRESS, "22"),
    ];
    for (const { outcome, name } of await Promise.all(others)) assert.deepEqual([outcome, name], ["silent", undefined]);
    assert.equal(await guest.download(100_000), 100_000);
    assert.ok(await guest.ping(INTERNET));
    assertDropped(await guest.stop(), "policy.block");
  });

  test("a denied connection fails at once with --reject, and hangs without", { ...labNeeds(), ...LIMIT }, async (t) => {
    const { lab, guest } = await open(t, "--reject", "--block", `out ${INTERNET}/32:7000`);
    await serving(lab, lab.internet, INTERNET);
    await serving(lab, lab.neighbour, NEIGHBOUR);
    for (const [protocol, address, name] of [
      ["tcp", INTERNET, "ECONNREFUSED"],
      ["tcp", NEIGHBOUR, "ECONNREFUSED"],
      ["tcp", "169.254.169.254", "ECONNREFUSED"],
      ["udp", INTERNET, "EHOSTUNREACH"],
      ["udp", NEIGHBOUR, "EHOSTUNREACH"],
    ] as const) {
      const { outcome, name: told } = await attempt(guest.namespace, protocol, address, PORT, TRIED);
      assert.deepEqual([outcome, told], ["refused", name], `${protocol} to ${address}`);
    }
    const silent = await open(t, "--block", `out ${INTERNET}/32:7000`);
    await serving(silent.lab, silent.lab.internet, INTERNET);
    assert.equal((await attempt(silent.guest.namespace, "tcp", INTERNET, PORT)).outcome, "silent");
    assert.equal((await attempt(silent.guest.namespace, "udp", INTERNET, PORT)).outcome, "silent");
  });

  test("I13 a flood of half-open connections fills the table and leaves an existing connection working", {
    ...labNeeds(),
    ...LIMIT,
  }, async (t) => {
    const { lab, guest, client } = await open(t, "--allow", `in ${NEIGHBOUR}/32:22`);
    await serving(lab, lab.internet, INTERNET);
    await serving(lab, guest.namespace, ADDRESS, "22");
    const hearer = await hearing(guest, INTERNET);
    const flood = (first: number, last: number, each: number) =>
      guest.namespace.run(PYTHON, [
        tool("half_open.py"),
        guest.link,
        BRIDGE_MAC,
        ADDRESS,
        "9.9.8",
        ...[first, last, each].map(String),
      ]);
    assert.match((await flood(1, 1, 300)).stdout, /^sent 300$/);
    const flows = async () => (await client.ask("softnet.status")).flows as { inUse: number; limit: number };
    const { inUse } = await flows();
    assert.ok(inUse >= 256 && inUse < 290, `one address holds no more than 256: ${inUse}`);
    await goesOn(hearer);
    await flood(2, 140, 256);
    const full = await flows();
    assert.ok(full.inUse > full.limit - 100, `${full.inUse} of ${full.limit}`);
    await goesOn(hearer);
    const more = heard(hearer);
    await until("more arrives", () => heard(hearer) > more);
    assert.equal((await attempt(guest.namespace, "tcp", INTERNET, PORT)).outcome, "silent", "a new one is refused");
    await goesOn(hearer);
    const summary = await guest.stop();
    assertDropped(summary, "flow.half-open");
    assertDropped(summary, "flow.full");
  });
});
