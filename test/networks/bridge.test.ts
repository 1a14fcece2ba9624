import assert from "node:assert/strict";
import { readlinkSync } from "node:fs";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openBridge } from "../../src/networks/bridge.ts";
import type { Network } from "../../src/networks/network.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { UserError } from "../../src/user-error.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { LIMIT, until } from "../support/patience.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsTun } from "../support/tools.ts";

const skip = { ...needsTun(), ...needs("ip") };

const warn = (message: string): void => assert.fail(message);

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

async function setUp(t: TestContext, bridge: string, isolated = true): Promise<Network> {
  ip("link", "add", bridge, "mtu", "1400", "type", "bridge");
  ip("link", "set", bridge, "up");
  const network = await openBridge(libc, { bridge, isolated, warn });
  t.after(() => {
    network.close();
    if (libc.if_nametoindex(bridge) !== 0) ip("link", "delete", bridge);
  });
  return network;
}

function tapOf(network: Network): string {
  return network.port.label.split(" ")[1];
}

/** What iproute2 prints of a link, as far as it is looked at here. */
interface LinkDetail {
  readonly ifname: string;
  readonly master?: string;
  readonly mtu: number;
  readonly address: string;
  readonly flags: readonly string[];
  readonly inet6_addr_gen_mode?: string;
  readonly linkinfo: { readonly info_slave_data: { readonly isolated: boolean } };
}

function detail(name: string): LinkDetail {
  return JSON.parse(ip("-d", "-j", "link", "show", name))[0];
}

for (const isolated of [true, false]) {
  test(
    `the TAP is a port of the bridge, ${isolated ? "" : "not "}isolated, up, with its MTU and no IPv6 address`,
    skip,
    async (t) => {
      const network = await setUp(t, "br0", isolated);
      assert.match(network.port.label, /^TAP softnet\d+ on bridge br0$/);
      assert.equal(network.label, "bridge br0");
      assert.equal(network.mtu, 1400);
      assert.equal(network.isolated, isolated);
      const tap = detail(tapOf(network));
      assert.equal(tap.master, "br0");
      assert.equal(tap.mtu, 1400);
      assert.equal(tap.linkinfo.info_slave_data.isolated, isolated);
      assert.equal(tap.inet6_addr_gen_mode, "none");
      assert.match(tap.address, /^fe:/);
      assert.ok(tap.flags.includes("UP"));
      assert.equal(ip("-6", "addr", "show", "dev", tap.ifname), "");
      network.port.check();
    },
  );
}

test("the bridge keeps its own MAC address", skip, async (t) => {
  ip("tuntap", "add", "dev", "member", "mode", "tap");
  ip("link", "set", "member", "address", "fe:54:00:12:34:56"); // as libvirt gives them
  ip("link", "add", "br1", "type", "bridge");
  ip("link", "set", "member", "master", "br1");
  const before = detail("br1").address;
  for (let round = 0; round < 5; round++) {
    const network = await openBridge(libc, { bridge: "br1", isolated: true, warn });
    t.after(() => network.close());
    assert.equal(detail("br1").address, before);
  }
});

test("frames pass both ways", skip, async (t) => {
  const network = await setUp(t, "br2");
  ip("addr", "add", "192.0.2.1/24", "dev", "br2");
  const slab = allocateSlab(1514);
  t.after(() => slab.free());
  const { batch } = slab;
  const source = [0x7e, 0x1a, 0, 0, 0, 1];
  const request = [255, 255, 255, 255, 255, 255, ...source, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...source];
  request.push(192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1);
  batch.bytes.set(request, batch.slotOffset(0));
  batch.offset[0] = batch.slotOffset(0);
  batch.length[0] = request.length;
  batch.count = 1;
  assert.equal(network.port.send(batch, 0), 1);
  let replies = 0;
  await until("a reply", () => {
    network.port.receive(batch);
    for (let index = 0; index < batch.count; index++) {
      const at = batch.offset[index];
      if (batch.bytes[at + 12] === 8 && batch.bytes[at + 13] === 6 && batch.bytes[at + 21] === 2) replies++;
    }
    return replies > 0;
  });
  assert.equal(replies, 1);
});

test("closing leaves nothing behind", skip, async (t) => {
  const network = await setUp(t, "br3");
  const tap = tapOf(network);
  network.close();
  network.close();
  assert.equal(libc.if_nametoindex(tap), 0);
});

