/** Hellos of TLS that are made by chance, whole, changed and cut, against read-tls-client-hello. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LONGEST_HELLO, TlsHello } from "../../src/wire/tls-hello.ts";
import {
  bytes,
  extension,
  feedHello,
  hello,
  oracleName,
  RFC_8448,
  readHello,
  records,
  serverName,
} from "./tls-support.ts";

const NUM_RUNS = process.env.SOFTNET_TEST_ALL === "1" ? 3000 : 400;

const parts = fc.record({
  sessionId: fc.uint8Array({ maxLength: 32 }),
  suites: fc.uint8Array({ minLength: 1, maxLength: 40 }).map((one) => Buffer.concat([one, one])),
  before: fc.array(fc.tuple(fc.integer({ min: 1, max: 0xffff }), fc.uint8Array({ maxLength: 300 })), { maxLength: 4 }),
  name: fc.option(fc.domain()),
  behind: fc.array(fc.tuple(fc.integer({ min: 1, max: 0xffff }), fc.uint8Array({ maxLength: 300 })), { maxLength: 4 }),
  recordSize: fc.integer({ min: 1, max: 900 }),
  sizes: fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 20 }),
});

type Parts = typeof parts extends fc.Arbitrary<infer T> ? T : never;

function streamOf({ sessionId, suites, before, name, behind, recordSize }: Parts): Buffer {
  const several = (list: Parts["before"]): Buffer[] => list.map(([type, data]) => extension(type, data));
  const named = name === null ? [] : [serverName(name)];
  const extensions = Buffer.concat([...several(before), ...named, ...several(behind)]);
  return records(hello({ sessionId, suites, extensions }), recordSize);
}

test("any hello in any records and any chunks: the name that is in it, as read-tls-client-hello reads it", async () => {
  await fc.assert(
    fc.asyncProperty(parts, async (one) => {
      const stream = streamOf(one);
      const expected = one.name?.toLowerCase() ?? "nameless";
      assert.equal(readHello(stream, one.sizes), stream.length > LONGEST_HELLO ? "malformed" : expected);
      assert.equal((await oracleName(stream))?.toLowerCase() ?? "nameless", expected);
    }),
    { numRuns: NUM_RUNS },
  );
});

test("changed and cut hellos never throw, say the same in any chunks, and never a name that the oracle does not see", async () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 });
  // Most changes go to the beginning or to the end, where lengths are.
  const near = fc.constantFrom(60, 5000);
  await fc.assert(
    fc.asyncProperty(parts, changes, near, fc.nat(), async (one, mutations, within, cut) => {
      const whole = streamOf({ ...one, before: one.before.slice(0, 1), recordSize: 4 * one.recordSize });
      for (const [at, value] of mutations) whole[(at % within) % whole.length] = value;
      const stream = cut % 4 === 0 ? whole.subarray(0, cut % whole.length) : whole;
      const said = readHello(stream);
      assert.equal(readHello(stream, one.sizes), said);
      assert.equal(readHello(stream, [1]), said);
      if (["more", "nameless", "malformed"].includes(said)) return;
      assert.equal((await oracleName(stream))?.toLowerCase(), said);
    }),
    { numRuns: 5 * NUM_RUNS },
  );
});

test("bytes that are no hello never throw, and a reader that is started again has forgotten them", () => {
  const reader = new TlsHello();
  const beginning = fc.constantFrom("", "16", "160301", "1603010200", "16030102000100", "160301020001000010");
  fc.assert(
    fc.property(beginning, fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 50 }), (start, rest, size) => {
      reader.start();
      const stream = Buffer.concat([bytes(start), rest]);
      assert.equal(feedHello(reader, stream, [size]), readHello(stream));
      reader.start();
      assert.equal(feedHello(reader, RFC_8448, [size]), "server");
    }),
    { numRuns: NUM_RUNS },
  );
});
