/** Which /64 a VM gets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { choosePrefix, formatPrefix, isOwnPrefix, parsePrefix, type RandomBits } from "../../src/host/prefix.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";

const address = (text: string): bigint => parseIPv6(text)!;
const NOTHING = { taken: [], others: [] };

/** Numbers in turn, cut to their bits. */
function given(...numbers: readonly bigint[]): RandomBits {
  const left = [...numbers];
  return (bits) => BigInt.asUintN(bits, left.shift() ?? 0n);
}

test("the first VM's /64 is out of a random unique local /48 (RFC 4193 3.1)", () => {
  const prefix = choosePrefix(NOTHING, undefined, given(0x123456789an, 0xbcden));
  assert.equal(formatPrefix(prefix), "fd12:3456:789a:bcde::/64");
  assert.ok(isOwnPrefix(prefix));
});

test("further VMs' are out of the same /48, and never one twice", () => {
  const taken = [address("fd12:3456:789a:ffff::"), address("fd12:3456:789a::")];
  const prefix = choosePrefix({ taken, others: [] }, undefined, given(0xffffn));
  assert.equal(formatPrefix(prefix), "fd12:3456:789a:1::/64");
});

test("a /48 that the host has a network in or a route to is not taken; one route over all does not matter", () => {
  const others = [
    { address: address("fd12:3456:789a:7::"), length: 64 },
    { address: address("fd00::"), length: 8 },
    { address: address("fd33::"), length: 16 },
  ];
  const prefix = choosePrefix({ taken: [], others }, undefined, given(0x123456789an, 0x3300000000n, 0x4400000000n, 5n));
  assert.equal(formatPrefix(prefix), "fd44:0:0:5::/64");
});

test("a host with routes everywhere gets one all the same", () => {
  const others = ["fd00::", "fd80::"].map((text) => ({ address: address(text), length: 9 }));
  assert.ok(isOwnPrefix(choosePrefix({ taken: [], others }, undefined, given())));
});

test("the prefix of before is taken again, with its /48 where no other VM is there", () => {
  const before = address("fd11:2222:3333:4444::");
  assert.equal(choosePrefix(NOTHING, before, given()), before);
  const other = { taken: [address("fd12:3456:789a:1::")], others: [] };
  assert.equal(formatPrefix(choosePrefix(other, before, given(9n))), "fd12:3456:789a:9::/64");
  const same = { taken: [address("fd11:2222:3333:1::")], others: [] };
  assert.equal(choosePrefix(same, before, given()), before);
  assert.notEqual(choosePrefix({ taken: [before], others: [] }, before, given(7n)), before);
  for (const foreign of ["2001:db8::", "fe80::", "fc00::", "fd11::1"]) {
    assert.notEqual(choosePrefix(NOTHING, address(foreign), given(1n, 1n)), address(foreign));
  }
});

test("as text", () => {
  assert.equal(parsePrefix("fd12:3456:789a:bcde::/64"), address("fd12:3456:789a:bcde::"));
  for (const text of ["fd12::1/64", "fd12::/48", "2001:db8::/64", "fd12::", "", "fd12::/64 "]) {
    assert.equal(parsePrefix(text), undefined, text);
  }
});
