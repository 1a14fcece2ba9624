/** IPv4 addresses in IPv6 ones, against the layouts byte by byte. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Cidr6, covers6, parseCidr6 } from "../../src/policy/cidr-6.ts";
import { NO_NETWORK_6 } from "../../src/policy/default-layer-6.ts";
import { EmbeddedAddresses } from "../../src/policy/embedded.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { IN, OUT } from "../../src/policy/rule-tree.ts";
import { PolicyTable6 } from "../../src/policy/table-6.ts";
import { formatIPv4 } from "../../src/wire/address.ts";
import { formatIPv6, parseIPv6, putIPv6, wordsOf } from "../../src/wire/ipv6-address.ts";
import { grownBy } from "../support/heap.ts";

const net = (text: string): Cidr6 => parseCidr6(text)!;

function embedded(text: string, ...nat64: string[]): string | undefined {
  const addresses = new EmbeddedAddresses(nat64.map(net));
  return addresses.find(wordsOf(parseIPv6(text)!), 0) ? formatIPv4(addresses.found[0]!) : undefined;
}

test("RFC 6052 2.4 the text's own examples, 192.0.2.33 in each length of prefix", () => {
  const rows: [string, string][] = [
    ["2001:db8::/32", "2001:db8:c000:221::"],
    ["2001:db8:100::/40", "2001:db8:1c0:2:21::"],
    ["2001:db8:122::/48", "2001:db8:122:c000:2:2100::"],
    ["2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"],
    ["2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"],
    ["2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"],
  ];
  for (const [prefix, address] of rows) {
    assert.equal(embedded(address, prefix), "192.0.2.33", prefix);
    assert.equal(embedded(address), undefined, "a prefix that nobody advertised embeds nothing");
  }
  assert.equal(embedded("64:ff9b::192.0.2.33"), "192.0.2.33");
});

test("6to4, Teredo and IPv4-compatible addresses embed one, :: and ::1 do not", () => {
  assert.equal(embedded("2002:a00:1::5"), "10.0.0.1");
  assert.equal(embedded("2001:0:4136:e378:8000:63bf:3fff:fdd2"), "192.0.2.45");
  assert.equal(embedded("::10.0.0.1"), "10.0.0.1");
  assert.equal(embedded("::2"), "0.0.0.2");
  for (const text of ["::", "::1", "2606:4700::1", "fe80::1", "::1:0:a00:1", "::ffff:10.0.0.1", "64:ff9b:1::a00:1"])
    assert.equal(embedded(text), undefined, text);
});

test("the longest prefix counts, and of equal ones that which every network has", () => {
  assert.equal(embedded("2001:db8::a00:1", "2001:db8::/32", "2001:db8::/96"), "10.0.0.1");
  assert.equal(embedded("2001:db8:a00:1::", "2001:db8::/96", "2001:db8::/32"), "10.0.0.1");
  assert.equal(embedded("2002:101:101::a00:1", "2002:101:101::/96"), "10.0.0.1");
  assert.equal(embedded("2001:0:a00:1:0:0:fefe:fefe", "2001::/32"), "1.1.1.1", "Teredo");
});

test("what a layout leaves over is not read: nothing in it hides the embedded address", () => {
  assert.equal(embedded("2001:db8:122:344:ffc0:2:21ff:ffff", "2001:db8:122:344::/64"), "192.0.2.33");
  assert.equal(embedded("2001:db8:c000:221:ffff:ffff:ffff:ffff", "2001:db8::/32"), "192.0.2.33");
});

/** Bytes of the IPv4 address, RFC 6052 2.2's figure. */
const PLACES: Readonly<Record<number, readonly number[]>> = {
  32: [4, 5, 6, 7],
  40: [5, 6, 7, 9],
  48: [6, 7, 9, 10],
  56: [7, 9, 10, 11],
  64: [9, 10, 11, 12],
  96: [12, 13, 14, 15],
};

function slow(address: bigint, nat64: readonly Cidr6[]): string | undefined {
  const bytes = new Uint8Array(16);
  putIPv6(bytes, 0, address);
  const fixed: readonly (readonly [Cidr6, readonly number[], number])[] = [
    [net("64:ff9b::/96"), PLACES[96]!, 0],
    [net("2002::/16"), [2, 3, 4, 5], 0],
    [net("2001::/32"), [12, 13, 14, 15], 255],
    [net("::/96"), [12, 13, 14, 15], 0],
  ];
  const all = [...fixed, ...nat64.map((cidr) => [cidr, PLACES[cidr.length]!, 0] as const)];
  const covering = all.filter(([cidr]) => address > 1n && covers6(cidr, address));
  const longest = covering.toSorted(([one], [other]) => other.length - one.length)[0];
  return longest?.[1].map((place) => bytes[place]! ^ longest[2]).join(".");
}

test("embedded addresses are those of the layouts, byte by byte", () => {
  const low = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
  const base = fc
    .constantFrom("2001:db8::", "64:ff9b::", "2002::", "2001::", "::", "fd00:1:2:3:4:5::", "2001:db8:1:2:3::")
    .map((text) => parseIPv6(text)!);
  const bits = fc.constantFrom(16, 32, 40, 48, 56, 64, 80, 96, 128);
  const address = fc
    .tuple(base, low, bits)
    .map(([high, rest, from]) => high ^ (rest & ((1n << BigInt(128 - from)) - 1n)));
  const prefix = fc
    .tuple(address, fc.constantFrom(32, 40, 48, 56, 64, 96))
    .map(([at, length]) => net(`${formatIPv6(at)}/${length}`));
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 4 }), fc.array(address), (nat64, some) => {
      const addresses = new EmbeddedAddresses(nat64);
      for (const at of [...some, ...nat64.map((cidr) => cidr.address | 0xa000001n)]) {
        const words = Int32Array.of(9, ...wordsOf(at));
        const found = addresses.find(words, 1) ? formatIPv4(addresses.found[0]!) : undefined;
        assert.equal(found, slow(at, nat64), formatIPv6(at));
      }
    }),
    { numRuns: 500 },
  );
});

test("questions about IPv6 addresses allocate nothing", () => {
  const rules = parseRules(["[2001:db8::/32]:443", "in @private"], ["fd00::/8", "[::/0]:1-99"]);
  const table = new PolicyTable6(rules, NO_NETWORK_6);
  const addresses = ["64:ff9b::8.8.8.8", "2001:db8::1", "fd00::1", "2002:c0a8:101::", "2606:4700::1111"].map((text) =>
    wordsOf(parseIPv6(text)!),
  );
  const finder = new EmbeddedAddresses([]);
  const ask = (times: number): number => {
    let sum = 0;
    for (let turn = 0; turn < times; turn++) {
      const words = addresses[turn % addresses.length]!;
      sum += table.ask((turn & 1) === 0 ? OUT : IN, words, 0, turn & 511) + table.lookup(words, 0);
      if (finder.find(words, 0)) sum += finder.found[0]! & 1;
    }
    return sum;
  };
  const grown = grownBy(500_000, ask);
  assert.ok(grown < 1_000_000, `${grown} bytes`);
});
