/** Runs iproute2's `ip`. */
import { spawnSync } from "node:child_process";
import { UserError } from "../user-error.ts";

/** Administration tools are not in every user's PATH. */
export const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`,
  LC_ALL: "C",
};

const TIMEOUT = 120_000; // milliseconds

/** Runs `ip` with these arguments and returns what it printed. Throws Error with ip's own words. */
export function ip(args: readonly string[], input?: string): string {
  const { stdout, failure } = tryIp(args, input);
  if (failure !== undefined) throw new Error(`ip ${args.join(" ")}: ${failure}`);
  return stdout;
}

/**
 * Runs `ip` with these arguments. `failure` is the first line of what it says of its failure, undefined where it
 * succeeds. Throws UserError where `ip` is not installed.
 */
export function tryIp(args: readonly string[], input?: string): { stdout: string; failure: string | undefined } {
  const { error, status, signal, stdout, stderr } = spawnSync("ip", args, {
    env: ENVIRONMENT,
    encoding: "utf8",
    timeout: TIMEOUT,
    ...(input !== undefined && { input }),
  });
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOENT") throw new UserError(NO_IP);
  // A program may end without reading all of its input (EPIPE): what counts is how it ended, and its own words.
  if (error !== undefined && code !== "EPIPE") return { stdout: "", failure: error.message };
  if (status === 0) return { stdout, failure: undefined };
  return { stdout, failure: stderr.trim().split("\n")[0] || `ended with ${signal ?? status}` };
}

export const NO_IP = "the demo needs iproute2, whose program ip is not in PATH: install the package iproute2";
