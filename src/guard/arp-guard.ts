/** ARP (RFC 826, RFC 5227): docs/guard.md, section ARP. Nobody speaks for an address that is not theirs. */
import { isGroupMac } from "../wire/address.ts";
import {
  ARP_REPLY,
  ARP_REQUEST,
  arpOperation,
  isArpForIPv4,
  senderHardwareAddress,
  senderProtocolAddress,
  targetHardwareAddress,
  targetProtocolAddress,
} from "../wire/arp.ts";
import { destinationMac, ETHERNET_HEADER, sourceMac } from "../wire/ethernet.ts";
import { type GatewayWatch, UNKNOWN_MAC } from "./gateway-watch.ts";
import type { Lease } from "./lease.ts";
import { PASS, verdictOf } from "./reasons.ts";
import { type PendingAddresses, ProbeMemory } from "./recent.ts";
import { TokenBucket } from "./token-bucket.ts";

const FORMAT = verdictOf("arp.format");
const OPERATION = verdictOf("arp.operation");
const HARDWARE_ADDRESS = verdictOf("arp.hardware-address");
const SENDER_ADDRESS = verdictOf("arp.sender-address");
const PROBE = verdictOf("arp.probe");
const RATE = verdictOf("arp.rate");
const GATEWAY = verdictOf("arp.gateway");
const CONFLICT = verdictOf("arp.conflict");

const REQUESTS_PER_SECOND = 50;
const REQUEST_BURST = 200;

export class ArpGuard {
  readonly #mac: number;
  readonly #lease: Lease;
  readonly #pending: PendingAddresses;
  readonly #gateway: GatewayWatch;
  readonly #probes = new ProbeMemory();
  readonly #bucket = new TokenBucket(REQUESTS_PER_SECOND, REQUEST_BURST);

  constructor(mac: number, lease: Lease, pending: PendingAddresses, gateway: GatewayWatch) {
    this.#mac = mac;
    this.#lease = lease;
    this.#pending = pending;
    this.#gateway = gateway;
  }

  egress(bytes: Uint8Array, frame: number, length: number, now: number): number {
    const packet = frame + ETHERNET_HEADER;
    const malformed = formOf(bytes, packet, length - ETHERNET_HEADER);
    if (malformed !== PASS) return malformed;
    if (senderHardwareAddress(bytes, packet) !== this.#mac) return HARDWARE_ADDRESS;
    const sender = senderProtocolAddress(bytes, packet);
    const target = targetProtocolAddress(bytes, packet);
    const request = arpOperation(bytes, packet) === ARP_REQUEST;
    if (sender === 0) {
      if (!request || !this.#isOwn(target, now)) return PROBE;
    } else if (sender !== this.#lease.address) {
      return SENDER_ADDRESS;
    }
    if (!this.#bucket.take(now)) return RATE;
    if (sender === 0) this.#probes.note(target, now);
    else if (request && target === this.#gateway.address) this.#gateway.noteRequest(now);
    return PASS;
  }

  ingress(bytes: Uint8Array, frame: number, length: number, now: number): number {
    const packet = frame + ETHERNET_HEADER;
    const malformed = formOf(bytes, packet, length - ETHERNET_HEADER);
    if (malformed !== PASS) return malformed;
    const sender = senderProtocolAddress(bytes, packet);
    if (sender === 0) return PASS;
    const reply = arpOperation(bytes, packet) === ARP_REPLY;
    if (this.#isOwn(sender, now) && !(reply && this.#probes.answers(sender, now))) return CONFLICT;
    if (sender !== this.#gateway.address) return PASS;
    const hardware = senderHardwareAddress(bytes, packet);
    if (this.#gateway.mac !== UNKNOWN_MAC) {
      if (hardware !== this.#gateway.mac) return GATEWAY;
      this.#gateway.heard(hardware);
      return PASS;
    }
    if (reply) {
      const own = this.#lease.address;
      const answersVm =
        own !== 0 &&
        this.#gateway.expectsAnswer(now) &&
        !isGroupMac(hardware) &&
        destinationMac(bytes, frame) === this.#mac &&
        targetHardwareAddress(bytes, packet) === this.#mac &&
        targetProtocolAddress(bytes, packet) === own;
      if (!answersVm) return GATEWAY;
      this.#gateway.heard(hardware);
      return PASS;
    }
    const source = sourceMac(bytes, frame);
    return hardware === source && hardware === this.#gateway.acknowledgedFrom ? PASS : GATEWAY;
  }

  /** The bound address, or one that the VM may be about to have. */
  #isOwn(address: number, now: number): boolean {
    return address !== 0 && (address === this.#lease.address || this.#pending.has(address, now));
  }
}

function formOf(bytes: Uint8Array, packet: number, length: number): number {
  if (!isArpForIPv4(bytes, packet, length)) return FORMAT;
  const operation = arpOperation(bytes, packet);
  return operation === ARP_REQUEST || operation === ARP_REPLY ? PASS : OPERATION;
}
