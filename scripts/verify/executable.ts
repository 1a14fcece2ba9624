/** The packaged executable with the SUID bit: a copy of it in a folder of root's, which is removed again. */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Finding, failed, leftOut, ok, type Point } from "./points.ts";

/** Everybody may look in, only root may write. */
const PLACE = "/usr/local";
const SHARED = "/private/tmp";

/** `path` is the executable's, if there is one. */
export function executablePoints(path: string | undefined): Point[] {
  return [
    { name: "executable: it starts with the SUID bit, and its caller's variables do nothing", run: () => look(path) },
  ];
}

function look(path: string | undefined): Finding {
  if (path === undefined) return leftOut("give it: verify-on-a-mac --executable build/…/softnet");
  const uid = Number(process.env.SUDO_UID);
  const gid = Number(process.env.SUDO_GID);
  if (!(uid > 0) || !(gid >= 0)) return leftOut("start this as an ordinary user: he is the one who tries");
  mkdirSync(PLACE, { recursive: true });
  const folder = mkdtempSync(join(PLACE, "softnet-verify-"));
  const coverage = mkdtempSync(join(SHARED, "softnet-verify-"));
  try {
    chmodSync(folder, 0o755);
    chownSync(coverage, uid, gid);
    const copy = join(folder, "softnet");
    copyFileSync(path, copy);
    chownSync(copy, 0, 0);
    chmodSync(copy, 0o4755);
    return tryOut(copy, coverage, { uid, gid });
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(coverage, { recursive: true, force: true });
  }
}

function tryOut(copy: string, coverage: string, who: { readonly uid: number; readonly gid: number }): Finding {
  const signed = spawnSync("/usr/bin/codesign", ["--display", "--entitlements", "-", copy], { encoding: "utf8" });
  const entitlements = [...(signed.stdout ?? "").matchAll(/com\.apple[\w.-]+/g)].join(", ") || "none";
  const env = { PATH: "/usr/bin:/bin", DYLD_PRINT_LIBRARIES: "1", NODE_V8_COVERAGE: coverage };
  const start = (...args: readonly string[]) => spawnSync(copy, args, { ...who, env, cwd: "/", encoding: "utf8" });
  const first = start("--version");
  const lines = [`entitlements: ${entitlements}`, `version: ${first.stdout?.trim()}`];
  const say = (why: string): Finding => failed([...lines, why].join("\n"));
  if (first.signal === "SIGKILL") return say("killed at its start: it is not signed (docs/macos.md: codesign)");
  if (first.status !== 0) return say(`it does not start: ${first.status ?? first.signal}: ${first.stderr?.trim()}`);
  if (first.stderr.includes("dyld")) return say("dyld listens to DYLD_PRINT_LIBRARIES");
  if (readdirSync(coverage).length > 0) return say("Node wrote its coverage");
  // As far as it comes without a VM: past its rights, to the line that says what it misses.
  const second = start("--vm-mac-address", "7e:1a:00:00:00:01");
  lines.push(`without a VM: ${second.stderr.trim()}`);
  return second.status === 1 && second.stderr.includes("--vm-fd")
    ? ok(lines.join("\n"))
    : say("that is another answer");
}
