/** What a TLS client sends behind its hello, and the server's first bytes that ask for another one. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { HELLO_MALFORMED, HELLO_MORE, HELLO_NAMED } from "../../src/wire/tls-hello.ts";
import { HELLO_NONE, mayBeRetry, RETRY_LENGTH, TlsRetry } from "../../src/wire/tls-retry.ts";
import { helloFor } from "../guard/names/segments.ts";

const HELLO = await helloFor("other.example.com");
const record = (type: number, ...data: readonly number[]): number[] => [type, 3, 3, 0, data.length, ...data];

function readIn(parts: readonly (readonly number[])[]): number {
  const reader = new TlsRetry();
  reader.start();
  for (const part of parts) reader.feed(Uint8Array.from(part), 0, part.length);
  return reader.state;
}

test("a hello is found behind a change of cipher specs, alerts, early data and empty records", () => {
  for (const before of [[], record(20, 1), record(21, 1, 0), record(23, 5, 6, 7), record(22), record(23)]) {
    const reader = new TlsRetry();
    reader.start();
    const bytes = Uint8Array.of(...before, ...before, ...HELLO);
    assert.equal(reader.feed(bytes, 0, bytes.length), HELLO_NAMED, `${before}`);
    assert.equal(Buffer.from(reader.hello.host.labels.subarray(0, 6)).toString("latin1"), "\x05other");
  }
});

test("another message of the handshake, or an encrypted one, says that there is none; other records are malformed", () => {
  assert.equal(readIn([record(22, 16, 0, 0, 0)]), HELLO_NONE);
  assert.equal(readIn([record(22, 200)]), HELLO_NONE);
  for (const wrong of [record(19), record(24), [0x47], [22, 2, 0, 0, 1], [23, 3, 3, 72, 1]])
    assert.equal(readIn([[...wrong, 0, 0, 0, 0, 0]]), HELLO_MALFORMED, `${wrong}`);
});

test("however it is cut, the same is read", () => {
  const whole = fc.oneof(
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 60 }),
    fc
      .array(fc.constantFrom(record(20, 1), record(23, 1, 2), record(22, 16), [...HELLO], record(22)), { maxLength: 4 })
      .map((all) => all.flat()),
  );
  fc.assert(
    fc.property(whole, fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 20 }), (bytes, sizes) => {
      const parts: number[][] = [];
      let at = 0;
      for (const size of [...sizes, bytes.length]) {
        if (at < bytes.length) parts.push(bytes.slice(at, at + size));
        at += size;
      }
      assert.equal(readIn(parts), readIn([bytes]));
    }),
    { numRuns: 1000 },
  );
});

test("a HelloRetryRequest is known by its type and its random (RFC 8446 4.1.3), and nothing else is one", () => {
  const random = createHash("sha256").update("HelloRetryRequest").digest();
  const retry = Uint8Array.of(22, 3, 3, 0, 88, 2, 0, 0, 84, 3, 3, ...random, 32);
  const isRetry = (bytes: Uint8Array): boolean =>
    bytes.subarray(0, RETRY_LENGTH).every((byte, at) => mayBeRetry(at, byte));
  assert.equal(isRetry(retry), true);
  for (const at of [0, 5, 11, 42]) {
    const other = retry.slice();
    other[at]! ^= 1;
    assert.equal(isRetry(other), false, `${at}`);
  }
  assert.equal(readIn([]), HELLO_MORE);
});
