/**
 * DHCPv6 transactions: what the VM has asked, by xid, so that only an answer to it can teach anything (threat rows S5, S7). One
 * lives for 60 s after the VM's last message in it, and is of the kind of that message. Eight at the most; a ninth is
 * refused, unless one of them was answered and can give it its place.
 */
import { type Dhcpv6Message, mustNameServer } from "../../wire/dhcpv6.ts";
import { fresh } from "../fresh.ts";

const CAPACITY = 8;
const LIFETIME = 60_000_000;
const MOST_SERVERS = 8;

export class Transaction6 {
  readonly xid: number;
  /** Of the VM's last message in it: when, its type, and what its answer must fit. */
  time = 0;
  kind = 0;
  readonly source = new Int32Array(4);
  client: Uint8Array = new Uint8Array(0);
  /** The server that it named, where only that may answer; undefined = any may. */
  named: Uint8Array | undefined;
  rapidCommit = false;
  #associations: { readonly kind: number; readonly iaid: number }[] = [];
  /** Servers whose ADVERTISE passed. */
  readonly #servers: Uint8Array[] = [];
  /** The server whose REPLY passed first; undefined = none yet. A message of another kind clears it. */
  repliedBy: Uint8Array | undefined;
  /** A REPLY has passed since the VM's last message: its place is free for another. */
  answered = false;

  constructor(xid: number) {
    this.xid = xid;
  }

  /** Notes a message of the VM's. */
  ask(message: Dhcpv6Message, source: Int32Array, now: number): void {
    if (message.type !== this.kind) this.repliedBy = undefined;
    this.time = now;
    this.kind = message.type;
    this.source.set(source);
    this.client = message.client;
    this.named = mustNameServer(message.type) ? message.server : undefined;
    this.rapidCommit = message.rapidCommit;
    this.answered = false;
    this.#associations = Array.from({ length: message.associations }, (_, index) => ({
      kind: message.kindOf(index),
      iaid: message.iaidOf(index),
    }));
  }

  /** Whether the VM's last message had this association. */
  hasAssociation(kind: number, iaid: number): boolean {
    return this.#associations.some((entry) => entry.kind === kind && entry.iaid === iaid);
  }

  /** Whether an ADVERTISE of the message's server passed. */
  isAdvertisedBy(message: Dhcpv6Message): boolean {
    return this.#servers.some((server) => message.isServer(server));
  }

  /** Whether an ADVERTISE of the message's server is known or can be noted. */
  hasRoomForServer(message: Dhcpv6Message): boolean {
    return this.#servers.length < MOST_SERVERS || this.isAdvertisedBy(message);
  }

  noteServer(message: Dhcpv6Message): void {
    if (!this.isAdvertisedBy(message)) this.#servers.push(message.server);
  }
}

export class Transactions6 {
  #live: Transaction6[] = [];

  /** The live transaction with this xid. */
  find(xid: number, now: number): Transaction6 | undefined {
    return this.#live.find((entry) => entry.xid === xid && fresh(entry.time, now, LIFETIME));
  }

  /** Whether an ADVERTISE of the message's server passed in a live transaction. */
  isAdvertisedBy(message: Dhcpv6Message, now: number): boolean {
    return this.#live.some((entry) => fresh(entry.time, now, LIFETIME) && entry.isAdvertisedBy(message));
  }

  /** Whether a message with this xid belongs to a transaction or may open one. */
  hasRoomFor(xid: number, now: number): boolean {
    let others = 0;
    for (const entry of this.#live) {
      if (!fresh(entry.time, now, LIFETIME)) continue;
      if (entry.xid === xid || entry.answered) return true;
      others++;
    }
    return others < CAPACITY;
  }

  /** The transaction with this xid, opened when there is none; `hasRoomFor` was true. */
  open(xid: number, now: number): Transaction6 {
    const known = this.find(xid, now);
    if (known) return known;
    this.#live = this.#live.filter((entry) => fresh(entry.time, now, LIFETIME));
    if (this.#live.length === CAPACITY) this.#closeOldestAnswered();
    const opened = new Transaction6(xid);
    this.#live.push(opened);
    return opened;
  }

  /** After a RELEASE or DECLINE no answer still on its way to another message may give an address again. */
  closeOthers(transaction: Transaction6): void {
    this.#live = [transaction];
  }

  #closeOldestAnswered(): void {
    let oldest: Transaction6 | undefined;
    for (const entry of this.#live) {
      if (entry.answered && (oldest === undefined || entry.time < oldest.time)) oldest = entry;
    }
    this.#live = this.#live.filter((entry) => entry !== oldest);
  }
}
