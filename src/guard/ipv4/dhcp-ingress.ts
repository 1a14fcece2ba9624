/**
 * DHCP to the VM: the snooping half of the state machine. An answer passes only if this VM asked for it within the last
 * 60 s, under the same xid, with a message of the fitting kind, from a server that may be trusted in that state; and only
 * an ACK teaches, before it is forwarded (threat rows D7, D13, D20, D25, D29). docs/guard.md specifies each check.
 */

import { covers, lastOf, subnetOf } from "../../policy/rule.ts";
import { isGloballyRoutable } from "../../policy/special-purpose.ts";
import { BROADCAST_MAC, isHostAddress, LIMITED_BROADCAST, UNKNOWN_MAC } from "../../wire/address.ts";
import { BOOT_REPLY, DHCP_ACK, DHCP_NAK, DHCP_OFFER, type DhcpMessage } from "../../wire/dhcp.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { BoundIPv4Address } from "../types.ts";
import { isAssignable, mayBeRouter } from "./assignable.ts";
import { readDhcp } from "./dhcp-form.ts";
import { type DhcpState, isHeldElsewhere, serverOf } from "./dhcp-state.ts";
import { Transaction } from "./transactions.ts";

const ADDRESSES = verdictOf("dhcp.addresses");
const HARDWARE_ADDRESS = verdictOf("dhcp.hardware-address");
const OTHER_CLIENT = verdictOf("dhcp.other-client");
const MESSAGE_TYPE = verdictOf("dhcp.message-type");
const TRANSACTION = verdictOf("dhcp.transaction");
const SERVER = verdictOf("dhcp.server");
const PENDING = verdictOf("dhcp.pending");
const ASSIGNED_ADDRESS = verdictOf("dhcp.assigned-address");
const ROUTER = verdictOf("dhcp.router");
const LEASE_TIME = verdictOf("dhcp.lease-time");
const ADDRESS_HELD = verdictOf("dhcp.address-held");

export class DhcpIngress {
  readonly #state: DhcpState;
  /** IPv4 source of the last ACK that taught an address; 0 = none yet. */
  #lastTeacher = 0;

  constructor(state: DhcpState) {
    this.#state = state;
  }

  /** Knows from where a restored address was taught. */
  restore(source: number): void {
    this.#lastTeacher = source;
  }

  /** Judges a frame with an unfragmented UDP datagram 67 → 68. */
  judge(view: FrameView, now: number): number {
    const { message, mac, transactions, trustedServer, serverMac, configuredGateway } = this.#state;
    const form = readDhcp(view, BOOT_REPLY, mac, message);
    // On a shared segment the answers to other clients are broadcast: nothing to worry about.
    if (form !== PASS) return form === HARDWARE_ADDRESS && isForAnother(message, mac) ? OTHER_CLIENT : form;
    const type = message.messageType;
    if (type !== DHCP_OFFER && type !== DHCP_ACK && type !== DHCP_NAK) return MESSAGE_TYPE;
    const transaction = transactions.find(message.xid, now);
    if (!transaction) return TRANSACTION;
    const unnamed = message.serverIdentifier === 0 && type === DHCP_NAK && this.#takesAnyNak(transaction);
    if (!unnamed && !isHostAddress(message.serverIdentifier)) return SERVER;
    if (trustedServer !== 0 && message.serverIdentifier !== trustedServer) return SERVER;

    const { source, sourceMac: hardware } = view;
    if (serverMac !== UNKNOWN_MAC && hardware !== serverMac) return SERVER;
    const teaches = type === DHCP_OFFER || (type === DHCP_ACK && transaction.kind !== "INFORM");
    if (teaches && !this.#isSentFromHere(transaction, view)) return ADDRESSES;
    // The guest would take it, whatever we make of it: another default route is another way out.
    if (type !== DHCP_NAK && configuredGateway !== 0 && message.namesOtherRouter(configuredGateway)) return ROUTER;
    if (type === DHCP_OFFER) return this.#judgeOffer(transaction, source, hardware, now);
    if (type === DHCP_ACK) return this.#judgeAck(transaction, source, hardware, now);
    return this.#judgeNak(transaction, source, hardware);
  }

  /**
   * A server sends what assigns an address to that address, or broadcasts it (RFC 2131 4.1). What arrives at another
   * address of the VM's came routed from somewhere else: an accomplice far away could assign it any machine's. At the VM's
   * own address the VM receives him too, so there the sender must be one that no router stands before.
   */
  #isSentFromHere(transaction: Transaction, view: FrameView): boolean {
    const { message, lease } = this.#state;
    const { source, destination } = view;
    if (destination === LIMITED_BROADCAST) return true;
    if (destination !== message.yiaddr) {
      return view.destinationMac === BROADCAST_MAC && this.#isSubnetBroadcast(source, destination);
    }
    const known = lease.lastAddress !== 0 && destination === lease.lastAddress;
    const own = known || (transaction.renews && destination === transaction.requestedAddress);
    return !own || this.#isNear(source);
  }

