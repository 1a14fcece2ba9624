/**
 * What an executable is made from besides softnet's own code, for any target: Node's runtime and koffi's library. What
 * this machine does not have installed is fetched with the npm client, whose answer must have the checksum that is
 * written down in this repository (packaging/runtimes.json, package-lock.json), and is kept in the user's cache folder.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ownTarget, type Target } from "./package-targets.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const RUNTIMES = join(ROOT, "packaging", "runtimes.json");
const PATIENCE = 600_000; // milliseconds for 50 MB on a slow line

interface Pinned {
  readonly package: string;
  /** Subresource integrity of the package's archive: sha512. */
  readonly integrity: string;
}

/** Path of Node's runtime for a target, of the version that runs this script. */
export function runtimeFor(target: Target): string {
  const pinned = JSON.parse(readFileSync(RUNTIMES, "utf8")) as Record<Target, Pinned> & { readonly version: string };
  if (process.version !== `v${pinned.version}`) {
    throw new Error(`this is Node ${process.version}, packaged is v${pinned.version}: start it with "npm run package"`);
  }
  if (target === ownTarget()) return process.execPath;
  const { package: name, integrity } = pinned[target];
  return join(fetchPackage(name, pinned.version, integrity), "bin", "node");
}

/** Path of koffi's library for a target: for glibc on Linux, as Node's runtime is. */
export function koffiFor(target: Target): string {
  const name = `@koromix/koffi-${target}`;
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  const installed = join(ROOT, "node_modules", name);
  const folder = existsSync(installed) ? installed : fetchPackage(name, version, integrity);
  return join(folder, target.replace("-", "_"), "koffi.node");
}

/** Licence of Node and of all that is in it. */
export function runtimeLicence(): string {
  const folder = join(ROOT, "node_modules", "node", "node_modules");
  const places = ["node", "node-bin"].map((prefix) => join(folder, `${prefix}-${ownTarget()}`, "LICENSE"));
  const found = places.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`Node's licence is not in ${folder}: run "npm ci"`);
  return readFileSync(found, "utf8");
}

/** Folder of a package's content in the user's cache. `integrity` is that of its archive: sha512. */
export function fetchPackage(name: string, version: string, integrity: string): string {
  const cache = cacheFolder();
  const folder = join(cache, `${name.replace("/", "+")}-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const fresh = mkdtempSync(join(cache, "fetching-"));
  try {
    run("npm", ["pack", `${name}@${version}`, "--pack-destination", fresh, "--loglevel", "error"]);
    const archive = join(fresh, readdirSync(fresh)[0]!);
    const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (found !== integrity) throw new Error(`${name}@${version} has the checksum ${found}, not ${integrity}`);
    run("tar", ["-xzf", archive, "-C", fresh]);
    move(join(fresh, "package"), folder);
    return folder;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Another run may have been faster: what it left has the same checksum. */
function move(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

function cacheFolder(): string {
  const own = process.platform === "darwin" ? join(homedir(), "Library", "Caches") : join(homedir(), ".cache");
  return join(process.env.XDG_CACHE_HOME || own, "softnet");
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: PATIENCE });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}: ${stderr}`);
}
