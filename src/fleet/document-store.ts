/**
 * The fleet's documents as an agent knows them: parsed, and as text for a start without NATS. Bounded, whatever stands in the
 * bucket: what is too much is a mistake of its document, so that the VMs that it is for keep what they have.
 */
import { UserError } from "../user-error.ts";
import { type Entry, LONGEST_DOCUMENT, parseDocument } from "./document.ts";
import type { KeptEntry } from "./kept-documents.ts";
import { describeKey } from "./places.ts";

/** Documents, deleted ones among them, and bytes of all together. */
const MOST_DOCUMENTS = 100_000;
const MOST_BYTES = 32 * 1_048_576;

export class DocumentStore {
  readonly #entries = new Map<string, Entry>();
  readonly #kept = new Map<string, KeptEntry>();
  readonly #mostBytes: number;
  #bytes = 0;
  #wrong = 0;

  /** `mostBytes` is there for tests. */
  constructor(mostBytes = MOST_BYTES) {
    this.#mostBytes = mostBytes;
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  /** For the file of the state folder. */
  get kept(): ReadonlyMap<string, KeptEntry> {
    return this.#kept;
  }

  /** How many there are that hold, and that are wrong. */
  get counts(): { readonly valid: number; readonly wrong: number } {
    let valid = 0;
    for (const { document } of this.#entries.values()) if (document !== undefined) valid++;
    return { valid: valid - this.#wrong, wrong: this.#wrong };
  }

  /** Takes an entry of the bucket; an older one than is known changes nothing. Returns whether it was taken. */
  take(key: string, given: KeptEntry): boolean {
    const before = this.#entries.get(key);
    if (describeKey(key) === undefined || given.revision < (before?.revision ?? 0)) return false;
    if (before === undefined && this.#entries.size >= MOST_DOCUMENTS) return false;
    this.#bytes -= bytesOf(this.#kept.get(key));
    const document = this.#read(given);
    const isWrong = document instanceof UserError;
    this.#wrong += Number(isWrong) - Number(before?.document instanceof UserError);
    const kept: KeptEntry = isWrong ? { revision: given.revision, error: document.message } : given;
    this.#bytes += bytesOf(kept);
    this.#kept.set(key, kept);
    this.#entries.set(key, { revision: given.revision, document });
    return true;
  }

  #read({ text, error }: KeptEntry): Entry["document"] {
    if (error !== undefined) return new UserError(error);
    if (text === undefined) return undefined;
    try {
      const document = parseDocument(text);
      if (this.#bytes + Buffer.byteLength(text) <= this.#mostBytes) return document;
      return new UserError(`the fleet's documents have more than ${this.#mostBytes} bytes together: delete some`);
    } catch (problem) {
      if (problem instanceof UserError) return problem;
      throw problem;
    }
  }
}

/** Text of an entry of the bucket; of one that is too long only as much as says so. */
export function textOfEntry(value: Uint8Array): string {
  return Buffer.from(value.subarray(0, LONGEST_DOCUMENT + 1)).toString();
}

function bytesOf(kept: KeptEntry | undefined): number {
  return Buffer.byteLength(kept?.text ?? kept?.error ?? "");
}
