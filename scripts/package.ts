/**
 * Makes the executables that users install.
 *
 * npm run package [-- TARGET … | all] [--output FOLDER] [--archive] [--no-debian]
 *
 * A target is linux-x64, linux-arm64, darwin-arm64 or darwin-x64; this machine's own is always made. Each gets a folder
 * build/softnet-VERSION-TARGET. With --archive each is also packed (.tar.gz, with SHA256SUMS), and the Homebrew formula
 * is filled in with the sums, where both of its targets are there. Of each Linux target a Debian package is made too, where
 * dpkg-deb is.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { archive } from "./package-archive.ts";
import { bundle } from "./package-bundle.ts";
import { debianPackage, hasDpkg } from "./package-debian.ts";
import { makeExecutable, packagedVersion } from "./package-executable.ts";
import { chosenTargets } from "./package-targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: "string", default: "build" },
    archive: { type: "boolean", default: false },
    debian: { type: "boolean", default: true },
  },
  allowNegative: true,
});
const targets = chosenTargets(positionals);
const output = resolve(values.output);
const makesDebian = values.debian && hasDpkg();
const scratch = mkdtempSync(join(tmpdir(), "softnet-package-"));
try {
  const code = join(scratch, "softnet.mjs");
  const dependencies = await bundle(code);
  for (const target of targets) {
    const folder = join(output, `softnet-${packagedVersion()}-${target}`);
    rmSync(folder, { recursive: true, force: true });
    makeExecutable(target, folder, { code, dependencies, scratch });
    console.log(join(folder, "softnet"));
    if (makesDebian) console.log(debianPackage(target, { output, folder, scratch }) ?? "");
  }
  if (values.debian && !makesDebian)
    console.error("no Debian package: dpkg-deb is missing (Debian: apt-get install dpkg)");
  if (values.archive) for (const path of archive(output, targets)) console.log(path);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
