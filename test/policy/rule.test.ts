import assert from "node:assert/strict";
import { test } from "node:test";
import { isolationAdvice, metadataAdvice, outrankedAdvice } from "../../src/policy/advice.ts";
import {
  allowsEverything,
  formatCidr,
  formatRule,
  isByPort,
  isStateful,
  parseCidr,
  parseRules,
  prefixLengthOf,
} from "../../src/policy/rule.ts";
import { CidrTarget } from "../../src/policy/targets/cidr.ts";
import { UserError } from "../../src/user-error.ts";

test("a CIDR masks its host bits and prints as it counts", () => {
  assert.equal(formatCidr(parseCidr("192.168.1.77/24")!), "192.168.1.0/24");
  assert.equal(formatCidr(parseCidr("255.255.255.255/0")!), "0.0.0.0/0");
  assert.equal(formatCidr(parseCidr("10.0.0.1/32")!), "10.0.0.1/32");
});

test("what is no CIDR is refused in one line that names it", () => {
  const bad = ["", "10.0.0.1", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "/8", "010.0.0.0/8", "256.0.0.0/8", "@hosts"];
  const badDirections = [
    "in",
    "in ",
    "in10.0.0.0/8",
    "in\t10.0.0.0/8",
    " in 10.0.0.0/8",
    "IN 10.0.0.0/8",
    "inout @host",
  ];
  const badPorts = [
    "0",
    "01",
    "65536",
    "99999",
    "99999999",
    "",
    "22-",
    "-22",
    "23-22",
    "22-65536",
    "22-22-22",
    "a",
    "1 ",
    " 1",
  ];
  const badNames = ["@", "@HOST", "@host/32", "@all", "host", "@host ", "@toString", "@__proto__", "__proto__"];
  const behind = badPorts.map((ports) => `10.0.0.0/8:${ports}`);
  const spaced = ["10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/-1", "in in 10.0.0.0/8", "10.0.0.0/8: 22", "10.0.0.0:22/8"];
  for (const text of [...bad, ...badDirections, ...behind, ...badNames, ...spaced]) {
    assert.throws(
      () => parseRules([text], []),
      (error: Error) =>
        error instanceof UserError && error.message.includes(JSON.stringify(text)) && !/\n/.test(error.message),
      text,
    );
  }
});

test("rules with direction and ports are told in their normal form", () => {
  const forms: [string, string][] = [
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["in 10.1.2.3/8:22", "in 10.0.0.0/8:22"],
    ["out    10.0.0.0/8:1-65535", "out 10.0.0.0/8:1-65535"],
    ["0.0.0.0/0:80-80", "0.0.0.0/0:80"],
    ["@host", "@host"],
    ["out @dns:53", "out @dns:53"],
    ["in @private:8000-8999", "in @private:8000-8999"],
    ["@global", "@global"],
    ["@metadata:80", "@metadata:80"],
  ];
  for (const [text, normal] of forms) assert.equal(formatRule(parseRules([], [text])[0]!), normal);
  assert.deepEqual(parseRules([], ["in 10.0.0.0/8:22-80"]), [
    {
      action: "block",
      direction: "in",
      target: new CidrTarget({ address: 0x0a000000, length: 8 }),
      ports: { first: 22, last: 80 },
    },
  ]);
});

test("a wrong rule of any length is told in a line of bounded length, at once", () => {
  for (const text of [
    "x".repeat(1_000_000),
    `in${" ".repeat(1_000_000)}`,
    "1".repeat(500_000),
    "\n\u0000:".repeat(999),
  ]) {
    assert.throws(
      () => parseRules([text], []),
      (error: Error) => error instanceof UserError && error.message.length < 700 && !/[\n\0]/.test(error.message),
    );
  }
});

test("a policy is stateful with a direction, and by port with a direction or a port", () => {
  const kinds = (...allow: string[]) => [isStateful(parseRules(allow, [])), isByPort(parseRules(allow, []))];
  assert.deepEqual(kinds(), [false, false]);
  assert.deepEqual(kinds("10.0.0.0/8", "@host"), [false, false]);
  assert.deepEqual(kinds("10.0.0.0/8", "@host:22"), [false, true]);
  assert.deepEqual(kinds("10.0.0.0/8", "in @host"), [true, true]);
  assert.deepEqual(kinds("out 10.0.0.0/8"), [true, true]);
});

test("I10 one bad rule refuses the whole set", () => {
  assert.throws(() => parseRules(["10.0.0.0/8"], ["nonsense"]), UserError);
});

