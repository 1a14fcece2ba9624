/**
 * The packaged executable, as an ordinary user starts it: with the SUID bit, and without it on a network of its own. Each
 * time a copy in a folder of root's, which is removed again.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findCaller, NO_CALLER, type Who } from "./caller.ts";
import { endOf } from "./child.ts";
import { type Finding, failed, leftOut, ok, type Point } from "./points.ts";

/** Everybody may look in, only root may write. */
const PLACE = "/usr/local";
const SHARED = "/private/tmp";
const MAC = "7e:1a:00:00:00:01";
const PATIENCE = 60_000; // milliseconds

export interface ExecutableOptions {
  /** The executable's, if there is one. */
  readonly path: string | undefined;
  /** Whether this macOS has networks of one's own. */
  readonly hasOwnNetworks: boolean;
  /** Two datagram sockets, connected with each other and close-on-exec. */
  readonly socketPair: () => readonly [number, number];
  readonly close: (fd: number) => void;
}

export function executablePoints(options: ExecutableOptions): Point[] {
  const { path, hasOwnNetworks } = options;
  const withCopy = (mode: number, use: (copy: string, who: Who) => Finding | Promise<Finding>) => async () => {
    if (path === undefined) return leftOut("give it: verify-on-a-mac --executable build/…/softnet");
    const who = findCaller();
    return who === undefined ? leftOut(NO_CALLER) : await copied(path, mode, (copy) => use(copy, who));
  };
  return [
    {
      name: "executable: it starts with the SUID bit, and its caller's variables do nothing",
      run: withCopy(0o4755, tryHostile),
    },
    {
      name: "executable (macOS 26): --vm-net-type private without root",
      run: withCopy(0o755, (copy, who) =>
        hasOwnNetworks ? startPrivate([copy], who, options) : leftOut("before macOS 26 there is none"),
      ),
    },
    {
      name: "executable: its user's kill -INT ends it where sudo runs it, as Tart's does",
      run: withCopy(0o755, (copy, who) => startThroughSudo([copy], who, options)),
    },
  ];
}

async function copied(path: string, mode: number, use: (copy: string) => Finding | Promise<Finding>): Promise<Finding> {
  const made = mkdirSync(PLACE, { recursive: true });
  const folder = mkdtempSync(join(PLACE, "softnet-verify-"));
  try {
    chmodSync(folder, 0o755);
    const copy = join(folder, "softnet");
    copyFileSync(path, copy);
    chownSync(copy, 0, 0);
    chmodSync(copy, mode);
    return await use(copy);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    if (made !== undefined) rmdirSync(made);
  }
}

function tryHostile(copy: string, who: Who): Finding {
  const coverage = mkdtempSync(join(SHARED, "softnet-verify-"));
  try {
    chownSync(coverage, who.uid, who.gid);
    return tryOut(copy, coverage, who);
  } finally {
    rmSync(coverage, { recursive: true, force: true });
  }
}

function tryOut(copy: string, coverage: string, who: Who): Finding {
  const signed = spawnSync("/usr/bin/codesign", ["--display", "--entitlements", "-", copy], { encoding: "utf8" });
  const entitlements = [...(signed.stdout ?? "").matchAll(/com\.apple[\w.-]+/g)].join(", ") || "none";
  const env = { PATH: "/usr/bin:/bin", DYLD_PRINT_LIBRARIES: "1", NODE_V8_COVERAGE: coverage };
  const start = (...args: readonly string[]) => spawnSync(copy, args, { ...who, env, cwd: "/", encoding: "utf8" });
  const first = start("--version");
  const lines = [`entitlements: ${entitlements}`, `version: ${first.stdout?.trim()}`];
  const say = (why: string): Finding => failed([...lines, why].join("\n"));
  if (first.signal === "SIGKILL") return say("killed at its start: macOS does not take its signature");
  if (first.status !== 0) return say(`it does not start: ${first.status ?? first.signal}: ${first.stderr?.trim()}`);
  if (first.stderr.includes("dyld")) return say("dyld listens to DYLD_PRINT_LIBRARIES");
  if (readdirSync(coverage).length > 0) return say("Node wrote its coverage");
  // As far as it comes without a VM: past its rights, to the line that says what it misses.
  const second = start("--vm-mac-address", MAC);
  lines.push(`without a VM: ${second.stderr.trim()}`);
  return second.status === 1 && second.stderr.includes("--vm-fd")
    ? ok(lines.join("\n"))
    : say("that is another answer");
}

type Sockets = Pick<ExecutableOptions, "socketPair" | "close">;

/** Starts a softnet with a private network until it says that it runs, and stops it as Tart does. */
export async function startPrivate(command: readonly string[], who: Who, sockets: Sockets): Promise<Finding> {
  // As if sudo had been asked already: it must not help.
  const args = ["--vm-net-type", "private", "--sudo-escalation-done"];
  return await startAndStop([...command, ...args], who, sockets, (child) => void child.kill("SIGINT"));
}

/** The same on the shared network, through sudo, and its user sends the signal. */
export async function startThroughSudo(command: readonly string[], who: Who, sockets: Sockets): Promise<Finding> {
  const sudo = ["/usr/bin/sudo", "--non-interactive"] as const;
  const asked = spawnSync(sudo[0], [sudo[1], "/usr/bin/true"], { ...who, encoding: "utf8" });
  if (asked.status !== 0) return leftOut(`sudo does not run without a password: ${asked.stderr?.trim()}`);
  return await startAndStop([...sudo, ...command], who, sockets, ({ pid }) => {
    const { status, stderr } = spawnSync("/bin/kill", ["-INT", String(pid)], { ...who, encoding: "utf8" });
    if (status !== 0) throw new Error(`its user may not signal it: ${stderr?.trim()}`);
  });
}

/** Starts a softnet with the VM's socket on 0 until it says that it runs, and then waits for its end. */
async function startAndStop(
  command: readonly string[],
  who: Who,
  { socketPair, close }: Sockets,
  stop: (child: ChildProcess) => void,
): Promise<Finding> {
  const [program, ...before] = command as readonly [string, ...string[]];
  const args = [...before, "--vm-fd", "0", "--vm-mac-address", MAC, "--log-level", "info"];
  const ends = socketPair();
  let child: ChildProcess | undefined;
  try {
    child = spawn(program, args, {
      ...who,
      env: { PATH: "/usr/bin:/bin" },
      cwd: "/",
      stdio: [ends[1], "ignore", "pipe"],
    });
    let text = "";
    child.stderr!.on("data", (data) => {
      text += data;
    });
    let end: string | undefined;
    void endOf(child).then((how) => {
      end = String(how);
    });
    const has = (what: RegExp): string | undefined => text.split("\n").find((line) => what.test(line));
    const deadline = performance.now() + PATIENCE;
    const waiting = (): boolean => end === undefined && performance.now() < deadline;
    while (has(/message=started /) === undefined && waiting()) await sleep(50);
    const started = has(/message=started /);
    if (started === undefined) return failed(`it did not start (${end ?? "it still tries"})\n${text.trim()}`);
    stop(child);
    while (waiting()) await sleep(50);
    if (end !== "0") return failed(`${started}\nit did not end in order: ${end ?? "it still runs"}\n${text.trim()}`);
    return ok(started);
  } finally {
    child?.kill("SIGKILL");
    for (const fd of ends) close(fd);
  }
}