  /** Some servers (for PXE) broadcast to the subnet; a router must not have made that of a packet from elsewhere. */
  #isSubnetBroadcast(source: number, destination: number): boolean {
    const { message, subnet: known } = this.#state;
    const subnet = subnetOf(message.yiaddr, message.netmask);
    if (!subnet || subnet.length > 30 || destination !== lastOf(subnet)) return false;
    return covers(subnet, source) && (!known || covers(known, source));
  }

  #isNear(source: number): boolean {
    const { lease, trustedServer, subnet: known } = this.#state;
    const last = lease.bound ?? lease.former;
    if (source !== 0 && (source === trustedServer || source === last?.server || source === this.#lastTeacher))
      return true;
    const subnet = known ?? (last && subnetOf(last.address, last.netmask));
    return subnet && subnet.length <= 30 ? covers(subnet, source) : !isGloballyRoutable(source);
  }

  #judgeOffer(transaction: Transaction, sourceAddress: number, sourceMac: number, now: number): number {
    const { message, pending } = this.#state;
    const waiting = transaction.kind === "DISCOVER" || transaction.kind === "SELECTING";
    if (!transaction.discovered || !waiting) return TRANSACTION;
    if (message.yiaddr !== 0 && !this.#isAssignable(message)) return ASSIGNED_ADDRESS;
    const offer = { server: message.serverIdentifier, sourceAddress, sourceMac, address: message.yiaddr };
    if (!transaction.hasExactly(offer)) {
      if (transaction.offers.length === Transaction.MOST_OFFERS) return PENDING;
      transaction.offers.push(offer);
    }
    transaction.offered = true;
    if (message.yiaddr !== 0) pending.add(message.yiaddr, message.serverIdentifier, now);
    return PASS;
  }

  #judgeAck(transaction: Transaction, sourceAddress: number, sourceMac: number, now: number): number {
    const { message } = this.#state;
    const trust = this.#judgeAckSource(transaction, sourceAddress, sourceMac);
    if (trust !== PASS) return trust;
    if (transaction.kind === "INFORM") {
      transaction.answered = true;
      return PASS;
    }
    if (message.leaseTime <= 0) return LEASE_TIME;
    if (!this.#isAssignable(message)) return ASSIGNED_ADDRESS;
    if (transaction.kind !== "DISCOVER" && message.yiaddr !== transaction.requestedAddress) return ASSIGNED_ADDRESS;
    // Asked last and only where a binding would begin or move.
    if (message.yiaddr !== this.#state.lease.address && isHeldElsewhere(this.#state, message.yiaddr))
      return ADDRESS_HELD;
    transaction.answered = true;
    transaction.acknowledgedBy = message.serverIdentifier;
    this.#learn(transaction, sourceAddress, sourceMac, now);
    return PASS;
  }

  /** Whether this server may acknowledge in the state that the VM's last message speaks for. */
  #judgeAckSource(transaction: Transaction, sourceAddress: number, sourceMac: number): number {
    const { message, lease } = this.#state;
    const server = message.serverIdentifier;
    switch (transaction.kind) {
      case "DISCOVER":
        if (!transaction.rapidCommit || !message.rapidCommit) return TRANSACTION;
        return this.#isFirstToAcknowledge(transaction) ? PASS : SERVER;
      case "SELECTING": {
        const named = server === transaction.requestedServer;
        const offer = { server, sourceAddress, sourceMac, address: transaction.requestedAddress };
        return named && transaction.hasExactly(offer) ? PASS : SERVER;
      }
      case "RENEWING":
        return server === transaction.requestedServer ? PASS : SERVER;
      case "REBINDING":
      case "INIT-REBOOT":
        return this.#isFirstToAcknowledge(transaction) ? PASS : SERVER;
      case "INFORM":
        return lease.bound && (serverOf(this.#state) === 0 || this.#isFromServer()) ? PASS : SERVER;
    }
  }

  /** Whether the message comes from the server of a lease that lives, as option 54 says. */
  #isFromServer(): boolean {
    const { lease, message } = this.#state;
    return lease.bound !== undefined && serverOf(this.#state) === message.serverIdentifier;
  }

  /** The client takes the first ACK and ignores others; so must we, or its server and ours would differ. */
  #isFirstToAcknowledge(transaction: Transaction): boolean {
    return transaction.acknowledgedBy === 0 || transaction.acknowledgedBy === this.#state.message.serverIdentifier;
  }

  #judgeNak(transaction: Transaction, sourceAddress: number, sourceMac: number): number {
    const { message, lease, transactions } = this.#state;
    const server = message.serverIdentifier;
    switch (transaction.kind) {
      case "DISCOVER":
      case "INFORM":
        return TRANSACTION;
      case "SELECTING":
        if (server !== transaction.requestedServer) return SERVER;
        if (!transaction.hasOfferFrom(server, sourceAddress, sourceMac)) return SERVER;
        break;
      case "RENEWING":
        if (server !== transaction.requestedServer) return SERVER;
        break;
      case "REBINDING":
      case "INIT-REBOOT":
        if (!this.#takesAnyNak(transaction) && !this.#isFromServer()) return SERVER;
        break;
    }
    lease.end("refused");
    transactions.close(transaction);
    return PASS;
  }

  /** Whether any server may refuse: the VM has no address that it could lose by it, or does not know that it has. */
  #takesAnyNak({ kind }: Transaction): boolean {
    return kind === "INIT-REBOOT" || (kind === "REBINDING" && !this.#state.lease.bound);
  }

  /**
   * Makes or renews the lease. In REBINDING any server may confirm the address, and no more than that: what another
   * server than the lease's says of routers and DNS servers is not taken.
   */
  #learn(transaction: Transaction, sourceAddress: number, sourceMac: number, now: number): void {
    const { message, lease, pending, gateway } = this.#state;
    const known = lease.bound ?? (transaction.renews ? lease.former : undefined);
    const rebinding = transaction.kind === "REBINDING" && known?.address === message.yiaddr;
    const server = lease.bound ? serverOf(this.#state) : known?.server;
    const confirmsOnly = rebinding && server !== message.serverIdentifier;
    this.#lastTeacher = sourceAddress;
    pending.add(message.yiaddr, message.serverIdentifier, now);
    lease.acknowledge(
      {
        address: message.yiaddr,
        server: message.serverIdentifier,
        leaseTime: message.leaseTime,
        netmask: confirmsOnly ? 0 : message.netmask,
        router: confirmsOnly ? 0 : this.#routerOf(known, message),
        dnsServers: confirmsOnly ? [] : dnsServersOf(message),
        acknowledged: Object.freeze({
          source: sourceAddress,
          sourceMac,
          ...(transaction.clientIdentifier.length > 0 && { clientIdentifier: transaction.clientIdentifier }),
        }),
      },
      transaction.renews,
      now,
    );
    const fromGateway = message.serverIdentifier === gateway.address && sourceAddress === gateway.address;
    gateway.acknowledgedFrom = fromGateway ? sourceMac : UNKNOWN_MAC;
  }

  #isAssignable(message: DhcpMessage): boolean {
    const { lease, gateway, subnet } = this.#state;
    if (lease.isStatic) return message.yiaddr === lease.address;
    return isAssignable(message.yiaddr, gateway.address, subnet, message);
  }

  /** `known`: the address that the message may renew. */
  #routerOf(known: BoundIPv4Address | undefined, message: DhcpMessage): number {
    const { router, yiaddr } = message;
    const netmask = message.netmask || (known?.address === yiaddr ? known.netmask : 0);
    return mayBeRouter(router, this.#state.subnet ?? subnetOf(yiaddr, netmask)) ? router : 0;
  }
}

function dnsServersOf(message: DhcpMessage): number[] {
  const servers: number[] = [];
  for (let index = 0; index < message.dnsServerCount; index++) {
    const server = message.dnsServer(index);
    if (isHostAddress(server)) servers.push(server);
  }
  return servers;
}

/** A sound message for another client. */
function isForAnother(message: DhcpMessage, mac: number): boolean {
  return message.htype === 1 && message.hlen === 6 && message.chaddr !== mac;
}
