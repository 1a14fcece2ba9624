/** Runs the program from source, as a user would run it. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { PATIENCE } from "./patience.ts";

export const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Descriptors 0, 1, 2 … of the program; the first three are null, pipe, pipe unless told. */
  readonly stdio?: readonly ("pipe" | "ignore" | number)[];
  /** To run in another user's name. */
  readonly uid?: number;
  /** More of an environment. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs `softnet …` to its end. */
export function softnet(args: readonly string[], options: RunOptions = {}): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: "utf8",
    timeout: PATIENCE,
    stdio: [...(options.stdio ?? ["ignore", "pipe", "pipe"])],
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.env !== undefined && { env: { ...process.env, ...options.env } }),
    ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
  });
  return { status, stdout, stderr };
}
