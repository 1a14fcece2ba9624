/**
 * Cleaning up, by each softnet that starts, because one that ends is not root any more: what is over is removed, and of
 * what was left by softnets that ended, so much is kept that the folder stays small.
 *
 * No living softnet loses its record: its file is locked before others can read it, so one that others can read and that
 * is not locked is dead for ever. Nobody takes a lock on such a file, because who can read it could stand in the way.
 */
import { chmodSync, chownSync, closeSync, fstatSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { checkDirectory, codeOf, openRecord, readEntry, recordNames } from "./files.ts";
import { isOver, type Moment, momentOf, outlives, whyOver } from "./lifetime.ts";
import { namePrefix } from "./names.ts";
import type { Entry } from "./record.ts";
import type { RegistrySystem } from "./system.ts";

/** Records of softnets that ended: of more, those that end first are removed. */
export const MOST_ENDED = 1024;

/** Records altogether: with more, no further VM is started. */
export const MOST_RECORDS = 4096;

const OTHERS_MAY_READ = 0o004;

/** A record of the same VM on the same network, whose softnet has ended. */
export interface Predecessor {
  readonly name: string;
  readonly entry: Entry;
}

/** What of the same VM was found: the newest first, and what is over and was removed. */
export interface Swept {
  readonly predecessors: readonly Predecessor[];
  readonly over: { readonly address: number; readonly why: string } | undefined;
}

/** Makes the folder, readable by all and writable by root. Throws UntrustedRegistry, or what the system says. */
export function ensureDirectory(system: Pick<RegistrySystem, "directory" | "owner">): void {
  const { directory, owner } = system;
  try {
    mkdirSync(directory, { mode: 0o755 });
    if (owner === 0) chownSync(directory, 0, 0); // through SUID its group would be the caller's
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  const stats = lstatSync(directory);
  checkDirectory(system, stats);
  // Whatever umask the caller has, or the one had who was killed right here: softnets read it after their drop.
  if ((stats.mode & 0o777) !== 0o755) chmodSync(directory, 0o755);
}

/** Removes what may go, and returns the same VM's records of before. Throws when the folder is full. */
export function sweep(system: RegistrySystem, network: string, mac: number): Swept {
  const moment = momentOf(system);
  const own = `${namePrefix(network, mac)}-`;
  const predecessors: Predecessor[] = [];
  const ended: { name: string; ends: number }[] = [];
  const names = recordNames(system);
  let removed = 0;
  let over: Swept["over"];
  for (const name of names) {
    const found = lookAt(system, name);
    if (found === "gone" || found === "removed") removed++;
    if (typeof found === "string") continue;
    const isOwn = name.startsWith(own) && found.entry.network === network && found.entry.mac === mac;
    if (mayGo(found.entry, moment)) {
      const { binding } = found.entry;
      const why = isOwn && binding && outlives(binding) ? whyOver(found.entry, binding, moment) : undefined;
      if (why !== undefined && binding !== undefined) over = { address: binding.address, why };
      removeRecord(system, name);
      removed++;
    } else if (isOwn) {
      predecessors.push(found);
    } else {
      ended.push({ name, ends: found.entry.binding?.expiresSinceBoot ?? 0 });
    }
  }
  const excess = ended.toSorted((a, b) => a.ends - b.ends).slice(0, Math.max(0, ended.length - MOST_ENDED));
  for (const { name } of excess) removeRecord(system, name);
  const left = names.length - removed - excess.length;
  if (left > MOST_RECORDS) throw new Error(`${system.directory} has ${left} records of VMs, more than ${MOST_RECORDS}`);
  predecessors.sort((a, b) => b.entry.writtenSinceBoot - a.entry.writtenSinceBoot);
  return { predecessors, over };
}

/** What a file is to a softnet that starts; without a whole record it goes. */
function lookAt(system: RegistrySystem, name: string): Predecessor | "live" | "gone" | "removed" | "foreign" {
  const fd = openRecord(system, name, true);
  if (fd === undefined) return "foreign";
  try {
    // First who may read it, then whether it is locked: the other way round it could become both in between.
    const { nlink, mode } = fstatSync(fd);
    if (nlink === 0) return "gone";
    if (system.isLocked(fd)) return "live";
    // While others cannot read it, it is being made, and only who has the lock may decide.
    if ((mode & OTHERS_MAY_READ) === 0 && !system.lock(fd)) return "live";
    const entry = readEntry(fd);
    if (entry !== undefined) return { name, entry };
    removeRecord(system, name);
    return "removed";
  } finally {
    closeSync(fd);
  }
}

/** What is over, or cannot be gone on with. */
function mayGo(entry: Entry, moment: Moment): boolean {
  return isOver(entry, moment) || !outlives(entry.binding);
}

/** Removes a file whose softnet has ended. */
export function removeRecord(system: RegistrySystem, name: string): void {
  try {
    unlinkSync(`${system.directory}/${name}`);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error; // another softnet that starts now was faster
  }
}

/** Removes the records of ended softnets on the networks that match: of a namespace that is to be deleted, for example. */
export function forgetNetworks(system: RegistrySystem, matches: (network: string) => boolean): void {
  for (const name of recordNames(system)) {
    const found = lookAt(system, name);
    if (typeof found !== "string" && matches(found.entry.network)) removeRecord(system, name);
  }
}
