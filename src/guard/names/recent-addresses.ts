/** Addresses that allowed names had and that no name opens, for 60 s: so that the drop says why (docs/guard-names.md). */
import type { Address } from "./pairs.ts";

const MOST = 64;
const PATIENCE = 60_000_000;

export class RecentAddresses {
  /** Address to last microsecond, in the order of their answers. */
  readonly #ends = new Map<Address, number>();

  add(address: Address, now: number): void {
    this.#ends.delete(address);
    if (this.#ends.size === MOST) {
      for (const oldest of this.#ends.keys()) {
        this.#ends.delete(oldest);
        break;
      }
    }
    this.#ends.set(address, now + PATIENCE);
  }

  has(address: Address, now: number): boolean {
    const end = this.#ends.get(address);
    return end !== undefined && now <= end;
  }
}
