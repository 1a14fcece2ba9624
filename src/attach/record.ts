/**
 * What softnet knows of an interface that it has closed: where it was before, and what was changed. It is a file that only
 * root writes and every user may read, `/run/softnet/attached/NAMESPACE-INDEX`, so that `softnet detach`, `softnet list`
 * and the next softnet find it, whatever became of the one that wrote it. Whether that one still runs, a lock on the file
 * beside it says: the kernel gives it back with the process.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import type { Hooked } from "../lane/hooks.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { networkNamespace } from "../native/linux/network-namespace.ts";
import { linuxRecordLock } from "../native/linux/record-lock.ts";
import { ensureDirectory } from "../registry/sweep.ts";
import type { FormerSettings } from "./settings.ts";
import { readTrusted } from "./trusted-file.ts";

const ROOT = 0;
const LOCK = ".lock";

export interface AttachRecord {
  /** The interface's name when it was attached, and its number. */
  readonly name: string;
  readonly index: number;
  /** Also in the interface's own setting of this name (settings.ts). */
  readonly tag: number;
  /** The bridge that it was on, and its settings as a port there. */
  readonly bridge?: string;
  readonly port?: Readonly<Record<number, number>>;
  readonly settings: FormerSettings;
  /** Programs of softnet's at the interface, the newest last. */
  readonly hooked: readonly Hooked[];
  /** The VM's MAC address. */
  readonly mac: string;
  /** Whether softnet shall put the interface back when it ends in order. */
  readonly openOnExit: boolean;
  /** SHA-256, hexadecimal, of what its softnet knows alone: so the host's helper knows whose interface it is. */
  readonly owner: string;
  /** The process. */
  readonly pid: number;
}

/** The folder of the records of one network namespace. */
export class AttachRecords {
  readonly #libc: LinuxLibc;
  /** Root's. */
  readonly folder: string;
  readonly #namespace: string;

  /** `directory`: the registry's. */
  constructor(libc: LinuxLibc, directory: string) {
    this.#libc = libc;
    this.folder = `${directory}/attached`;
    this.#namespace = networkNamespace(libc)
      .replaceAll(/[^0-9]+/g, "-")
      .replaceAll(/^-|-$/g, "");
  }

  /** Undefined where there is none that root wrote. */
  read(index: number): AttachRecord | undefined {
    const record = parse(readTrusted(this.#path(index)));
    return record?.index === index ? record : undefined;
  }

  /** All of this network namespace. */
  list(): AttachRecord[] {
    const own = new RegExp(`^${this.#namespace}-(\\d+)$`);
    return listFolder(this.folder).flatMap((name) => {
      const index = own.exec(name)?.[1];
      return index === undefined ? [] : (this.read(Number(index)) ?? []);
    });
  }

  /** As root: writes it whole. */
  write(record: AttachRecord): void {
    const path = this.#path(record.index);
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o644 });
    chmodSync(`${path}.new`, 0o644);
    renameSync(`${path}.new`, path);
  }

  /** As root. Harmless where there is none. The lock stays: another softnet may wait for it. */
  remove(index: number): void {
    rmSync(this.#path(index), { force: true });
  }

  /** As root: removes the record and the lock of an interface that is no more. */
  forget(index: number): void {
    this.remove(index);
    rmSync(this.#path(index) + LOCK, { force: true });
  }

  /** As root: a descriptor that holds the interface for this process; undefined where another softnet has it. */
  lock(index: number): number | undefined {
    ensureDirectory({ directory: this.folder.slice(0, -"/attached".length), owner: ROOT });
    ensureDirectory({ directory: this.folder, owner: ROOT });
    const path = this.#path(index) + LOCK;
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
    chmodSync(path, 0o644);
    if (fstatSync(fd).gid !== ROOT) chownSync(path, ROOT, ROOT); // through SUID its group would be the caller's
    if (linuxRecordLock(this.#libc).take(fd)) return fd;
    closeSync(fd);
    return undefined;
  }

  /** Whether a softnet has the interface now. */
  isLive(index: number): boolean {
    try {
      const fd = openSync(this.#path(index) + LOCK, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        return linuxRecordLock(this.#libc).isTaken(fd);
      } finally {
        closeSync(fd);
      }
    } catch {
      return false;
    }
  }

  #path(index: number): string {
    return `${this.folder}/${this.#namespace}-${index}`;
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Root wrote it, so its form is believed; only a file that is none of these is not. */
function parse(text: string | undefined): AttachRecord | undefined {
  if (text === undefined) return undefined;
  try {
    const record = JSON.parse(text) as AttachRecord;
    return Number.isInteger(record.index) && Array.isArray(record.hooked) ? record : undefined;
  } catch {
    return undefined;
  }
}
