/** What the express lane needs to know of the kernel is found once and kept; nothing is believed that others may have written. */
import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { keptKernelTypes } from "../../src/attach/kept-kernel-types.ts";
import type { KernelTypes } from "../../src/lane/load.ts";
import { temporaryFolder } from "../support/folder.ts";

const TYPES: KernelTypes = { functions: { bpf_cast_to_kern_ctx: 4711 }, fields: [1, 2, 3, 4, 5, 6, 7, 8] };
const OTHER: KernelTypes = { functions: { bpf_cast_to_kern_ctx: 4712 }, fields: [8, 7, 6, 5, 4, 3, 2, 1] };
const owner = process.getuid!();

test("it is read once for a kernel, and anew for another", (t) => {
  const folder = temporaryFolder(t);
  let reads = 0;
  const read = (): KernelTypes => (reads++ === 0 ? TYPES : OTHER);
  assert.deepEqual(keptKernelTypes({ folder, owner, kernel: "one" }, read), TYPES);
  assert.deepEqual(keptKernelTypes({ folder, owner, kernel: "one" }, read), TYPES);
  assert.equal(reads, 1);
  assert.deepEqual(keptKernelTypes({ folder, owner, kernel: "two" }, read), OTHER);
  assert.deepEqual(readdirSync(folder), ["kernel-types"]);
});

test("why there is nothing is not kept", (t) => {
  const folder = temporaryFolder(t);
  assert.equal(
    keptKernelTypes({ folder, owner, kernel: "one" }, () => "too old"),
    "too old",
  );
  assert.deepEqual(readdirSync(folder), []);
});

test("a folder that takes no file changes nothing", () => {
  assert.deepEqual(
    keptKernelTypes({ folder: "/proc/none", owner, kernel: "one" }, () => TYPES),
    TYPES,
  );
});

test("what others may have written, what is cut short and what is something else is not believed", (t) => {
  const folder = temporaryFolder(t);
  const path = `${folder}/kernel-types`;
  const keptIn = { folder, owner, kernel: "one" };
  const kept = (): KernelTypes | string => keptKernelTypes(keptIn, () => OTHER);
  const whole = JSON.stringify({ kernel: "one", ...TYPES });
  const put = (text: string, mode = 0o600): void => {
    writeFileSync(path, text);
    chmodSync(path, mode);
  };
  put(whole);
  assert.deepEqual(kept(), TYPES);
  put(whole, 0o620);
  assert.deepEqual(kept(), OTHER);
  put(whole);
  assert.deepEqual(
    keptKernelTypes({ ...keptIn, owner: owner + 1 }, () => OTHER),
    OTHER,
  );
  for (const text of ["", "null", "[]", whole.slice(0, -5), '{"kernel":"one"}']) {
    put(text);
    assert.deepEqual(kept(), OTHER, text);
  }
  for (const wrong of [
    { ...TYPES, fields: [1, 2, 3] },
    { ...TYPES, fields: [1, 2, 3, 4, 5, 6, 7, "8"] },
    { ...TYPES, functions: {} },
    { ...TYPES, functions: { bpf_cast_to_kern_ctx: 1.5 } },
  ]) {
    put(JSON.stringify({ kernel: "one", ...wrong }));
    assert.deepEqual(kept(), OTHER, JSON.stringify(wrong));
  }
  const elsewhere = `${folder}/elsewhere`;
  writeFileSync(elsewhere, whole, { mode: 0o600 });
  unlinkSync(path);
  symlinkSync(elsewhere, path);
  assert.deepEqual(kept(), OTHER);
  assert.equal(readFileSync(elsewhere, "utf8"), whole, "nothing is written through a link");
});
