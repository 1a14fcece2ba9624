/** What is published: packed, installed into an empty folder, started, and used as the README says. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../support/folder.ts";
import { PATIENCE } from "../support/patience.ts";
import { needsRegistry } from "../support/tools.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Runs a program to its end, with the Node that runs this test first in PATH. */
function run(folder: string, command: string, ...args: readonly string[]): string {
  const env = {
    ...process.env,
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    npm_config_loglevel: "error",
  };
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    env,
    timeout: PATIENCE,
  });
  assert.equal(status, 0, `${command} ${args.join(" ")}: ${stderr}${stdout}`);
  return stdout;
}

test(
  "the package installs into an empty folder, starts, and does what the README's example says",
  needsRegistry(),
  (t) => {
    const folder = temporaryFolder(t);
    run(ROOT, "npm", "pack", "--pack-destination", folder);
    const archive = readdirSync(folder).find((name) => name.endsWith(".tgz"))!;
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
    run(folder, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", join(folder, archive));

    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    assert.equal(run(folder, "npx", "softnet", "--version"), `${version}\n`);

    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    const example = /```ts\n(import \{ createGuard \}[\s\S]*?)```/.exec(readme)![1]!;
    const expected = /console\.log\(.*\); \/\/ (.*)/.exec(example)![1]!;
    writeFileSync(join(folder, "example.js"), example);
    assert.equal(run(folder, process.execPath, "example.js").trim(), expected);

    // TypeScript users get the types.
    writeFileSync(
      join(folder, "example.ts"),
      `${example}\nconst reason: string | undefined = guard.egress(frame, 1).reason;\nexport { reason };\n`,
    );
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    run(
      folder,
      process.execPath,
      tsc,
      "--noEmit",
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2024",
      "--types",
      "",
      "--lib",
      "es2024,dom",
      "example.ts",
    );
  },
);

test("the package holds what is needed and nothing else", () => {
  const [{ files }] = JSON.parse(run(ROOT, "npm", "pack", "--dry-run", "--json", "--ignore-scripts"));
  const paths: string[] = files.map(({ path }: { path: string }) => path);
  for (const needed of [
    "README.md",
    "LICENSE",
    "package.json",
    "dist/main.js",
    "dist/index.js",
    "dist/index.d.ts",
    "docs/drop-reasons.md",
  ]) {
    assert.ok(paths.includes(needed), needed);
  }
  for (const path of paths) assert.match(path, /^(dist\/|docs\/|README\.md$|LICENSE$|package\.json$)/);
});
