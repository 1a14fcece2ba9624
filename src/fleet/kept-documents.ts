/**
 * The documents that an agent saw last, in a file of its state folder: a VM that starts while NATS is away gets what was known.
 * Replaced as a whole (rename(2)), so that a full disk or a crash leaves the former one.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Policy, parseDocument } from "./document.ts";
import { describeKey } from "./places.ts";

const FILE = "documents.json";
/** Bytes. */
const LONGEST_FILE = 64 * 1_048_576;

export interface KeptEntry {
  readonly revision: number;
  /** Undefined: it was deleted. */
  readonly text?: string;
}

export interface Kept {
  readonly entries: Readonly<Record<string, KeptEntry>>;
  /** What VMs had of their own before the fleet set a policy, by name. */
  readonly own: Readonly<Record<string, Policy>>;
}

const NOTHING: Kept = { entries: {}, own: {} };

/** What is kept in a folder; nothing where there is no file, or none that can be trusted to be whole. */
export function readKept(folder: string): Kept {
  try {
    const path = join(folder, FILE);
    if (statSync(path).size > LONGEST_FILE) return NOTHING;
    const { entries = {}, own = {} } = JSON.parse(readFileSync(path, "utf8")) as Partial<Kept>;
    for (const [key, { revision, text }] of Object.entries(entries)) {
      if (describeKey(key) === undefined || !Number.isSafeInteger(revision)) return NOTHING;
      if (text !== undefined && typeof text !== "string") return NOTHING;
    }
    for (const policy of Object.values(own)) parseDocument(JSON.stringify(policy));
    return { entries, own };
  } catch {
    return NOTHING;
  }
}

/** Throws the system's error; then the former file is still there. */
export function writeKept(folder: string, kept: Kept): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, FILE);
  const next = `${path}.${process.pid}`;
  try {
    writeFileSync(next, JSON.stringify(kept), { mode: 0o600, flush: true });
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}
