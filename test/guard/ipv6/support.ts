/**
 * What the tests of IPv6's addresses share: frames of neighbour discovery, MLD and DHCPv6 from a few words, and a bench whose VM
 * has a router and addresses. Frames are put together here byte by byte, not by the guard's own writers.
 */
import assert from "node:assert/strict";
import type { IPv4Observer } from "../../../src/guard/flow-observer.ts";
import type { BoundIPv6Address, GuardOptions } from "../../../src/index.ts";
import { formatIPv6, parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { Bench, bytes, GATEWAY_MAC, join, mac, OTHER_MAC, SECOND, VM, word } from "../support.ts";

export const ROUTER = "fe80::1";
export const ROUTER_MAC = GATEWAY_MAC;
export const LINK = "fe80::7c1a:ff:fe00:1";
export const PREFIX = "2001:db8:1::";
export const OWN = "2001:db8:1::5";
export const OTHER = "2001:db8:1::99";
export const OTHER_LINK = "fe80::99";
export const GLOBAL6 = "2606:4700::1111";
export const ANY = "::";
export const ALL_NODES = "ff02::1";
export const ALL_ROUTERS = "ff02::2";

export const TENTATIVE = 500_000;

/** The 16 bytes of an address, or of several. */
export function address6(...texts: readonly string[]): Uint8Array {
  return join(
    ...texts.map((text) => Uint8Array.from(Buffer.from(parseIPv6(text)!.toString(16).padStart(32, "0"), "hex"))),
  );
}

export const short = (value: number): Uint8Array => bytes((value >>> 8) & 255, value & 255);

/** ff02::1:ff and the last three bytes. */
export function solicited(target: string): string {
  const last = Buffer.from(address6(target).subarray(13)).toString("hex");
  return formatIPv6(parseIPv6(`ff02::1:ff${last.slice(0, 2)}:${last.slice(2)}`)!);
}

/** The Ethernet address of a multicast one; undefined for others. */
function groupMac(destination: string): string | undefined {
  const raw = address6(destination);
  if (raw[0] !== 0xff) return undefined;
  return ["33", "33", ...[...raw.subarray(12)].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

export interface Words6 {
  readonly source?: string;
  readonly destination?: string;
  readonly from?: string;
  readonly to?: string;
  readonly hops?: number;
  /** The first next header, and extension headers that stand before the upper layer. */
  readonly next?: number;
  readonly headers?: Uint8Array;
  readonly code?: number;
  /** XORed onto the right checksum. */
  readonly wrong?: number;
}

/** A frame with an IPv6 packet, from the VM to the router's MAC, or from another to the VM, unless told otherwise. */
export function packet6(protocol: number, payload: Uint8Array, words: Words6 = {}): Uint8Array {
  const { source = OWN, destination = GLOBAL6, headers = bytes(), next = protocol } = words;
  return join(
    mac(words.to ?? groupMac(destination) ?? ((words.from ?? VM) === VM ? ROUTER_MAC : VM)),
    mac(words.from ?? VM),
    bytes(0x86, 0xdd, 0x60, 0, 0, 0),
    short(headers.length + payload.length),
    bytes(next, words.hops ?? 64),
    address6(source, destination),
    headers,
    payload,
  );
}

/** RFC 8200 8.1, by the book. */
export function sum6(protocol: number, payload: Uint8Array, { source = OWN, destination = GLOBAL6 }: Words6): number {
  const whole = join(address6(source, destination), word(payload.length), bytes(0, 0, 0, protocol), payload, bytes(0));
  let sum = 0;
  for (let at = 0; at + 1 < whole.length; at += 2) sum += whole[at]! * 256 + whole[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return 0xffff - sum;
}

/** An ICMPv6 message: its body begins behind the checksum. */
export function icmpv6(type: number, body: Uint8Array, words: Words6 = {}): Uint8Array {
  const plain = join(bytes(type, words.code ?? 0, 0, 0), body);
  const sum = sum6(58, plain, words) ^ (words.wrong ?? 0);
  return packet6(58, join(plain.subarray(0, 2), short(sum), body), words);
}

export function udp6(from: number, to: number, payload: Uint8Array, words: Words6 = {}): Uint8Array {
  const plain = join(short(from), short(to), short(8 + payload.length), bytes(0, 0), payload);
  const sum = (sum6(17, plain, words) || 0xffff) ^ (words.wrong ?? 0);
  return packet6(17, join(plain.subarray(0, 6), short(sum), payload), words);
}

/** A TCP SYN. */
export function tcp6(words: Words6 = {}, port = 443): Uint8Array {
  const segment = join(short(49_152), short(port), word(1), word(0), bytes(0x50, 2, 0xff, 0xff, 0, 0, 0, 0));
  return packet6(6, segment, words);
}

/** To the VM, from the router's MAC. */
export const inbound = (words: Words6 = {}): Words6 => ({
  source: GLOBAL6,
  destination: OWN,
  from: ROUTER_MAC,
  to: VM,
  ...words,
});

/* Neighbour discovery */

export const sourceLink = (address: string): Uint8Array => join(bytes(1, 1), mac(address));
export const targetLink = (address: string): Uint8Array => join(bytes(2, 1), mac(address));

export interface NdWords extends Words6 {
  readonly target?: string;
  readonly options?: Uint8Array;
  /** Of an NA: R 0x80, S 0x40, O 0x20. */
  readonly flags?: number;
}

/** A solicitation of the VM's from its link-local address; `nsDad`: its duplicate address detection. */
export function ns(words: NdWords = {}): Uint8Array {
  const { target = ROUTER, options = bytes() } = words;
  return icmpv6(135, join(word(0), address6(target), options), {
    source: LINK,
    destination: solicited(target),
    hops: 255,
    ...words,
  });
}
export const nsDad = (target: string, words: NdWords = {}): Uint8Array => ns({ source: ANY, target, ...words });

/** An advertisement of the VM's for its own address, to the router. */
export function na(words: NdWords = {}): Uint8Array {
  const { target = OWN, options = targetLink(VM), flags = 0x60 } = words;
  return icmpv6(136, join(bytes(flags, 0, 0, 0), address6(target), options), {
    source: OWN,
    destination: ROUTER,
    hops: 255,
    ...words,
  });
}

export function rs(words: NdWords = {}): Uint8Array {
  return icmpv6(133, join(word(0), words.options ?? bytes()), {
    source: ANY,
    destination: ALL_ROUTERS,
    hops: 255,
    ...words,
  });
}

export interface PrefixWords {
  readonly length?: number;
  /** L 0x80, A 0x40. */
  readonly flags?: number;
  readonly valid?: number;
}

export function prefixOption(prefix: string, { length = 64, flags = 0xc0, valid = 86_400 }: PrefixWords = {}) {
  return join(bytes(3, 4, length, flags), word(valid), word(valid), word(0), address6(prefix));
}

export function dnsOption(lifetime: number, ...servers: readonly string[]): Uint8Array {
  return join(bytes(25, 1 + 2 * servers.length, 0, 0), word(lifetime), address6(...servers));
}

export interface RaWords extends NdWords {
  /** Of the router, seconds. */
  readonly lifetime?: number;
  /** Its source link-layer option; the Ethernet source unless told otherwise. */
  readonly link?: string;
}

/** A router advertisement to all nodes. */
export function ra(words: RaWords = {}): Uint8Array {
  const { lifetime = 1800, options = prefixOption(PREFIX), from = ROUTER_MAC } = words;
  const body = join(bytes(64, 0), short(lifetime), word(0), word(0), sourceLink(words.link ?? from), options);
  return icmpv6(134, body, { source: ROUTER, destination: ALL_NODES, from, hops: 255, ...words });
}

/** Neighbour discovery to the VM, from another machine. */
export const nsIn = (words: NdWords = {}): Uint8Array =>
  ns({ source: OTHER_LINK, target: OWN, from: OTHER_MAC, ...words });
export const naIn = (words: NdWords = {}): Uint8Array =>
  na({
    source: OTHER,
    destination: ALL_NODES,
    target: OTHER,
    from: OTHER_MAC,
    flags: 0x20,
    options: targetLink(words.from ?? OTHER_MAC),
    ...words,
  });

/* MLD */

/** A hop-by-hop header with Router Alert and padding (RFC 2711). */
export const routerAlert = (protocol = 58, value = 0): Uint8Array =>
  join(bytes(protocol, 0, 5, 2), short(value), bytes(1, 0));

export function mld(type: number, words: NdWords = {}): Uint8Array {
  const { target = "ff02::1:ff00:5" } = words;
  const body = type === 143 ? join(word(0)) : join(word(0), address6(target));
  const destination = type === 143 ? "ff02::16" : type === 132 ? ALL_ROUTERS : target;
  return icmpv6(type, body, { source: LINK, destination, hops: 1, next: 0, headers: routerAlert(), ...words });
}

/* DHCPv6 */

export const option6 = (code: number, value: Uint8Array): Uint8Array => join(short(code), short(value.length), value);
export const CLIENT_ID = bytes(0, 3, 0, 1, 0x7e, 0x1a, 0, 0, 0, 1);
export const SERVER_ID = bytes(0, 3, 0, 1, 2, 0, 0, 0, 0, 0x64);
export const OTHER_SERVER_ID = bytes(0, 3, 0, 1, 2, 0, 0, 0, 0, 0x99);
export const SERVERS = "ff02::1:2";
export const SERVER = "fe80::64";

export const clientId = (duid = CLIENT_ID): Uint8Array => option6(1, duid);
export const serverId = (duid = SERVER_ID): Uint8Array => option6(2, duid);
export const status = (code: number): Uint8Array => option6(13, short(code));
export const rapidCommit = (): Uint8Array => option6(14, bytes());

export function iaAddress(address: string, valid = 3600, preferred = valid, ...options: readonly Uint8Array[]) {
  return option6(5, join(address6(address), word(preferred), word(valid), ...options));
}
export const iaNa = (iaid: number, ...options: readonly Uint8Array[]): Uint8Array =>
  option6(3, join(word(iaid), word(0), word(0), ...options));
export const iaTa = (iaid: number, ...options: readonly Uint8Array[]): Uint8Array =>
  option6(4, join(word(iaid), ...options));
export const iaPd = (iaid: number): Uint8Array => option6(25, join(word(iaid), word(0), word(0)));

export interface Dhcp6Words extends Words6 {
  readonly xid?: number;
  readonly fromPort?: number;
  readonly toPort?: number;
}

const head = (type: number, xid: number): Uint8Array => bytes(type, (xid >>> 16) & 255, (xid >>> 8) & 255, xid & 255);

/** A message of the VM's, with exactly these options. */
export function dhcp6(type: number, options: readonly Uint8Array[], words: Dhcp6Words = {}): Uint8Array {
  const { xid = 1, fromPort = 546, toPort = 547 } = words;
  return udp6(fromPort, toPort, join(head(type, xid), ...options), { source: LINK, destination: SERVERS, ...words });
}

/** A server's message to the VM. */
export function dhcp6In(type: number, options: readonly Uint8Array[], words: Dhcp6Words = {}): Uint8Array {
  return dhcp6(type, options, {
    fromPort: 547,
    toPort: 546,
    source: SERVER,
    destination: LINK,
    from: ROUTER_MAC,
    to: VM,
    ...words,
  });
}

/* The bench */

export class Bench6 extends Bench {
  constructor(options: Partial<GuardOptions> = {}, observer?: IPv4Observer) {
    super({ ipv6: true, ...options }, observer);
  }

  /** Moves the clock, also where no frame comes. */
  wait(time: number): void {
    super.wait(time);
    this.guard.advance(this.now);
  }

  /** The VM's valid addresses, in the order of their text. */
  get addresses(): readonly string[] {
    this.guard.advance(this.now);
    return this.guard.binding.ipv6.map(({ address }) => formatIPv6(address)).toSorted();
  }

  bound6(text: string): BoundIPv6Address | undefined {
    return this.guard.binding.ipv6.find(({ address }) => address === parseIPv6(text));
  }

  /** The VM comes to an address by duplicate address detection. */
  detect(...targets: readonly string[]): void {
    for (const target of targets) this.passesOut(nsDad(target));
    this.wait(TENTATIVE);
  }

  /** A link-local address, a router with a prefix, and an address in it: what every guest has. */
  start(): this {
    this.detect(LINK);
    this.passesIn(ra());
    this.detect(OWN);
    assert.deepEqual(this.addresses, [OWN, LINK].toSorted());
    return this;
  }

  /** What softnet asks the network now. */
  questions(): readonly Uint8Array[] {
    return this.#take((out) => this.guard.takeQuestion(out, 0));
  }

  /** What softnet asks the VM now. */
  probes(): readonly Uint8Array[] {
    return this.#take((out) => this.guard.takeProbe(out, 0));
  }

  #take(take: (out: Uint8Array) => number): readonly Uint8Array[] {
    this.guard.advance(this.now);
    const taken: Uint8Array[] = [];
    for (;;) {
      const out = new Uint8Array(1500);
      const length = take(out);
      if (length === 0) return taken;
      taken.push(out.subarray(0, length));
      assert.ok(taken.length < 100, "asks without end");
    }
  }
}

/** Just at a time's end, and a microsecond before. */
export const JUST_BEFORE = -1;
export { OTHER_MAC, SECOND, VM };
