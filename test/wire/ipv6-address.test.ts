/** IPv6 addresses as text: RFC 5952's own examples, and the system's parser as an independent one. */
import assert from "node:assert/strict";
import { isIPv6, SocketAddress } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { addressOfWords, formatIPv6, getIPv6, parseIPv6, putIPv6, wordOf } from "../../src/wire/ipv6-address.ts";

const EXAMPLES: readonly [string, string][] = [
  // RFC 5952 1, 4.1, 4.2.1 to 4.2.3, 4.3, 5
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:0db8::0001", "2001:db8::1"],
  ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:DB8::A", "2001:db8::a"],
  ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
  ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
  ["::", "::"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["fe80::", "fe80::"],
];

test("an address is shown as RFC 5952 says", () => {
  for (const [text, shown] of EXAMPLES) assert.equal(formatIPv6(parseIPv6(text)!), shown, text);
});

test("what is no IPv6 address is not parsed, nor is one with a zone", () => {
  for (const text of [
    "",
    ":",
    ":::",
    "1",
    "1::2::3",
    "12345::",
    "::g",
    "::1.2.3",
    "1.2.3.4",
    "fe80::1%eth0",
    "::1/128",
    "[::1]",
    " ::1",
  ]) {
    assert.equal(parseIPv6(text), undefined, text);
  }
});

const addresses = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
  fc
    .array(fc.constantFrom(0n, 0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 })
    .map((groups) => groups.reduce<bigint>((all, group) => (all << 16n) | group, 0n)),
);

test("text, words and bytes give the same address back; the system shows it the same", () => {
  fc.assert(
    fc.property(addresses, (address) => {
      const text = formatIPv6(address);
      assert.equal(parseIPv6(text), address);
      const bytes = new Uint8Array(18);
      putIPv6(bytes, 1, address);
      assert.equal(getIPv6(bytes, 1), address);
      assert.equal(
        addressOfWords(wordOf(address, 0), wordOf(address, 1), wordOf(address, 2), wordOf(address, 3)),
        address,
      );
      const groups = text.includes(".") ? text : new SocketAddress({ family: "ipv6", address: text }).address;
      assert.equal(parseIPv6(groups), address);
    }),
    { numRuns: 1000 },
  );
});

const pieces = fc.constantFrom(
  ...[
    "::",
    ":",
    "1",
    "ffff",
    "10000",
    "g",
    "0",
    "1.2.3.4",
    "1.2.3",
    "01.2.3.4",
    "%e",
    "1:2",
    "F",
    "1:2:3:4:5:6",
    "",
    " ",
  ],
  ...[".", "256.1.1.1", "[", "7:8"],
);

test("what the system takes for an IPv6 address is parsed, but for zones, and nothing else", () => {
  fc.assert(
    fc.property(fc.array(pieces, { minLength: 1, maxLength: 8 }), (parts) => {
      const text = parts.join("");
      assert.equal(parseIPv6(text) !== undefined, isIPv6(text) && !text.includes("%"), text);
    }),
    { numRuns: 20_000 },
  );
});
