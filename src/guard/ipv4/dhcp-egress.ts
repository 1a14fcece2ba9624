/**
 * DHCP from the VM (RFC 2131 4.4): docs/guard.md specifies each check. A message is first judged whole, without changing
 * anything; only one that passes is noted. User rules are never asked: policy cannot cut off a renewal (threat row D27).
 */
import { BROADCAST_MAC, isHostAddress, LIMITED_BROADCAST } from "../../wire/address.ts";
import { BOOT_REQUEST, DHCP_DECLINE, DHCP_DISCOVER, DHCP_INFORM, DHCP_RELEASE, DHCP_REQUEST } from "../../wire/dhcp.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { TokenBucket } from "../token-bucket.ts";
import { ClientIdentifiers } from "./client-identifiers.ts";
import { readDhcp } from "./dhcp-form.ts";
import { type DhcpState, serverOf } from "./dhcp-state.ts";
import type { Transaction, TransactionKind } from "./transactions.ts";

const ADDRESSES = verdictOf("dhcp.addresses");
const FORMAT = verdictOf("dhcp.format");
const RELAY = verdictOf("dhcp.relay");
const MESSAGE_TYPE = verdictOf("dhcp.message-type");
const CLIENT_ADDRESS = verdictOf("dhcp.client-address");
const CLIENT_IDENTIFIER = verdictOf("dhcp.client-identifier");
const SERVER = verdictOf("dhcp.server");
const DECLINE = verdictOf("dhcp.decline");
const HOSTNAME = verdictOf("dhcp.hostname");
const RATE = verdictOf("dhcp.rate");
const PENDING = verdictOf("dhcp.pending");

const MESSAGES_PER_SECOND = 10;
const MESSAGE_BURST = 50;
const MOST_DECLINES = 2;
const DECLINE_WINDOW = 600_000_000;
const MOST_DECLINES_A_DAY = 8;
const DAY = 86_400_000_000;

export class DhcpEgress {
  readonly #state: DhcpState;
  readonly #identifiers = new ClientIdentifiers();
  readonly #bucket = new TokenBucket(MESSAGES_PER_SECOND, MESSAGE_BURST);
  /** When the last DECLINEs passed, oldest first. */
  readonly #declines: number[] = [];
  /** Of the message being judged: the kind of transaction that it opens or refreshes. */
  #kind: TransactionKind = "DISCOVER";
  /** Of the message being judged: in SELECTING the transaction of the offer that it takes. */
  #offered: Transaction | undefined;

  constructor(state: DhcpState) {
    this.#state = state;
  }

  /** Knows the client identifier (empty = none) of a restored binding, so that the VM may release it. */
  restore(clientIdentifier: Uint8Array): void {
    this.#identifiers.restore(clientIdentifier);
  }

