/** The policies that the documentation shows: they are rules, and they do what stands beside them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parsePolicy } from "../../src/control/policy-file.ts";
import { createGuard } from "../../src/guard/guard.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { parseIPv4 } from "../../src/wire/address.ts";

const text = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

/** `--allow` and `--block` of one line of a shell. */
function listsOf(line: string): { allow: string[]; block: string[] } {
  const lists = { allow: [] as string[], block: [] as string[] };
  for (const [, option, quoted, plain] of line.matchAll(/--(allow|block) (?:"([^"]*)"|(\S+))/g)) {
    lists[option as "allow" | "block"].push(...(quoted ?? plain ?? "").split(","));
  }
  return lists;
}

const linesOf = (name: string): string[] => text(name).match(/^--(?:allow|block) .*$/gm) ?? [];

/** What the guard says under the policy of a documented line. */
function under(line: string) {
  const guard = createGuard({
    macAddress: "02:00:00:00:00:11",
    address: "192.168.64.5",
    gateway: "192.168.64.1",
    ...listsOf(line),
  });
  return (direction: "in" | "out", protocol: "tcp" | "udp" | "icmp", remote: string, port?: number) =>
    guard.explain({ direction, protocol, remote: parseIPv4(remote)!, ...(port !== undefined && { port }) }).verdict;
}

test("every example is a policy", () => {
  for (const name of ["docs/policy.md", "README.md"]) {
    const lines = linesOf(name);
    assert.ok(lines.length >= 2, name);
    for (const line of lines) {
      const { allow, block } = listsOf(line);
      assert.ok(parseRules(allow, block).length > 0, line);
    }
  }
  const file = /^# while the image is set up\n[^`]*/m.exec(text("docs/policy.md"))![0];
  assert.deepEqual(
    parsePolicy(file, "example").rules,
    parseRules(["out 203.0.113.7/32:443", "out @dns:53"], ["@global", "in 0.0.0.0/0"]),
  );
});

test("docs/policy.md: the examples do what they are said to do", () => {
  const [mirror, registry, neighbour, mail, nothing] = linesOf("docs/policy.md").map(under);
  assert.equal(mirror!("out", "tcp", "203.0.113.7", 443), "pass");
  assert.equal(mirror!("out", "tcp", "203.0.113.7", 80), "drop");
  assert.equal(mirror!("out", "tcp", "8.8.8.8", 443), "drop");
  assert.equal(mirror!("out", "tcp", "192.168.64.1", 22), "drop");
  assert.equal(mirror!("in", "tcp", "8.8.8.8", 22), "drop");
  assert.equal(registry!("out", "tcp", "198.51.100.20", 5000), "pass");
  assert.equal(registry!("out", "tcp", "198.51.100.20", 22), "drop");
  assert.equal(registry!("out", "tcp", "198.51.100.21", 5000), "drop");
  assert.equal(registry!("out", "tcp", "8.8.8.8", 443), "pass");
  assert.equal(neighbour!("in", "tcp", "192.168.64.9", 22), "pass");
  assert.equal(neighbour!("in", "tcp", "192.168.64.9", 23), "drop");
  assert.equal(neighbour!("in", "icmp", "192.168.64.9"), "drop");
  assert.equal(neighbour!("out", "tcp", "8.8.8.8", 443), "pass");
  for (const port of [25, 465, 587]) assert.equal(mail!("out", "tcp", "8.8.8.8", port), "drop");
  assert.equal(mail!("out", "tcp", "8.8.8.8", 443), "pass");
  for (const direction of ["in", "out"] as const) {
    for (const remote of ["8.8.8.8", "192.168.64.1", "10.0.0.1"])
      assert.equal(nothing!(direction, "udp", remote, 53), "drop");
  }
});
