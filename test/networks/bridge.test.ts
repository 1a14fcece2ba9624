import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { openBridge } from "../../src/networks/bridge.ts";
import type { Network } from "../../src/networks/network.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { UserError } from "../../src/user-error.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { until } from "../support/patience.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsTun } from "../support/tools.ts";

const skip = { ...needsTun(), ...needs("ip") };

let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

function setUp(t: TestContext, bridge: string, isolated = true): Network {
  ip("link", "add", bridge, "mtu", "1400", "type", "bridge");
  ip("link", "set", bridge, "up");
  const network = openBridge(libc, { bridge, isolated });
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
    (t) => {
      const network = setUp(t, "br0", isolated);
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

test("the bridge keeps its own MAC address", skip, (t) => {
  ip("tuntap", "add", "dev", "member", "mode", "tap");
  ip("link", "set", "member", "address", "fe:54:00:12:34:56"); // as libvirt gives them
  ip("link", "add", "br1", "type", "bridge");
  ip("link", "set", "member", "master", "br1");
  const before = detail("br1").address;
  for (let round = 0; round < 5; round++) {
    const network = openBridge(libc, { bridge: "br1", isolated: true });
    t.after(() => network.close());
    assert.equal(detail("br1").address, before);
  }
});

test("frames pass both ways", skip, async (t) => {
  const network = setUp(t, "br2");
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

test("closing leaves nothing behind", skip, (t) => {
  const network = setUp(t, "br3");
  const tap = tapOf(network);
  network.close();
  network.close();
  assert.equal(libc.if_nametoindex(tap), 0);
});

test("a deleted bridge, a TAP taken off it and a deleted TAP end the port", skip, (t) => {
  const first = setUp(t, "br4");
  ip("link", "delete", "br4");
  assert.throws(() => first.port.check(), { name: "PortClosed", message: /: bridge br4 is gone$/ });
  const second = setUp(t, "br5");
  ip("link", "set", tapOf(second), "nomaster");
  assert.throws(() => second.port.check(), { name: "PortClosed", message: /taken off bridge br5$/ });
  const third = setUp(t, "br6");
  ip("link", "delete", tapOf(third));
  assert.throws(() => third.port.check(), { name: "PortClosed", message: /the TAP was deleted$/ });
});

test("a wrong bridge is one line that names value and remedy, and leaves nothing behind", skip, () => {
  const refused = (bridge: string, why: RegExp): void => {
    assert.throws(
      () => openBridge(libc, { bridge, isolated: true }),
      (error) =>
        error instanceof UserError && error.message.startsWith(`--bridge ${bridge}: `) && why.test(error.message),
    );
  };
  refused("nowhere", /no such bridge/);
  refused("a name\nlink delete lo", /no such bridge/);
  refused("lo", /not a bridge/);
  assert.doesNotMatch(ip("link"), /softnet/);
});
