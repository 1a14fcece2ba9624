/**
 * DHCPv6 to the VM: an answer passes only if this VM asked for it within the last 60 s, under the same xid, with a message of
 * the fitting kind; and only a REPLY teaches, before it is forwarded (threat rows S5, S7). docs/guard-ipv6.md specifies each
 * check.
 */
import {
  DHCPV6_ADDR_REG_INFORM,
  DHCPV6_ADDR_REG_REPLY,
  DHCPV6_ADVERTISE,
  DHCPV6_REBIND,
  DHCPV6_RENEW,
  DHCPV6_REPLY,
  DHCPV6_REQUEST,
  DHCPV6_SOLICIT,
  FOREVER6,
  OPTION_IA_TA,
} from "../../wire/dhcpv6.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { isMulticast } from "../../wire/ipv6-address.ts";
import { isSameAddress, isUnspecified } from "../../wire/ipv6-words.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { isSameList } from "../same-list.ts";
import type { IPv6Lease } from "../types.ts";
import { embedsIPv4, isGlobalOrLocal } from "./assignable-6.ts";
import { type Dhcpv6State, readDhcpv6 } from "./dhcpv6-state.ts";
import type { Transaction6 } from "./dhcpv6-transactions.ts";
import { NO_PLACE } from "./own-places.ts";

const MESSAGE_TYPE = verdictOf("dhcpv6.message-type");
const ADDRESSES = verdictOf("dhcpv6.addresses");
const TRANSACTION = verdictOf("dhcpv6.transaction");
const SERVER = verdictOf("dhcpv6.server");
const ASSIGNED_ADDRESS = verdictOf("dhcpv6.assigned-address");
const ADDRESS_HELD = verdictOf("dhcpv6.address-held");
const PENDING = verdictOf("dhcpv6.pending");

/** That are kept. */
const MOST_DNS_SERVERS = 8;

export class Dhcpv6Ingress {
  readonly #state: Dhcpv6State;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #words = new Int32Array(4);

  constructor(state: Dhcpv6State, clock: Float64Array) {
    this.#state = state;
    this.#clock = clock;
  }

  /** Judges a frame with an unfragmented UDP datagram 547 → 546. */
  judge(view: FrameView): number {
    const { message, addresses, transactions } = this.#state;
    const now = this.#clock[0]!;
    const form = readDhcpv6(view, message);
    if (form !== PASS) return form;
    const { type } = message;
    if (type !== DHCPV6_ADVERTISE && type !== DHCPV6_REPLY && type !== DHCPV6_ADDR_REG_REPLY) return MESSAGE_TYPE;
    if (isUnspecified(view.source6) || addresses.find(view.source6) !== NO_PLACE) return ADDRESSES;
    const transaction = transactions.find(message.xid, now);
    if (transaction === undefined) return TRANSACTION;
    if (!isSameAddress(view.destination6, transaction.source)) return ADDRESSES;
    if (!this.#fits(transaction)) return TRANSACTION;
    if (!this.#isFromRightServer(transaction)) return SERVER;
    if (type === DHCPV6_ADVERTISE) {
      if (!transaction.hasRoomForServer(message)) return PENDING;
      transaction.noteServer(message);
      return PASS;
    }
    if (type === DHCPV6_ADDR_REG_REPLY) {
      transaction.answered = true;
      return PASS;
    }
    const teaches = message.succeeds && asksForAddresses(transaction.kind);
    if (teaches) {
      const verdict = this.#judgeAddresses(transaction);
      if (verdict !== PASS) return verdict;
    }
    this.#replied(transaction, view);
    if (teaches) this.#learn(now);
    this.#learnDnsServers();
    return PASS;
  }

  /** Whether a message is an answer to what the transaction's last message asked. */
  #fits({ kind, rapidCommit }: Transaction6): boolean {
    const { message } = this.#state;
    if (message.type === DHCPV6_ADVERTISE) return kind === DHCPV6_SOLICIT;
    if (message.type === DHCPV6_ADDR_REG_REPLY) return kind === DHCPV6_ADDR_REG_INFORM;
    if (kind === DHCPV6_SOLICIT) return rapidCommit && message.rapidCommit;
    return kind !== DHCPV6_ADDR_REG_INFORM;
  }

  #isFromRightServer(transaction: Transaction6): boolean {
    const { message } = this.#state;
    if (transaction.client.length > 0 && !message.isClient(transaction.client)) return false;
    if (message.type === DHCPV6_ADDR_REG_REPLY) return true;
    if (!message.hasServer) return false;
    if (transaction.repliedBy !== undefined && !message.isServer(transaction.repliedBy)) return false;
    return transaction.named === undefined || message.isServer(transaction.named);
  }

