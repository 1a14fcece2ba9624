/** ARP (RFC 826, RFC 5227): docs/guard.md, section ARP. No machine answers for an address that is not its own. */
import { BROADCAST_MAC, isGroupMac, UNKNOWN_MAC } from "../../wire/address.ts";
import { ARP_REPLY, ARP_REQUEST, emitArp } from "../../wire/arp.ts";
import { emitEthernet, TYPE_ARP } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { SOUND } from "../../wire/malformed.ts";
import { PASS, verdictOf } from "../reasons.ts";
import { TokenBucket } from "../token-bucket.ts";
import { type DhcpState, isHeldElsewhere } from "./dhcp-state.ts";
import { NO_QUESTION } from "./gateway-watch.ts";
import { ProbeMemory } from "./recent.ts";

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
const FORMER_PER_SECOND = 1;
const FORMER_BURST = 10;

export class ArpGuard {
  readonly #state: DhcpState;
  readonly #probes = new ProbeMemory();
  readonly #bucket = new TokenBucket(REQUESTS_PER_SECOND, REQUEST_BURST);

  readonly #formerBucket = new TokenBucket(FORMER_PER_SECOND, FORMER_BURST);

  constructor(state: DhcpState) {
    this.#state = state;
  }

  egress(view: FrameView, now: number): number {
    const malformed = formOf(view);
    if (malformed !== PASS) return malformed;
    const { mac, lease, gateway } = this.#state;
    if (view.senderHardware !== mac) return HARDWARE_ADDRESS;
    const sender = view.senderProtocol;
    const target = view.targetProtocol;
    const request = view.arpOperation === ARP_REQUEST;
    if (sender === 0) {
      if (!request || !this.#isOwn(target, now)) return PROBE;
    } else if (sender !== lease.address) {
      const direct = request || !view.isToGroup;
      if (sender !== lease.formerAddress || !direct || !this.#mayRenew(target, request, now)) return SENDER_ADDRESS;
    }
    if (!this.#bucket.take(now)) return RATE;
    if (sender === lease.formerAddress) {
      const verdict = this.#judgeFormer(now);
      if (verdict !== PASS) return verdict;
    }
    if (sender === 0) this.#probes.note(target, now);
    else if (request && target === gateway.address) gateway.noteRequest(now);
    return PASS;
  }

  /**
   * ARP with the address of an expired binding, as far as a renewal by unicast needs it: with its server, or the router
   * before it. A reply is needed where the server looks for the client's MAC before it sends its ACK.
   */
  #mayRenew(target: number, request: boolean, now: number): boolean {
    const { lease, gateway, transactions } = this.#state;
    const { former } = lease;
    if (!former || target === 0) return false;
    if (target !== former.server && target !== former.acknowledged?.source && target !== gateway.address) return false;
    return request || transactions.isRenewing(former.address, now);
  }

  #judgeFormer(now: number): number {
    const { lease } = this.#state;
    if (!this.#formerBucket.take(now)) return RATE;
    if (!isHeldElsewhere(this.#state, lease.formerAddress)) return PASS;
    lease.forgetFormer();
    return SENDER_ADDRESS;
  }

  ingress(view: FrameView, now: number): number {
    const malformed = formOf(view);
    if (malformed !== PASS) return malformed;
    const { mac, lease, gateway } = this.#state;
    const sender = view.senderProtocol;
    if (sender === 0) return PASS;
    const reply = view.arpOperation === ARP_REPLY;
    const hardware = view.senderHardware;
    if (sender === lease.formerAddress && hardware !== mac) lease.forgetFormer();
    if (this.#isOwn(sender, now) && !(reply && this.#probes.answers(sender, now))) return CONFLICT;
    if (sender !== gateway.address) return PASS;
    const verdict = this.#judgeGateway(view, now);
    if (verdict !== PASS && lease.address !== 0) gateway.claimed(now);
    return verdict;
  }

  /** Writes a question of softnet's own about the gateway's address, in the VM's name; returns its length, 0 = none. */
  takeQuestion(out: Uint8Array, at: number, now: number): number {
    const { mac, lease, gateway } = this.#state;
    const asked = lease.address === 0 ? NO_QUESTION : gateway.takeQuestion(now);
    if (asked === NO_QUESTION) return 0;
    const known = asked !== UNKNOWN_MAC;
    const packet = emitArp({
      operation: ARP_REQUEST,
      senderHardware: mac,
      senderProtocol: lease.address,
      targetHardware: known ? asked : 0,
      targetProtocol: gateway.address,
    });
    const frame = emitEthernet(known ? asked : BROADCAST_MAC, mac, TYPE_ARP, packet);
    out.set(frame, at);
    return frame.length;
  }

  /** A machine answers as the gateway. */
  #judgeGateway(view: FrameView, now: number): number {
    const { mac, lease, gateway } = this.#state;
    const hardware = view.senderHardware;
    if (gateway.mac !== UNKNOWN_MAC) {
      if (hardware !== gateway.mac) return GATEWAY;
      gateway.confirm(hardware);
      return PASS;
    }
    if (view.arpOperation === ARP_REPLY) {
      const target = view.targetProtocol;
      const answersVm =
        target !== 0 &&
        (target === lease.address || target === lease.formerAddress) &&
        gateway.expectsAnswer(now) &&
        !isGroupMac(hardware) &&
        view.destinationMac === mac &&
        view.targetHardware === mac;
      if (!answersVm) return GATEWAY;
      gateway.confirm(hardware);
      return PASS;
    }
    const source = view.sourceMac;
    return hardware === source && hardware === gateway.acknowledgedFrom ? PASS : GATEWAY;
  }

  /** The bound address, or one that the VM may be about to have. */
  #isOwn(address: number, now: number): boolean {
    const { lease, pending } = this.#state;
    return address !== 0 && (address === lease.address || pending.has(address, now));
  }
}

function formOf(view: FrameView): number {
  if (view.malformed !== SOUND) return FORMAT;
  const operation = view.arpOperation;
  return operation === ARP_REQUEST || operation === ARP_REPLY ? PASS : OPERATION;
}
