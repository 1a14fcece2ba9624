/**
 * Pairs of DUID and IAID that the VM has used: DHCPv6 servers key leases by them, so each new one can cost the pool an
 * address (threat row S7). Eight places; a further pair gets the place of the one that was used longest ago, once that is 10
 * minutes ago.
 */
import type { Dhcpv6Message } from "../../wire/dhcpv6.ts";

const CAPACITY = 8;
const LIFETIME = 600_000_000;
/** Of an identifier in a message without any association. */
const NO_IAID = -1;

interface Entry {
  readonly client: Uint8Array;
  readonly iaid: number;
  /** Microseconds. */
  readonly lastUse: number;
}

export class Identities6 {
  /** In the order of their last use, the oldest first. */
  #entries: Entry[] = [];

  /** Whether each pair of a message, which has a client identifier, was used and is still known. */
  has(message: Dhcpv6Message): boolean {
    return iaidsOf(message).every((iaid) => this.#find(message, iaid) !== undefined);
  }

  /** Whether each pair of a message is known, or all of them would find a place at once. */
  hasRoomFor(message: Dhcpv6Message, now: number): boolean {
    const iaids = iaidsOf(message);
    const known = new Set(iaids.map((iaid) => this.#find(message, iaid)));
    const fresh = iaids.filter((iaid) => this.#find(message, iaid) === undefined).length;
    const stale = this.#entries.filter((entry) => now - entry.lastUse >= LIFETIME && !known.has(entry)).length;
    return fresh <= CAPACITY - this.#entries.length + stale;
  }

  /** Notes a use; `hasRoomFor` or `has` was true. */
  use(message: Dhcpv6Message, now: number): void {
    const client = message.client;
    const iaids = iaidsOf(message);
    this.#entries = this.#entries.filter((entry) => !(message.isClient(entry.client) && iaids.includes(entry.iaid)));
    for (const iaid of iaids) {
      if (this.#entries.length === CAPACITY) this.#entries.shift();
      this.#entries.push({ client, iaid, lastUse: now });
    }
  }

  /** Notes one that was used before there was a clock. */
  restore(client: Uint8Array, iaid: number): void {
    const known = this.#entries.some((entry) => entry.iaid === iaid && isSame(entry.client, client));
    if (!known && this.#entries.length < CAPACITY) this.#entries.push({ client: client.slice(), iaid, lastUse: 0 });
  }

  #find(message: Dhcpv6Message, iaid: number): Entry | undefined {
    return this.#entries.find((entry) => entry.iaid === iaid && message.isClient(entry.client));
  }
}

/** Each once. */
function iaidsOf(message: Dhcpv6Message): readonly number[] {
  if (message.associations === 0) return [NO_IAID];
  return [...new Set(Array.from({ length: message.associations }, (_, index) => message.iaidOf(index)))];
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
