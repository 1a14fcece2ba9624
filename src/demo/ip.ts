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
  const { error, status, signal, stdout, stderr } = spawnSync("ip", args, {
    env: ENVIRONMENT,
    encoding: "utf8",
    timeout: TIMEOUT,
    ...(input !== undefined && { input }),
  });
  if (error !== undefined) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new UserError(NO_IP);
    throw error;
  }
  if (status === 0) return stdout;
  const words = stderr.trim().split("\n")[0] || `ended with ${signal ?? status}`;
  throw new Error(`ip ${args.join(" ")}: ${words}`);
}

export const NO_IP = "the demo needs iproute2, whose program ip is not in PATH: install the package iproute2";
