/** One direction of a TCP stream in order: what comes early, again, in parts, or with other bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CHANGED, MOST_HELD, OrderedBytes, OUT_OF_ORDER } from "../../../src/guard/names/ordered-bytes.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function take(stream: OrderedBytes, sequence: number, text: string): number {
  const data = bytesOf(text);
  return stream.take(sequence >>> 0, data, 0, data.length);
}

const heldBy = (stream: OrderedBytes): string => new TextDecoder().decode(stream.bytes.subarray(0, stream.held));

test("bytes in order are held, across the sequence number's end", () => {
  const stream = new OrderedBytes();
  stream.begin(0xffffffff);
  assert.equal(take(stream, 0xffffffff, "ab"), 2);
  assert.equal(stream.next, 1);
  assert.equal(take(stream, 1, "cd"), 2);
  assert.equal(heldBy(stream), "abcd");
});

test("what lies ahead of its turn, or before the start, is out of order and changes nothing", () => {
  const stream = new OrderedBytes();
  stream.begin(1000);
  take(stream, 1000, "ab");
  assert.equal(take(stream, 1003, "x"), OUT_OF_ORDER);
  assert.equal(take(stream, 999, "xab"), OUT_OF_ORDER);
  assert.equal(heldBy(stream), "ab");
});

test("a repetition must be the same bytes; what follows it is new", () => {
  const stream = new OrderedBytes();
  stream.begin(7);
  take(stream, 7, "hello");
  assert.equal(take(stream, 7, "hello"), 0);
  assert.equal(take(stream, 9, "llo you"), 4);
  assert.equal(take(stream, 8, "E"), CHANGED);
  assert.equal(heldBy(stream), "hello you");
});

test("no more is held than there is room for", () => {
  const stream = new OrderedBytes();
  stream.begin(0);
  const data = new Uint8Array(60_000).fill(65);
  assert.equal(stream.take(0, data, 0, data.length), 60_000);
  assert.equal(stream.held, MOST_HELD);
  assert.equal(stream.bytes.length, MOST_HELD);
});

test("what was forgotten is before the start", () => {
  const stream = new OrderedBytes();
  stream.begin(10);
  take(stream, 10, "abcdef");
  stream.forget(4);
  assert.equal(stream.start, 14);
  assert.equal(heldBy(stream), "ef");
  assert.equal(take(stream, 10, "abcd"), OUT_OF_ORDER);
  assert.equal(take(stream, 14, "efg"), 1);
});

test("however a stream is cut, sent ahead and repeated, what is held is its beginning", () => {
  const text = "The quick brown fox jumps over the lazy dog";
  const cuts = fc.array(fc.tuple(fc.nat(text.length - 1), fc.nat(12)), { maxLength: 200 });
  fc.assert(
    fc.property(cuts, fc.integer({ min: 0, max: 0xffffffff }), (segments, start) => {
      const stream = new OrderedBytes();
      stream.begin(start);
      for (const [from, length] of segments) {
        const before = stream.held;
        const fresh = take(stream, start + from, text.slice(from, from + length));
        if (from > before) assert.equal(fresh, OUT_OF_ORDER);
        else assert.equal(stream.held, before + Math.max(0, fresh));
        assert.equal(heldBy(stream), text.slice(0, stream.held));
      }
    }),
  );
});
