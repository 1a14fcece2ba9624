/**
 * Network namespaces of one test process. Their names carry its process id, so that test processes do not meet, and so
 * that what a killed one left behind is recognised and removed by the next.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ENVIRONMENT, type Output, Program, run, type StartOptions } from "./program.ts";

const PREFIX = "softnet-lab";
const STALE = /^softnet-lab-(\d+)-/;

let created = 0;
let swept = false;

export class Namespace {
  readonly name: string;
  #exists = true;

  /** Creates a namespace with its loopback up and without IPv6 noise unless asked for. */
  constructor(role: string) {
    if (!swept) sweep();
    swept = true;
    this.name = `${PREFIX}-${process.pid}-${++created}-${role}`;
    ip("netns", "add", this.name);
    this.ip("link", "set", "lo", "up");
  }

  get exists(): boolean {
    return this.#exists;
  }

  /** `ip -n NAME …`; throws when it fails. */
  ip(...args: readonly string[]): string {
    return ip("-n", this.name, ...args);
  }

  /** Many `ip` commands in one process. */
  ipBatch(commands: readonly string[]): void {
    execFileSync("ip", ["-n", this.name, "-batch", "-"], {
      env: ENVIRONMENT,
      input: `${commands.join("\n")}\n`,
      stdio: ["pipe", "ignore", "pipe"],
    });
  }

  /** `ip -n NAME -json …`, parsed. */
  ipJson<T = Record<string, unknown>>(...args: readonly string[]): T[] {
    const text = this.ip("-json", ...args).trim();
    return text === "" ? [] : (JSON.parse(text) as T[]);
  }

  /** `bridge -n NAME -json …`, parsed. */
  bridgeJson<T = Record<string, unknown>>(...args: readonly string[]): T[] {
    const text = capture("bridge", ["-n", this.name, "-json", ...args]).trim();
    return text === "" ? [] : (JSON.parse(text) as T[]);
  }

  /** Names of the links here, in order. */
  links(): string[] {
    return this.ipJson<{ ifname?: string }>("link", "show")
      .map((link) => link.ifname ?? "")
      .sort();
  }

  hasLink(name: string): boolean {
    return this.links().includes(name);
  }

  /** Writes kernel settings of this namespace, `net/ipv4/ip_forward` → `1`. */
  sysctl(settings: Readonly<Record<string, string>>): void {
    const script = Object.entries(settings).map(([path, value]) => `echo '${value}' > /proc/sys/${path}`);
    execFileSync("ip", ["netns", "exec", this.name, "sh", "-ec", script.join("\n")], {
      env: ENVIRONMENT,
      stdio: ["ignore", "ignore", "pipe"],
    });
  }

  /** Runs a command in here to its end. */
  run(command: string, args: readonly string[], timeout?: number): Promise<Output> {
    return run("ip", ["netns", "exec", this.name, command, ...args], timeout);
  }

  /** Starts a program in here; `ip netns exec` becomes the program, so its process id is the program's. */
  start(command: string, args: readonly string[], options: StartOptions = {}): Program {
    return new Program("ip", ["netns", "exec", this.name, command, ...args], { label: command, ...options });
  }

  /** Deletes the namespace and every link in it. Harmless when called twice. */
  delete(): void {
    if (!this.#exists) return;
    this.#exists = false;
    ip("netns", "delete", this.name);
  }
}

/** Runs iproute2's `ip`; throws with its message. */
export function ip(...args: readonly string[]): string {
  return capture("ip", args);
}

function capture(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { env: ENVIRONMENT, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Removes what test processes left that are no more: namespaces, programs that still run in them, and files. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = STALE.exec(name)?.[1];
    if (owner !== undefined && !alive(Number(owner))) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  for (const line of ip("netns", "list").split("\n")) {
    const name = line.split(" ")[0]!;
    const owner = STALE.exec(name)?.[1];
    if (owner === undefined || alive(Number(owner))) continue;
    try {
      for (const pid of ip("netns", "pids", name).split("\n")) {
        if (pid !== "") process.kill(Number(pid), "SIGKILL");
      }
      ip("netns", "delete", name);
    } catch {
      // Another test process swept it first.
    }
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