test("a deleted bridge, a TAP taken off it and a deleted TAP end the port", skip, async (t) => {
  const first = await setUp(t, "br4");
  ip("link", "delete", "br4");
  assert.throws(() => first.port.check(), { name: "PortClosed", message: /: bridge br4 is gone$/ });
  const second = await setUp(t, "br5");
  ip("link", "set", tapOf(second), "nomaster");
  assert.throws(() => second.port.check(), { name: "PortClosed", message: /taken off bridge br5$/ });
  const third = await setUp(t, "br6");
  ip("link", "delete", tapOf(third));
  assert.throws(() => third.port.check(), { name: "PortClosed", message: /the TAP was deleted/ });
});

/** Watches the port as a relay does, and answers what the wake brings. */
async function woken(t: TestContext, network: Network, action: () => void): Promise<unknown> {
  const slab = allocateSlab(1514);
  t.after(() => slab.free());
  return await new Promise((resolve) => {
    network.port.watch({ readable: true, writable: false }, () => {
      try {
        network.port.receive(slab.batch); // a frame of the host's own
      } catch (error) {
        network.port.watch({ readable: false, writable: false }, () => {});
        setImmediate(resolve, error); // a watch's callback ends no wait by itself (poll.ts)
      }
    });
    action();
  });
}

for (const [what, bridge, action, why] of [
  ["its bridge is deleted", "br10", () => ip("link", "delete", "br10"), /bridge br10 is gone$/],
  [
    "its TAP is taken off the bridge",
    "br11",
    (tap: string) => ip("link", "set", tap, "nomaster"),
    /taken off bridge br11$/,
  ],
  ["its TAP is deleted", "br12", (tap: string) => ip("link", "delete", tap), /gone|deleted|EBADFD/],
] as const) {
  test(`the port wakes by itself when ${what}: nobody has to ask`, { ...skip, ...LIMIT }, async (t) => {
    const network = await setUp(t, bridge);
    assert.equal(network.port.checkInterval, Number.POSITIVE_INFINITY);
    const error = await woken(t, network, () => void action(tapOf(network)));
    assert.equal((error as Error).name, "PortClosed");
    assert.match((error as Error).message, why);
  });
}

test("a TAP that is moved to another namespace ends the port", { ...skip, ...LIMIT }, async (t) => {
  const network = await setUp(t, "br13");
  const { spawn } = await import("node:child_process");
  const other = spawn("unshare", ["--net", "sleep", "60"], { stdio: "ignore" });
  t.after(() => other.kill("SIGKILL"));
  const own = readlinkSync("/proc/thread-self/ns/net");
  while (readlinkSync(`/proc/${other.pid}/ns/net`) === own) await sleep(10);
  const error = await woken(t, network, () => void ip("link", "set", tapOf(network), "netns", String(other.pid)));
  assert.match((error as Error).message, /moved to another network namespace$/);
});

test("a bridge that learns before it forwards is told of, and that it forwards at last; so is one that goes down", {
  ...skip,
  ...LIMIT,
}, async (t) => {
  ip("link", "add", "br14", "type", "bridge", "stp_state", "1", "forward_delay", "200"); // hundredths of a second
  ip("link", "set", "br14", "up");
  const told: string[] = [];
  const tell = (forwards: boolean, { bridge, state }: { bridge: string; state: string }): void => {
    told.push(`${bridge} ${forwards} ${state}`);
  };
  const network = await openBridge(libc, { bridge: "br14", isolated: true, onPortState: tell, warn });
  t.after(() => {
    network.close();
    ip("link", "delete", "br14");
  });
  assert.equal(told.length, 1);
  assert.match(told[0], /^br14 false (disabled|listening)$/);
  while (told.length < 2) await sleep(20);
  assert.equal(told[1], "br14 true forwarding");
  ip("link", "set", "br14", "down");
  while (told.length < 3) await sleep(20);
  assert.equal(told[2], "br14 false disabled");
});

test("a wrong bridge is one line that names value and remedy, and leaves nothing behind", skip, async () => {
  const refused = async (bridge: string, why: RegExp): Promise<void> => {
    await assert.rejects(
      () => openBridge(libc, { bridge, isolated: true, warn }),
      (error) =>
        error instanceof UserError && error.message.startsWith(`--bridge ${bridge}: `) && why.test(error.message),
    );
  };
  await refused("nowhere", /no such bridge/);
  await refused("a name\nlink delete lo", /no such bridge/);
  await refused("lo", /not a bridge/);
  assert.doesNotMatch(ip("link"), /softnet/);
});
