/**
 * The record's format, from docs/registry.md and without the code that writes it: records are put together here by hand,
 * with a checksum of their own, and what is written is taken apart by hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRecord, type Entry, encodeRecord } from "../../src/registry/record.ts";
import { parseIPv4, parseMac } from "../../src/wire/address.ts";

const SIZE = 2048;
const BOOT = "6f7c1b5e-2a7d-4a55-9d5a-0b8d7c8e9f10";

/** CRC-32 bit by bit, reflected, polynomial 0xedb88320 (ISO-HDLC). */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** A record by hand. */
function record(json: string, pad = SIZE): Uint8Array {
  const rest = Buffer.from(` ${json.padEnd(pad - 10)}\n`, "latin1");
  return Buffer.concat([Buffer.from(crc32(rest).toString(16).padStart(8, "0")), rest]);
}

const BINDING = {
  address: "10.77.0.5",
  origin: "snooped",
  server: "10.77.0.1",
  netmask: "255.255.255.0",
  router: null,
  dnsServers: ["10.77.0.53"],
  acknowledged: { source: "10.77.0.1", sourceMac: "02:77:00:00:00:01", clientIdentifier: "01ff" },
  expires: 1_800_000_000_000,
  expiresSinceBoot: 3_600_000_000,
};
const FIELDS = {
  version: 1,
  boot: BOOT,
  network: "bridge br0",
  mac: "7e:1a:00:00:00:01",
  pid: 4711,
  state: "bound",
  binding: BINDING,
  written: 1_799_999_000_000,
  writtenSinceBoot: 2_600_000_000,
};
const ENTRY: Entry = {
  boot: BOOT,
  network: "bridge br0",
  mac: parseMac("7e:1a:00:00:00:01")!,
  pid: 4711,
  state: "bound",
  binding: {
    address: parseIPv4("10.77.0.5")!,
    origin: "snooped",
    server: parseIPv4("10.77.0.1")!,
    netmask: parseIPv4("255.255.255.0")!,
    router: 0,
    dnsServers: [parseIPv4("10.77.0.53")!],
    acknowledged: {
      source: parseIPv4("10.77.0.1")!,
      sourceMac: parseMac("02:77:00:00:00:01")!,
      clientIdentifier: Uint8Array.of(1, 255),
    },
    expires: 1_800_000_000_000,
    expiresSinceBoot: 3_600_000_000,
  },
  claimed: 0,
  written: 1_799_999_000_000,
  writtenSinceBoot: 2_600_000_000,
};

test("the CRC-32 of this test is the one that everybody means", () => {
  assert.equal(crc32(Buffer.from("123456789")), 0xcbf43926);
});

test("a record that was put together by hand is read", () => {
  assert.deepEqual(decodeRecord(record(JSON.stringify(FIELDS))), ENTRY);
});

test("what is written has 2,048 bytes, the checksum, a space, JSON, spaces and a newline", () => {
  const bytes = encodeRecord(ENTRY);
  assert.equal(bytes.length, SIZE);
  const text = Buffer.from(bytes).toString("latin1");
  assert.equal(text.slice(0, 8), crc32(bytes.subarray(8)).toString(16).padStart(8, "0"));
  assert.match(text.slice(8), /^ \{.*\} *\n$/);
  assert.deepEqual(JSON.parse(text.slice(9)), FIELDS);
});

test("a binding for ever, without ACK, and a claim are written and read", () => {
  const { acknowledged: _, ...rest } = ENTRY.binding!;
  const forever = { ...rest, origin: "static", server: 0, netmask: 0, dnsServers: [] } as const;
  const never = { expires: Number.POSITIVE_INFINITY, expiresSinceBoot: Number.POSITIVE_INFINITY };
  const entry: Entry = { ...ENTRY, binding: { ...forever, ...never }, claimed: parseIPv4("10.77.0.6")! };
  const bytes = encodeRecord(entry);
  assert.deepEqual(decodeRecord(bytes), entry);
  const json = JSON.parse(Buffer.from(bytes).toString("latin1").slice(9));
  assert.deepEqual([json.binding.expires, json.binding.server, json.claimed], [null, null, "10.77.0.6"]);
});

test("the longest record there can be fits", () => {
  const clientIdentifier = new Uint8Array(255).fill(0xee);
  const dnsServers = Array.from({ length: 8 }, () => parseIPv4("255.255.255.254")!);
  const binding = {
    ...ENTRY.binding!,
    netmask: 0xffffffff,
    router: 0xfffffffe,
    server: 0xfffffffe,
    dnsServers,
    acknowledged: { ...ENTRY.binding!.acknowledged!, clientIdentifier },
    expires: Number.MAX_SAFE_INTEGER,
    expiresSinceBoot: Number.MAX_SAFE_INTEGER,
  };
  const last = Number.MAX_SAFE_INTEGER;
  const long = { network: "x".repeat(200), pid: 2 ** 22, claimed: 0xfffffffe, written: last, writtenSinceBoot: last };
  const entry: Entry = { ...ENTRY, ...long, binding };
  assert.deepEqual(decodeRecord(encodeRecord(entry)), entry);
});

