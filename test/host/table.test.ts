/** The rules' text: nft takes it, and takes it back. What it does is shown in the lab. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { addVm, changeVm, DEFAULT_CONNECTIONS, removeVm, setServices, tableCommands } from "../../src/host/table.ts";
import type { Changing, Vm } from "../../src/host/vm.ts";
import { type Reachable, reachable } from "../../src/policy/reachable.ts";
import { NO_REACH6, type Reachable6, reachable6 } from "../../src/policy/reachable6.ts";
import { netmaskOf, parseRules } from "../../src/policy/rule.ts";
import { formatIPv4, parseIPv4 } from "../../src/wire/address.ts";
import { formatIPv6, parseIPv6 } from "../../src/wire/ipv6-address.ts";
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

test("IPv6: what rules allow, who appears under an own address, and when the router is closed", () => {
  const router = parseIPv6("fd12:3456:789a:1::1")!;
  const dns = parseIPv6("2620:fe::fe")!;
  const place = { routers: [router], prefix: router - 1n, dnsServers: [dns] };
  const of = (allow: readonly string[] = [], block: readonly string[] = []): Reachable6 =>
    reachable6(parseRules(allow, block), place);
  const text = (list: Reachable6["allowed"]): string[] => list.map(([a, b]) => `${formatIPv6(a)}-${formatIPv6(b)}`);
  const none = of();
  assert.deepEqual([none.allowed, none.closed, none.dns], [[], [], [[dns, dns]]]);
  const covers = ({ answerable }: Reachable6, address: string): boolean =>
    answerable.some(([first, last]) => first <= parseIPv6(address)! && parseIPv6(address)! <= last);
  assert.deepEqual([covers(none, "2600::1"), covers(none, "fd99::1"), covers(none, "fe80::1")], [true, false, false]);
  const ruled = of(["fd99::/16"], ["2600::/12"]);
  assert.deepEqual(text(ruled.allowed), ["fd99::-fd99:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]);
  assert.deepEqual([covers(ruled, "2600::1"), covers(ruled, "fd99::1")], [false, true]);
  for (const block of ["@host", "fd00::/8", "::/0", "[fd12::/16]:80"]) {
    assert.deepEqual(of([], [block]).closed, [[router, router]], block);
  }
  for (const block of ["10.0.0.0/8", "2600::/12"]) assert.deepEqual(of([], [block]).closed, [], block);
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
const changing = (allow: readonly string[] = [], block: readonly string[] = []): Changing => ({
  reach: reach(allow, block),
});
const prefix = parseIPv6("fd12:3456:789a:1::")!;
const reach6: Reachable6 = {
  allowed: [[parseIPv6("fd00::")!, parseIPv6("fd00::ffff")!]],
  answerable: [[parseIPv6("2000::")!, parseIPv6("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")!]],
  closed: [[prefix + 1n, prefix + 1n]],
  dns: [[prefix + 1n, prefix + 1n]],
};
const everything6 = reachable6(parseRules(["::/0"], ["@host"]), { routers: [prefix + 1n], prefix, dnsServers: [] });
const cases: [string, Vm, Changing][] = [
  ["no rules", vm(), changing()],
  ["everything allowed", vm({ exposures: [[1, 2]] }), changing(["0.0.0.0/0"])],
  ["everything blocked", vm({ exposures: [[1, 2]] }), changing([], ["0.0.0.0/0"])],
  ["as many as can be", vm({ exposures }), changing(many)],
  ["type host", vm({ nat: false }), changing()],
  ["another cap", vm({ connections: 7 }), changing()],
  ["IPv6 without an address yet", vm({ prefix, exposures: [[1, 2]] }), { ...changing(), reach6 }],
  ["IPv6, everything allowed", vm({ prefix, exposures: [[1, 2]] }), { ...changing(), reach6: everything6 }],
  ["IPv6", vm({ prefix, exposures: [[1, 2]] }), { ...changing(), reach6, address6: prefix + 9n }],
];
for (const [name, given, wanted] of cases) {
  test(`nft takes a VM in and out again: ${name}`, skip, () => {
    const line = (commands: readonly string[]): string => commands.join("; ");
    const other = vm({ tap: "softnet1", address: address + 4, gateway: gateway + 4, exposures: [[80, 80]] });
    const later = { ...changing(["192.168.7.0/24"], ["@host"]), ...(given.prefix && { reach6: NO_REACH6 }) };
    const other6 = { ...other, prefix: prefix + (1n << 64n) };
    const stdout = nft([
      line(tableCommands("softnet")),
      line(addVm("softnet", other6, { ...changing(), reach6: NO_REACH6, address6: other6.prefix + 5n })),
      line(addVm("softnet", given, wanted)),
      line(changeVm("softnet", given, wanted, later)),
      line(removeVm("softnet", given, later)),
      line(setServices("softnet", ["tcp . 51820", "udp . 51820"])),
      "list set inet softnet vms",
      "list map inet softnet exposed",
      "list set inet softnet services",
      "list set inet softnet vms6",
      "list map inet softnet exposed6",
    ]);
    assert.match(stdout, /elements = \{ "softnet1" \. 10\.9\.9\.6 \}/);
    assert.match(stdout, /elements = \{ 80 : 10\.9\.9\.6 \. 80 \}/);
    assert.match(stdout, /51820/);
    assert.match(stdout, /elements = \{ "softnet1" \. fd12:3456:789a:2::\/64 \}/);
    assert.match(stdout, /elements = \{ 80 : fd12:3456:789a:2::5 \. 80 \}/);
  });
}
