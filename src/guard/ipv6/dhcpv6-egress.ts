/**
 * DHCPv6 from the VM (RFC 8415 18.2): docs/guard-ipv6.md specifies each check. A message is first judged whole, without
 * changing anything; only one that passes is noted (threat row S7).
 */
import {
  DHCPV6_ADDR_REG_INFORM,
  DHCPV6_CONFIRM,
  DHCPV6_DECLINE,
  DHCPV6_INFORMATION_REQUEST,
  DHCPV6_REBIND,
  DHCPV6_RELEASE,
  DHCPV6_REQUEST,
  DHCPV6_SOLICIT,
  mustNameServer,
} from "../../wire/dhcpv6.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { DHCPV6_SERVERS, isLinkLocalGroup, isMulticast6, isSameAddress } from "../../wire/ipv6-words.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { TokenBucket } from "../token-bucket.ts";
import { type Dhcpv6State, readDhcpv6 } from "./dhcpv6-state.ts";
import { NO_PLACE } from "./own-places.ts";

const MESSAGE_TYPE = verdictOf("dhcpv6.message-type");
const ADDRESSES = verdictOf("dhcpv6.addresses");
const IDENTITY = verdictOf("dhcpv6.identity");
const SERVER = verdictOf("dhcpv6.server");
const DECLINE = verdictOf("dhcpv6.decline");
const PENDING = verdictOf("dhcpv6.pending");
const RATE = verdictOf("dhcpv6.rate");

const MESSAGES_PER_SECOND = 10;
const MESSAGE_BURST = 50;
const MOST_DECLINES = 2;
const DECLINE_WINDOW = 600_000_000;

export class Dhcpv6Egress {
  readonly #state: Dhcpv6State;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #bucket = new TokenBucket(MESSAGES_PER_SECOND, MESSAGE_BURST);
  /** When the last DECLINEs passed, oldest first. */
  readonly #declines: number[] = [];
  readonly #words = new Int32Array(4);

  constructor(state: Dhcpv6State, clock: Float64Array) {
    this.#state = state;
    this.#clock = clock;
  }

  /** Judges a frame with an unfragmented UDP datagram 546 → 547. */
  judge(view: FrameView): number {
    const { message, addresses, identities, transactions } = this.#state;
    const now = this.#clock[0]!;
    const form = readDhcpv6(view, message);
    if (form !== PASS) return form;
    const { type } = message;
    if (!isClientType(type)) return MESSAGE_TYPE;
    const place = addresses.placeOf(view.source6);
    if (place === NO_PLACE || !this.#mayComeFrom(view, place) || !this.#mayGoTo(view)) return ADDRESSES;
    const mayBeAnonymous = type === DHCPV6_INFORMATION_REQUEST || type === DHCPV6_ADDR_REG_INFORM;
    if (!message.hasClient && !mayBeAnonymous) return IDENTITY;
    if (!this.#namesRightServer(now)) return SERVER;
    const givesUp = type === DHCPV6_RELEASE || type === DHCPV6_DECLINE;
    if (givesUp) {
      const verdict = this.#judgeGivingUp(now);
      if (verdict !== PASS) return verdict;
    }
    if (message.hasClient && !(givesUp ? identities.has(message) : identities.hasRoomFor(message, now)))
      return IDENTITY;
    if (!transactions.hasRoomFor(message.xid, now)) return PENDING;
    if (!this.#bucket.take(now)) return RATE;
    this.#note(view, place, givesUp, now);
    return PASS;
  }

  #note(view: FrameView, place: number, givesUp: boolean, now: number): void {
    const { message, addresses, identities, transactions } = this.#state;
    addresses.use(place);
    if (message.hasClient) identities.use(message, now);
    const transaction = transactions.open(message.xid, now);
    transaction.ask(message, view.source6, now);
    if (!givesUp) return;
    transactions.closeOthers(transaction);
    const declines = message.type === DHCPV6_DECLINE;
    if (declines) {
      if (this.#declines.length === MOST_DECLINES) this.#declines.shift();
      this.#declines.push(now);
    }
    for (let index = 0; index < message.addresses; index++) {
      const named = this.#placeOf(index);
      if (named !== NO_PLACE) addresses.end(named, declines ? "declined" : "released");
    }
  }

  #placeOf(index: number): number {
    const { message, addresses } = this.#state;
    message.readAddressWords(index, this.#words);
    return addresses.find(this.#words);
  }

  /** From a link-local address; a registration from the address that it registers (RFC 9686 4.2). */
  #mayComeFrom(view: FrameView, place: number): boolean {
    const { message, addresses } = this.#state;
    if (message.type !== DHCPV6_ADDR_REG_INFORM) return addresses.isLinkLocal(place);
    message.readAddressWords(0, this.#words);
    return isSameAddress(this.#words, view.source6);
  }

  /** To all servers, or where the server that it names last replied from. */
  #mayGoTo(view: FrameView): boolean {
    const { message, lastReply } = this.#state;
    const { destination6 } = view;
    if (isLinkLocalGroup(destination6, DHCPV6_SERVERS)) return true;
    if (!mustNameServer(message.type) || lastReply === undefined || isMulticast6(destination6)) return false;
    return message.isServer(lastReply.server) && isSameAddress(destination6, lastReply.source);
  }

  #namesRightServer(now: number): boolean {
    const { message, transactions } = this.#state;
    const { type } = message;
    if (type === DHCPV6_INFORMATION_REQUEST) return true;
    if (!mustNameServer(type)) return !message.hasServer;
    if (!message.hasServer) return false;
    return type === DHCPV6_REQUEST ? transactions.isAdvertisedBy(message, now) : this.#gaveNamedAddresses();
  }

  /** Whether the named server gave each address of the VM's that the message names. */
  #gaveNamedAddresses(): boolean {
    const { message, addresses } = this.#state;
    for (let index = 0; index < message.addresses; index++) {
      const place = this.#placeOf(index);
      const lease = place === NO_PLACE ? undefined : addresses.leaseOf(place);
      if (lease !== undefined && !message.isServer(lease.server)) return false;
    }
    return true;
  }

  /** RELEASE and DECLINE give up what is the VM's own, and cost the server an address for a while. */
  #judgeGivingUp(now: number): number {
    const { message, addresses } = this.#state;
    for (let index = 0; index < message.addresses; index++) {
      const place = this.#placeOf(index);
      const lease = place === NO_PLACE ? undefined : addresses.leaseOf(place);
      if (lease === undefined || !message.isClient(lease.client)) return ADDRESSES;
      if (lease.iaid !== message.iaidOf(message.associationOf(index))) return ADDRESSES;
    }
    if (message.type !== DHCPV6_DECLINE || this.#declines.length < MOST_DECLINES) return PASS;
    return now - this.#declines[0]! < DECLINE_WINDOW ? DECLINE : PASS;
  }
}

function isClientType(type: number): boolean {
  return (
    type === DHCPV6_SOLICIT ||
    type === DHCPV6_CONFIRM ||
    type === DHCPV6_REBIND ||
    type === DHCPV6_INFORMATION_REQUEST ||
    type === DHCPV6_ADDR_REG_INFORM ||
    mustNameServer(type)
  );
}
