/**
 * The packaged executable, as users get it: made by `npm run package`'s own script, once for each state of the sources,
 * and kept in the temporary folder until the sources are others.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LIMIT } from "./patience.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SOURCES = [
  "src/**/*.ts",
  "packaging/*.*",
  "packaging/licences/*",
  "scripts/package*.ts",
  "scripts/macho/*.ts",
  "package.json",
  "package-lock.json",
  "LICENSE",
];
/** Where other states' executables are older than this, nobody uses them any more; milliseconds. */
const OLD = 3_600_000;

/** The folder with the executable for this machine, its licences and what else `npm run package` puts there. */
export function packaged(): string {
  const all = join(tmpdir(), `softnet-executables-${process.getuid?.()}`);
  const kept = join(all, stateOfSources());
  if (!existsSync(kept)) {
    mkdirSync(all, { recursive: true });
    if (statSync(all).uid !== process.getuid?.()) throw new Error(`${all} is somebody else's: remove it`);
    for (const old of readdirSync(all).map((name) => join(all, name))) {
      if (Date.now() - statSync(old).mtimeMs > OLD) rmSync(old, { recursive: true, force: true });
    }
    const fresh = mkdtempSync(join(all, "new-"));
    const args = [join(ROOT, "scripts", "package.ts"), "--no-debian", "--output", fresh];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", ...LIMIT });
    if (status !== 0) {
      rmSync(fresh, { recursive: true, force: true });
      throw new Error(`npm run package ended with ${status}: ${stderr}`);
    }
    chmodSync(fresh, 0o755); // other users run it
    try {
      renameSync(fresh, kept);
    } catch (error) {
      rmSync(fresh, { recursive: true, force: true });
      if (!existsSync(kept)) throw error; // else another test was faster
    }
  }
  return join(kept, readdirSync(kept)[0]!);
}

/** Path of the executable. */
export function executable(): string {
  return join(packaged(), "softnet");
}

function stateOfSources(): string {
  const hash = createHash("sha256").update(process.version);
  for (const pattern of SOURCES) {
    for (const path of globSync(pattern, { cwd: ROOT }).toSorted()) {
      hash.update(`\0${path}\0`).update(readFileSync(join(ROOT, path)));
    }
  }
  return hash.digest("hex").slice(0, 20);
}
