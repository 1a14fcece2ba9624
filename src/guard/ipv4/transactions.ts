/**
 * DHCP transactions: what the VM has asked, by xid, so that only an answer to it can teach anything (threat rows D7, D20,
 * D24). A transaction lives for 60 s after the VM's last message in it and has one kind, that of this message: an INFORM
 * with a REQUEST's xid cannot complete the REQUEST. Eight at the most; a ninth is refused, unless one of them was answered
 * and can give it its place.
 *
 * A REQUEST waits for its answer for a while: meanwhile the VM cannot change what it asked for, so that it cannot let a
 * server lease an address that the guard does not hear of (threat row D2).
 */
import type { DhcpMessage } from "../../wire/dhcp.ts";
import { fresh } from "../fresh.ts";

export type TransactionKind = "DISCOVER" | "SELECTING" | "INIT-REBOOT" | "RENEWING" | "REBINDING" | "INFORM";

/** Who offered what: the triple that a later ACK must match, and the address. */
export interface Offer {
  readonly server: number;
  readonly sourceAddress: number;
  readonly sourceMac: number;
  /** 0 from a proxy that only says how to boot. */
  readonly address: number;
}

const NO_IDENTIFIER = new Uint8Array(0);

export class Transaction {
  static readonly MOST_OFFERS = 8;
  /** How long a REQUEST waits: a server that has not answered by then will hardly do so. */
  static readonly PATIENCE = 3_000_000;

  /** Moves with a client that takes a new one for its REQUEST. */
  xid: number;
  /** Of the VM's last message in it. */
  time = 0;
  kind: TransactionKind = "DISCOVER";
  readonly offers: Offer[] = [];
  /** The DISCOVER carried option 80 (RFC 4039). */
  rapidCommit = false;
  /** Whether a DISCOVER belongs to it: offers may come. */
  discovered = false;
  /** What the last REQUEST asked for: option 50, or ciaddr when renewing. */
  requestedAddress = 0;
  /** The server of the last REQUEST: what it named in option 54, or where it went in RENEWING; 0 = none. */
  requestedServer = 0;
  /** Options 50 and 54 and ciaddr of the last message, as they were. */
  #option50 = 0;
  #option54 = 0;
  #ciaddr = 0;
  /** Option 61 of the last message; empty = none. */
  clientIdentifier: Uint8Array = NO_IDENTIFIER;
  /** Option 54 of the ACK that bound; 0 = none yet. A repeated REQUEST keeps it. */
  acknowledgedBy = 0;
  /** An ACK has come since the VM's last message: its place is free for another. */
  answered = false;
  /** An OFFER has come since the VM's last message: its server assigns nothing before a REQUEST. */
  offered = false;

  constructor(xid: number) {
    this.xid = xid;
  }

  /** Notes a message of the VM's, to this server by unicast (0 = not so). */
  ask(kind: TransactionKind, message: DhcpMessage, server: number, now: number): void {
    if (kind !== this.kind) this.acknowledgedBy = 0;
    this.answered = false;
    this.offered = false;
    this.kind = kind;
    this.time = now;
    if (kind === "DISCOVER") {
      this.discovered = true;
      this.rapidCommit = message.rapidCommit;
    } else if (kind !== "SELECTING") {
      this.discovered = false;
      this.offers.length = 0;
    }
    this.#option50 = message.requestedAddress;
    this.#option54 = message.serverIdentifier;
    this.#ciaddr = message.ciaddr;
    this.requestedAddress = this.renews ? message.ciaddr : message.requestedAddress;
    this.requestedServer = kind === "RENEWING" ? server : message.serverIdentifier;
    this.clientIdentifier = message.clientIdentifier.slice(0, message.clientIdentifierLength);
  }

  /** Whether it asks for an address that the client believes to have. */
  get renews(): boolean {
    return isRenewal(this.kind);
  }

