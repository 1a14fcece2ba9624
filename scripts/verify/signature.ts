/** The signature that softnet's own scripts made, as Apple's tools see it, and the executable for Intel under Rosetta. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Finding, failed, leftOut, ok, type Point } from "./points.ts";

const ENTITLEMENTS = new URL("../../packaging/softnet.entitlements", import.meta.url);
const BAD_CPU = 86; // EBADARCH, as a shell's exit code has it too: no Rosetta

export interface SignatureOptions {
  /** The executables' paths, where there are some. */
  readonly path: string | undefined;
  readonly x64: string | undefined;
  /** Apple's programs; others are a test's. */
  readonly codesign?: string;
  readonly arch?: string;
}

export function signaturePoints({
  path,
  x64,
  codesign = "/usr/bin/codesign",
  arch = "/usr/bin/arch",
}: SignatureOptions) {
  const points: Point[] = [];
  for (const [what, file] of [
    ["signature", path],
    ["signature of the executable for Intel", x64],
  ] as const) {
    points.push({
      name: `${what}: codesign --verify --strict takes it, with the entitlements and no others`,
      run: () => (file === undefined ? leftOut(missing(what === "signature")) : verify(codesign, file)),
    });
  }
  points.push({
    name: "executable for Intel: it starts, on Apple silicon under Rosetta",
    run: () => (x64 === undefined ? leftOut(missing(false)) : startX64(arch, x64)),
  });
  return points;
}

function missing(own: boolean): string {
  return own
    ? "give it: verify-on-a-mac --executable build/…/softnet"
    : "give it: verify-on-a-mac --executable-x64 build/softnet-…-darwin-x64/softnet";
}

function verify(codesign: string, path: string): Finding {
  const run = (...args: readonly string[]) => spawnSync(codesign, [...args, path], { encoding: "utf8" });
  const verified = run("--verify", "--strict", "-vvv");
  const said = `${verified.stdout}${verified.stderr}`.trim();
  if (verified.status !== 0) return failed(`${verified.error?.message ?? said}`);
  const { stdout, stderr } = run("--display", "--entitlements", "-");
  const found = keysOf(`${stdout}${stderr}`);
  const wanted = keysOf(readFileSync(ENTITLEMENTS, "utf8"));
  const details = `${said}\nentitlements: ${found.join(", ") || "none"}`;
  return found.join() === wanted.join() ? ok(details) : failed(`${details}\ninstead of: ${wanted.join(", ")}`);
}

function keysOf(text: string): string[] {
  return [...new Set([...text.matchAll(/com\.apple\.security[\w.-]+/g)].map(([key]) => key))].toSorted();
}

function startX64(arch: string, path: string): Finding {
  const { status, signal, stdout, stderr, error } = spawnSync(arch, ["-x86_64", path, "--version"], {
    encoding: "utf8",
  });
  if (status === BAD_CPU || /Bad CPU type/.test(stderr ?? "")) {
    return leftOut("there is no Rosetta: softwareupdate --install-rosetta");
  }
  if (status === 0) return ok(`version: ${stdout.trim()}`);
  return failed(`it does not start: ${error?.message ?? signal ?? status}\n${stderr?.trim()}`);
}
