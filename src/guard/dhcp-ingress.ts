/**
 * DHCP to the VM: the snooping half of the state machine. An answer passes only if this VM asked for it within the last
 * 60 s, under the same xid, with a message of the fitting kind, from a server that may be trusted in that state; and only
 * an ACK teaches, before it is forwarded (threat rows D7, D13, D20, D25, D29). docs/guard.md tells each check.
 */

import { lastOf, subnetOf } from "../policy/rule.ts";
import { BOOT_REPLY, DHCP_ACK, DHCP_NAK, DHCP_OFFER, type DhcpMessage } from "../wire/dhcp.ts";
import { ETHERNET_HEADER, sourceMac } from "../wire/ethernet.ts";
import { sourceAddress } from "../wire/ipv4.ts";
import { readDhcp } from "./dhcp-form.ts";
import type { DhcpState } from "./dhcp-state.ts";
import { UNKNOWN_MAC } from "./gateway-watch.ts";
import { PASS, verdictOf } from "./reasons.ts";
import { Transaction } from "./transactions.ts";

const MESSAGE_TYPE = verdictOf("dhcp.message-type");
const TRANSACTION = verdictOf("dhcp.transaction");
const SERVER = verdictOf("dhcp.server");
const PENDING = verdictOf("dhcp.pending");
const ASSIGNED_ADDRESS = verdictOf("dhcp.assigned-address");
const LEASE_TIME = verdictOf("dhcp.lease-time");

export class DhcpIngress {
  readonly #state: DhcpState;

  constructor(state: DhcpState) {
    this.#state = state;
  }

  /** Judges a frame with an unfragmented UDP datagram 67 → 68. */
  judge(bytes: Uint8Array, frame: number, now: number): number {
    const { message, mac, transactions, trustedServer } = this.#state;
    const packet = frame + ETHERNET_HEADER;
    const form = readDhcp(bytes, packet, BOOT_REPLY, mac, message);
    if (form !== PASS) return form;
    const type = message.messageType;
    if (type !== DHCP_OFFER && type !== DHCP_ACK && type !== DHCP_NAK) return MESSAGE_TYPE;
    const transaction = transactions.find(message.xid, now);
    if (!transaction) return TRANSACTION;
    if (message.serverIdentifier === 0) return SERVER;
    if (trustedServer !== 0 && message.serverIdentifier !== trustedServer) return SERVER;

    const source = sourceAddress(bytes, packet);
    const hardware = sourceMac(bytes, frame);
    if (type === DHCP_OFFER) return this.#judgeOffer(transaction, source, hardware, now);
    if (type === DHCP_ACK) return this.#judgeAck(transaction, source, hardware, now);
    return this.#judgeNak(transaction, source, hardware);
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
    if (message.yiaddr !== 0) pending.add(message.yiaddr, message.serverIdentifier, now);
    return PASS;
  }

  #judgeAck(transaction: Transaction, sourceAddress: number, sourceMac: number, now: number): number {
    const { message } = this.#state;
    const trust = this.#judgeAckSource(transaction, sourceAddress, sourceMac);
    if (trust !== PASS || transaction.kind === "INFORM") return trust;
    if (message.leaseTime <= 0) return LEASE_TIME;
    if (!this.#isAssignable(message)) return ASSIGNED_ADDRESS;
    if (transaction.kind !== "DISCOVER" && message.yiaddr !== transaction.requestedAddress) return ASSIGNED_ADDRESS;
    transaction.acknowledgedBy = message.serverIdentifier;
    this.#learn(sourceAddress, sourceMac, now);
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
        return lease.binding?.server === server ? PASS : SERVER;
      case "REBINDING":
      case "INIT-REBOOT":
        return this.#isFirstToAcknowledge(transaction) ? PASS : SERVER;
      case "INFORM": {
        const binding = lease.binding;
        if (!binding) return SERVER;
        return binding.server === 0 || binding.server === server ? PASS : SERVER;
      }
    }
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
      case "REBINDING":
        if (lease.binding?.server !== server) return SERVER;
        break;
      case "INIT-REBOOT":
        break;
    }
    lease.end("refused");
    transactions.close(transaction);
    return PASS;
  }

  #learn(sourceAddress: number, sourceMac: number, now: number): void {
    const { message, lease, pending, gateway } = this.#state;
    const dnsServers: number[] = [];
    for (let index = 0; index < message.dnsServerCount; index++) dnsServers.push(message.dnsServer(index));
    pending.add(message.yiaddr, message.serverIdentifier, now);
    lease.acknowledge(
      {
        address: message.yiaddr,
        server: message.serverIdentifier,
        leaseTime: message.leaseTime,
        netmask: message.netmask,
        router: message.router,
        dnsServers,
      },
      now,
    );
    const fromGateway = message.serverIdentifier === gateway.address && sourceAddress === gateway.address;
    gateway.acknowledgedFrom = fromGateway ? sourceMac : UNKNOWN_MAC;
  }

  /** Addresses that no VM may get (threat row D26). */
  #isAssignable(message: DhcpMessage): boolean {
    const { lease, configuredGateway, inSubnet } = this.#state;
    const address = message.yiaddr;
    if (lease.isStatic) return address === lease.address;
    const firstByte = address >>> 24;
    if (firstByte === 0 || firstByte === 127 || firstByte >= 224) return false;
    if (address === configuredGateway || address === message.router || address === message.serverIdentifier)
      return false;
    const subnet = subnetOf(address, message.netmask);
    if (subnet && subnet.length <= 30 && (address === subnet.address || address === lastOf(subnet))) return false;
    return inSubnet(address);
  }
}
