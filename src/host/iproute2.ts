/**
 * Runs iproute2's `ip` (as root, so: by absolute path from the system's own directories, never from PATH; with an empty
 * environment). Only to list what there is: what softnet changes it changes itself (native/linux/link-changes.ts).
 */
import { spawnSync } from "node:child_process";
import { findProgram, PROGRAM_TIMEOUT } from "../system-program.ts";
import { UserError } from "../user-error.ts";

const MOST_OUTPUT = 256 * 2 ** 20; // a router may know a million routes

/** Where `ip` is. Throws UserError when it is not installed. */
export function findIp(): string {
  return findProgram("ip", "iproute2");
}

/** Runs `ip -json …` and returns what it prints. Throws UserError when it fails. */
export function ipJson<T>(path: string, words: readonly string[]): T[] {
  const { error, status, stdout, stderr } = spawnSync(path, ["-json", ...words], {
    env: {},
    encoding: "utf8",
    timeout: PROGRAM_TIMEOUT,
    maxBuffer: MOST_OUTPUT,
  });
  if (error !== undefined || status !== 0) {
    throw new UserError(`ip ${words.join(" ")} fails: ${error?.message ?? stderr.trim()}`);
  }
  return stdout.trim() === "" ? [] : JSON.parse(stdout);
}
