/**
 * The registry's folder, and which of its files may be trusted. Only root may write there, so a hostile local user can
 * neither add nor change a record; the owner and mode of the folder and of each file are checked all the same. Nor can
 * he make the record of an ended softnet seem live: a live softnet has a write lock, which needs the right to write.
 */

import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync, type Stats } from "node:fs";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { NEWLINE } from "./checked-line.ts";
import { PAIRS_SUFFIX } from "./names.ts";
import { decodeRecord, type Entry, LARGEST_RECORD, RECORD_SIZE } from "./record.ts";
import type { RegistrySystem } from "./system.ts";

/** The network's hash, the VM's MAC address, and a random part. */
const NAME = /^[0-9a-f]{16}-[0-9a-f]{12}-[0-9a-f]{8}$/;

/** How often a live record is read again when it was read in the middle of a write. */
const ATTEMPTS = 8;

/** The folder's owner or mode is wrong, so its files may be forged. */
export class UntrustedRegistry extends Error {}

/** A file's contents. `entry` is undefined when there is no valid record; `live` means that its softnet runs. */
export interface Found {
  readonly name: string;
  readonly entry: Entry | undefined;
  readonly live: boolean;
}

/** Names of all records, in order; empty when there is no registry. Throws UntrustedRegistry, or the system's error. */
export function recordNames(system: RegistrySystem): string[] {
  return namesIn(system).filter((name) => NAME.test(name));
}

/** Names of all files with pairs (pairs-file.ts); as `recordNames`. */
export function pairsNames(system: RegistrySystem): string[] {
  return namesIn(system).filter(
    (name) => name.endsWith(PAIRS_SUFFIX) && NAME.test(name.slice(0, -PAIRS_SUFFIX.length)),
  );
}

function namesIn(system: RegistrySystem): string[] {
  let stats: Stats;
  try {
    stats = lstatSync(system.directory);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
  checkDirectory(system, stats);
  return readdirSync(system.directory).sort();
}

export function checkDirectory(system: Pick<RegistrySystem, "directory" | "owner">, stats: Stats): void {
  const { directory, owner } = system;
  if (!stats.isDirectory()) throw new UntrustedRegistry(`${directory} is not a folder`);
  if (stats.uid !== owner) throw new UntrustedRegistry(`${directory} does not belong to root`);
  if ((stats.mode & OTHERS_MAY_WRITE) !== 0)
    throw new UntrustedRegistry(`users other than root may write to ${directory}`);
}

/** Opens a record; undefined when it is gone, is being made, or does not belong to root. */
export function openRecord(system: RegistrySystem, name: string, forWriting: boolean): number | undefined {
  const access = forWriting ? constants.O_RDWR : constants.O_RDONLY;
  let fd: number;
  try {
    fd = openSync(`${system.directory}/${name}`, access | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // EACCES: its softnet is still making it, and has not allowed others to read it. ELOOP: a symbolic link.
    if (["ENOENT", "EACCES", "ELOOP", "ENXIO", "EISDIR"].includes(codeOf(error))) return undefined;
    throw error;
  }
  const stats = fstatSync(fd);
  if (stats.isFile() && stats.uid === system.owner && (stats.mode & OTHERS_MAY_WRITE) === 0) return fd;
  closeSync(fd);
  return undefined;
}

/** Reads a record; undefined when there is no file that can be trusted. */
export function readRecord(system: RegistrySystem, name: string): Found | undefined {
  const fd = openRecord(system, name, false);
  if (fd === undefined) return undefined;
  try {
    for (let attempt = 1; ; attempt++) {
      const live = system.isLocked(fd);
      const entry = readEntry(fd);
      if (entry !== undefined || !live || attempt === ATTEMPTS) return { name, entry, live };
    }
  } finally {
    closeSync(fd);
  }
}

/** The record in an open file, undefined when it is incomplete or invalid. */
export function readEntry(fd: number): Entry | undefined {
  const bytes = readStart(fd, RECORD_SIZE + 1);
  const isLonger = bytes.length > RECORD_SIZE && !bytes.subarray(0, RECORD_SIZE).includes(NEWLINE);
  return decodeRecord(isLonger ? readStart(fd, LARGEST_RECORD) : bytes);
}

/** The first bytes of a file, at most that many. */
export function readStart(fd: number, most: number): Uint8Array {
  const bytes = new Uint8Array(most);
  return bytes.subarray(0, readSync(fd, bytes, 0, most, 0));
}

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
