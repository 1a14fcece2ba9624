/** A record's part about IPv6, from docs/registry.md and put together by hand, as record.test.ts does for the rest. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { decodeRecord, type Entry, encodeRecord } from "../../src/registry/record.ts";
import { parseMac } from "../../src/wire/address.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";

const BLOCK = 2048;

function record(json: string, size = BLOCK): Uint8Array {
  const rest = Buffer.from(` ${json.padEnd(size - 10)}\n`, "latin1");
  return Buffer.concat([Buffer.from(crc32(rest).toString(16).padStart(8, "0")), rest]);
}

const SLAAC = { address: "2001:db8::5", origin: "slaac", expires: null, expiresSinceBoot: null };
const LEASE = { server: "00010203", client: "0003ff", iaid: 4_294_967_295 };
const DHCPV6 = {
  address: "2001:db8::6",
  origin: "dhcpv6",
  lease: LEASE,
  expires: 1_800_000_000_000,
  expiresSinceBoot: 3_600_000_000,
};
const FIELDS = {
  version: 2,
  boot: "6f7c1b5e-2a7d-4a55-9d5a-0b8d7c8e9f10",
  network: "bridge br0",
  mac: "7e:1a:00:00:00:01",
  pid: 4711,
  state: "none",
  ipv6: [SLAAC, DHCPV6],
  claimedIPv6: [{ address: "fe80::1", sinceBoot: 2_600_000_000 }],
  written: 1_799_999_000_000,
  writtenSinceBoot: 2_600_000_000,
};
const never = { expires: Number.POSITIVE_INFINITY, expiresSinceBoot: Number.POSITIVE_INFINITY };
const ENTRY: Entry = {
  boot: FIELDS.boot,
  network: FIELDS.network,
  mac: parseMac(FIELDS.mac)!,
  pid: 4711,
  state: "none",
  claimed: 0,
  ipv6: [
    { address: parseIPv6("2001:db8::5")!, origin: "slaac", ...never },
    {
      address: parseIPv6("2001:db8::6")!,
      origin: "dhcpv6",
      lease: { server: Uint8Array.of(0, 1, 2, 3), client: Uint8Array.of(0, 3, 255), iaid: 0xffffffff },
      expires: 1_800_000_000_000,
      expiresSinceBoot: 3_600_000_000,
    },
  ],
  claimedIPv6: [{ address: parseIPv6("fe80::1")!, sinceBoot: 2_600_000_000 }],
  written: FIELDS.written,
  writtenSinceBoot: FIELDS.writtenSinceBoot,
};

test("a record of version 2 is read, and written as it is specified", () => {
  assert.deepEqual(decodeRecord(record(JSON.stringify(FIELDS))), ENTRY);
  const bytes = encodeRecord(ENTRY);
  assert.equal(bytes.length, BLOCK);
  assert.deepEqual(JSON.parse(Buffer.from(bytes).toString("latin1").slice(9)), FIELDS);
});

test("without IPv6 a record is of version 1 and has no word of it; version 1 knows none", () => {
  const { ipv6: _ipv6, claimedIPv6: _claimed, ...plain } = ENTRY;
  const json = JSON.parse(Buffer.from(encodeRecord(plain)).toString("latin1").slice(9));
  assert.deepEqual([json.version, "ipv6" in json], [1, false]);
  assert.deepEqual(decodeRecord(record(JSON.stringify({ ...FIELDS, version: 1 }))), plain);
});

const longest: Entry = {
  ...ENTRY,
  network: "x".repeat(200),
  ipv6: Array.from({ length: 20 }, (_, index) => ({
    address: (1n << 128n) - 1n - BigInt(index),
    origin: "dhcpv6" as const,
    lease: {
      server: new Uint8Array(130).fill(0xee),
      client: new Uint8Array(130).fill(0xdd),
      iaid: 0xffffffff,
      temporary: true as const,
    },
    expires: Number.MAX_SAFE_INTEGER,
    expiresSinceBoot: Number.MAX_SAFE_INTEGER,
  })),
  claimedIPv6: Array.from({ length: 20 }, (_, index) => ({
    address: (1n << 127n) - 1n - BigInt(index),
    sinceBoot: Number.MAX_SAFE_INTEGER,
  })),
};

test("the longest record there can be fits; one address or claim more does not", () => {
  const bytes = encodeRecord(longest);
  assert.equal(bytes.length % BLOCK, 0);
  assert.ok(bytes.length <= 10 * BLOCK);
  assert.deepEqual(decodeRecord(bytes), longest);
  assert.throws(() => encodeRecord({ ...longest, ipv6: [...longest.ipv6!, longest.ipv6![0]!] }), RangeError);
  const claimedIPv6 = [...longest.claimedIPv6!, longest.claimedIPv6![0]!];
  assert.throws(() => encodeRecord({ ...longest, claimedIPv6 }), RangeError);
});

test("what a longer record left behind a shorter one does not count", () => {
  const before = encodeRecord(longest);
  const after = encodeRecord(ENTRY);
  const file = Buffer.concat([after, before.subarray(after.length)]);
  assert.deepEqual(decodeRecord(file), ENTRY);
  assert.deepEqual(decodeRecord(file.subarray(0, BLOCK + 1)), ENTRY);
});

test("D28 a record that a crash left half written, shorter or longer than before, is none", () => {
  for (const [before, after] of [
    [encodeRecord(longest), encodeRecord(ENTRY)],
    [encodeRecord(ENTRY), encodeRecord(longest)],
  ] as const) {
    for (let cut = 1; cut < after.length; cut += 7) {
      const torn = Buffer.concat([after.subarray(0, cut), before.subarray(cut)]);
      if (Buffer.from(after).equals(torn.subarray(0, after.length))) continue; // only spaces were left to write
      assert.equal(decodeRecord(torn), undefined, `cut at ${cut}`);
    }
  }
});

test("one bit that flipped anywhere makes it none", () => {
  const bytes = encodeRecord(ENTRY);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Uint8Array.from(bytes);
    damaged[bit >>> 3]! ^= 1 << (bit & 7);
    assert.equal(decodeRecord(damaged), undefined, `bit ${bit}`);
  }
});

test("a length that is no multiple of 2,048, or beyond the longest, makes it none", () => {
  const json = JSON.stringify(FIELDS);
  assert.ok(decodeRecord(record(json, 2 * BLOCK)));
  assert.ok(decodeRecord(record(json, 10 * BLOCK)));
  for (const size of [BLOCK - 1, BLOCK + 1, 3000, 11 * BLOCK]) {
    assert.equal(decodeRecord(record(json, size)), undefined, String(size));
  }
  assert.equal(decodeRecord(record(json, 2 * BLOCK).subarray(0, 2 * BLOCK - 1)), undefined);
  assert.equal(decodeRecord(record(JSON.stringify({ ...FIELDS, version: 1 }), 2 * BLOCK)), undefined);
});

test("D6 a field that is missing, of another type or out of its range makes it none", () => {
  const wrong: readonly (readonly [string, object])[] = [
    ...[undefined, null, {}, "x", [5], [null], [[]], Array(21).fill(SLAAC)].map(
      (ipv6) => [`ipv6 ${JSON.stringify(ipv6)}`, { ...FIELDS, ipv6 }] as const,
    ),
    ...[{}, "x", [5], ["fe80::1"], [{ address: "fe80::1" }], Array(21).fill(FIELDS.claimedIPv6[0])].map(
      (claimedIPv6) => [`claimedIPv6 ${JSON.stringify(claimedIPv6)}`, { ...FIELDS, claimedIPv6 }] as const,
    ),
    ...[
      { address: "10.77.0.5" },
      { address: "::" },
      { address: "fe80::1%eth0" },
      { address: 5 },
      { address: undefined },
      { origin: "snooped" },
      { origin: "slaac" }, // with a lease
      { origin: null },
      { expires: -1 },
      { expires: null }, // the other end is known
      { expires: undefined },
      { expiresSinceBoot: 0.5 },
      { lease: "x" },
      { lease: {} },
      { lease: { ...LEASE, server: "" } },
      { lease: { ...LEASE, server: "zz" } },
      { lease: { ...LEASE, client: "ab".repeat(131) } },
      { lease: { ...LEASE, iaid: 2 ** 32 } },
      { lease: { ...LEASE, iaid: -1 } },
    ].map((change) => [JSON.stringify(change), { ...FIELDS, ipv6: [{ ...DHCPV6, ...change }] }] as const),
  ];
  for (const [name, fields] of wrong) assert.equal(decodeRecord(record(JSON.stringify(fields))), undefined, name);
});