test("a network's name that does not fit is refused, not cut", () => {
  for (const network of ["", "x".repeat(201), "bridge\nbr0", "brücke"]) {
    assert.throws(() => encodeRecord({ ...ENTRY, network }), RangeError);
  }
});

test("one bit that flipped anywhere makes it none", () => {
  const bytes = encodeRecord(ENTRY);
  for (let bit = 0; bit < SIZE * 8; bit++) {
    const damaged = Uint8Array.from(bytes);
    damaged[bit >>> 3]! ^= 1 << (bit & 7);
    assert.equal(decodeRecord(damaged), undefined, `bit ${bit}`);
  }
});

test("D28 a record that a crash left half written, old and new bytes side by side, is none", () => {
  const before = encodeRecord(ENTRY);
  const after = encodeRecord({ ...ENTRY, state: "released", written: ENTRY.written + 1 });
  for (let cut = 0; cut <= SIZE; cut++) {
    const torn = Buffer.concat([after.subarray(0, cut), before.subarray(cut)]);
    const whole = torn.equals(after) || torn.equals(before);
    assert.equal(decodeRecord(torn) !== undefined, whole, `cut at ${cut}`);
  }
});

test("every other length is none", () => {
  const bytes = encodeRecord(ENTRY);
  for (const length of [0, 1, 8, 9, 10, 100, SIZE - 1])
    assert.equal(decodeRecord(bytes.subarray(0, length)), undefined);
  assert.equal(decodeRecord(Buffer.concat([bytes, Buffer.from("\n")])), undefined);
  assert.equal(decodeRecord(record(JSON.stringify(FIELDS), SIZE + 1)), undefined);
});

/** A copy of the fields with one of them changed or, with undefined, left out; `path` goes down with points. */
function changed(path: string, value: unknown): string {
  const copy = structuredClone(FIELDS) as Record<string, unknown>;
  const steps = path.split(".");
  const last = steps.pop()!;
  const object = steps.reduce((place, step) => place[step] as Record<string, unknown>, copy);
  if (value === undefined) delete object[last];
  else object[last] = value;
  return JSON.stringify(copy);
}

test("a field that is missing makes it none", () => {
  const acknowledged = ["source", "sourceMac"].map((name) => `binding.acknowledged.${name}`);
  const inBinding = Object.keys(BINDING).filter((name) => name !== "acknowledged");
  const paths = [...Object.keys(FIELDS), ...inBinding.map((name) => `binding.${name}`), ...acknowledged];
  for (const path of paths) assert.equal(decodeRecord(record(changed(path, undefined))), undefined, path);
});

test("a field of another type or out of its range makes it none", () => {
  const wrong: readonly (readonly [string, unknown])[] = [
    ...[0, 2, "1"].map((value) => ["version", value] as const),
    ...[1, null, ["x"]].map((value) => ["boot", value] as const),
    ...["", "\u0007", 7].map((value) => ["network", value] as const),
    ...["7e:1a", 5, null].map((value) => ["mac", value] as const),
    ...[-1, 1.5, "4711", 2 ** 60].map((value) => ["pid", value] as const),
    ...["live", 1, null].map((value) => ["state", value] as const),
    ...[null, [], 3, "x"].map((value) => ["binding", value] as const),
    ...["0.0.0.0", "10.77.0", null, 5].map((value) => ["binding.address", value] as const),
    ...["dhcp", "", null].map((value) => ["binding.origin", value] as const),
    ...["x", 3, "0.0.0.0"].map((value) => ["binding.server", value] as const),
    ...[null, "10.0.0.1", [5], Array(9).fill("10.0.0.1")].map((value) => ["binding.dnsServers", value] as const),
    ...[-1, 0.5, "1", null].map((value) => ["binding.expires", value] as const),
    ...[-1, 0.5, "1", null].map((value) => ["binding.expiresSinceBoot", value] as const),
    ...["0", "0g", "ab".repeat(256), "AB", 5].map((value) => ["binding.acknowledged.clientIdentifier", value] as const),
    ...["02:77", null].map((value) => ["binding.acknowledged.sourceMac", value] as const),
    ...[-1, 0.5, null].map((value) => ["written", value] as const),
    ...[-1, 0.5, null].map((value) => ["writtenSinceBoot", value] as const),
    ...["10.77.0", 5, "0.0.0.0"].map((value) => ["claimed", value] as const),
  ];
  for (const [path, value] of wrong) {
    assert.equal(decodeRecord(record(changed(path, value))), undefined, `${path} = ${JSON.stringify(value)}`);
  }
});

test("what is no JSON object makes it none", () => {
  for (const json of ["", "null", "[]", "5", '"text"', "{", "{}", `${JSON.stringify(FIELDS)}x`, '{"__proto__":{}}']) {
    assert.equal(decodeRecord(record(json)), undefined, json);
  }
});
