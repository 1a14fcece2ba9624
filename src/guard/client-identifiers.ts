/**
 * The client identifiers (option 61, or none) that the VM has used: DHCP servers key leases by them, so each new one can
 * cost the pool an address (threat row D2). Four places; a further identifier gets the place of the one that was used
 * longest ago, once that is 10 minutes ago. One boot may use several: the firmware's, the installer's, the system's.
 */
import type { DhcpMessage } from "../wire/dhcp.ts";
import { LONGEST_CLIENT_IDENTIFIER } from "../wire/dhcp.ts";

interface Entry {
  readonly bytes: Uint8Array;
  length: number;
  lastUse: number;
}

export class ClientIdentifiers {
  static readonly CAPACITY = 4;
  static readonly LIFETIME = 600_000_000;

  readonly #entries: Entry[] = [];

  /** Whether the message's identifier was used and is still known. */
  has(message: DhcpMessage): boolean {
    return this.#find(message) !== undefined;
  }

  /** Whether the message's identifier is known or would find a place. */
  hasRoomFor(message: DhcpMessage, now: number): boolean {
    return (
      this.has(message) || this.#entries.length < ClientIdentifiers.CAPACITY || this.#replaceable(now) !== undefined
    );
  }

  /** Notes a use; `hasRoomFor` was true. */
  use(message: DhcpMessage, now: number): void {
    let entry = this.#find(message);
    if (!entry) {
      if (this.#entries.length < ClientIdentifiers.CAPACITY) {
        entry = { bytes: new Uint8Array(LONGEST_CLIENT_IDENTIFIER), length: 0, lastUse: 0 };
        this.#entries.push(entry);
      } else {
        entry = this.#replaceable(now);
        if (!entry) return;
      }
      entry.length = message.clientIdentifierLength;
      entry.bytes.set(message.clientIdentifier);
    }
    entry.lastUse = now;
  }

  #find(message: DhcpMessage): Entry | undefined {
    const length = message.clientIdentifierLength;
    const bytes = message.clientIdentifier;
    return this.#entries.find((entry) => {
      if (entry.length !== length) return false;
      for (let index = 0; index < length; index++) if (entry.bytes[index] !== bytes[index]) return false;
      return true;
    });
  }

  #replaceable(now: number): Entry | undefined {
    let oldest: Entry | undefined;
    for (const entry of this.#entries) if (!oldest || entry.lastUse < oldest.lastUse) oldest = entry;
    return oldest && now - oldest.lastUse >= ClientIdentifiers.LIFETIME ? oldest : undefined;
  }
}
