/** What the tests of IPv6's policy share: frames in both directions, and the policy of a VM with some addresses. */
import { guardSettings } from "../../../src/guard/guard-settings.ts";
import { PolicyGuard } from "../../../src/guard/ipv4/policy-guard.ts";
import { NO_PLACE, type OwnPlaces } from "../../../src/guard/ipv6/own-places.ts";
import { PolicyGuard6 } from "../../../src/guard/ipv6/policy-guard-6.ts";
import { DROP_REASONS } from "../../../src/guard/reasons.ts";
import type { GuardOptions } from "../../../src/index.ts";
import { parseCidr6 } from "../../../src/policy/cidr-6.ts";
import type { KnownNetwork } from "../../../src/policy/default-layer.ts";
import { type KnownNetwork6, NO_NETWORK_6 } from "../../../src/policy/default-layer-6.ts";
import { parseRules } from "../../../src/policy/rule.ts";
import { put16, put32 } from "../../../src/wire/bytes.ts";
import { addToSum, checksumOf } from "../../../src/wire/checksum.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { putIPv6Header } from "../../../src/wire/ipv6.ts";
import { parseIPv6, wordOf } from "../../../src/wire/ipv6-address.ts";
import { SOUND } from "../../../src/wire/malformed.ts";
import { ACK_FLAG as ACK, segment, type TcpWords } from "../segment.ts";
import { bytes, join, mac, SECOND, VM } from "../support.ts";

export const TCP = 6;
export const UDP = 17;
export const FRAGMENT = 44;
export const ICMPV6 = 58;
export const DESTINATION_OPTIONS = 60;

export { ACK_FLAG as ACK, FIN, RST, SYN } from "../segment.ts";

export const ROUTER_MAC = "02:00:00:00:00:64";
export const ROUTER = "fe80::1";
/** The VM's, in the places 0, 4 and 5. */
export const LINK_LOCAL = "fe80::5";
export const OWN = "2001:db8:1::5";
export const SECOND_OWN = "2001:db8:1::6";
/** Globally routable. */
export const REMOTE = "2600:1f18::34";

export const addressOf = (text: string): bigint => parseIPv6(text)!;
export const wordsOf = (text: string): Int32Array =>
  Int32Array.from([0, 1, 2, 3], (word) => wordOf(addressOf(text), word));

export interface Words {
  readonly source?: string;
  readonly destination?: string;
  readonly to?: string;
  readonly from?: string;
}

/** A frame from the VM, unless told otherwise; `next`: the number of what is behind the IPv6 header. */
export function packet(next: number, payload: Uint8Array, words: Words = {}): Uint8Array {
  const header = new Uint8Array(40);
  const { source = OWN, destination = REMOTE } = words;
  putIPv6Header(header, 0, payload.length, next, 64, addressOf(source), addressOf(destination));
  return join(mac(words.to ?? ROUTER_MAC), mac(words.from ?? VM), bytes(0x86, 0xdd), header, payload);
}

const inbound = (words: Words): Words => ({ source: REMOTE, destination: OWN, from: ROUTER_MAC, to: VM, ...words });

export type PortWords = Words & TcpWords;

function datagram(from: number, to: number, data = bytes()): Uint8Array {
  const header = new Uint8Array(8);
  put16(header, 0, from);
  put16(header, 2, to);
  put16(header, 4, 8 + data.length);
  return join(header, data);
}

/** From the VM's port 40,000 to REMOTE's port 443, a bare SYN, unless told otherwise; and the other way round. */
export const tcpOut = (words: PortWords = {}): Uint8Array =>
  packet(TCP, segment(words.own ?? 40_000, words.port ?? 443, words), words);
export const tcpIn = (words: PortWords = {}): Uint8Array =>
  packet(TCP, segment(words.port ?? 443, words.own ?? 40_000, words), inbound(words));
export const udpOut = (words: PortWords = {}): Uint8Array =>
  packet(UDP, datagram(words.own ?? 40_000, words.port ?? 443, words.data), words);
export const udpIn = (words: PortWords = {}): Uint8Array =>
  packet(UDP, datagram(words.port ?? 443, words.own ?? 40_000, words.data), inbound(words));

/** The middle of a connection. */
export const middle = { flags: ACK } as const;

const echo = (type: number, identifier: number): Uint8Array =>
  bytes(type, 0, 0, 0, identifier >>> 8, identifier & 255, 0, 1);
export const echoOut = (type: number, identifier = 7, words: Words = {}): Uint8Array =>
  packet(ICMPV6, echo(type, identifier), words);
export const echoIn = (type: number, identifier = 7, words: Words = {}): Uint8Array =>
  packet(ICMPV6, echo(type, identifier), inbound(words));

/** An ICMPv6 error's message about a frame. */
export function quoting(about: Uint8Array, type = 1, word = 0, length = about.length - 14): Uint8Array {
  const header = bytes(type, 0, 0, 0, 0, 0, 0, 0);
  put32(header, 4, word);
  return join(header, about.subarray(14, 14 + length));
}

/** An error to the VM about a frame that it sent, from a router on the way; and one from the VM. */
export const errorIn = (about: Uint8Array, words: Words = {}, type = 1, word = 0): Uint8Array =>
  packet(ICMPV6, quoting(about, type, word), inbound({ source: "2600::9", ...words }));
export const errorOut = (about: Uint8Array, words: Words = {}, type = 1): Uint8Array =>
  packet(ICMPV6, quoting(about, type), words);

