/** scripts/test.ts, which runs all tests: whatever fails is counted. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../support/folder.ts";
import { PATIENCE } from "../support/patience.ts";

const SCRIPT = fileURLToPath(new URL("../../scripts/test.ts", import.meta.url));

const HEAD = 'import { before, suite, test } from "node:test";\n';
const PASSES = `${HEAD}test("passes", () => {});\n`;
const BROKEN = {
  "a test fails": 'test("a", () => { throw new Error("no"); });',
  "a test of a suite fails": 'suite("s", () => { test("a", () => { throw new Error("no"); }); });',
  "a suite throws before its first test": 'suite("s", () => { throw new Error("no"); });',
  "a suite throws behind a test": 'suite("s", () => { test("a", () => {}); throw new Error("no"); });',
  "a suite in a suite throws": 'suite("s", () => { suite("t", () => { throw new Error("no"); }); });',
  "what is before a suite throws":
    'suite("s", () => { before(() => { throw new Error("no"); }); test("a", () => {}); });',
  "a file throws": 'throw new Error("no");',
};

for (const [name, code] of Object.entries(BROKEN)) {
  test(`where ${name}, the run fails though another file passes, and a failure is counted`, (t) => {
    const folder = temporaryFolder(t);
    const files = [join(folder, "broken.test.ts"), join(folder, "passes.test.ts")];
    writeFileSync(files[0]!, `${HEAD}${code}\n`);
    writeFileSync(files[1]!, PASSES);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const ran = spawnSync(process.execPath, [SCRIPT, ...files], { encoding: "utf8", env, timeout: PATIENCE });
    assert.equal(ran.status, 1, ran.stdout);
    // A test whose suite throws may not run; it is then a failure beside its suite's.
    const failed = name.startsWith("a test ") ? "1" : "[12]";
    assert.match(ran.stdout, new RegExp(`\\n[12] passed, ${failed} failed, 0 skipped\\n$`), ran.stdout);
  });
}
