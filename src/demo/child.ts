/** Starts programs of the demo in a namespace, from the same installation as this process. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { extname } from "node:path";
import { isSea } from "node:sea";
import { fileURLToPath } from "node:url";
import { AGENT } from "./agent-argument.ts";
import type { Cleanup } from "./cleanup.ts";
import { ENVIRONMENT } from "./ip.ts";
import type { Namespace } from "./namespace.ts";

const TIMEOUT = 30_000; // milliseconds

/** What of this program a namespace runs, as files relative to src/demo/, without extension. */
export type Piece = "../main" | "./agent/main";

/** The command that runs a piece: TypeScript from source, JavaScript once it is built, or the executable. */
function pieceCommand(path: Piece): string[] {
  if (isSea()) return path === "../main" ? [process.execPath] : [process.execPath, AGENT];
  const file = new URL(path + extname(fileURLToPath(import.meta.url)), import.meta.url);
  return [process.execPath, ...process.execArgv, fileURLToPath(file)];
}

/** Under sudo the executable closes its IPC channel (privileges/hostile.ts), which an agent needs. */
function withoutSudo(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("SUDO_")));
}

/** Starts it in a namespace; `ip netns exec` becomes the program itself, so the process id is the program's. */
export function startIn(
  namespace: Namespace,
  path: Piece,
  args: readonly string[],
  options: SpawnOptions,
  cleanup: Cleanup,
): ChildProcess {
  cleanup.check();
  const command = ["netns", "exec", namespace.name, ...pieceCommand(path), ...args];
  const child = spawn("ip", command, { ...options, env: path === "../main" ? ENVIRONMENT : withoutSudo(ENVIRONMENT) });
  child.on("error", () => {}); // the event "close" follows
  cleanup.add(() => stop(child, "SIGKILL"));
  return child;
}

/** Sends a signal and waits for the end; kills the process if it does not end in time. */
export function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    const kill = setTimeout(() => child.kill("SIGKILL"), TIMEOUT);
    child.once("exit", () => {
      clearTimeout(kill);
      resolve();
    });
    child.kill(signal);
  });
}
