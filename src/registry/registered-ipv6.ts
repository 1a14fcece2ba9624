/**
 * The IPv6 addresses in one VM's record: those that it has, and those that it is about to get. Between the claim of an
 * address and the moment when it is the VM's there are 500 ms in which the VM's neighbours may object, so claims last. One
 * whose address never becomes the VM's ends by its time (lifetime.ts).
 */
import type { BoundIPv6Address } from "../guard/types.ts";
import { isClaim, type Moment, outlives, SLAAC_LIFETIME, timeOfDay, whyOver } from "./lifetime.ts";
import type { Entry } from "./record.ts";
import { type ClaimedIPv6Address, type KeptIPv6Address, MOST_CLAIMED_IPV6 } from "./record-ipv6.ts";
import type { RegistrySystem } from "./system.ts";

/** Whether a live softnet's VM has or claims that address. */
export function hasIPv6(entry: Entry, address: bigint, moment: Moment): boolean {
  const { boot, ipv6 = [], claimedIPv6 = [] } = entry;
  // Of another boot's clock nothing is known: then a live softnet's address counts.
  if (
    claimedIPv6.some((claim) => claim.address === address && (boot !== moment.boot || isClaim(claim, moment.sinceBoot)))
  )
    return true;
  const kept = ipv6.find((one) => one.address === address);
  return kept !== undefined && !(boot === moment.boot && whyOver(entry, kept, moment) !== undefined);
}

export class RegisteredIPv6 {
  readonly #system: Pick<RegistrySystem, "now" | "sinceBoot">;
  readonly #kept = new Map<bigint, KeptIPv6Address>();
  /** When each was claimed, microseconds since boot. */
  readonly #claims = new Map<bigint, number>();

  constructor(system: Pick<RegistrySystem, "now" | "sinceBoot">) {
    this.#system = system;
  }

  /** The record's part about IPv6. */
  entry(): { readonly ipv6: readonly KeptIPv6Address[]; readonly claimedIPv6: readonly ClaimedIPv6Address[] } {
    const claimedIPv6 = [...this.#claims].map(([address, sinceBoot]) => ({ address, sinceBoot }));
    return { ipv6: [...this.#kept.values()], claimedIPv6 };
  }

  /** Claims it, or claims it anew. Throws RangeError when there are too many claims. */
  claim(address: bigint): void {
    this.#endClaims();
    if (this.#claims.size >= MOST_CLAIMED_IPV6 && !this.#claims.has(address)) {
      throw new RangeError(`more than ${MOST_CLAIMED_IPV6} IPv6 addresses are claimed`);
    }
    this.#claims.set(address, this.#system.sinceBoot());
  }

  withdraw(address: bigint): void {
    this.#claims.delete(address);
  }

  /** Whether it is in the record, as the VM's or as a claim that counts: then nobody else has got it. */
  holds(address: bigint): boolean {
    this.#endClaims();
    return this.#kept.has(address) || this.#claims.has(address);
  }

  /** Stores an address that is the VM's now, in place of what was known of it. */
  keep({ address, origin, lease, expiry }: BoundIPv6Address): void {
    const ends = Math.floor(expiry);
    const expires = timeOfDay(this.#system, ends);
    this.#kept.set(address, { address, origin, ...(lease && { lease }), expires, expiresSinceBoot: ends });
    this.#claims.delete(address);
  }

  remove(address: bigint): void {
    this.#kept.delete(address);
  }

  /** Stores these addresses alone. */
  replace(addresses: readonly BoundIPv6Address[]): void {
    this.#kept.clear();
    for (const bound of addresses) this.keep(bound);
  }

  /** The softnet ends: keeps what can be restored, and returns how many addresses that are. */
  end(): number {
    const end = this.#system.sinceBoot() + SLAAC_LIFETIME;
    this.#claims.clear();
    for (const [address, kept] of this.#kept) {
      if (!outlives(kept)) this.#kept.delete(address);
      else if (kept.origin === "slaac" && kept.expiresSinceBoot > end) {
        this.#kept.set(address, { ...kept, expires: timeOfDay(this.#system, end), expiresSinceBoot: end });
      }
    }
    return this.#kept.size;
  }

  /** Takes claims out that do not count any more. */
  #endClaims(): void {
    const time = this.#system.sinceBoot();
    for (const [address, sinceBoot] of this.#claims) if (!isClaim({ sinceBoot }, time)) this.#claims.delete(address);
  }
}
