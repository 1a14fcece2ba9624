/** Addresses that names have, as plain lists in the order of their last answers (docs/guard-names.md, Pairs). */
import type { Flow } from "../flows.ts";
import type { Learned } from "./dns.ts";
import type { Address } from "./family.ts";
import { keyOf, type Name } from "./rules.ts";

const SECOND = 1_000_000;

export interface Pair {
  readonly name: Name;
  readonly address: Address;
  verifiedEnd: number;
  otherEnd: number;
}

export class Pairs {
  /** The one whose last answer is the oldest first. */
  list: Pair[] = [];
  /** Addresses that may not be pinned. */
  #others: { address: Address; time: number }[] = [];
  /** Which pair opened a flow. */
  readonly openedBy = new Map<Flow<Address>, Pair>();
  readonly #isLive: (flow: Flow<Address>) => boolean;

  readonly #mayPin: (address: Address) => boolean;

  constructor(isLive: (flow: Flow<Address>) => boolean, mayPin: (address: Address) => boolean) {
    this.#isLive = isLive;
    this.#mayPin = mayPin;
  }

  inFlow(pair: Pair): boolean {
    return [...this.openedBy].some(([flow, own]) => own === pair && this.#isLive(flow));
  }

  alive(pair: Pair, verified: boolean, now: number): boolean {
    return (verified ? pair.verifiedEnd : pair.otherEnd) >= now || this.inFlow(pair);
  }

  knows(name: Name): boolean {
    return this.list.some((pair) => keyOf(pair.name) === keyOf(name));
  }

  isRebinding(address: Address, now: number): boolean {
    return this.#others.some((one) => one.address === address && now - one.time <= 60 * SECOND);
  }

  /** Ends what is over. */
  advance(now: number): void {
    for (const flow of this.openedBy.keys()) if (!this.#isLive(flow)) this.openedBy.delete(flow);
    this.list = this.list.filter((pair) => this.alive(pair, true, now) || this.alive(pair, false, now));
  }

  learn(name: Name, learned: Learned, now: number, allowed: boolean): void {
    for (const { address, ttl } of learned) {
      if (!this.#mayPin(address)) {
        if (!allowed) continue;
        this.#others = this.#others.filter((one) => one.address !== address);
        this.#others.push({ address, time: now });
        if (this.#others.length > 64) this.#others.shift();
        continue;
      }
      const verifiedEnd = now + Math.max(ttl, 3600) * SECOND;
      const otherEnd = now + Math.max(ttl, 60) * SECOND;
      const known = this.list.find((pair) => pair.address === address && keyOf(pair.name) === keyOf(name));
      if (known !== undefined) {
        known.verifiedEnd = Math.max(known.verifiedEnd, verifiedEnd);
        known.otherEnd = Math.max(known.otherEnd, otherEnd);
        this.list = [...this.list.filter((pair) => pair !== known), known];
      } else if (this.#makeRoom(name)) this.list.push({ name, address, verifiedEnd, otherEnd });
    }
  }

  #makeRoom(name: Name): boolean {
    const own = this.list.filter((pair) => keyOf(pair.name) === keyOf(name));
    const names = new Set(this.list.map((pair) => keyOf(pair.name)));
    const among = own.length >= 256 ? own : this.list;
    if (own.length < 256 && this.list.length < 8192 && (own.length > 0 || names.size < 4096)) return true;
    const oldest = among.find((pair) => !this.inFlow(pair));
    if (oldest !== undefined) this.list = this.list.filter((pair) => pair !== oldest);
    return oldest !== undefined;
  }
}
