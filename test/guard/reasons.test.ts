/** The closed list of drop reasons, and docs/drop-reasons.md, which explains exactly these. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { DROP_REASONS, type DropReason } from "../../src/index.ts";

const rows = (letter: string, last: number): string[] =>
  Array.from({ length: last }, (_, index) => `${letter}${index + 1}`);

/** The rows of the threat table. */
const THREATS = new Set([
  ...rows("L", 15),
  ...rows("A", 10),
  ...rows("D", 32),
  ...rows("I", 17),
  ...rows("S", 13),
  ...rows("N", 10),
]);

const LAYERS = [
  ...["frame", "ethernet", "arp", "ipv4", "icmp", "policy", "flow", "dhcp", "host"],
  ...["ipv6", "icmpv6", "nd", "mld", "dhcpv6", "dns", "name", "limit"],
];

const names = DROP_REASONS.map(({ name }) => name);
const page = readFileSync(new URL("../../docs/drop-reasons.md", import.meta.url), "utf8");

/** The page's sections, by the name in their heading. */
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [heading = "", ...body] = section.split("\n");
      return [/^`(.+)`$/.exec(heading)?.[1] ?? heading, body.join("\n")] as const;
    }),
);

test("every name stands once and has the form layer.what", () => {
  assert.equal(new Set(names).size, names.length);
  for (const name of names) {
    assert.match(name, /^[a-z][a-z0-9]*\.[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    assert.ok(LAYERS.includes(name.split(".")[0]!), name);
  }
});

test("every reason is one line for people and names rows of the threat table, each once", () => {
  for (const { name, text, threats, ordinary } of DROP_REASONS) {
    assert.match(text, /^\S[^\n]{8,100}[^\s.]$/, name);
    assert.ok(threats.length > 0, name);
    assert.equal(new Set(threats).size, threats.length, name);
    for (const row of threats) assert.ok(THREATS.has(row), `${name} names ${row}`);
    assert.equal(typeof ordinary, "boolean");
  }
});

test("the list and its entries cannot be changed", () => {
  assert.ok(Object.isFrozen(DROP_REASONS));
  for (const reason of DROP_REASONS) assert.ok(Object.isFrozen(reason) && Object.isFrozen(reason.threats), reason.name);
});

test("every row that a dropped frame answers has a reason", () => {
  /** Rows that no drop answers, and rows that are not the guard's. */
  const none = new Set([...["D27", "D28", "D30", "I8", "I9", "I10", "I11", "I12"], ...rows("N", 10)]);
  const answered = new Set(DROP_REASONS.flatMap(({ threats }) => threats));
  assert.deepEqual(
    [...THREATS].filter((row) => !none.has(row) && !answered.has(row)),
    [],
  );
});

test("docs/drop-reasons.md explains exactly the reasons of the list, each once", () => {
  const headings = [...page.matchAll(/^## `?([^`\n]+)`?$/gm)].map((match) => match[1]!);
  assert.deepEqual(headings.toSorted(), names.toSorted());
});

for (const reason of DROP_REASONS) {
  test(`docs/drop-reasons.md says of ${reason.name} what it means, which attack it answers, what to check`, () => {
    const parts = partsOf(reason);
    assert.deepEqual([...parts.keys()], ["Means", "Attack", "Check"]);
    for (const [title, text] of parts) assert.ok(text.trim().length > 10, `${title}: ${text}`);
    const told = new Set(parts.get("Attack")!.match(/\b[LADISN]\d+\b/g));
    assert.deepEqual([...told].toSorted(), [...reason.threats].toSorted(), "rows of the threat table");
  });
}

function partsOf({ name }: DropReason): Map<string, string> {
  const body = sections.get(name);
  assert.ok(body !== undefined, `no section \`${name}\``);
  const parts = body.split(/^(Means|Attack|Check):/m);
  assert.equal(parts[0]!.trim(), "", "words before the first part");
  return new Map(
    parts.slice(1).flatMap((title, index, all) => (index % 2 === 0 ? [[title, all[index + 1]!] as const] : [])),
  );
}

test("docs/drop-reasons.md lists before its sections what every ordinary guest causes", () => {
  const introduction = page.slice(0, page.indexOf("\n## "));
  const told = new Set([...introduction.matchAll(/`([a-z0-9]+\.[a-z0-9-]+)`/g)].map((match) => match[1]!));
  const ordinary = DROP_REASONS.filter((reason) => reason.ordinary).map(({ name }) => name);
  assert.deepEqual([...told].filter((name) => names.includes(name)).toSorted(), ordinary.toSorted());
});