/** A fragment's header and payload: `offset` in bytes. */
export function fragment(next: number, offset: number, more: boolean, identification: number, payload: Uint8Array) {
  const header = bytes(next, 0, 0, 0, 0, 0, 0, 0);
  put16(header, 2, offset | (more ? 1 : 0));
  put32(header, 4, identification);
  return join(header, payload);
}

/** A UDP packet's fragment from the VM, and to it; a first one with its header. */
export interface FragmentWords extends PortWords {
  readonly offset?: number;
  readonly more?: boolean;
  readonly id?: number;
  readonly length?: number;
}

function piece(words: FragmentWords, from: number, to: number): Uint8Array {
  const { offset = 0, more = offset === 0, id = 1, length = 64 } = words;
  const payload = offset === 0 ? datagram(from, to, new Uint8Array(length - 8)) : new Uint8Array(length);
  return fragment(UDP, offset, more, id, payload);
}

export const pieceOut = (words: FragmentWords = {}): Uint8Array =>
  packet(FRAGMENT, piece(words, words.own ?? 40_000, words.port ?? 443), words);
export const pieceIn = (words: FragmentWords = {}): Uint8Array =>
  packet(FRAGMENT, piece(words, words.port ?? 443, words.own ?? 40_000), inbound(words));

/** The VM's addresses, as the address family would keep them. */
export class Places implements OwnPlaces {
  readonly words = new Int32Array(4 * 32);
  readonly #held = new Map<number, string>();

  set(place: number, text: string): void {
    this.words.set(wordsOf(text), 4 * place);
    this.#held.set(place, String(wordsOf(text)));
  }

  end(place: number): void {
    this.#held.delete(place);
  }

  placeOf(words: Int32Array): number {
    for (const [place, held] of this.#held) if (held === String(words)) return place;
    return NO_PLACE;
  }
}

/** A policy that judges by flows and changes no verdict by itself. */
export const TRACKING = { allow: ["out 2001:db8:ffff::/128"] };
/** One that is closed from outside. */
export const CLOSED = { block: ["in ::/0", "in 0.0.0.0/0"] };

const AT_HOME: KnownNetwork = { gateway: 0xc0a84001, address: 0xc0a84005, netmask: 0xffffff00, dnsServers: [] };

/** The policy of a VM, and a clock. */
export class PolicyBench {
  readonly own = new Places();
  readonly ipv4: PolicyGuard;
  readonly policy: PolicyGuard6;
  readonly #clock = new Float64Array(1);

  constructor(options: Partial<GuardOptions> = TRACKING) {
    const settings = guardSettings({ macAddress: VM, ipv6: true, ...options });
    this.ipv4 = new PolicyGuard(settings, this.#clock);
    this.ipv4.updateNetwork(AT_HOME);
    this.policy = new PolicyGuard6(settings, this.ipv4, this.own, this.#clock);
    this.own.set(0, LINK_LOCAL);
    this.own.set(4, OWN);
    this.own.set(5, SECOND_OWN);
    this.network({});
  }

  wait(seconds: number): void {
    this.#clock[0]! += seconds * SECOND;
    this.policy.advance();
  }

  network(words: Partial<KnownNetwork6>, router = ROUTER): void {
    this.policy.updateNetwork({ ...NO_NETWORK_6, routers: [addressOf(ROUTER)], ...words }, addressOf(router));
  }

  rules(allow: readonly string[], block: readonly string[] = []): number {
    const rules = parseRules(allow, block);
    this.ipv4.setRules(rules);
    return this.policy.setRules(rules);
  }

  out(frame: Uint8Array): string {
    const view = sound(frame);
    return nameOf(this.policy.egress(view, this.own.placeOf(view.source6)));
  }

  in(frame: Uint8Array): string {
    const view = sound(frame);
    return nameOf(this.policy.ingress(view, this.own.placeOf(view.destination6)));
  }

  /** The answer to a frame of the VM's; undefined where there is none. Fails when it writes beside its bytes. */
  answerTo(frame: Uint8Array): Uint8Array | undefined {
    const view = sound(frame);
    const place = this.own.placeOf(view.source6);
    const verdict = this.policy.egress(view, place);
    return written((out, at) => this.policy.answer(view, verdict, place, out, at));
  }

  reset(): Uint8Array | undefined {
    return written((out, at) => this.policy.takeReset(out, at));
  }

  get flows(): number {
    return this.policy.liveFlows;
  }
}

function written(write: (out: Uint8Array, at: number) => number): Uint8Array | undefined {
  const out = new Uint8Array(1400).fill(0xee);
  const length = write(out, 16);
  const beside = [...out.subarray(0, 16), ...out.subarray(16 + length)];
  if (beside.some((byte) => byte !== 0xee)) throw new Error("written beside its bytes");
  return length === 0 ? undefined : out.slice(16, 16 + length);
}

function sound(frame: Uint8Array): FrameView {
  const view = FrameView.of(frame);
  if (view.malformed !== SOUND) throw new Error(`malformed: ${view.malformed}`);
  return view;
}

export const nameOf = (verdict: number): string => (verdict === 0 ? "pass" : DROP_REASONS[verdict - 1]!.name);

export const cidr = (text: string) => parseCidr6(text)!;

/** The upper layer's checksum that belongs into a packet behind an IPv6 header alone; 0 where it is there and right. */
export function checksumFault(frame: Uint8Array): number {
  const length = frame.length - 54;
  return checksumOf(addToSum(frame[20]! + length, frame, 22, 32) + addToSum(0, frame, 54, length));
}
