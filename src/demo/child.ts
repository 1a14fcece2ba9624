/** Programs of the demo that run inside a namespace, started from where this one came from. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { ENVIRONMENT } from "./ip.ts";
import type { Namespace } from "./namespace.ts";
import type { Undo } from "./undo.ts";

const PATIENCE = 3_000; // milliseconds

/** The command that runs a file of this program: TypeScript from source, JavaScript once it is built. `path` is relative to src/demo/, without extension. */
function nodeCommand(path: string): string[] {
  const file = new URL(path + extname(fileURLToPath(import.meta.url)), import.meta.url);
  return [process.execPath, ...process.execArgv, fileURLToPath(file)];
}

/** Starts it in a namespace; `ip netns exec` becomes the program itself, so the process id is the program's. */
export function startIn(
  namespace: Namespace,
  path: string,
  args: readonly string[],
  options: SpawnOptions,
  undo: Undo,
): ChildProcess {
  undo.check();
  const command = ["netns", "exec", namespace.name, ...nodeCommand(path), ...args];
  const child = spawn("ip", command, { ...options, env: ENVIRONMENT });
  child.on("error", () => {}); // told by "close", which follows
  undo.add(() => stop(child, "SIGKILL"));
  return child;
}

/** Sends a signal and waits for the end; what does not follow is killed. */
export function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    const kill = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
    child.once("exit", () => {
      clearTimeout(kill);
      resolve();
    });
    child.kill(signal);
  });
}
