/**
 * The registry's folder and what may be believed in it. Only root writes there, so a hostile local user can neither plant
 * nor change a record; the folder and each file are looked at nevertheless before anything in them counts. Nor can he
 * keep a dead record alive: the sign of life is a write lock, and those who may only read cannot take one.
 */

import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync, type Stats } from "node:fs";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { decodeRecord, type Entry, RECORD_SIZE } from "./record.ts";
import type { RegistrySystem } from "./system.ts";

/** The network's short name, the VM's MAC, and what makes it another file each time. */
const NAME = /^[0-9a-f]{16}-[0-9a-f]{12}-[0-9a-f]{8}$/;

/** Times that a record under lock is read again when its writer was met in the middle of it. */
const ATTEMPTS = 8;

/** The folder is not one that can be believed. */
export class UntrustedRegistry extends Error {}

/** What stands in a file. `entry` is missing where no record could be read; `live` means that its softnet runs. */
export interface Found {
  readonly name: string;
  readonly entry: Entry | undefined;
  readonly live: boolean;
}

/** Names of all records, in order; empty where there is no registry. Throws UntrustedRegistry, or what the system says. */
export function recordNames(system: RegistrySystem): string[] {
  let stats: Stats;
  try {
    stats = lstatSync(system.directory);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
  checkDirectory(system, stats);
  return readdirSync(system.directory)
    .filter((name) => NAME.test(name))
    .sort();
}

export function checkDirectory(system: Pick<RegistrySystem, "directory" | "owner">, stats: Stats): void {
  const { directory, owner } = system;
  if (!stats.isDirectory()) throw new UntrustedRegistry(`${directory} is not a folder`);
  if (stats.uid !== owner) throw new UntrustedRegistry(`${directory} does not belong to root`);
  if ((stats.mode & OTHERS_MAY_WRITE) !== 0) throw new UntrustedRegistry(`others than root may write to ${directory}`);
}

/** Opens a record for reading or for both; undefined when it is gone, is being made, or is not root's own file. */
export function openRecord(system: RegistrySystem, name: string, forWriting: boolean): number | undefined {
  const access = forWriting ? constants.O_RDWR : constants.O_RDONLY;
  let fd: number;
  try {
    fd = openSync(`${system.directory}/${name}`, access | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // EACCES: its softnet has not yet opened it to readers, and has written nothing. ELOOP: a link.
    if (["ENOENT", "EACCES", "ELOOP", "ENXIO", "EISDIR"].includes(codeOf(error))) return undefined;
    throw error;
  }
  const stats = fstatSync(fd);
  if (stats.isFile() && stats.uid === system.owner && (stats.mode & OTHERS_MAY_WRITE) === 0) return fd;
  closeSync(fd);
  return undefined;
}

/** Reads a record; undefined when no file is there that counts. */
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

/** The record in an open file, undefined when there is no whole one. */
export function readEntry(fd: number): Entry | undefined {
  const bytes = new Uint8Array(RECORD_SIZE + 1);
  const length = readSync(fd, bytes, 0, bytes.length, 0);
  return decodeRecord(bytes.subarray(0, length));
}

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
