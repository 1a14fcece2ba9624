/** The JSON reader against Node's own, which is the oracle for what is JSON at all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Json, JsonArray, JsonError, JsonNumber, JsonObject, readJson } from "../../src/control/json.ts";

function plain(value: Json): unknown {
  if (value instanceof JsonNumber) return Number(value.text);
  if (value instanceof JsonArray) return value.elements.map(plain);
  if (!(value instanceof JsonObject)) return value;
  return Object.fromEntries([...value.members].map(([key, member]) => [key, plain(member)]));
}

/** Whether an object has a key that came twice. */
function hasTwice(value: Json): boolean {
  if (value instanceof JsonArray) return value.elements.some(hasTwice);
  if (!(value instanceof JsonObject)) return false;
  return value.duplicate !== undefined || [...value.members.values()].some(hasTwice);
}

test("what JSON.stringify writes is read as the same value", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 10 }), fc.constantFrom(undefined, 1, "\t"), (value, space) => {
      const text = JSON.stringify(value, undefined, space);
      assert.deepEqual(plain(readJson(text)), JSON.parse(text));
    }),
  );
});

test("what JSON.parse refuses is refused, and what it takes is taken, but for what is refused on purpose", () => {
  const token = fc.constantFrom(
    ...'[]{}:,-+.eE0123456789"\\/ \t\n\r',
    "true",
    "false",
    "null",
    '"a"',
    '"\\u00e9"',
    "\\u",
    "\u0001",
    "\u00a0",
    "x",
  );
  fc.assert(
    fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
      const text = tokens.join("");
      let wanted: unknown;
      try {
        wanted = { value: JSON.parse(text) };
      } catch {
        wanted = "refused";
      }
      let found: unknown;
      let twice = false;
      try {
        const value = readJson(text);
        found = { value: plain(value) };
        twice = hasTwice(value);
      } catch (error) {
        assert.ok(error instanceof JsonError);
        found = "refused";
      }
      if (twice) return; // of two equal keys JSON.parse keeps the last one, the reader the first and says so
      assert.deepEqual(found, wanted, text);
    }),
    { numRuns: 20_000 },
  );
});

test("numbers stay as they were written, and a key that comes twice is remembered", () => {
  const object = readJson('{"a":1.50e+3,"b":18446744073709551615,"a":2}') as JsonObject;
  assert.deepEqual(object.members.get("a"), new JsonNumber("1.50e+3"));
  assert.deepEqual(object.members.get("b"), new JsonNumber("18446744073709551615"));
  assert.equal(object.duplicate, "a");
  const proto = readJson('{"__proto__":1,"constructor":2}') as JsonObject;
  assert.deepEqual([...proto.members.keys()], ["__proto__", "constructor"]);
});

test("of a long array and of a large object a part is kept, and all is counted", () => {
  const array = readJson(`[${Array(10_000).fill("1").join(",")}]`) as JsonArray;
  assert.deepEqual([array.elements.length, array.length], [4097, 10_000]);
  const keys = Array.from({ length: 100 }, (_, index) => `"k${index}":0`);
  const object = readJson(`{${keys.join(",")}}`) as JsonObject;
  assert.equal(object.members.size, 64);
  assert.equal(object.surplus, "k64");
});

test("16,384 values are kept, 16,385 are not, however they are spread", () => {
  const rows = (count: number, size: number): string =>
    Array(count)
      .fill(`[${Array(size).fill("0").join(",")}]`)
      .join(",");
  assert.ok(readJson(`[${rows(64, 255)}]`)); // 64 rows, and 255 in each
  assert.throws(() => readJson(`[${rows(64, 255)},0]`), /more than 16384 values/);
  const members = (count: number): string =>
    `{${Array.from({ length: count }, (_, index) => `"k${index}":0`).join(",")}}`;
  assert.ok(readJson(`[${Array(512).fill(members(31)).join(",")}]`));
  assert.throws(() => readJson(`[${Array(512).fill(members(31)).join(",")},null]`), /more than 16384 values/);
  // What is behind the last element that is kept counts with what is in it.
  assert.ok(readJson(`[${"0,".repeat(4097)}${rows(12_287, 1)}]`));
  assert.throws(() => readJson(`[${"0,".repeat(4097)}${rows(12_288, 1)}]`), /more than 16384 values/);
  // And what is only counted does not.
  assert.equal((readJson(`[${"0,".repeat(100_000)}0]`) as JsonArray).length, 100_001);
});

test("16 levels are read, 17 are not; strings of nothing but quotes and backslashes take no time", () => {
  assert.ok(readJson(`${"[".repeat(16)}1${"]".repeat(16)}`));
  assert.throws(() => readJson(`${"[".repeat(17)}${"]".repeat(17)}`), /nested deeper than 16/);
  const begin = performance.now();
  assert.equal((readJson(`"${'\\"'.repeat(300_000)}"`) as string).length, 300_000);
  assert.equal((readJson(`"${"\\\\".repeat(300_000)}"`) as string).length, 300_000);
  assert.throws(() => readJson(`"${"\\".repeat(600_001)}"`), JsonError);
  assert.ok(performance.now() - begin < 2000);
});
