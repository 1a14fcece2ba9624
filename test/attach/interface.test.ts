/** Interfaces that this kernel has no driver for, or that no test may make: which of them softnet is attached to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultRouteLinks, findInterface } from "../../src/attach/interface.ts";
import { loadLibc } from "../../src/native/linux/libc.ts";
import type { Link, Links } from "../../src/native/linux/links.ts";
import { UserError } from "../../src/user-error.ts";

const LINUX = { skip: process.platform === "linux" ? false : "Linux only" };
/** No interface of this machine has these numbers. */
const INDEX = 2 ** 30;
const MASTER = INDEX + 1;

const ordinary: Link = {
  index: INDEX,
  name: "vnet0",
  mtu: 1500,
  master: 0,
  kind: "tun",
  portState: undefined,
  owner: undefined,
  group: undefined,
  address: "fe5400000001",
  type: 1,
  isUp: true,
  isLoopback: false,
  vlanFiltering: false,
  portSettings: undefined,
};

function find(link: Partial<Link>, master: Partial<Link> = {}) {
  const links = {
    byName: () => ({ ...ordinary, ...link }),
    byIndex: () => ({ ...ordinary, name: "br0", kind: "bridge", index: MASTER, ...master }),
  };
  return findInterface(loadLibc(), links as unknown as Links, link.name ?? "vnet0");
}

test("a TAP or a veth, on a bridge or on none", LINUX, () => {
  assert.equal(find({}).bridge, undefined);
  assert.equal(find({ kind: "veth", master: MASTER }).bridge?.name, "br0");
});

for (const [what, link, master, text] of [
  ["a network card", { name: "eth1", kind: "" }, {}, /eth1: this is a network card/],
  ["a bond", { name: "bond0", kind: "bond" }, {}, /bond0: .*kind bond/],
  ["a VLAN", { name: "eth0.5", kind: "vlan" }, {}, /kind vlan/],
  ["an interface without Ethernet", { type: 65_534 }, {}, /kind tun/],
  ["a port of a bond", { master: MASTER }, { kind: "bond", name: "bond0" }, /belongs to bond0, which is no bridge/],
  ["a port of a bridge with VLANs", { master: MASTER }, { vlanFiltering: true }, /br0 keeps VLANs apart/],
  ["a TAP of softnet's own", { name: "softnet0" }, {}, /softnet's own TAPs/],
] as const) {
  test(`${what} is refused with the reason`, LINUX, () => {
    assert.throws(
      () => find(link, master),
      (error: Error) => error instanceof UserError && text.test(error.message),
    );
  });
}

test("the links of default routes, of both families", () => {
  const files: Record<string, string> = {
    "/proc/net/route":
      "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\neth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\neth1\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n",
    "/proc/net/ipv6_route": `${"0".repeat(32)} 00 ${"0".repeat(32)} 00 fe80000000000000000000000000000a 00000400 00000001 00000000 00000003 eth2\n${"0".repeat(32)} 00 ${"0".repeat(32)} 00 ${"0".repeat(32)} ffffffff 00000001 00000000 00200200       lo\n`,
  };
  assert.deepEqual(
    defaultRouteLinks((path) => files[path] ?? ""),
    ["eth0", "eth2"],
  );
});
