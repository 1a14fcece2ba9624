/**
 * How the libvirt hook starts and ends one softnet, whose options stand in a file (hook-files.ts). Where systemd runs and has
 * softnet's unit, it is the instance `softnet@DOMAIN:NUMBER`: systemd starts it again when it crashes, and has its log. Else it is a
 * daemon, with its process in a file beside the options.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hookFile } from "../operate/hook-files.ts";
import { lookForProgram } from "../system-program.ts";
import { UserError } from "../user-error.ts";
import { startDaemon } from "./daemon.ts";

/** sd_booted(3). */
const BOOTED = "/run/systemd/system";
const UNIT = "softnet@.service";
/** systemd.unit(5), those in which packages and administrators put units. */
const UNIT_FOLDERS = [
  "/etc/systemd/system",
  "/usr/local/lib/systemd/system",
  "/lib/systemd/system",
  "/usr/lib/systemd/system",
];

/** Milliseconds for one softnet to be attached. */
const PATIENCE = 60_000;
/** Milliseconds for one to end. */
const END_PATIENCE = 10_000;
/** Lines of a unit's log that are read. */
const LOG_LINES = 50;

/** Returns when it filters. Throws UserError; then `endSoftnet` is to follow. */
export async function startSoftnet(instance: string): Promise<void> {
  const systemctl = existsSync(BOOTED) ? lookForProgram("systemctl") : undefined;
  const isSupervised = systemctl !== undefined && UNIT_FOLDERS.some((folder) => existsSync(`${folder}/${UNIT}`));
  if (!isSupervised) {
    const pid = await startDaemon(["run-config", hookFile(instance)], PATIENCE);
    writeFileSync(pidFile(instance), `${pid} ${startTime(pid)}\n`, { mode: 0o600 });
    return;
  }
  const began = Math.floor(Date.now() / 1000);
  if (await succeeds(systemctl, ["start", unitOf(instance)])) return;
  throw new UserError(
    (await lastError(instance, began)) ?? `${unitOf(instance)} cannot be started: systemctl status says why`,
  );
}

/** Also where it has ended already, or was never started. */
export async function endSoftnet(instance: string): Promise<void> {
  const systemctl = existsSync(BOOTED) ? lookForProgram("systemctl") : undefined;
  if (existsSync(pidFile(instance))) await endDaemon(pidFile(instance));
  else if (systemctl !== undefined) {
    await succeeds(systemctl, ["stop", unitOf(instance)]); // also what systemd would start again
    await succeeds(systemctl, ["reset-failed", unitOf(instance)]);
  }
  for (const file of [hookFile(instance), pidFile(instance)]) rmSync(file, { force: true });
}

const unitOf = (instance: string): string => UNIT.replace("@", `@${instance}`);
const pidFile = (instance: string): string => hookFile(instance).replace(/conf$/, "pid");

function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: PATIENCE, cwd: "/" }, (error) => resolve(error === null));
  });
}

/** What softnet wrote last about why it ended. */
function lastError(instance: string, began: number): Promise<string | undefined> {
  const args = [
    "--output=cat",
    "--no-pager",
    `--lines=${LOG_LINES}`,
    `--since=@${began}`,
    `--unit=${unitOf(instance)}`,
  ];
  return new Promise((resolve) => {
    execFile(lookForProgram("journalctl") ?? "/bin/false", args, { timeout: PATIENCE, cwd: "/" }, (_error, stdout) => {
      const line = stdout.split("\n").findLast((each) => each.startsWith("softnet: "));
      resolve(line?.slice("softnet: ".length));
    });
  });
}

/** Ends the process, if it is still the same one, and waits for that. */
async function endDaemon(path: string): Promise<void> {
  const [pid, began] = readFileSync(path, "latin1").trim().split(" ").map(Number);
  const isAlive = (): boolean => pid !== undefined && pid > 1 && startTime(pid) === began;
  if (!isAlive()) return;
  process.kill(pid!, "SIGTERM");
  for (const last = Date.now() + END_PATIENCE; isAlive(); ) {
    if (Date.now() > last) {
      process.kill(pid!, "SIGKILL");
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** When a process began, in clock ticks after the boot (proc(5)); -1 where there is none, or it is a zombie. */
function startTime(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[0] === "Z" ? -1 : Number(fields[19]);
  } catch {
    return -1;
  }
}
