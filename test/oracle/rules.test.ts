/** Both readers of rules take and refuse the same texts, and tell what they took in the same normal form. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatRule, parseRule } from "../../src/policy/rule.ts";
import { Random } from "./random.ts";
import { normalForm, parseRule as parseObviously } from "./rules.ts";

const TEXTS = 30_000;

const WAYS = ["", "", "", "in ", "out ", "in   ", "out  ", "in", " in ", "In ", "in\t", "inout ", "in out ", "both "];
const NAMES = ["@host", "@dns", "@metadata", "@private", "@global", "@hosts", "@HOST", "@", "host", "@host/32", ""];
const PORTS = ["", "", ":22", ":1", ":65535", ":0", ":65536", ":022", ":1-65535", ":22-22", ":23-22", ":", ":-", ":1-"];
const ODD_PORTS = [
  ":-1",
  ":1-2-3",
  ":1:2",
  ": 22",
  ":22 ",
  ":0x16",
  ":1e3",
  ":99999999999",
  ":22-0",
  "22",
  ":２２",
  ":+1",
];

function someText(random: Random): string {
  const part = () => String(random.chance(0.9) ? random.below(256) : random.pick([256, 0, 255, "", "a", "-1", 999]));
  const address = [part(), part(), part(), part()].join(".");
  const length = random.chance(0.9) ? `/${random.below(33)}` : random.pick(["", "/", "/33", "/-1", "/a", "/8/8"]);
  const target = random.chance(0.25) ? random.pick(NAMES) : `${address}${length}`;
  const range = `:${random.below(70_000)}-${random.below(70_000)}`;
  const ports = random.chance(0.4) ? random.pick(PORTS) : random.chance(0.3) ? random.pick(ODD_PORTS) : range;
  return `${random.pick(WAYS)}${target}${random.chance(0.5) ? ports : ""}`;
}

function formOf(text: string): string | undefined {
  try {
    const rule = parseRule("allow", text);
    // Names have a second version of their own (policy/names.test.ts).
    return rule.target.name === undefined ? formatRule(rule) : undefined;
  } catch {
    return undefined;
  }
}

test("both readers of rules take the same texts and tell the same normal form", () => {
  const random = new Random(5);
  let taken = 0;
  for (let turn = 0; turn < TEXTS; turn++) {
    const text = someText(random);
    const rule = parseObviously("allow", text);
    const form = rule && normalForm(rule);
    assert.equal(formOf(text), form, JSON.stringify(text));
    if (form === undefined) continue;
    taken += 1;
    assert.equal(formOf(form), form, "a normal form is its own");
  }
  assert.ok(taken > TEXTS / 10 && taken < TEXTS / 2, `${taken} rules`);
});
