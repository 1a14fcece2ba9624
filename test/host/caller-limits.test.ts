import assert from "node:assert/strict";
import { test } from "node:test";
import { hardLimit } from "../../src/host/caller-limits.ts";

test("a hard limit is read as the kernel prints it", () => {
  const text = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              60                   3600                 seconds
Max open files            1024                 524288               files
Max address space         unlimited            unlimited            bytes
`;
  assert.equal(hardLimit(text, "Max cpu time"), 3600n);
  assert.equal(hardLimit(text, "Max open files"), 524_288n);
  assert.equal(hardLimit(text, "Max address space"), 0xffffffffffffffffn);
});
