import assert from "node:assert/strict";
import { test } from "node:test";
import { isolationAdvice, metadataAdvice } from "../../src/policy/advice.ts";
import { allowsEverything, formatCidr, parseCidr, parseRules, prefixLengthOf } from "../../src/policy/rule.ts";
import { UserError } from "../../src/user-error.ts";

test("a CIDR masks its host bits and prints as it counts", () => {
  assert.equal(formatCidr(parseCidr("192.168.1.77/24")!), "192.168.1.0/24");
  assert.equal(formatCidr(parseCidr("255.255.255.255/0")!), "0.0.0.0/0");
  assert.equal(formatCidr(parseCidr("10.0.0.1/32")!), "10.0.0.1/32");
});

test("what is no CIDR is refused in one line that names it", () => {
  const bad = [
    "",
    "10.0.0.1",
    "10.0.0.0/33",
    "10.0.0/8",
    "10.0.0.0/",
    "/8",
    "010.0.0.0/8",
    "256.0.0.0/8",
    "@hosts",
    "::/0",
  ];
  for (const text of [...bad, "10.0.0.0/8 ", "10.0.0.0/-1", "in 10.0.0.0/8", "10.0.0.0/8:22"]) {
    assert.throws(
      () => parseRules([text], []),
      (error: Error) =>
        error instanceof UserError && error.message.includes(JSON.stringify(text)) && !/\n/.test(error.message),
      text,
    );
  }
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
});

test("a rule that meets the isolated VM's own subnet is told", () => {
  const subnet = parseCidr("192.168.64.0/24")!;
  assert.match(isolationAdvice(parseRules(["192.168.0.0/16"], []), subnet)!, /192\.168\.0\.0\/16/);
  assert.match(isolationAdvice(parseRules(["192.168.64.7/32"], []), subnet)!, /192\.168\.64\.7\/32/);
  assert.equal(isolationAdvice(parseRules(["10.0.0.0/8"], []), subnet), undefined);
});
