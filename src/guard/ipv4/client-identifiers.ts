/**
 * The client identifiers (option 61, or none) that the VM has used: DHCP servers key leases by them, so each new one can
 * cost the pool an address (threat row D2). Four places; a further identifier gets the place of the one that was used
 * longest ago, once that is 10 minutes ago. One boot may use several: the firmware's, the installer's, the system's.
 */
import type { DhcpMessage } from "../../wire/dhcp.ts";

interface Entry {
  readonly bytes: Uint8Array;
  /** Microseconds. */
  readonly lastUse: number;
}

export class ClientIdentifiers {
  static readonly CAPACITY = 4;
  static readonly LIFETIME = 600_000_000;

  /** In the order of their last use, the oldest first. */
  readonly #entries: Entry[] = [];

  /** Whether the message's identifier was used and is still known. */
  has(message: DhcpMessage): boolean {
    return this.#find(message) >= 0;
  }

  /** Whether the message's identifier is known or would find a place. */
  hasRoomFor(message: DhcpMessage, now: number): boolean {
    if (this.#entries.length < ClientIdentifiers.CAPACITY || this.has(message)) return true;
    return now - this.#entries[0]!.lastUse >= ClientIdentifiers.LIFETIME;
  }

  /** Notes a use; `hasRoomFor` was true. */
  use(message: DhcpMessage, now: number): void {
    const known = this.#find(message);
    if (known >= 0) this.#entries.splice(known, 1);
    else if (this.#entries.length === ClientIdentifiers.CAPACITY) this.#entries.shift();
    const bytes = message.clientIdentifier.slice(0, message.clientIdentifierLength);
    this.#entries.push({ bytes, lastUse: now });
  }

  /** Notes one that was used before there was a clock; the table is empty. */
  restore(identifier: Uint8Array): void {
    this.#entries.push({ bytes: identifier.slice(), lastUse: 0 });
  }

  #find(message: DhcpMessage): number {
    const length = message.clientIdentifierLength;
    const wanted = message.clientIdentifier;
    return this.#entries.findIndex(
      ({ bytes }) => bytes.length === length && bytes.every((byte, index) => byte === wanted[index]),
    );
  }
}
