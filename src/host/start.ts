/**
 * Finds the host's helper, or starts it: one for each network namespace. Its socket and a lock are in a folder that only root
 * can enter, so nobody else can connect, stand in its way or hold the lock.
 *
 * A helper that has just ended leaves its socket's name behind, which is replaced. One that ends while a softnet connects
 * does not say hello, and the softnet tries again.
 *
 * Where systemd runs, the helper gets a scope of its own (systemd.scope(5)): a service manager ends a service with all of
 * its processes, and this one serves others too.
 */
import { spawn } from "node:child_process";
import { closeSync, constants, existsSync, mkdirSync, openSync, rmSync } from "node:fs";
import { extname } from "node:path";
import { isSea } from "node:sea";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describeError } from "../native/linux/errno.ts";
import {
  AF_UNIX,
  type LinuxLibc,
  LOCK_EX,
  LOCK_NB,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOCKADDR_UN,
} from "../native/linux/libc.ts";
import { networkNamespace } from "../native/linux/network-namespace.ts";
import { UserError } from "../user-error.ts";
import { HOST_HELPER } from "./argument.ts";

/** Milliseconds for others that start at the same moment. */
const TIMEOUT = 60_000;
const INTERVAL = 10;
const BACKLOG = 1024;
const SYSTEMD_RUN = "/usr/bin/systemd-run";
/** One thread for what Node does in the background: the helper has nothing there to do. */
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", UV_THREADPOOL_SIZE: "1" };

/** Returns a socket that is connected to the helper. `directory`: the registry's. Throws UserError. */
export async function connectToHelper(libc: LinuxLibc, directory: string): Promise<number> {
  if (process.geteuid!() !== 0) return startOwn(libc);
  const folder = `${directory}/host`;
  makeFolder(folder);
  const name = `${folder}/${networkNamespace(libc)
    .replaceAll(/[^0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "")}`;
  // Many softnets may start at once: where the helper listens already, none of them waits for the lock.
  const connected = connect(libc, name);
  if (connected !== undefined) return connected;
  const lock = await takeLock(libc, `${name}.lock`);
  try {
    const startedMeanwhile = connect(libc, name);
    if (startedMeanwhile !== undefined) return startedMeanwhile;
    startShared(libc, name);
    return connect(libc, name) ?? refuse("it cannot be connected to");
  } finally {
    closeSync(lock);
  }
}

/** Not `recursive`: then Node takes a read-only file system for a folder that is missing. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    const remedy = code === "EROFS" ? "mount a writable file system (a tmpfs) on /run" : "let root be able to make it";
    throw new UserError(`the folder of the host's helper cannot be made: ${message}; ${remedy}`);
  }
}

async function takeLock(libc: LinuxLibc, path: string): Promise<number> {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  const deadline = performance.now() + TIMEOUT;
  while (libc.flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (performance.now() > deadline) {
      closeSync(fd);
      refuse("another softnet has been starting it for a minute");
    }
    await sleep(INTERVAL);
  }
  return fd;
}

/** Undefined where no helper listens. */
function connect(libc: LinuxLibc, path: string): number | undefined {
  const fd = socket(libc);
  const address = unixAddress(path);
  if (libc.connect(fd, address, address.length) === 0) return fd;
  libc.close(fd);
  return undefined;
}

function startShared(libc: LinuxLibc, path: string): void {
  rmSync(path, { force: true });
  const listener = socket(libc);
  const address = unixAddress(path);
  const mask = process.umask(0o077);
  const listens = libc.bind(listener, address, address.length) === 0 && libc.listen(listener, BACKLOG) === 0;
  const errno = libc.errno();
  process.umask(mask);
  if (!listens) {
    libc.close(listener);
    refuse(`${path}: ${describeError(errno)}`);
  }
  start(listener, existsSync("/run/systemd/system") && existsSync(SYSTEMD_RUN));
  libc.close(listener);
}

/** Without root, but with the capability: a helper for this softnet alone. */
function startOwn(libc: LinuxLibc): number {
  const pair = new Int32Array(2);
  if (libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
    refuse(describeError(libc.errno()));
  }
  start(pair[1]!, false);
  libc.close(pair[1]!);
  return pair[0]!;
}

/** Starts the helper with that descriptor as its number 3. */
function start(fd: number, inScope: boolean): void {
  const program = isSea() ? [process.execPath] : [process.execPath, mainFile()];
  const scope = ["--quiet", "--scope", "--collect", `--unit=softnet-helper-${process.pid}`, "--"];
  const [command, ...args] = [...(inScope ? [SYSTEMD_RUN, ...scope] : []), ...program, HOST_HELPER];
  const child = spawn(command!, args, {
    cwd: "/",
    env: ENVIRONMENT,
    detached: true,
    stdio: ["ignore", "ignore", "ignore", fd],
    ...(process.geteuid!() === 0 && { uid: 0, gid: 0 }), // through SUID the real user is the caller
  });
  child.on("error", () => {}); // then nobody says hello
  child.unref();
}

function socket(libc: LinuxLibc): number {
  const fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd < 0 ? refuse(describeError(libc.errno())) : fd;
}

function unixAddress(path: string): Uint8Array {
  const bytes = Buffer.from(`${path}\0`);
  const address = Buffer.alloc(SOCKADDR_UN.path + bytes.length);
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, SOCKADDR_UN.path);
  return address;
}

function refuse(why: string): never {
  throw new UserError(`the helper for the VM's network cannot be started: ${why}`);
}

/** softnet's own file, whatever program this is that uses it. */
function mainFile(): string {
  return fileURLToPath(new URL(`../main${extname(fileURLToPath(import.meta.url))}`, import.meta.url));
}
