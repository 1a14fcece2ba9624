/** What the router advertised besides itself, each with an end (docs/guard-ipv6.md, The router). Every list is bounded. */
import { wordOf } from "../../wire/ipv6-address.ts";
import { FOREVER } from "../../wire/router-options.ts";

export const MOST_PREFIXES = 8;
export const MOST_NAT64 = 4;
export const MOST_ADVERTISED_DNS = 8;

/** A prefix or, with 128 bits, an address. */
interface Item {
  readonly address: bigint;
  readonly length: number;
  /** The first 64 bits, as frames are compared. */
  readonly first: number;
  readonly second: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
  /** Microseconds on the guard's clock; Infinity = for ever. */
  readonly end: number;
}

export interface Said {
  readonly address: bigint;
  readonly length: number;
  /** Seconds. */
  readonly lifetime: number;
  readonly onLink?: boolean;
  readonly autonomous?: boolean;
}

export class Advertised {
  readonly #most: number;
  #items: Item[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  /** Whether an address whose first 64 bits are these is in a prefix that addresses are made in. */
  isForAddresses(first: number, second: number): boolean {
    for (const item of this.#items) if (item.autonomous && item.first === first && item.second === second) return true;
    return false;
  }

  /** The router says this now; returns whether anything but times is another than before. */
  learn(said: Said, now: number): boolean {
    const { address, length, lifetime, onLink = false, autonomous = false } = said;
    const known = this.#items.findIndex((item) => item.address === address && item.length === length);
    if (lifetime === 0) {
      if (known >= 0) this.#items.splice(known, 1);
      return known >= 0;
    }
    const end = lifetime === FOREVER ? Number.POSITIVE_INFINITY : now + lifetime * 1_000_000;
    const item = { address, length, first: wordOf(address, 0), second: wordOf(address, 1), onLink, autonomous, end };
    if (known < 0) {
      if (this.#items.length === this.#most) return false;
      this.#items.push(item);
      return true;
    }
    const before = this.#items[known]!;
    this.#items[known] = item;
    return before.onLink !== onLink || before.autonomous !== autonomous;
  }

  /** Ends what is over; returns whether anything was. */
  advance(now: number): boolean {
    const before = this.#items.length;
    this.#items = this.#items.filter((item) => item.end > now);
    return this.#items.length !== before;
  }

  /** When the next one ends; Infinity = none does. */
  get deadline(): number {
    let deadline = Number.POSITIVE_INFINITY;
    for (const { end } of this.#items) deadline = Math.min(deadline, end);
    return deadline;
  }

  /** Forgets all; returns whether there was anything. */
  clear(): boolean {
    const any = this.#items.length > 0;
    this.#items = [];
    return any;
  }
}
