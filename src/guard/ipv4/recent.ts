/** Short memories of addresses: who was seen, until when. Both are small fixed tables that forget the oldest when full. */
import { fresh } from "../fresh.ts";

/** Addresses offered or acknowledged to the VM, or just expired: for 60 s it may probe for them and decline them. */
export class PendingAddresses {
  static readonly LIFETIME = 60_000_000;
  static readonly CAPACITY = 8;

  /** Oldest first; each entry is one (address, server) pair. */
  readonly #entries: { readonly address: number; readonly server: number; readonly since: number }[] = [];

  add(address: number, server: number, now: number): void {
    this.#remove((entry) => entry.address === address && entry.server === server);
    if (this.#entries.length === PendingAddresses.CAPACITY) this.#entries.shift();
    this.#entries.push({ address, server, since: now });
  }

  has(address: number, now: number): boolean {
    return this.#entries.some(
      (entry) => entry.address === address && fresh(entry.since, now, PendingAddresses.LIFETIME),
    );
  }

  /** Whether this server offered or acknowledged the address. */
  hasFrom(address: number, server: number, now: number): boolean {
    return this.#entries.some(
      (entry) =>
        entry.address === address && entry.server === server && fresh(entry.since, now, PendingAddresses.LIFETIME),
    );
  }

  /** Forgets an address, whichever server it came from. */
  forget(address: number): void {
    this.#remove((entry) => entry.address === address);
  }

  #remove(condemned: (entry: { address: number; server: number }) => boolean): void {
    for (let index = this.#entries.length - 1; index >= 0; index--) {
      if (condemned(this.#entries[index]!)) this.#entries.splice(index, 1);
    }
  }
}

/** The VM's own ARP probes: a reply that says "taken" may answer them for 3 s (RFC 5227 2.1.1). */
export class ProbeMemory {
  static readonly LIFETIME = 3_000_000;
  static readonly CAPACITY = 8;

  /** Oldest first. */
  readonly #probes: { readonly address: number; readonly time: number }[] = [];

  note(address: number, now: number): void {
    const known = this.#probes.findIndex((probe) => probe.address === address);
    if (known >= 0) this.#probes.splice(known, 1);
    else if (this.#probes.length === ProbeMemory.CAPACITY) this.#probes.shift();
    this.#probes.push({ address, time: now });
  }

  answers(address: number, now: number): boolean {
    return this.#probes.some((probe) => probe.address === address && fresh(probe.time, now, ProbeMemory.LIFETIME));
  }
}
