/** What a release offers: each executable's folder packed, the sums, and the Homebrew formula filled in with them. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { packagedVersion } from "./package-executable.ts";
import type { Target } from "./package-targets.ts";

const FORMULA = fileURLToPath(new URL("../packaging/softnet.rb", import.meta.url));

/** Packs the folders of these targets, which are in `output`, and answers the paths of what it wrote there. */
export function archive(output: string, targets: readonly Target[]): string[] {
  const version = packagedVersion();
  const sums = new Map(targets.map((target) => [target, pack(output, `softnet-${version}-${target}`)]));
  const lines = targets.map((target) => `${sums.get(target)}  softnet-${version}-${target}.tar.gz\n`);
  const written = targets.map((target) => join(output, `softnet-${version}-${target}.tar.gz`));
  written.push(join(output, "SHA256SUMS"));
  writeFileSync(written.at(-1)!, lines.join(""));
  if (!targets.includes("darwin-arm64") || !targets.includes("darwin-x64")) return written;
  written.push(join(output, basename(FORMULA)));
  writeFileSync(written.at(-1)!, filledFormula(readFileSync(FORMULA, "utf8"), version, sums));
  return written;
}

/** The formula with `VERSION` and each `SHA256-TARGET` replaced. */
export function filledFormula(formula: string, version: string, sums: ReadonlyMap<Target, string>): string {
  const filled = formula
    .replaceAll("VERSION", version)
    .replaceAll(/SHA256-((?:darwin|linux)-\w+)/g, (whole, target) => sums.get(target as Target) ?? whole);
  return filled;
}

/** Answers the archive's SHA-256. Whoever packs, the files are root's. */
function pack(output: string, folder: string): string {
  const file = join(output, `${folder}.tar.gz`);
  const { status, stderr } = spawnSync("tar", ["-czf", file, "-C", output, folder], { encoding: "utf8" });
  if (status !== 0) throw new Error(`tar ended with ${status}: ${stderr}`);
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}
