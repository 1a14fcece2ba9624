import assert from "node:assert/strict";
import { test } from "node:test";
import { allocate } from "../../src/native/memory.ts";

test("memory is zeroed, on a cache line, and within one 4 GiB window", () => {
  for (const size of [1, 63, 64, 4096, 100_000, 4_000_000]) {
    const memory = allocate(size);
    assert.equal(memory.bytes.length, size);
    assert.equal(memory.address % 64, 0);
    assert.equal(Math.floor(memory.address / 2 ** 32), Math.floor((memory.address + size - 1) / 2 ** 32));
    assert.ok(memory.bytes.every((byte) => byte === 0));
    memory.bytes.fill(0xff);
    memory.free();
  }
});

test("freed memory cannot be reached any more", () => {
  const memory = allocate(64);
  const words = new Uint32Array(memory.bytes.buffer, memory.bytes.byteOffset, 16);
  memory.free();
  memory.free();
  assert.equal(memory.bytes.length, 0);
  assert.equal(words.length, 0);
});

test("sizes that cannot be allocated are refused", () => {
  for (const size of [0, -1, 1.5, Number.NaN, 2 ** 32]) assert.throws(() => allocate(size), RangeError);
});
