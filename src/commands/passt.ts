/**
 * `softnet passt …`, or softnet under the name `passt`: what libvirt starts for `<backend type='passt'/>`. softnet listens
 * where QEMU will connect, starts the real passt behind itself with the same arguments, and filters between the two.
 *
 * The VM's policy stands in passt.conf, with the grammar of a VM's file (vm-config.ts). Without that file it is the default
 * policy, and of the gateway's address, which passt connects to the host's own 127.0.0.1, only a DNS server.
 *
 * passt gets a socket in a folder that only this user can enter, and always `--one-off`: it ends when softnet does, however
 * that happens. It does not get `--mac-addr`. libvirt gives the VM's address there, while passt takes it for its own.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { type PasstWords, parsePasstWords } from "../operate/passt-words.ts";
import { findRealPasst, STARTED_BY_SOFTNET } from "../operate/real-passt.ts";
import { UserError } from "../user-error.ts";
import { announceReady, mainFile, startDaemon, withReadiness } from "./daemon.ts";
import { PASST } from "./passt-argument.ts";
import { choosePlatform, run } from "./run.ts";
import { parseVmConfig, type VmConfig } from "./vm-config.ts";
import { readVmConfig } from "./vm-config-file.ts";

/** Milliseconds for passt, and for all of it. */
const PASST_PATIENCE = 30_000;
const PATIENCE = 60_000;

const SYSTEM_CONFIG = "/etc/softnet/passt.conf";
const DEFAULT_POLICY = "block @host\nallow @dns:53\n";

type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the exit code, once softnet is ready or, in the foreground, has ended. Throws UserError. */
export async function passt(words: readonly string[]): Promise<number> {
  if (words.some((word) => word === "--version" || word === "--help" || word === "-h")) return askPasst(words);
  const { foreground } = parsePasstWords(words);
  if (foreground) return runPasst(words, () => {});
  await startDaemon([PASST, ...words], PATIENCE);
  return 0;
}

/** In the daemon. */
export function passtDaemon(words: readonly string[]): Promise<number> {
  return runPasst(words, announceReady);
}

/** libvirt and users ask the real one what it can do. */
function askPasst(words: readonly string[]): number {
  const real = findRealPasst(process.env, ownFiles());
  return spawnSync(real, words, { stdio: "inherit", env: { ...process.env, [STARTED_BY_SOFTNET]: "1" } }).status ?? 1;
}

async function runPasst(words: readonly string[], onReady: () => void): Promise<number> {
  const asked = parsePasstWords(words);
  const real = findRealPasst(process.env, ownFiles());
  const folder = mkdtempSync(join(tmpdir(), "softnet-passt-")); // mode 0700
  const hostSocket = join(folder, "socket");
  let pid: number | undefined;
  try {
    const { given } = configure(asked, hostSocket, process.env);
    pid = startPasst(real, asked, folder, hostSocket);
    const ready = (): void => {
      if (asked.pid !== undefined) writePid(asked.pid);
      onReady();
    };
    const platform = withReadiness(await choosePlatform(), ready);
    return await run(given, () => platform, []);
  } finally {
    end(pid);
    rmSync(folder, { recursive: true, force: true });
    if (asked.pid !== undefined) removePid(asked.pid);
  }
}

/** The options of the run. Throws UserError, with the file's lines for what is wrong there. */
function configure(asked: PasstWords, hostSocket: string, environment: Environment): VmConfig {
  const path = configPath(environment);
  const text = path === undefined ? DEFAULT_POLICY : `${readVmConfig(path)}\n`;
  const lines = [`vm-socket ${asked.socket}`, `host-socket ${hostSocket}`];
  if (!asked.oneOff) lines.push("vm-reconnect");
  if (asked.mac !== undefined) lines.push(`vm-mac-address ${asked.mac}`);
  else if (!/^\s*vm-mac-address\s/m.test(text)) {
    throw new UserError(
      `passt: no --mac-addr, so the VM's MAC address is not known: write vm-mac-address into ${path ?? SYSTEM_CONFIG}`,
    );
  }
  if (!/^\s*log-file\s/m.test(text)) lines.push(`log-file ${asked.logFile ?? "/dev/null"}`);
  return parseVmConfig(`${text}${lines.join("\n")}\n`, path ?? "passt");
}

/** The user's file, or root's for all users. */
function configPath({ XDG_CONFIG_HOME: home }: Environment): string | undefined {
  const own = join(home?.startsWith("/") ? home : join(homedir(), ".config"), "softnet/passt.conf");
  return [own, SYSTEM_CONFIG].find((path) => existsSync(path));
}

/** passt returns once its socket listens. Returns its process. Throws UserError with its own message. */
function startPasst(real: string, { rest, logFile }: PasstWords, folder: string, socket: string): number {
  const pidFile = join(folder, "pid");
  const words = ["--one-off", "--socket", socket, "--pid", pidFile, ...rest];
  // Two programs cannot write one file: softnet has the one that was asked for.
  if (logFile !== undefined) words.push("--log-file", `${logFile}.passt`);
  const { status, error, stderr } = spawnSync(real, words, {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
    timeout: PASST_PATIENCE,
    env: { ...process.env, [STARTED_BY_SOFTNET]: "1" },
  });
  if (status === 0) return Number(readFileSync(pidFile, "latin1"));
  const said = stderr?.trim().split("\n").at(-1) || error?.message || "it said nothing";
  throw new UserError(`${real} ended with ${status}: ${said}`);
}

/** passt has ended by itself when softnet was connected to it. */
function end(pid: number | undefined): void {
  if (pid === undefined || !Number.isInteger(pid) || pid <= 1) return;
  try {
    if (readFileSync(`/proc/${pid}/comm`, "latin1").startsWith("passt")) process.kill(pid, "SIGTERM");
  } catch {
    // It has ended.
  }
}

function writePid(path: string): void {
  try {
    writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });
  } catch (error) {
    throw new UserError(`passt: --pid ${path}: ${(error as Error).message}`); // libvirt would not find this process
  }
}

function removePid(path: string): void {
  try {
    if (readFileSync(path, "latin1").trim() === String(process.pid)) rmSync(path);
  } catch {
    // It was never written, or libvirt has removed it.
  }
}

function ownFiles(): string[] {
  return [mainFile(), process.execPath];
}
