/** A running softnet between two sockets whose far ends the test holds: no privilege is needed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { SOCK_DGRAM } from "../../src/native/linux/libc.ts";
import { MAIN } from "./cli.ts";
import { type End, libc, pair } from "./sockets.ts";

export { until } from "./patience.ts";

export const VM_MAC = "02:00:00:00:00:11";

export interface Running {
  readonly child: ChildProcess;
  /** The VM's end, and the network's. */
  readonly vm: End;
  readonly network: End;
  /** The log so far, one object a line. */
  readonly log: Record<string, unknown>[];
  /** Everything on stderr so far. */
  stderr(): string;
  /** Resolves with the exit code and how many milliseconds from now it took. */
  ended(): Promise<{ readonly code: number | null; readonly milliseconds: number }>;
}

export interface RunningOptions {
  readonly args?: readonly string[];
  /** Type of the network's socket. */
  readonly networkType?: number;
  /** Descriptor of the VM's socket in softnet: 3, or 0 as Tart has it. */
  readonly vmFd?: 0 | 3;
  readonly uid?: number;
  /** Let another process hold copies of softnet's ends as long as the test runs. */
  readonly keeper?: boolean;
  /** More of an environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** A command that starts softnet, and is what `child` is then. */
  readonly through?: readonly string[];
  /** Let nobody read stderr. */
  readonly deaf?: boolean;
  /** A descriptor to be softnet's standard output, and its descriptor 5; the test's own copies are closed. */
  readonly stdout?: number;
  readonly fifth?: number;
}

/** Starts softnet and waits until it forwards; it is killed when the test ends. */
export async function startSoftnet(context: TestContext, options: RunningOptions = {}): Promise<Running> {
  const { args = [], networkType = SOCK_DGRAM, vmFd = 3, uid, deaf = false, keeper = false } = options;
  const { stdout, fifth, env = {}, through = [] } = options;
  const vm = pair(SOCK_DGRAM);
  const network = pair(networkType);
  const fds = ["--vm-fd", String(vmFd), "--host-fd", "4", "--vm-mac-address", VM_MAC, "--log-format", "json"];
  const stdio = [vmFd === 0 ? vm.fd : "ignore", stdout ?? "ignore", "pipe", vmFd === 3 ? vm.fd : "ignore", network.fd];
  if (fifth !== undefined) stdio.push(fifth);
  const [program, ...words] = [...through, process.execPath, MAIN, ...fds, ...args];
  const child = spawn(program!, words, {
    stdio: stdio as never,
    env: { ...process.env, ...env },
    ...(uid !== undefined && { uid, gid: uid }),
  });
  if (keeper) {
    const holding = spawn("sleep", ["3600"], { stdio: ["ignore", "ignore", "ignore", vm.fd, network.fd] });
    context.after(() => holding.kill("SIGKILL"));
  }
  libc.close(vm.fd);
  libc.close(network.fd);
  for (const fd of [stdout, fifth]) if (fd !== undefined) libc.close(fd);
  const log: Record<string, unknown>[] = [];
  let text = "";
  if (!deaf) {
    child.stderr!.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      log.splice(0, log.length, ...text.split("\n").slice(0, -1).flatMap(parse));
    });
  }
  const exit = once(child, "exit");
  context.after(async () => {
    child.kill("SIGKILL");
    await exit;
    vm.end.close();
    network.end.close();
  });
  return {
    child,
    vm: vm.end,
    network: network.end,
    log,
    stderr: () => text,
    ended: async () => {
      const begin = performance.now();
      await exit;
      return { code: child.exitCode, milliseconds: performance.now() - begin };
    },
  };
}

function parse(line: string): Record<string, unknown>[] {
  return line.startsWith("{") ? [JSON.parse(line)] : [];
}
