/**
 * Cleaning up, done by each softnet that starts, since one that ends is not root any more. Expired records are removed,
 * and at most MOST_ENDED records of ended softnets are kept.
 *
 * No live softnet loses its record: a file is locked before others can read it, so a readable file without a lock is an
 * ended softnet's. No lock is taken on such a file, because any user who can read it could hold a read lock against
 * that.
 */
import { chmodSync, chownSync, closeSync, existsSync, fstatSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { checkDirectory, codeOf, openRecord, pairsNames, readEntry, recordNames } from "./files.ts";
import { type Moment, momentOf, outlives, restorable, SLAAC_LIFETIME, whyOver } from "./lifetime.ts";
import { namePrefix, PAIRS_SUFFIX } from "./names.ts";
import type { Entry } from "./record.ts";
import type { RegistrySystem } from "./system.ts";

/** Records of ended softnets: of more, those whose leases expire first are removed. */
export const MOST_ENDED = 1024;

/** All records: with more, softnet refuses to start. */
export const MOST_RECORDS = 4096;

const OTHERS_MAY_READ = 0o004;

/** A record of the same VM on the same network, whose softnet has ended. */
export interface Predecessor {
  readonly name: string;
  readonly entry: Entry;
}

/** The same VM's records that were found: the newest first, and the expired ones, which were removed. */
export interface Swept {
  readonly predecessors: readonly Predecessor[];
  readonly over: { readonly address: number; readonly why: string } | undefined;
}

/** Makes the folder, readable by all and writable by root. Throws UntrustedRegistry, or the system's error. */
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
  // The umask, of this process or of one that was killed before this line, may have removed bits. Softnets must be able
  // to read the folder after they have dropped root's rights.
  if ((stats.mode & 0o777) !== 0o755) chmodSync(directory, 0o755);
}

/** Removes what may be removed, and returns the same VM's earlier records. Throws when the folder is full. */
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
      ended.push({ name, ends: endOf(found.entry, moment) });
    }
  }
  const excess = ended.toSorted((a, b) => a.ends - b.ends).slice(0, Math.max(0, ended.length - MOST_ENDED));
  for (const { name } of excess) removeRecord(system, name);
  const left = names.length - removed - excess.length;
  if (left > MOST_RECORDS) throw new Error(`${system.directory} has ${left} records of VMs, more than ${MOST_RECORDS}`);
  removeLonePairs(system);
  predecessors.sort((a, b) => b.entry.writtenSinceBoot - a.entry.writtenSinceBoot);
  return { predecessors, over };
}

/** Judges one file; one without a valid record is removed. */
function lookAt(system: RegistrySystem, name: string): Predecessor | "live" | "gone" | "removed" | "foreign" {
  const fd = openRecord(system, name, true);
  if (fd === undefined) return "foreign";
  try {
    // The mode before the lock: in the other order a file could be locked and made readable between the two checks.
    const { nlink, mode } = fstatSync(fd);
    if (nlink === 0) return "gone";
    if (system.isLocked(fd)) return "live";
    // While others cannot read it, it is being made, and only the process with the lock may remove it.
    if ((mode & OTHERS_MAY_READ) === 0 && !system.lock(fd)) return "live";
    const entry = readEntry(fd);
    if (entry !== undefined) return { name, entry };
    removeRecord(system, name);
    return "removed";
  } finally {
    closeSync(fd);
  }
}

/** Whether no address of a record can be restored. */
function mayGo(entry: Entry, moment: Moment): boolean {
  return restorable(entry, moment).length === 0;
}

/** When the last address of a record ends, microseconds since boot. One without an end counts as ending soon: it is SLAAC's. */
function endOf(entry: Entry, moment: Moment): number {
  const ends = restorable(entry, moment).map(({ origin, expiresSinceBoot }) =>
    origin === "slaac" ? Math.min(expiresSinceBoot, entry.writtenSinceBoot + SLAAC_LIFETIME) : expiresSinceBoot,
  );
  return Math.max(...ends);
}

/** Removes the files of a VM whose softnet has ended; the record last, since the next sweep looks for records. */
export function removeRecord(system: RegistrySystem, name: string): void {
  removeFile(system, `${name}${PAIRS_SUFFIX}`);
  removeFile(system, name);
}

/** Removes the pairs of records that a softnet which knows no pairs has removed. A record is there before its pairs are. */
function removeLonePairs(system: RegistrySystem): void {
  for (const name of pairsNames(system)) {
    if (!existsSync(`${system.directory}/${name.slice(0, -PAIRS_SUFFIX.length)}`)) removeFile(system, name);
  }
}

function removeFile(system: RegistrySystem, name: string): void {
  try {
    unlinkSync(`${system.directory}/${name}`);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error; // another softnet has removed it
  }
}

/** Removes the records of ended softnets on matching networks, for example of a namespace that will be deleted. */
export function forgetNetworks(system: RegistrySystem, matches: (network: string) => boolean): void {
  for (const name of recordNames(system)) {
    const found = lookAt(system, name);
    if (typeof found !== "string" && matches(found.entry.network)) removeRecord(system, name);
  }
}
