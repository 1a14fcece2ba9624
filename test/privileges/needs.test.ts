/** What needs root, what is opened before the drop and what after it, and what sudo's program is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { movedArguments } from "../../src/privileges/escalation.ts";
import { findNeeds, type Sides } from "../../src/privileges/needs.ts";
import { mayAttach } from "../../src/privileges/taps.ts";
import { parseStatus } from "../../src/privileges/threads.ts";

const own = () => true;
const foreign = () => false;

const cases: readonly (readonly [string, Sides, () => boolean, string])[] = [
  ["a descriptor each", { vmFd: 3, hostFd: 4 }, foreign, "none, first vm network"],
  ["a descriptor and a socket", { vmFd: 3, hostSocket: "x" }, foreign, "none, first vm"],
  ["a socket each", { vmSocket: "y", hostSocket: "x" }, foreign, "none, first"],
  ["a bridge", { vmFd: 3, bridge: "br0" }, foreign, "network, first vm network"],
  ["a bridge and a socket", { vmSocket: "y", bridge: "br0" }, foreign, "network, first network"],
  ["host", { vmFd: 3, vmNetType: "host" }, foreign, "network, first vm network"],
  ["nothing said: nat", { vmFd: 3 }, foreign, "network, first vm network"],
  ["the caller's own TAP", { vmTap: "vm0", hostSocket: "x" }, own, "none, first"],
  ["another TAP", { vmTap: "vm0", hostSocket: "x" }, foreign, "vm0, first vm"],
  ["the caller's own TAP on a bridge", { vmTap: "vm0", bridge: "br0" }, own, "network, first network"],
  ["another TAP on a bridge", { vmTap: "vm0", bridge: "br0" }, foreign, "vm0 network, first vm network"],
  ["two VMs", { vmTap: "vm0", vmSocket: "y", bridge: "br0" }, foreign, "none, first"],
  ["no VM", { bridge: "br0" }, foreign, "none, first"],
  ["two networks", { vmTap: "vm0", hostSocket: "x", bridge: "br0" }, foreign, "none, first"],
  ["a bridge with nat", { vmTap: "vm0", vmNetType: "nat", bridge: "br0" }, foreign, "none, first"],
];

for (const [what, sides, attach, expected] of cases) {
  test(`root for ${what}: ${expected}`, () => {
    const { tap, network, first } = findNeeds(sides, attach, false);
    const needed = [tap, network && "network"].filter(Boolean);
    const early = [first.vm && "vm", first.network && "network"].filter(Boolean);
    assert.equal(`${needed.join(" ") || "none"}, ${["first", ...early].join(" ")}`, expected);
  });
}

test("root itself opens what it names with a path before the drop", () => {
  const named = { vmFd: 3, hostSocket: "x" };
  assert.deepEqual(findNeeds(named, foreign, true).first, { vm: true, network: true, capture: true });
  assert.deepEqual(findNeeds(named, foreign, false).first, { vm: true, network: false, capture: false });
  assert.equal(findNeeds({ vmSocket: "y", bridge: "br0" }, foreign, true).first.vm, false);
});

test("a TAP opens to its owner and its group, as the kernel has it", () => {
  const alice = { uid: 1000, groups: [100, 200] };
  const bound = (owner: number | undefined, group: number | undefined) => mayAttach({ owner, group }, alice);
  assert.equal(bound(1000, undefined), true);
  assert.equal(bound(1001, undefined), false);
  assert.equal(bound(undefined, 200), true);
  assert.equal(bound(undefined, 300), false);
  assert.equal(bound(1000, 300), false);
  assert.equal(bound(1001, 200), false);
  assert.equal(bound(undefined, undefined), true);
});

test("the VM's descriptor becomes 0 in the arguments, however it was written, and nothing else changes", () => {
  const moves = [{ option: "--vm-fd", from: 7, to: 0 }];
  const moved = (...args: string[]) => movedArguments(args, moves);
  assert.deepEqual(moved("--vm-fd", "7", "--mtu", "7"), ["--vm-fd", "0", "--mtu", "7"]);
  assert.deepEqual(moved("--bridge", "7", "--vm-fd=7"), ["--bridge", "7", "--vm-fd=0"]);
  assert.deepEqual(moved("--vm-fd", "3", "--vm-fd", "07"), ["--vm-fd", "3", "--vm-fd", "0"]);
  assert.deepEqual(moved("--capture", "--vm-fd", "x", "--vm-fd"), ["--capture", "--vm-fd", "x", "--vm-fd"]);
  assert.deepEqual(moved("--host-fd", "7", "7"), ["--host-fd", "7", "7"]);
  const both = [...moves, { option: "--control-fd", from: 8, to: 1 }];
  assert.deepEqual(movedArguments(["--control-fd", "8", "--vm-fd", "7"], both), ["--control-fd", "1", "--vm-fd", "0"]);
});

const STATUS = `Name:\tnode
Uid:\t1000\t1000\t0\t1000
Gid:\t100\t100\t100\t100
Groups:\t100 200
CapInh:\t0000000000000000
CapPrm:\t0000000000001000
CapEff:\t0000000000000000
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
`;

test("a thread's status: a saved id and a permitted capability are seen", () => {
  const { uids, gids, groups, capabilities, effective } = parseStatus(STATUS);
  assert.deepEqual(
    [uids, gids, groups],
    [
      [1000, 1000, 0, 1000],
      [100, 100, 100, 100],
      [100, 200],
    ],
  );
  assert.deepEqual([capabilities, effective], [0x1000n, 0n]);
  assert.deepEqual(parseStatus(STATUS.replace("100 200", "")).groups, []);
  assert.throws(() => parseStatus(STATUS.replace("CapAmb", "CapXyz")), /CapAmb/);
});
