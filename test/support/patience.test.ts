/** How long tests wait is said in one place: a deadline of a test's own is too short on somebody's machine. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("..", import.meta.url));
/** An option with a number, and a number where a harness's function takes how long to wait. */
const OWN = [
  /\bconst (?:PATIENCE|LIMIT) = [^;]*\d_000/,
  /\btimeout: ?\d/,
  /\.(?:ended|stop)\([^)]*\d_000\)/,
  /\b(?:line|event|until|ended|run)\(.*, \d[\d_]*_000\b/,
];

test("no test has a deadline of its own: PATIENCE and LIMIT are the only ones", () => {
  const found = globSync("**/*.ts", { cwd: FOLDER, exclude: ["lab/tools/**", "support/patience.ts"] }).flatMap((path) =>
    readFileSync(join(FOLDER, path), "utf8")
      .split("\n")
      .flatMap((line, index) =>
        OWN.some((pattern) => pattern.test(line)) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
  );
  assert.deepEqual(found, [], "use test/support/patience.ts");
});
