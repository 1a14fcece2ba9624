/**
 * Loads a native library whose bytes are embedded in this program. The system loads libraries from files only, and a
 * user who can write to that file, or change what its path refers to, can run code in this program. So when the program
 * has rights that its caller has not:
 *
 * - Linux: the file has no name (O_TMPFILE, O_EXCL) and is loaded through /proc/self/fd, which other users cannot open.
 *   It is made in the executable's folder if only root may write there, else in another folder of root's, because some
 *   file systems do not allow code (`noexec`) or unnamed files.
 * - macOS, and Linux without unnamed files: a new folder that other users cannot enter, in a folder of root's.
 *
 * Without such rights a new folder that other users cannot enter is enough. In all cases the file is removed at once.
 */

import { closeSync, constants, fstatSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { UserError } from "../user-error.ts";
import type { Rights } from "./rights.ts";

/** asm-generic/fcntl.h; Node has no name for it. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
const STICKY = 0o1000;

/** A folder from which the library may be loaded. */
export interface Place {
  readonly folder: string;
  /** An unnamed file (Linux), or a named one in a fresh folder. */
  readonly unnamed: boolean;
  /**
   * The folder's required owner: root, with write access for root only or for all with the sticky bit (`/tmp`); or any.
   */
  readonly owner: "root" | "root, shared" | "anybody";
  /** The folder must be the one that this program's executable lies in. */
  readonly own?: boolean;
}

/** The folders for a program with these rights, in the order in which they are tried. */
export function placesFor(rights: Rights, platform: NodeJS.Platform, executable: string, isRoot: boolean): Place[] {
  if (rights === "none") {
    return [tmpdir(), "/var/tmp", homedir()].map((folder) => ({ folder, unnamed: false, owner: "anybody" }));
  }
  // A process with capabilities only can write to folders for all users only, and a named file there is not safe.
  if (!isRoot) return ["/tmp", "/var/tmp"].map((folder) => ({ folder, unnamed: true, owner: "root, shared" }));
  const beside: Place = { folder: dirname(executable), unnamed: false, owner: "root", own: true };
  if (platform !== "linux") return [beside, { folder: "/private/var/root", unnamed: false, owner: "root" }];
  const roots = ["/root", "/var/lib"].map((folder): Place => ({ folder, unnamed: false, owner: "root" }));
  const named = [beside, ...roots];
  const shared: Place = { folder: "/tmp", unnamed: true, owner: "root, shared" };
  return [...named.map((place) => ({ ...place, unnamed: true })), shared, ...named];
}

/** Loads the library from the first folder where that succeeds, and returns its exports. Throws UserError. */
export function loadLibrary(bytes: Uint8Array, places: readonly Place[]): unknown {
  const failures: string[] = [];
  for (const place of places) {
    try {
      return place.unnamed ? loadUnnamed(bytes, place) : loadNamed(bytes, place);
    } catch (error) {
      failures.push(`${place.folder}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  throw new UserError(
    `softnet's library can be loaded from no folder (${failures.join("; ")}): put softnet into a folder of root's on a file system without noexec, such as /usr/local/bin`,
  );
}

function loadUnnamed(bytes: Uint8Array, place: Place): unknown {
  const folder = openFolder(place);
  try {
    const file = openSync(`/proc/self/fd/${folder}`, O_TMPFILE | constants.O_RDWR | constants.O_EXCL, 0o600);
    try {
      writeFileSync(file, bytes);
      return load(`/proc/self/fd/${file}`);
    } finally {
      closeSync(file);
    }
  } finally {
    closeSync(folder);
  }
}

function loadNamed(bytes: Uint8Array, place: Place): unknown {
  closeSync(openFolder(place));
  const fresh = mkdtempSync(join(place.folder, "softnet-")); // mode 0700
  try {
    const path = join(fresh, "koffi.node");
    writeFileSync(path, bytes, { mode: 0o500, flag: "wx" });
    return load(path);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Opens a folder; throws when its owner or mode is not as required. */
function openFolder({ folder, owner, own = false }: Place): number {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    if (owner !== "anybody") {
      const { uid, mode } = fstatSync(fd);
      if (uid !== 0) throw new Error(`belongs to user ${uid}`);
      const protectedFiles = owner === "root, shared" && (mode & STICKY) !== 0;
      if ((mode & OTHERS_MAY_WRITE) !== 0 && !protectedFiles) throw new Error("users other than root can write there");
    }
    if (own && process.platform === "linux" && !holdsExecutable(fd)) throw new Error("the executable is elsewhere");
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Whether the running executable is in that folder, even if either was renamed meanwhile. */
function holdsExecutable(folder: number): boolean {
  const running = statSync("/proc/self/exe", { bigint: true });
  const there = statSync(`/proc/self/fd/${folder}/${basename(process.execPath)}`, { bigint: true });
  return running.dev === there.dev && running.ino === there.ino;
}

function load(path: string): unknown {
  const module = { exports: {} };
  process.dlopen(module, path);
  return module.exports;
}
