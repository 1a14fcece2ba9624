/** Questions that passed and wait for their answer (docs/guard-names.md, Questions by UDP). */
import { LONGEST_NAME } from "../../wire/host-name.ts";
import type { Address } from "./pairs.ts";

export const MOST_OUTSTANDING = 256;
const PATIENCE = 10_000_000;
/** Behind a question's name: type and class. */
const FIELDS = 4;

/** Between whom a question and its answer go: the DNS server, the protocol's number, the VM's port. */
export interface Exchange {
  server: Address;
  protocol: number;
  port: number;
}

export const makeExchange = (): Exchange => ({ server: 0, protocol: 0, port: 0 });

export class OutstandingQuestion {
  readonly exchange = makeExchange();
  /** Last microsecond; negative = none. */
  end = -1;
  /** As it was asked: letters as they were. */
  readonly question = new Uint8Array(LONGEST_NAME + FIELDS);
  questionLength = 0;
  /** The name in wire form, lower case. */
  readonly labels = new Uint8Array(LONGEST_NAME);
  labelsLength = 0;

  /** Whether an answer with its id, in whose `bytes` the question's `length` bytes stand at `at`, is this question's. */
  isAnsweredBy(exchange: Exchange, bytes: Uint8Array, at: number, length: number): boolean {
    const { server, protocol, port } = this.exchange;
    if (port !== exchange.port || protocol !== exchange.protocol) return false;
    if (server !== exchange.server || this.questionLength !== length) return false;
    for (let index = 0; index < length; index++) if (this.question[index] !== bytes[at + index]) return false;
    return true;
  }
}

export class Outstanding {
  readonly #all = Array.from({ length: MOST_OUTSTANDING }, () => new OutstandingQuestion());
  /** Their ids, which are searched at once: few questions come, and code that seldom runs is slow. */
  readonly #ids = new Uint16Array(MOST_OUTSTANDING);
  #next = 0;

  /** The question that an answer is to, or undefined. */
  find(
    exchange: Exchange,
    id: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: number,
  ): OutstandingQuestion | undefined {
    for (let index = this.#ids.indexOf(id); index >= 0; index = this.#ids.indexOf(id, index + 1)) {
      const asked = this.#all[index]!;
      if (asked.end >= now && asked.isAnsweredBy(exchange, bytes, at, length)) return asked;
    }
    return undefined;
  }

  /** Notes a question, in the place of the oldest one where it is new; the same one again counts anew. */
  note(
    exchange: Exchange,
    id: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    labels: Uint8Array,
    labelsLength: number,
    now: number,
  ): void {
    const known = this.find(exchange, id, bytes, at, length, now);
    if (known !== undefined) this.forget(known);
    const asked = this.#all[this.#next]!;
    this.#ids[this.#next] = id;
    this.#next = (this.#next + 1) % MOST_OUTSTANDING;
    Object.assign(asked.exchange, exchange);
    asked.end = now + PATIENCE;
    for (let index = 0; index < length; index++) asked.question[index] = bytes[at + index]!;
    asked.questionLength = length;
    for (let index = 0; index < labelsLength; index++) asked.labels[index] = labels[index]!;
    asked.labelsLength = labelsLength;
  }

  /** It is answered. */
  forget(asked: OutstandingQuestion): void {
    asked.end = -1;
  }
}