  /** Whether its last message may make a server assign an address, and the ACK or NAK may still come. */
  waits(now: number): boolean {
    const mayAssign = this.kind === "DISCOVER" ? this.rapidCommit && !this.offered : this.kind !== "INFORM";
    return mayAssign && !this.answered && fresh(this.time, now, Transaction.PATIENCE);
  }

  /** Whether it waits, and not just for this address. A DISCOVER may be assigned any. */
  waitsForAnother(address: number, now: number): boolean {
    return this.waits(now) && (this.kind === "DISCOVER" || this.requestedAddress !== address);
  }

  /** Whether a message of this kind is its last message again, as far as the answer depends on it. */
  repeats(kind: TransactionKind, message: DhcpMessage): boolean {
    const same = kind === this.kind || (this.renews && isRenewal(kind));
    return (
      same &&
      (kind !== "DISCOVER" || message.rapidCommit) &&
      message.requestedAddress === this.#option50 &&
      message.serverIdentifier === this.#option54 &&
      message.ciaddr === this.#ciaddr &&
      this.#isIdentifiedBy(message)
    );
  }

  #isIdentifiedBy({ clientIdentifier, clientIdentifierLength }: DhcpMessage): boolean {
    const own = this.clientIdentifier;
    return own.length === clientIdentifierLength && own.every((byte, index) => byte === clientIdentifier[index]);
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

  /**
   * The live transaction in which this server offered this address: the one with this xid, else the one opened last. Some
   * clients (lwIP 1, smoltcp, Zephyr) take a new xid for their REQUEST.
   */
  findOffered(xid: number, server: number, address: number, now: number): Transaction | undefined {
    const own = this.find(xid, now);
    if (own?.hasOffer(server, address)) return own;
    return this.#live.findLast(
      (entry) => fresh(entry.time, now, Transactions.LIFETIME) && entry.hasOffer(server, address),
    );
  }

  /** Whether the VM is asking whether it may go on with this address. */
  isRenewing(address: number, now: number): boolean {
    return this.#live.some(
      (entry) => entry.renews && entry.requestedAddress === address && fresh(entry.time, now, Transactions.LIFETIME),
    );
  }

  /** Whether the ACK to anything that waits may be for another address than this one. */
  waitsForAnother(address: number, now: number): boolean {
    return this.#live.some((entry) => entry.waitsForAnother(address, now));
  }

  /** Whether a message with this xid belongs to a transaction or may open one. */
  hasRoomFor(xid: number, now: number): boolean {
    let others = 0;
    for (const entry of this.#live) {
      if (!fresh(entry.time, now, Transactions.LIFETIME)) continue;
      if (entry.xid === xid || entry.answered) return true;
      others++;
    }
    return others < Transactions.CAPACITY;
  }

  /** The transaction with this xid, opened when there is none; `hasRoomFor` was true. */
  open(xid: number, now: number): Transaction {
    const known = this.find(xid, now);
    if (known) return known;
    this.#live = this.#live.filter((entry) => fresh(entry.time, now, Transactions.LIFETIME));
    if (this.#live.length === Transactions.CAPACITY) this.close(this.#oldestAnswered()!);
    const opened = new Transaction(xid);
    this.#live.push(opened);
    return opened;
  }

  /** The client goes on in this transaction under another xid. */
  move(transaction: Transaction, xid: number): void {
    if (transaction.xid === xid) return;
    this.#live = this.#live.filter((entry) => entry.xid !== xid);
    transaction.xid = xid;
  }

  /** Forgets all: after a RELEASE or DECLINE no answer still on its way may bind again. */
  closeAll(): void {
    this.#live = [];
  }

  close(transaction: Transaction): void {
    this.#live = this.#live.filter((entry) => entry !== transaction);
  }

  #oldestAnswered(): Transaction | undefined {
    let oldest: Transaction | undefined;
    for (const entry of this.#live) {
      if (entry.answered && (oldest === undefined || entry.time < oldest.time)) oldest = entry;
    }
    return oldest;
  }
}

function isRenewal(kind: TransactionKind): boolean {
  return kind === "RENEWING" || kind === "REBINDING";
}