  /** Judges a frame with an unfragmented UDP datagram 68 → 67. */
  judge(view: FrameView, now: number): number {
    const { message, mac, trustedServer, transactions, lease, hostname } = this.#state;
    const form = readDhcp(view, BOOT_REQUEST, mac, message);
    if (form !== PASS) return form;
    if (message.hops !== 0 || message.giaddr !== 0 || message.relayAgent) return RELAY;
    if (!isClientType(message.messageType)) return MESSAGE_TYPE;
    if (hostname !== undefined && !message.hasNoNameBut(hostname)) return HOSTNAME;
    if (message.yiaddr !== 0) return CLIENT_ADDRESS;
    const { source, destination } = view;
    if (!this.#mayClaim(message.ciaddr, source === 0 && destination === LIMITED_BROADCAST)) return CLIENT_ADDRESS;
    if (destination === LIMITED_BROADCAST && view.destinationMac !== BROADCAST_MAC) return ADDRESSES;
    if (source !== 0 && source !== lease.address && !(this.#renewsUnbound() && source === message.ciaddr)) {
      return ADDRESSES;
    }
    this.#offered = undefined;
    const meaning = this.#judgeMeaning(source, destination, now);
    if (meaning !== PASS) return meaning;
    if (trustedServer !== 0 && message.serverIdentifier !== 0 && message.serverIdentifier !== trustedServer) {
      return SERVER;
    }

    const type = message.messageType;
    const opens = type === DHCP_DISCOVER || type === DHCP_REQUEST || type === DHCP_INFORM;
    const identified = opens ? this.#identifiers.hasRoomFor(message, now) : this.#identifiers.has(message);
    if (!identified) return CLIENT_IDENTIFIER;
    const givenUp = type === DHCP_DECLINE ? message.requestedAddress : message.ciaddr;
    if (opens ? this.#changesWaiting(now) : transactions.waitsForAnother(givenUp, now)) return PENDING;
    if (opens && !this.#offered && !transactions.hasRoomFor(message.xid, now)) return PENDING;
    if (!this.#bucket.take(now)) return RATE;

    this.#identifiers.use(message, now);
    if (this.#offered) transactions.move(this.#offered, message.xid);
    if (opens) transactions.open(message.xid, now).ask(this.#kind, message, destination, now);
    else this.#giveUp(now);
    if (this.#asksUnknown()) this.#state.ownRequest.make(view, now);
    return PASS;
  }

  /** Whether the message is a REBINDING behind a softnet that does not know the address at all. */
  #asksUnknown(): boolean {
    const { lease, message } = this.#state;
    if (message.messageType !== DHCP_REQUEST || this.#kind !== "REBINDING" || !this.#renewsUnbound()) return false;
    return lease.address === 0 && lease.formerAddress !== message.ciaddr;
  }

  /**
   * ciaddr is empty or the bound address. DISCOVER and SELECTING may also carry the last bound one: the client inside
   * NetworkManager does so after an expiry, until an ACK clears it. It was the VM's own, so an answer sent there tells
   * nobody anything. A plain renewal may name any: the server knows whose it is. `unbound`: from 0.0.0.0 to all.
   */
  #mayClaim(ciaddr: number, unbound: boolean): boolean {
    const { lease, message } = this.#state;
    if (ciaddr === 0 || ciaddr === lease.address) return true;
    const { messageType } = message;
    const selecting = messageType === DHCP_REQUEST && unbound && message.serverIdentifier !== 0;
    if (messageType === DHCP_DISCOVER || selecting) return ciaddr === lease.lastAddress;
    return this.#renewsUnbound() && !lease.isStatic && isHostAddress(ciaddr);
  }

  /** A REQUEST to go on with an address, as the RFC has it: ciaddr, and neither option 50 nor 54 (RFC 2131 4.3.2). */
  #isPlainRenewal(): boolean {
    const { messageType, ciaddr, requestedAddress, serverIdentifier } = this.#state.message;
    return messageType === DHCP_REQUEST && ciaddr !== 0 && requestedAddress === 0 && serverIdentifier === 0;
  }

  /** A renewal of an address that is not bound: the VM or softnet slept, or softnet was started again. */
  #renewsUnbound(): boolean {
    return this.#isPlainRenewal() && this.#state.message.ciaddr !== this.#state.lease.address;
  }

  /** The message's type with its addresses: which state of the client it speaks for (RFC 2131 table 4). */
  #judgeMeaning(source: number, destination: number, now: number): number {
    const broadcast = destination === LIMITED_BROADCAST;
    const unbound = source === 0 && broadcast;
    const toServer = source !== 0 && destination !== 0 && destination === serverOf(this.#state);
    switch (this.#state.message.messageType) {
      case DHCP_DISCOVER:
        this.#kind = "DISCOVER";
        return unbound ? PASS : ADDRESSES;
      case DHCP_REQUEST:
        if (unbound) return this.#judgeUnaddressedRequest(now);
        if (this.#renewsUnbound()) return this.#judgeUnboundRenewal(source, destination);
        if (source === 0 || !(broadcast || toServer)) return ADDRESSES;
        this.#kind = broadcast ? "REBINDING" : "RENEWING";
        return this.#judgeBound(source, true);
      case DHCP_INFORM:
        if (source === 0 || !(broadcast || toServer)) return ADDRESSES;
        this.#kind = "INFORM";
        return this.#judgeBound(source, false);
      case DHCP_RELEASE:
        if (source === 0 || !(broadcast || toServer)) return ADDRESSES;
        if (this.#state.message.ciaddr !== source) return CLIENT_ADDRESS;
        if (!this.#namesServer()) return SERVER;
        return this.#identifiers.has(this.#state.message) ? PASS : CLIENT_IDENTIFIER;
      default:
        return unbound ? this.#judgeDecline(now) : ADDRESSES;
    }
  }

  #namesServer(): boolean {
    const named = this.#state.message.serverIdentifier;
    return named !== 0 && named === serverOf(this.#state);
  }

  /**
   * A REQUEST without an IPv4 source: SELECTING and INIT-REBOOT of a client that has no address yet, REBINDING of one that
   * does not use its address as a source for it (systemd-networkd, NetworkManager, ConnMan).
   */
  #judgeUnaddressedRequest(now: number): number {
    const { message, transactions } = this.#state;
    if (this.#isPlainRenewal()) {
      this.#kind = "REBINDING";
      return PASS;
    }
    if (message.serverIdentifier === 0) {
      if (message.ciaddr !== 0) return CLIENT_ADDRESS;
      this.#kind = "INIT-REBOOT";
      return message.requestedAddress === 0 ? FORMAT : PASS;
    }
    this.#kind = "SELECTING";
    this.#offered = transactions.findOffered(message.xid, message.serverIdentifier, message.requestedAddress, now);
    return this.#offered ? PASS : SERVER;
  }

  /** From the address itself: to a server only where it is known to whom this may go, so that no packet reaches another. */
  #judgeUnboundRenewal(source: number, destination: number): number {
    const { message, lease, trustedServer } = this.#state;
    if (source !== message.ciaddr) return ADDRESSES;
    this.#kind = destination === LIMITED_BROADCAST ? "REBINDING" : "RENEWING";
    if (this.#kind === "REBINDING") return PASS;
    const { former } = lease;
    const server = trustedServer || (former?.address === source ? former.server : 0);
    return destination !== 0 && destination === server ? PASS : ADDRESSES;
  }

  /** RENEWING, REBINDING and INFORM: ciaddr is the source; a renewal names no other server than the binding's. */
  #judgeBound(source: number, renews: boolean): number {
    const { message } = this.#state;
    if (message.ciaddr !== source) return CLIENT_ADDRESS;
    const named = message.serverIdentifier;
    return renews && named !== 0 && named !== serverOf(this.#state) ? SERVER : PASS;
  }

  /** Each DECLINE costs the server an address for a while (threat row D4). */
  #judgeDecline(now: number): number {
    const { message, pending } = this.#state;
    if (message.ciaddr !== 0) return CLIENT_ADDRESS;
    if (!pending.hasFrom(message.requestedAddress, message.serverIdentifier, now)) return DECLINE;
    const often = now - (this.#declines.at(-MOST_DECLINES) ?? Number.NEGATIVE_INFINITY) < DECLINE_WINDOW;
    const daily = now - (this.#declines.at(-MOST_DECLINES_A_DAY) ?? Number.NEGATIVE_INFINITY) < DAY;
    return often || daily ? DECLINE : PASS;
  }

  /**
   * Whether the ACK to a REQUEST that waits would drop after this DISCOVER, REQUEST or INFORM: the server would keep a
   * lease that softnet knows nothing of (threat row D2). A client that takes a new xid for each message may repeat itself.
   */
  #changesWaiting(now: number): boolean {
    const { message, transactions } = this.#state;
    const changes = (entry: Transaction | undefined): boolean =>
      entry?.waits(now) === true && !entry.repeats(this.#kind, message);
    return changes(transactions.find(message.xid, now)) || changes(this.#offered);
  }

  /**
   * RELEASE and DECLINE: the server may give the address away at once, and an answer to an earlier question that is still
   * on its way must not bind it again. Some servers look up what is declined by the client alone, so that a DECLINE of
   * another address costs the bound one too.
   */
  #giveUp(now: number): void {
    const { message, pending, lease, transactions, ownRequest } = this.#state;
    transactions.closeAll();
    ownRequest.drop();
    if (message.messageType === DHCP_RELEASE) {
      lease.end("released");
      return;
    }
    if (this.#declines.length === MOST_DECLINES_A_DAY) this.#declines.shift();
    this.#declines.push(now);
    pending.forget(message.requestedAddress);
    lease.end("declined", message.requestedAddress);
  }
}

function isClientType(type: number): boolean {
  return (
    type === DHCP_DISCOVER ||
    type === DHCP_REQUEST ||
    type === DHCP_DECLINE ||
    type === DHCP_RELEASE ||
    type === DHCP_INFORM
  );
}
