/** Questions that passed and wait for their answer (docs/guard-names.md, Questions by UDP). */
import { LONGEST_NAME } from "../../wire/host-name.ts";
import type { Address } from "./pairs.ts";

export const MOST_OUTSTANDING = 256;
const PATIENCE = 10_000_000;
/** Behind a question's name: type and class. */
const FIELDS = 4;

export class OutstandingQuestion {
  server: Address = 0;
  port = 0;
  protocol = 0;
  id = 0;
  /** Last microsecond; negative = none. */
  end = -1;
  /** As it was asked: letters as they were. */
  readonly question = new Uint8Array(LONGEST_NAME + FIELDS);
  questionLength = 0;
  /** The name in wire form, lower case. */
  readonly labels = new Uint8Array(LONGEST_NAME);
  labelsLength = 0;
}

export class Outstanding {
  readonly #all = Array.from({ length: MOST_OUTSTANDING }, () => new OutstandingQuestion());
  #next = 0;

  /** The question that this is the answer's, or undefined. The question stands in `bytes` at `at`. */
  find(
    server: Address,
    port: number,
    protocol: number,
    id: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): OutstandingQuestion | undefined {
    for (const entry of this.#all) {
      if (entry.id !== id || entry.port !== port || entry.end < now || entry.protocol !== protocol) continue;
      if (entry.server === server && isSame(entry, bytes, at, length)) return entry;
    }
    return undefined;
  }

  /** Notes a question, in the place of the oldest one where it is new; the same one again counts anew. */
  note(
    server: Address,
    port: number,
    protocol: number,
    id: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    labels: Uint8Array,
    labelsLength: number,
    now: number,
  ): void {
    const known = this.find(server, port, protocol, id, bytes, at, length, now);
    if (known !== undefined) this.forget(known);
    const entry = this.#all[this.#next]!;
    this.#next = (this.#next + 1) % MOST_OUTSTANDING;
    entry.server = server;
    entry.port = port;
    entry.protocol = protocol;
    entry.id = id;
    entry.end = now + PATIENCE;
    for (let index = 0; index < length; index++) entry.question[index] = bytes[at + index]!;
    entry.questionLength = length;
    for (let index = 0; index < labelsLength; index++) entry.labels[index] = labels[index]!;
    entry.labelsLength = labelsLength;
  }

  /** It is answered. */
  forget(entry: OutstandingQuestion): void {
    entry.end = -1;
  }
}

function isSame(entry: OutstandingQuestion, bytes: Uint8Array, at: number, length: number): boolean {
  if (entry.questionLength !== length) return false;
  for (let index = 0; index < length; index++) if (entry.question[index] !== bytes[at + index]) return false;
  return true;
}
