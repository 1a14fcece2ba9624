/**
 * With a check of the guard's names taken out, the two guards differ over generated conversations, or, where these do not reach
 * it, a literal test of test/guard/names fails.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { MUTANTS } from "./mutants.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Sessions of 400 steps and more that each is shown at most. */
const SESSIONS = 150;

/** The exit code: 1 where a test fails. */
function runLiteralTests(folder: string): number | null {
  const files = ["opening", "first-bytes", "dns", "ipv6"].map((name) =>
    join(folder, `test/guard/names/${name}.test.ts`),
  );
  return spawnSync(process.execPath, ["--test", ...files], { encoding: "utf8", env: withoutTestContext() }).status;
}

/** Inside a test runner a second one would report to it. */
function withoutTestContext(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...others } = process.env;
  return others;
}

suite("planted bugs in names are found", () => {
  let folder = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "softnet-names-"));
    for (const part of ["src", "test/oracle", "test/guard", "test/support", "test/wire", "package.json"])
      cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const { name, file, from, to } of MUTANTS) {
    test(name, () => {
      const path = join(folder, "src/guard/names", file);
      const whole = readFileSync(path, "utf8");
      assert.equal(whole.split(from).length, 2, `${file} must have this once: ${from}`);
      writeFileSync(
        path,
        whole.replace(from, () => to),
      );
      const find = join(folder, "test/oracle/names/find.ts");
      const { status, stderr } = spawnSync(process.execPath, [find, String(SESSIONS)], { encoding: "utf8" });
      const literal = status === 3 ? undefined : runLiteralTests(folder);
      writeFileSync(path, whole);
      assert.ok(status === 3 || literal === 1, `not found; ${stderr}`);
    });
  }
});
