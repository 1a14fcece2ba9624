/** The rules' text: nft takes it, and its table is what it should be. What it does is shown in the lab. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { gateRulesOf } from "../../../src/networks/nat/gate.ts";
import { reachOf } from "../../../src/networks/nat/reach.ts";
import { type RulesOptions, redirectsBefore, rulesOf } from "../../../src/networks/nat/rules.ts";
import { TABLE_SETS, wordsOf } from "../../../src/networks/nat/sets.ts";
import { netmaskOf, parseRules } from "../../../src/policy/rule.ts";
import { formatIPv4, parseIPv4 } from "../../../src/wire/address.ts";
import { enterFreshNamespace, ip } from "../../support/namespace.ts";
import { needs, needsRoot, pathOf } from "../../support/tools.ts";

const gateway = parseIPv4("10.9.9.1")!;
const vm = gateway + 1;

function options(allow: string[] = [], block: string[] = [], more: Partial<RulesOptions> = {}): RulesOptions {
  const surroundings = { gateway, address: vm, netmask: netmaskOf(30), dnsServers: [parseIPv4("192.168.1.1")!] };
  const reach = reachOf(parseRules(allow, block), surroundings);
  return { tap: "softnet0", vm, gateway, nat: true, reach, exposures: [], ...more };
}

const ranges = (list: readonly (readonly [number, number])[]): string[] =>
  list.map(([first, last]) => `${formatIPv4(first)}-${formatIPv4(last)}`);

test("who appears under an own address at an exposed port: what the VM may send to", () => {
  const { reach } = options(["192.168.7.0/24"], ["8.8.8.8/32"]);
  const answerable = ranges(reach.answerable);
  assert.ok(answerable.includes("192.168.7.0-192.168.7.255"));
  assert.ok(answerable.includes("8.8.8.9-9.255.255.255"));
  assert.ok(
    !answerable.some((range) => range.startsWith("10.") || range.startsWith("127.") || range.startsWith("192.168.1.")),
  );
  assert.deepEqual(ranges(reach.allowed), ["192.168.7.0-192.168.7.255"]);
});

test("everything allowed is everything but what never passes", () => {
  const { allowed } = options(["0.0.0.0/0"]).reach;
  assert.deepEqual(ranges(allowed), ["1.0.0.0-126.255.255.255", "128.0.0.0-255.255.255.255"]);
});

test("the gateway is closed by any rule that blocks it, and by no other", () => {
  for (const block of ["@host", "10.0.0.0/8", "0.0.0.0/0"]) {
    assert.deepEqual(ranges(options([], [block]).reach.closed), ["10.9.9.1-10.9.9.1"]);
  }
  for (const [allow, block] of [
    [[], []],
    [["@host"], ["10.0.0.0/8"]],
    [[], ["10.9.9.2/32", "8.8.8.8/32"]],
  ] as const) {
    assert.deepEqual(options([...allow], [...block]).reach.closed, []);
  }
});

test("what the keeper is told of a policy: words of digits, dots, dashes and commas, one for each set", () => {
  const words = wordsOf(TABLE_SETS, options(["192.168.7.0/24", "192.168.9.1/32"], ["@host"]).reach);
  assert.equal(words[0], "192.168.7.0-192.168.7.255,192.168.9.1");
  assert.ok(words[1]!.startsWith("1.0.0.0-"));
  assert.equal(words[2], "10.9.9.1");
  assert.equal(wordsOf(TABLE_SETS, options().reach)[0], "-");
});

test("the most rules that there can be fit into one change", () => {
  const scattered = Array.from(
    { length: 4096 },
    (_, index) => `203.${100 + (index >> 7)}.${100 + (index & 127)}.200/31`,
  );
  for (const { reach } of [options(scattered), options([], scattered)]) {
    assert.ok(wordsOf(TABLE_SETS, reach).every((word) => /^[0-9.,-]+$/.test(word)));
    assert.ok(wordsOf(TABLE_SETS, reach).join(" ").length < 2 ** 19);
  }
});

test("the chain that tells others that forwarding was off", () => {
  const commands = rulesOf(options([], [], { redirectsBefore: "1" })).join("\n");
  assert.match(commands, /add chain inet softnet_softnet0 forwarding_was_off_1 /);
  assert.equal(redirectsBefore("softnet_softnet0", "forwarding_was_off_1"), "1");
  assert.equal(redirectsBefore("softnet_softnet0", "forward"), undefined);
  assert.equal(redirectsBefore("other", "forwarding_was_off_1"), undefined);
});

test("a network of type host forwards nothing and translates nothing", () => {
  const commands = rulesOf(options([], [], { nat: false }));
  assert.ok(commands.includes("add rule inet softnet_softnet0 from_vm drop"));
  assert.ok(commands.includes("add rule inet softnet_softnet0 to_vm drop"));
  assert.ok(!commands.some((command) => /nat hook|masquerade|accept$/.test(command)));
});

const skip = { ...needsRoot(), ...needs("nft", "ip") };
let leave = (): void => {};
before(() => {
  if (skip.skip === undefined) leave = enterFreshNamespace();
});
after(() => leave());

const many = Array.from({ length: 4096 }, (_, index) => `10.${index >> 8}.${index & 255}.0/25`);
const cases: [string, RulesOptions][] = [
  ["no rules", options()],
  ["everything allowed", options(["0.0.0.0/0"], [], { exposures: [{ external: 1, internal: 2 }] })],
  ["everything blocked", options([], ["0.0.0.0/0"], { exposures: [{ external: 1, internal: 2 }] })],
  ["as many as can be", options(many, [], { redirectsBefore: "0", exposures: [{ external: 65_535, internal: 1 }] })],
  ["type host", options([], [], { nat: false })],
];
for (const [name, given] of cases) {
  test(`nft takes them as one line: ${name}`, skip, () => {
    ip("link", "set", "lo", "up");
    for (const [table, rules] of [
      ["softnet_softnet0", rulesOf(given)],
      ["softnet_gate_softnet0", gateRulesOf(given)],
    ] as const) {
      const input = `${rules.join("; ")}\nlist tables\n`;
      const { stdout, stderr } = spawnSync(pathOf("nft")!, ["-i"], { input, encoding: "utf8" });
      assert.equal(stderr.split("\n")[0], "");
      assert.match(stdout, new RegExp(`table inet ${table}$`, "m"));
    }
  });
}
