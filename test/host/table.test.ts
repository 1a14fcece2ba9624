/** The rules' text: nft takes it, and takes it back. What it does is shown in the lab. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import {
  addVm,
  changeReach,
  DEFAULT_CONNECTIONS,
  removeVm,
  setServices,
  tableCommands,
  type Vm,
} from "../../src/host/table.ts";
import { type Reachable, reachable } from "../../src/policy/reachable.ts";
import { netmaskOf, parseRules } from "../../src/policy/rule.ts";
import { formatIPv4, parseIPv4 } from "../../src/wire/address.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { needs, needsRoot, pathOf } from "../support/tools.ts";

const gateway = parseIPv4("10.9.9.1")!;
const address = gateway + 1;

function vm(more: Partial<Vm> = {}): Vm {
  return { tap: "softnet0", address, gateway, nat: true, exposures: [], connections: DEFAULT_CONNECTIONS, ...more };
}

function reach(allow: readonly string[] = [], block: readonly string[] = []): Reachable {
  const dnsServers = [parseIPv4("192.168.1.1")!];
  return reachable(parseRules(allow, block), { gateway, address, netmask: netmaskOf(30), dnsServers });
}

const ranges = (list: readonly (readonly [number, number])[]): string[] =>
  list.map(([first, last]) => `${formatIPv4(first)}-${formatIPv4(last)}`);

test("who appears under an own address at an exposed port: what the VM may send to", () => {
  const { answerable, allowed } = reach(["192.168.7.0/24"], ["8.8.8.8/32"]);
  const text = ranges(answerable);
  assert.ok(text.includes("192.168.7.0-192.168.7.255"));
  assert.ok(text.includes("8.8.8.9-9.255.255.255"));
  assert.ok(
    !text.some((range) => range.startsWith("10.") || range.startsWith("127.") || range.startsWith("192.168.1.")),
  );
  assert.deepEqual(ranges(allowed), ["192.168.7.0-192.168.7.255"]);
});

test("everything allowed is everything but what never passes", () => {
  assert.deepEqual(ranges(reach(["0.0.0.0/0"]).allowed), ["1.0.0.0-126.255.255.255", "128.0.0.0-255.255.255.255"]);
});

test("the gateway is closed by any rule that blocks it, and by no other", () => {
  for (const block of ["@host", "10.0.0.0/8", "0.0.0.0/0"]) {
    assert.deepEqual(ranges(reach([], [block]).closed), ["10.9.9.1-10.9.9.1"]);
  }
  for (const [allow, block] of [
    [[], []],
    [["@host"], ["10.0.0.0/8"]],
    [[], ["10.9.9.2/32", "8.8.8.8/32"]],
  ] as const) {
    assert.deepEqual(reach(allow, block).closed, []);
  }
});

const skip = { ...needsRoot(), ...needs("nft", "ip") };
let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

/** What nft says to commands in one process, and what it lists then. */
function nft(commands: readonly string[]): string {
  ip("link", "set", "lo", "up");
  const input = `${commands.join("\n")}\n`;
  const { stdout, stderr } = spawnSync(pathOf("nft")!, ["-i"], { input, encoding: "utf8" });
  assert.equal(stderr.split("\n")[0], "");
  return stdout;
}

const many = Array.from({ length: 4096 }, (_, index) => `10.${index >> 8}.${index & 255}.0/25`);
const exposures = [[65_535, 1]] as const;
const cases: [string, Vm, Reachable][] = [
  ["no rules", vm(), reach()],
  ["everything allowed", vm({ exposures: [[1, 2]] }), reach(["0.0.0.0/0"])],
  ["everything blocked", vm({ exposures: [[1, 2]] }), reach([], ["0.0.0.0/0"])],
  ["as many as can be", vm({ exposures }), reach(many)],
  ["type host", vm({ nat: false }), reach()],
  ["another cap", vm({ connections: 7 }), reach()],
];
for (const [name, given, wanted] of cases) {
  test(`nft takes a VM in and out again: ${name}`, skip, () => {
    const line = (commands: readonly string[]): string => commands.join("; ");
    const other = vm({ tap: "softnet1", address: address + 4, gateway: gateway + 4, exposures: [[80, 80]] });
    const stdout = nft([
      line(tableCommands("softnet")),
      line(addVm("softnet", other, reach())),
      line(addVm("softnet", given, wanted)),
      line(changeReach("softnet", given, wanted, reach(["192.168.7.0/24"], ["@host"]))),
      line(removeVm("softnet", given, reach(["192.168.7.0/24"], ["@host"]))),
      line(setServices("softnet", ["tcp . 51820", "udp . 51820"])),
      "list set inet softnet vms",
      "list map inet softnet exposed",
      "list set inet softnet services",
    ]);
    assert.match(stdout, /elements = \{ "softnet1" \. 10\.9\.9\.6 \}/);
    assert.match(stdout, /elements = \{ 80 : 10\.9\.9\.6 \. 80 \}/);
    assert.match(stdout, /51820/);
  });
}