  /** Whether all addresses that a REPLY gives may be the VM's, before any is taken. */
  #judgeAddresses(transaction: Transaction6): number {
    const { message, addresses } = this.#state;
    const fresh = new Set<bigint>();
    const kept: number[] = [];
    for (let index = 0; index < message.addresses; index++) {
      if (!message.isGiven(index) || message.validLifetimeOf(index) === 0) continue;
      if (!this.#isAssignable(index, transaction)) return ASSIGNED_ADDRESS;
      message.readAddressWords(index, this.#words);
      const place = addresses.find(this.#words);
      if (place === NO_PLACE) fresh.add(message.addressOf(index));
      else kept.push(place);
    }
    for (const address of fresh) if (addresses.isHeldElsewhere(address)) return ADDRESS_HELD;
    return fresh.size <= addresses.roomBeside(kept) ? PASS : PENDING;
  }

  #isAssignable(index: number, transaction: Transaction6): boolean {
    const { message, router, staticAddress } = this.#state;
    const association = message.associationOf(index);
    if (!transaction.hasAssociation(message.kindOf(association), message.iaidOf(association))) return false;
    if (message.preferredLifetimeOf(index) > message.validLifetimeOf(index)) return false;
    const address = message.addressOf(index);
    if (staticAddress !== undefined && address !== staticAddress) return false;
    message.readAddressWords(index, this.#words);
    if (router.isItsAddress(this.#words) || !isGlobalOrLocal(this.#words)) return false;
    return !embedsIPv4(this.#words, router.knownNetwork([]).nat64);
  }

  #replied(transaction: Transaction6, view: FrameView): void {
    const { message } = this.#state;
    const server = message.server;
    transaction.answered = true;
    transaction.repliedBy ??= server;
    this.#state.lastReply = { server, source: view.source6.slice() };
  }

  #learn(now: number): void {
    const { message, addresses } = this.#state;
    const { client } = message;
    const { server } = message;
    for (let index = 0; index < message.addresses; index++) this.#endWithdrawn(index);
    const kept = this.#placesGiven();
    for (let index = 0; index < message.addresses; index++) {
      const lifetime = message.validLifetimeOf(index);
      if (!message.isGiven(index) || lifetime === 0) continue;
      message.readAddressWords(index, this.#words);
      const association = message.associationOf(index);
      const iaid = message.iaidOf(association);
      const temporary = message.kindOf(association) === OPTION_IA_TA;
      const lease: IPv6Lease = Object.freeze({ server, client, iaid, ...(temporary && { temporary }) });
      const expiry = lifetime === FOREVER6 ? Number.POSITIVE_INFINITY : now + lifetime * 1_000_000;
      kept.push(addresses.give(this.#words, lease, expiry, kept));
    }
  }

  /** Places of the addresses of this REPLY's that are there already: none of them gives its place to another. */
  #placesGiven(): number[] {
    const { message, addresses } = this.#state;
    const places: number[] = [];
    for (let index = 0; index < message.addresses; index++) {
      if (!message.isGiven(index) || message.validLifetimeOf(index) === 0) continue;
      message.readAddressWords(index, this.#words);
      const place = addresses.find(this.#words);
      if (place !== NO_PLACE) places.push(place);
    }
    return places;
  }

  /** The server takes an address back that it, or another one, gave in the same association. */
  #endWithdrawn(index: number): void {
    const { message, addresses } = this.#state;
    if (!message.isGiven(index) || message.validLifetimeOf(index) !== 0) return;
    const iaid = message.iaidOf(message.associationOf(index));
    message.readAddressWords(index, this.#words);
    const place = addresses.find(this.#words);
    const lease = place === NO_PLACE ? undefined : addresses.leaseOf(place);
    if (lease?.iaid === iaid && message.isClient(lease.client)) addresses.end(place, "refused");
  }

  #learnDnsServers(): void {
    const { message } = this.#state;
    const servers: bigint[] = [];
    for (let index = 0; index < message.dnsServers && servers.length < MOST_DNS_SERVERS; index++) {
      const address = message.dnsServerOf(index);
      if (address !== 0n && !isMulticast(address)) servers.push(address);
    }
    const before = this.#state.dnsServers;
    if (servers.length === 0 || isSameList(servers, before)) return;
    this.#state.dnsServers = servers;
    this.#state.networkChanged();
  }
}

/** Kinds of transactions in which a REPLY gives addresses. */
function asksForAddresses(kind: number): boolean {
  return kind === DHCPV6_SOLICIT || kind === DHCPV6_REQUEST || kind === DHCPV6_RENEW || kind === DHCPV6_REBIND;
}