test("more than 4,096 rules are refused, 4,096 are not", () => {
  const rules = Array.from({ length: 4096 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`);
  assert.equal(parseRules(rules, []).length, 4096);
  assert.throws(() => parseRules(rules, ["1.0.0.0/8"]), UserError);
});

test("isolation ends with 0.0.0.0/0 among the allowed only", () => {
  assert.equal(allowsEverything(parseRules(["10.0.0.0/8", "0.0.0.0/0"], [])), true);
  assert.equal(allowsEverything(parseRules(["1.2.3.4/0"], [])), true);
  assert.equal(allowsEverything(parseRules(["0.0.0.0/1", "128.0.0.0/1"], ["0.0.0.0/0"])), false);
  assert.equal(allowsEverything(parseRules(["in 0.0.0.0/0", "out 0.0.0.0/0", "0.0.0.0/0:1-65535"], [])), false);
  assert.equal(allowsEverything(parseRules(["@global", "@private"], ["0.0.0.0/0"])), false);
  assert.equal(allowsEverything(parseRules([], [])), false);
});

test("a netmask with holes has no prefix length", () => {
  assert.equal(prefixLengthOf(0xffffff00), 24);
  assert.equal(prefixLengthOf(0xffffffff), 32);
  assert.equal(prefixLengthOf(0xff00ff00), undefined);
  assert.equal(prefixLengthOf(0x00ffffff), undefined);
});

test("I7 a wide rule that opens metadata addresses is told, a narrow one is meant", () => {
  assert.match(metadataAdvice(parseRules(["169.0.0.0/8"], []))!, /169\.0\.0\.0\/8 .*169\.254\.169\.254/);
  assert.match(metadataAdvice(parseRules(["0.0.0.0/0"], []))!, /168\.63\.129\.16/);
  assert.equal(metadataAdvice(parseRules(["169.254.0.0/16"], [])), undefined);
  assert.equal(metadataAdvice(parseRules(["10.0.0.0/8"], ["0.0.0.0/0"])), undefined);
  assert.equal(metadataAdvice(parseRules(["169.0.0.0/8"], ["169.254.0.0/16"])), undefined);
  assert.match(metadataAdvice(parseRules(["out 169.0.0.0/8:80"], []))!, /out 169\.0\.0\.0\/8:80 .*169\.254\.169\.254/);
  assert.equal(metadataAdvice(parseRules(["in 169.0.0.0/8"], [])), undefined);
  assert.equal(metadataAdvice(parseRules(["@metadata", "@global"], [])), undefined);
});

test("a rule that meets the isolated VM's own subnet is told", () => {
  const subnet = parseCidr("192.168.64.0/24")!;
  assert.match(isolationAdvice(parseRules(["192.168.0.0/16"], []), subnet)!, /192\.168\.0\.0\/16/);
  assert.match(isolationAdvice(parseRules(["192.168.64.7/32"], []), subnet)!, /192\.168\.64\.7\/32/);
  assert.equal(isolationAdvice(parseRules(["10.0.0.0/8"], []), subnet), undefined);
});

test("G19 I7 the advice about cloud metadata works, also for a rule with a port", () => {
  assert.match(metadataAdvice(parseRules(["0.0.0.0/0:80"], []))!, /close it with block @metadata/);
  assert.equal(metadataAdvice(parseRules(["0.0.0.0/0:80"], ["@metadata"])), undefined);
  assert.equal(metadataAdvice(parseRules(["0.0.0.0/0"], ["@metadata"])), undefined);
});

test("G19 an allow rule with a port that opens nothing of a blocked @private says nothing about the VM's subnet", () => {
  const subnet = parseCidr("192.168.64.0/24")!;
  assert.match(isolationAdvice(parseRules(["0.0.0.0/0:443"], []), subnet)!, /0\.0\.0\.0\/0:443/);
  assert.equal(isolationAdvice(parseRules(["0.0.0.0/0:443"], ["@private"]), subnet), undefined);
  assert.match(isolationAdvice(parseRules(["192.168.0.0/16:443"], ["@private"]), subnet)!, /192\.168\.0\.0\/16:443/);
});

test("G19 a block rule without a port before which a wider allow rule with a port comes is told, an exception is not", () => {
  const told = (allow: string[], block: string[], gateway = 0) => outrankedAdvice(parseRules(allow, block), gateway);
  const wide = ["0.0.0.0/0:443"];
  assert.match(told(wide, ["10.0.0.0/8"])!, /^allow 0\.0\.0\.0\/0:443 comes before block 10\.0\.0\.0\/8: /);
  for (const block of ["@global", "@host", "@dns", "in 10.0.0.0/8"]) assert.ok(told(wide, [block]), block);
  assert.ok(told(["192.168.0.0/16:22"], ["@host"], 0xc0a80101));
  const meant: [string[], string[], number?][] = [
    [["10.1.0.0/16:443"], ["10.0.0.0/8"]], // an exception within
    [wide, ["0.0.0.0/0"]],
    [["1.1.1.1/32:443"], ["@global"]],
    [
      ["@dns:53", "@host:80"],
      ["@global", "@host"],
    ],
    [wide, ["@private", "@metadata"]], // they hold
    [wide, ["10.0.0.0/8:80"]], // the block has a port
    [["0.0.0.0/0"], ["10.0.0.0/8"]], // the allow has none
    [["out 0.0.0.0/0:443"], ["in 10.0.0.0/8"]],
    [["11.0.0.0/8:443"], ["10.0.0.0/8"]],
    [["192.168.0.0/16:22"], ["@host"], 0x0a000001],
    [wide, ["10.0.0.0/8", "10.0.0.0/8:443"]], // closed again
  ];
  for (const [allow, block, gateway] of meant)
    assert.equal(told(allow, block, gateway), undefined, `${allow} ${block}`);
  assert.ok(told(wide, ["10.0.0.0/8", "10.0.0.0/8:444"]));
  const many = Array.from({ length: 2000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`);
  assert.match(
    told(
      many.map((_, index) => `0.0.0.0/0:${1 + index}`),
      many,
    )!,
    /, and 1996 more: /,
  );
});
