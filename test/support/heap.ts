/** What code leaves on the heap: for tests of what may allocate nothing. */
import assert from "node:assert/strict";

/** Bytes that the heap has grown by while `run(times)` ran for a second time; the first time compiles it. */
export function grownBy(times: number, run: (times: number) => void): number {
  const collect = globalThis.gc;
  assert.ok(collect, "run with --expose-gc, as scripts/test.ts does");
  run(times);
  collect();
  const before = process.memoryUsage().heapUsed;
  run(times);
  return process.memoryUsage().heapUsed - before;
}
