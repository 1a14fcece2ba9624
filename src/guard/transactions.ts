/**
 * DHCP transactions: what the VM has asked, by xid, so that only an answer to it can teach anything (threat rows D7, D20,
 * D24). A transaction lives for 60 s after the VM's last message in it and has one kind, that of this message: an INFORM
 * with a REQUEST's xid cannot complete the REQUEST. Eight at the most; a ninth is refused, not an old one forgotten.
 */
import type { DhcpMessage } from "../wire/dhcp.ts";
import { fresh } from "./recent.ts";

export type TransactionKind = "DISCOVER" | "SELECTING" | "INIT-REBOOT" | "RENEWING" | "REBINDING" | "INFORM";

/** Who offered what: the triple that a later ACK must match, and the address. */
export interface Offer {
  readonly server: number;
  readonly sourceAddress: number;
  readonly sourceMac: number;
  /** 0 from a proxy that only tells about booting. */
  readonly address: number;
}

const NO_IDENTIFIER = new Uint8Array(0);

export class Transaction {
  static readonly MOST_OFFERS = 8;

  readonly xid: number;
  time = 0;
  kind: TransactionKind = "DISCOVER";
  readonly offers: Offer[] = [];
  /** The DISCOVER carried option 80 (RFC 4039). */
  rapidCommit = false;
  /** Whether a DISCOVER belongs to it: offers may come. */
  discovered = false;
  /** What the last REQUEST asked for: option 50, or ciaddr when renewing. */
  requestedAddress = 0;
  /** What the last REQUEST named in option 54; 0 = none. */
  requestedServer = 0;
  /** Option 61 of the last message; empty = none. */
  clientIdentifier: Uint8Array = NO_IDENTIFIER;
  /** Option 54 of the ACK that answered it; 0 = none yet. */
  acknowledgedBy = 0;

  constructor(xid: number) {
    this.xid = xid;
  }

  /** Notes a message of the VM's. */
  ask(kind: TransactionKind, message: DhcpMessage, now: number): void {
    if (kind !== this.kind) this.acknowledgedBy = 0;
    this.kind = kind;
    this.time = now;
    if (kind === "DISCOVER") {
      this.discovered = true;
      this.rapidCommit = message.rapidCommit;
    } else if (kind !== "SELECTING") {
      this.discovered = false;
      this.offers.length = 0;
    }
    this.requestedAddress = kind === "RENEWING" || kind === "REBINDING" ? message.ciaddr : message.requestedAddress;
    this.requestedServer = message.serverIdentifier;
    this.clientIdentifier = message.clientIdentifier.slice(0, message.clientIdentifierLength);
  }

  /** Whether this server offered this address; a proxy's offer of none does not count. */
  hasOffer(server: number, address: number): boolean {
    return address !== 0 && this.offers.some((offer) => offer.server === server && offer.address === address);
  }

  hasOfferFrom(server: number, sourceAddress: number, sourceMac: number): boolean {
    return this.offers.some(
      (offer) => offer.server === server && offer.sourceAddress === sourceAddress && offer.sourceMac === sourceMac,
    );
  }

  hasExactly(wanted: Offer): boolean {
    return this.offers.some(
      (offer) =>
        offer.server === wanted.server &&
        offer.sourceAddress === wanted.sourceAddress &&
        offer.sourceMac === wanted.sourceMac &&
        offer.address === wanted.address,
    );
  }
}

export class Transactions {
  static readonly CAPACITY = 8;
  static readonly LIFETIME = 60_000_000;

  #live: Transaction[] = [];

  /** The live transaction with this xid. */
  find(xid: number, now: number): Transaction | undefined {
    return this.#live.find((entry) => entry.xid === xid && fresh(entry.time, now, Transactions.LIFETIME));
  }

  /** Whether a message with this xid belongs to a transaction or may open one. */
  hasRoomFor(xid: number, now: number): boolean {
    let others = 0;
    for (const entry of this.#live) {
      if (!fresh(entry.time, now, Transactions.LIFETIME)) continue;
      if (entry.xid === xid) return true;
      others++;
    }
    return others < Transactions.CAPACITY;
  }

  /** The transaction with this xid, opened when there is none; `hasRoomFor` was true. */
  open(xid: number, now: number): Transaction {
    const known = this.find(xid, now);
    if (known) return known;
    this.#live = this.#live.filter((entry) => fresh(entry.time, now, Transactions.LIFETIME));
    const opened = new Transaction(xid);
    this.#live.push(opened);
    return opened;
  }

  /** Forgets all: after a RELEASE or DECLINE no answer still on its way may bind again. */
  closeAll(): void {
    this.#live = [];
  }

  close(transaction: Transaction): void {
    this.#live = this.#live.filter((entry) => entry !== transaction);
  }
}
