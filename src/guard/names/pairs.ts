/**
 * Which names have which addresses, as the VM's own lookups said (docs/guard-names.md, Pairs). Tables of JavaScript's own: they
 * change with answers and are asked where a connection begins, never for a packet of one that goes on.
 */
import { formatDomainName } from "../../wire/domain-name.ts";

/** An IPv4 address in host order, or 128 bits of an IPv6 address. */
export type Address = number | bigint;

export const MOST_NAMES = 4096;
export const MOST_PAIRS = 8192;
export const MOST_OF_ONE_NAME = 256;

/** Seconds that a pair lives at least: where the first bytes say the name as well, and elsewhere. */
const LEAST_VERIFIED = 3600;
const LEAST_OTHER = 60;
export const LONGEST_TTL = 86_400;
const SECOND = 1_000_000;

export interface Name {
  /** In wire form, lower case, with the zero byte at its end. */
  readonly labels: Uint8Array;
  readonly text: string;
  readonly pairs: Map<Address, Pair>;
}

export interface Pair {
  readonly name: Name;
  readonly address: Address;
  /** Last microseconds for openings to TCP ports 80 and 443, and for others. */
  verifiedEnd: number;
  otherEnd: number;
  /** Flows that are not over and were opened by it. */
  flows: number;
  /** Where its last answer stands among all pairs' answers. */
  answer: number;
}

export class Pairs {
  readonly #names = new Map<string, Name>();
  readonly #byAddress = new Map<Address, Set<Pair>>();
  /** In the order of their last answers. */
  readonly #order = new Set<Pair>();
  #changes = 0;
  #answers = 0;

  /** Grows with each answer that is learned and each pair that goes. */
  get changes(): number {
    return this.#changes;
  }

  get size(): number {
    return this.#order.size;
  }

  /** All that are not over, the one whose answer is the oldest first. */
  *notOver(now: number): IterableIterator<Pair> {
    for (const pair of this.#order) if (!isOver(pair, now)) yield pair;
  }

  /** Whether a name has a pair that is not over. */
  has(labels: Uint8Array, length: number, now: number): boolean {
    for (const pair of this.named(labels, length)?.pairs.values() ?? []) if (!isOver(pair, now)) return true;
    return false;
  }

  /** The name, where it has pairs. */
  named(labels: Uint8Array, length: number): Name | undefined {
    return this.#names.get(nameKey(labels, length));
  }

  /** The pairs of an address, alive or not. */
  at(address: Address): ReadonlySet<Pair> | undefined {
    return this.#byAddress.get(address);
  }

  /** `verified`: for an opening to TCP port 80 or 443. */
  isAlive(pair: Pair, verified: boolean, now: number): boolean {
    return pair.flows > 0 || now <= (verified ? pair.verifiedEnd : pair.otherEnd);
  }

  /** An answer says that a name has an address for `ttl` seconds. Returns whether there was room. */
  learn(labels: Uint8Array, length: number, address: Address, ttl: number, now: number): boolean {
    const seconds = Math.min(ttl, LONGEST_TTL);
    const verifiedEnd = now + Math.max(seconds, LEAST_VERIFIED) * SECOND;
    const otherEnd = now + Math.max(seconds, LEAST_OTHER) * SECOND;
    return this.restore(labels, length, address, verifiedEnd, otherEnd, now);
  }

  /** A pair with its ends; where it is there already, the later ones count. */
  restore(
    labels: Uint8Array,
    length: number,
    address: Address,
    verifiedEnd: number,
    otherEnd: number,
    now: number,
  ): boolean {
    this.#changes++;
    const key = nameKey(labels, length);
    const known = this.#names.get(key)?.pairs.get(address);
    if (known !== undefined) {
      known.verifiedEnd = Math.max(known.verifiedEnd, verifiedEnd);
      known.otherEnd = Math.max(known.otherEnd, otherEnd);
      known.answer = this.#answers++;
      this.#order.delete(known);
      this.#order.add(known);
      return true;
    }
    if (!this.#makeRoom(this.#names.get(key), now)) return false;
    // Only now: what made room may have been the name's last pair.
    let name = this.#names.get(key);
    if (name === undefined) {
      name = { labels: labels.slice(0, length), text: formatDomainName(labels), pairs: new Map() };
      this.#names.set(key, name);
    }
    const pair: Pair = { name, address, verifiedEnd, otherEnd, flows: 0, answer: this.#answers++ };
    name.pairs.set(address, pair);
    const same = this.#byAddress.get(address);
    if (same === undefined) this.#byAddress.set(address, new Set([pair]));
    else same.add(pair);
    this.#order.add(pair);
    return true;
  }

  /** What is over goes first, wherever it stands: a pair with a long life may stand before it. */
  #makeRoom(name: Name | undefined, now: number): boolean {
    const isFull = this.#order.size === MOST_PAIRS || (name === undefined && this.#names.size === MOST_NAMES);
    if (isFull || name?.pairs.size === MOST_OF_ONE_NAME) {
      for (const pair of this.#order) if (isOver(pair, now)) this.#drop(pair);
    }
    if (name !== undefined && name.pairs.size === MOST_OF_ONE_NAME) return this.#dropIdle(name);
    if (this.#order.size === MOST_PAIRS) return this.#dropIdle(undefined);
    while (name === undefined && this.#names.size === MOST_NAMES) if (!this.#dropIdle(undefined)) return false;
    return true;
  }

  /** Forgets the pair without a flow whose answer is the oldest, of a name or of all. */
  #dropIdle(name: Name | undefined): boolean {
    for (const pair of this.#order) {
      if (pair.flows > 0 || (name !== undefined && pair.name !== name)) continue;
      this.#drop(pair);
      return true;
    }
    return false;
  }

  #drop(pair: Pair): void {
    this.#changes++;
    const { name, address } = pair;
    this.#order.delete(pair);
    name.pairs.delete(address);
    if (name.pairs.size === 0) this.#names.delete(nameKey(name.labels, name.labels.length));
    const same = this.#byAddress.get(address)!;
    same.delete(pair);
    if (same.size === 0) this.#byAddress.delete(address);
  }
}

/** In neither time, and in no flow. */
function isOver({ flows, verifiedEnd, otherEnd }: Pair, now: number): boolean {
  return flows === 0 && now > verifiedEnd && now > otherEnd;
}

/** A name in wire form as a key: one character a byte. */
export function nameKey(labels: Uint8Array, length: number): string {
  return String.fromCharCode.apply(null, labels.subarray(0, length) as unknown as number[]);
}
