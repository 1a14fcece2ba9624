/**
 * Finds the host's helper, or starts it: one for each network namespace. Its socket and a lock are in a folder that only root
 * can enter, so no other user can connect, stand in its way or hold the lock.
 *
 * A helper that has ended leaves its socket's name behind, which is replaced, or removed where its namespace is gone
 * (leftovers.ts). One that ends while a softnet connects does not say hello, and the softnet tries again.
 *
 * Where systemd runs, the helper gets a scope of its own (systemd.scope(5)): a service manager ends a service with all of
 * its processes, and this one serves others too.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { extname } from "node:path";
import { isSea } from "node:sea";
import { fileURLToPath } from "node:url";
import { describeError } from "../native/linux/errno.ts";
import { AF_UNIX, type LinuxLibc, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../native/linux/libc.ts";
import { networkNamespace } from "../native/linux/network-namespace.ts";
import { UserError } from "../user-error.ts";
import { HOST_HELPER } from "./argument.ts";
import { connect, openSocket, unixAddress } from "./helper-socket.ts";
import { LOCK, removeLeftovers } from "./leftovers.ts";
import { takeLock } from "./lock.ts";

/** Milliseconds for others that start at the same moment. */
const TIMEOUT = 60_000;
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
  const lock = await takeLock(libc, `${name}${LOCK}`, TIMEOUT);
  if (lock === undefined) return refuse("another softnet has been starting it for a minute");
  try {
    const startedMeanwhile = connect(libc, name);
    if (startedMeanwhile !== undefined) return startedMeanwhile;
    startShared(libc, name);
    removeLeftovers(libc, folder);
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

function startShared(libc: LinuxLibc, path: string): void {
  rmSync(path, { force: true });
  const listener = openSocket(libc);
  if (listener < 0) refuse(describeError(libc.errno()));
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
  child.on("error", () => {}); // then no greeting comes
  child.unref();
}

function refuse(why: string): never {
  throw new UserError(`the helper for the VM's network cannot be started: ${why}`);
}

/** softnet's own file, whatever program this is that uses it. */
function mainFile(): string {
  return fileURLToPath(new URL(`../main${extname(fileURLToPath(import.meta.url))}`, import.meta.url));
}
