/** The IPv6 special-purpose registry: row by row, and against the one that Python brings. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { contains6, formatCidr6, lastOf6 } from "../../src/policy/cidr-6.ts";
import {
  isGloballyRoutable6,
  METADATA_ADDRESSES_6,
  PRIVATE_6,
  SPECIAL_PURPOSE_6,
} from "../../src/policy/special-purpose-6.ts";
import { formatIPv6, parseIPv6 } from "../../src/wire/ipv6-address.ts";

/** First and last address of each row of the registry, and what lies between them. */
const ROWS: readonly (readonly [first: string, last: string, global: boolean])[] = [
  ["::1", "::1", false],
  ["::", "::", false],
  ["::ffff:0.0.0.0", "::ffff:255.255.255.255", false],
  ["64:ff9b::", "64:ff9b::ffff:ffff", true],
  ["64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false],
  ["100::", "100::ffff:ffff:ffff:ffff", false],
  ["100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", false],
  ["2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["2001:1::", "2001:1::", false],
  ["2001:1::1", "2001:1::1", true],
  ["2001:1::2", "2001:1::2", true],
  ["2001:1::3", "2001:1::3", true],
  ["2001:1::4", "2001:2:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", true],
  ["2001:4::", "2001:4:111:ffff:ffff:ffff:ffff:ffff", false],
  ["2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", true],
  ["2001:4:113::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["2001:20::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", true],
  ["2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true],
  ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true],
  ["2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["2003::", "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", true],
  ["2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", true],
  ["2620:4f:8001::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true],
  ["3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true],
  ["4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["5f01::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false],
  ["ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false],
];

test("I6 what is globally routable in IPv6, at both ends of each range", () => {
  for (const [first, last, global] of ROWS) {
    for (const text of [first, last]) assert.equal(isGloballyRoutable6(parseIPv6(text)!), global, text);
  }
});

test("every entry of the registry is a prefix without host bits, once, with its source", () => {
  const texts = SPECIAL_PURPOSE_6.map(({ cidr }) => formatCidr6(cidr));
  assert.equal(new Set(texts).size, texts.length);
  for (const { cidr, source, name } of SPECIAL_PURPOSE_6) {
    assert.equal(cidr.address & (lastOf6(cidr) ^ cidr.address), 0n, name);
    assert.match(source, /^RFC \d/);
  }
});

test("I7 IPv6's metadata addresses are none of the global ones, and all but one unique local", () => {
  assert.deepEqual(METADATA_ADDRESSES_6.map((cidr) => isGloballyRoutable6(cidr.address)).includes(true), false);
  assert.deepEqual(
    METADATA_ADDRESSES_6.filter((cidr) => !contains6(PRIVATE_6, cidr)).map(({ address }) => formatIPv6(address)),
    ["fe80::a9fe:a9fe"],
  );
});

/** Rows that Python's `ipaddress` has otherwise in every version (3.14 among them), and why. */
const NOT_IN_PYTHON: Readonly<Record<string, string>> = {
  "100:0:0:1::/64": "RFC 9780 of 2025 is not in it",
  "5f00::/16": "RFC 9602 of 2024 is not in it",
  "2001:1::3/128": "RFC 9665 of 2025 is not in it",
  "::ffff:0:0/96": "judged by the IPv4 address inside, not as a block",
};

/** Rows that a later version has: what that version must say of an address for the row to be compared. */
const LATER_IN_PYTHON: Readonly<Record<string, readonly [probe: string, global: boolean]>> = {
  "2001:1::1/128": ["2001:1::1", true],
  "2001:1::2/128": ["2001:1::1", true],
  "2001:3::/32": ["2001:1::1", true],
  "2001:4:112::/48": ["2001:1::1", true],
  "2001:20::/28": ["2001:1::1", true],
  "2001:30::/28": ["2001:1::1", true],
  "64:ff9b:1::/48": ["64:ff9b:1::", false],
  "2002::/16": ["2002::", false],
  "3fff::/20": ["3fff::", false],
};

test("the registry agrees with Python's, where that version has the row", (t) => {
  const rows = SPECIAL_PURPOSE_6.map(({ cidr, global }) => ({ cidr, text: formatCidr6(cidr), global }));
  const asked = rows.flatMap(({ cidr }) => [formatIPv6(cidr.address), formatIPv6(lastOf6(cidr))]);
  const probes = Object.values(LATER_IN_PYTHON).map(([probe]) => probe);
  const program =
    "import ipaddress, sys\nfor line in sys.stdin.read().split(): print(line, ipaddress.ip_address(line).is_global)";
  const { stdout, status } = spawnSync("python3", ["-c", program], {
    input: [...asked, ...probes].join("\n"),
    encoding: "utf8",
  });
  assert.equal(status, 0, "python3");
  const isGlobal = new Map(
    stdout
      .trim()
      .split("\n")
      .map((line) => [line.split(" ")[0]!, line.endsWith("True")]),
  );
  let compared = 0;
  for (const { cidr, text, global } of rows) {
    const [probe, expected] = LATER_IN_PYTHON[text] ?? [];
    const why =
      NOT_IN_PYTHON[formatted(text)] ??
      (probe !== undefined && isGlobal.get(probe) !== expected ? "not yet in it" : undefined);
    if (why !== undefined) {
      t.diagnostic(`${text} is not compared: ${why}`);
      continue;
    }
    compared++;
    for (const at of [cidr.address, lastOf6(cidr)]) {
      // The last address of a row may lie in a row within it.
      if (isGloballyRoutable6(at) !== global) continue;
      assert.equal(isGlobal.get(formatIPv6(at)), global, `${text}: ${formatIPv6(at)}`);
    }
  }
  assert.ok(compared >= 10, String(compared));
});

/** The keys above are written as people write them. */
function formatted(text: string): string {
  return text === "::ffff:0.0.0.0/96" ? "::ffff:0:0/96" : text;
}
