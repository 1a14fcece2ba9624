/**
 * The documents that an agent saw last, in a file of its state folder: a VM that starts while NATS is away gets what was known.
 * Replaced as a whole (rename(2)), so that a full disk or a crash leaves the former one.
 */
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { UserError } from "../user-error.ts";
import { type Policy, parseDocument } from "./document.ts";
import { describeKey } from "./places.ts";

const FILE = "documents.json";
/** Bytes. */
const LONGEST_FILE = 128 * 1_048_576;

/** On the disk when it is written: fsync(2) is closed in the packaged executable (Node's permission model). */
const WHOLE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_SYNC;

/** An entry with neither text nor error was deleted. */
export interface KeptEntry {
  readonly revision: number;
  readonly text?: string;
  /** What is wrong with it. */
  readonly error?: string;
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
    for (const [key, { revision, text, error }] of Object.entries(entries)) {
      if (describeKey(key) === undefined || !Number.isSafeInteger(revision)) return NOTHING;
      for (const given of [text, error]) if (given !== undefined && typeof given !== "string") return NOTHING;
    }
    for (const policy of Object.values(own)) parseDocument(JSON.stringify(policy));
    return { entries, own };
  } catch {
    return NOTHING;
  }
}

/** Makes the folder where there is none, in one that is there. Throws UserError where nothing can be kept in it. */
export function prepareState(folder: string): void {
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
    if (!statSync(folder).isDirectory()) throw new Error("it is no folder");
  } catch (error) {
    const why = (error as Error).message;
    throw new UserError(`--state ${folder} cannot be written to (${why}): give a folder of this user's own`);
  }
}

/** One folder, not those above it: they are the host's. (Also, Node.js tries `recursive` for ever below /proc.) */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Throws an error; then the former file is still there. */
export function writeKept(folder: string, kept: Kept): void {
  const text = JSON.stringify(kept);
  if (Buffer.byteLength(text) > LONGEST_FILE) throw new Error(`it has more than ${LONGEST_FILE} bytes`);
  makeFolder(folder);
  const path = join(folder, FILE);
  const next = `${path}.${process.pid}`;
  try {
    const file = openSync(next, WHOLE, 0o600);
    try {
      writeFileSync(file, text);
    } finally {
      closeSync(file);
    }
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}
