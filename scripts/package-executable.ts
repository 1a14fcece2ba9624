/**
 * One executable of one target: Node's runtime with softnet's code in it (Node's "single executable application"),
 * and what goes with it in the same folder.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { signAdHoc } from "./macho/sign.ts";
import { refuseChanged } from "./macho/unchanged.ts";
import type { Dependency } from "./package-bundle.ts";
import { koffiFor, runtimeFor, runtimeLicence } from "./package-runtimes.ts";
import { ownTarget, type Target } from "./package-targets.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ENTITLEMENTS = join(ROOT, "packaging", "softnet.entitlements");

/** What macOS calls the program, in its signature. A fixed name, so that the same files have the same signature. */
const IDENTIFIER = "softnet";

const NO_EVAL = "--disallow-code-generation-from-strings";

/**
 * Options that are part of the executable, and the only ones: neither NODE_OPTIONS nor arguments add to them.
 *
 * - A small young generation and one thread beside the main one: forwarding allocates nothing, and hosts run many of these.
 * - SIGUSR1 opens no debugger.
 * - Node's permission system, for what it makes impossible: the inspector, and with it NODE_V8_COVERAGE, which would
 *   write files with root's rights even when Node ends before softnet's first statement; worker threads; node:ffi. What
 *   softnet needs is allowed; about those two Node would warn on stderr.
 * - No code comes from strings.
 * - What is refused is refused by name: `--experimental-config-file=FILE` counts wherever it stands among the arguments, and
 *   such a file can allow the inspector again, or ask for Node's test runner. What stands here wins over it.
 * - The options end here. Node repeats argv[0] behind them, where a script's name would be, and argv[0] is the caller's to
 *   choose: started as `--require=FILE`, the executable would run that file with root's rights.
 */
export const NODE_OPTIONS: readonly string[] = [
  "--max-semi-space-size=1",
  "--v8-pool-size=1",
  "--disable-sigusr1",
  "--permission",
  "--allow-fs-read=*",
  "--allow-fs-write=*",
  "--allow-child-process",
  "--allow-addons",
  "--allow-net",
  ...["inspector", "worker", "wasi", "ffi"].map((what) => `--no-allow-${what}`),
  "--no-test",
  "--no-watch",
  "--disable-warning=ExperimentalWarning", // that --allow-net is one
  "--disable-warning=PERM0001",
  "--disable-warning=PERM0002",
  NO_EVAL,
  "--",
];

export interface Parts {
  /** softnet's code in one file. */
  readonly code: string;
  readonly dependencies: readonly Dependency[];
  /** For files in between. */
  readonly scratch: string;
  /** Path of another runtime than the pinned one. */
  readonly runtime?: string;
}

/** Makes `folder` with `softnet` and its licences in it. Throws, and leaves no `softnet` there, for one that is broken. */
export function makeExecutable(target: Target, folder: string, parts: Parts): void {
  const { code, dependencies, scratch, runtime = runtimeFor(target) } = parts;
  mkdirSync(folder, { recursive: true });
  const output = join(folder, "softnet");
  const configuration = {
    main: code,
    mainFormat: "module",
    executable: runtime,
    output,
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    useCodeCache: target === ownTarget(), // halves the start; only the same runtime can make it
    execArgv: NODE_OPTIONS,
    execArgvExtension: "none",
    assets: { "koffi.node": koffiFor(target), "package.json": join(ROOT, "package.json") },
  };
  const file = join(scratch, `${target}.json`);
  writeFileSync(file, JSON.stringify(configuration));
  run(process.execPath, [NO_EVAL, "--build-sea", file]); // V8 takes its cache only with the flags that it was made with
  chmodSync(output, 0o755);
  copyFileSync(join(ROOT, "LICENSE"), join(folder, "LICENSE"));
  writeFileSync(join(folder, "THIRD-PARTY-NOTICES"), notices(dependencies));
  if (!target.startsWith("darwin")) return;
  copyFileSync(ENTITLEMENTS, join(folder, "softnet.entitlements"));
  signForMac(output, runtime);
}

/** Signs what `--build-sea` made, after a look at whether it still is the runtime. */
function signForMac(path: string, runtime: string): void {
  try {
    const made = readFileSync(path);
    refuseChanged(readFileSync(runtime), made);
    writeFileSync(path, signAdHoc(made, { identifier: IDENTIFIER, entitlements: readFileSync(ENTITLEMENTS) }));
  } catch (error) {
    rmSync(path);
    throw error;
  }
}

function notices(dependencies: readonly Dependency[]): string {
  const node = { name: "Node.js", version: process.version, licence: runtimeLicence() };
  const parts = [...dependencies, node].map(
    ({ name, version, licence }) => `${"=".repeat(80)}\n${name} ${version}\n${"=".repeat(80)}\n\n${licence.trim()}\n`,
  );
  return `The executable softnet contains these programs, under these licences.\n\n${parts.join("\n")}`;
}

/** The version that the executable will tell. */
export function packagedVersion(): string {
  return JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version;
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}: ${stderr}`);
}
