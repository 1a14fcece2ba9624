/**
 * What the guard's tests share: frames from a few words, a bench that judges them on a clock of its own, and a scripted
 * DHCP client and server. Addresses are text, as a person writes them; times are microseconds.
 */
import assert from "node:assert/strict";
import type { IPv4Observer } from "../../src/guard/flow-observer.ts";
import { type BindingChange, createGuard, type Guard, type GuardOptions } from "../../src/index.ts";
import { formatIPv4, parseIPv4, parseMac } from "../../src/wire/address.ts";
import { emitArp } from "../../src/wire/arp.ts";
import { put16 } from "../../src/wire/bytes.ts";
import { addToSum, checksumOf } from "../../src/wire/checksum.ts";
import { emitDhcp } from "../../src/wire/dhcp.ts";
import { emitIPv4 } from "../../src/wire/ipv4.ts";
import { emitUdp } from "../../src/wire/udp.ts";

export const SECOND = 1_000_000;
/** A REQUEST that no ACK or NAK answered waits no longer. */
export const UNANSWERED = 3 * SECOND + 1;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export const VM = "7e:1a:00:00:00:01";
export const GATEWAY_MAC = "02:00:00:00:00:64";
export const OTHER_MAC = "02:00:00:00:00:99";
export const EVERYONE_MAC = "ff:ff:ff:ff:ff:ff";

export const ADDRESS = "192.168.64.5";
export const GATEWAY = "192.168.64.1";
export const NEIGHBOUR = "192.168.64.9";
export const DNS_SERVER = "192.168.64.53";
export const GLOBAL = "1.1.1.1";
export const EVERYONE = "255.255.255.255";
export const NOBODY = "0.0.0.0";

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;

export const DISCOVER = 1;
export const OFFER = 2;
export const REQUEST = 3;
export const DECLINE = 4;
export const ACK = 5;
export const NAK = 6;
export const RELEASE = 7;
export const INFORM = 8;

/** Bytes from hexadecimal digits; white space is for the reader. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/\s+/g, ""), "hex"));
}

export function bytes(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values);
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

/** The four bytes of an IPv4 address, or of several. */
export function address(...texts: readonly string[]): Uint8Array {
  return bytes(...texts.flatMap((text) => text.split(".").map(Number)));
}

/** The six bytes of a MAC address. */
export function mac(text: string): Uint8Array {
  return bytes(...text.split(":").map((part) => Number.parseInt(part, 16)));
}

/** A 32-bit number, such as a lease time. */
export function word(value: number): Uint8Array {
  return bytes(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

const ip = (text: string): number => parseIPv4(text)!;

/** A copy with some bytes changed. */
export function patch(frame: Uint8Array, at: number, ...values: readonly number[]): Uint8Array {
  const copy = frame.slice();
  copy.set(values, at);
  return copy;
}

/** A copy with zero bytes behind it, up to a length. */
export function padded(frame: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(frame);
  return copy;
}

export function ethernet(to: string, from: string, type: number, ...payload: readonly Uint8Array[]): Uint8Array {
  return join(mac(to), mac(from), bytes(type >>> 8, type & 255), ...payload);
}

/* ARP */

export interface ArpWords {
  readonly operation?: number;
  /** Sender protocol address. */
  readonly sender?: string;
  /** Sender hardware address; the Ethernet source unless told otherwise. */
  readonly senderMac?: string;
  readonly target?: string;
  readonly targetMac?: string;
  readonly from?: string;
  readonly to?: string;
}

/** An ARP frame; without words the VM's request for its gateway. */
export function arp(words: ArpWords = {}): Uint8Array {
  const from = words.from ?? VM;
  const packet = emitArp({
    operation: words.operation ?? 1,
    senderHardware: parseMac(words.senderMac ?? from)!,
    senderProtocol: ip(words.sender ?? ADDRESS),
    targetHardware: parseMac(words.targetMac ?? "00:00:00:00:00:00")!,
    targetProtocol: ip(words.target ?? GATEWAY),
  });
  return ethernet(words.to ?? EVERYONE_MAC, from, 0x0806, packet);
}

export const arpProbe = (target: string, words: ArpWords = {}): Uint8Array => arp({ ...words, sender: NOBODY, target });

/** A reply to the VM. */
export function arpReply(sender: string, from: string, words: ArpWords = {}): Uint8Array {
  return arp({ operation: 2, sender, from, to: VM, target: ADDRESS, targetMac: VM, ...words });
}

/* IPv4 */

export interface PacketWords {
  readonly source?: string;
  readonly destination?: string;
  readonly from?: string;
  readonly to?: string;
  /** More fragments, and the fragment offset in units of 8 bytes. */
  readonly more?: boolean;
  readonly offset?: number;
}

/** Sets the header checksum of the IPv4 packet in a frame right again, for header lengths that fit the frame. */
export function withChecksum(frame: Uint8Array): Uint8Array {
  const copy = patch(frame, 24, 0, 0);
  const header = (copy[14]! & 15) * 4;
  put16(copy, 24, checksumOf(addToSum(0, copy, 14, header)));
  return copy;
}

/** An IPv4 frame, without words from the bound VM to the gateway's MAC. */
export function packet(protocol: number, payload: Uint8Array, words: PacketWords = {}): Uint8Array {
  const whole = emitIPv4(
    { source: ip(words.source ?? ADDRESS), destination: ip(words.destination ?? GLOBAL), protocol },
    payload,
  );
  return fragment(ethernet(words.to ?? GATEWAY_MAC, words.from ?? VM, 0x0800, whole), words);
}

function fragment(frame: Uint8Array, { more = false, offset = 0 }: PacketWords): Uint8Array {
  if (!more && offset === 0) return frame;
  return withChecksum(patch(frame, 20, (more ? 0x20 : 0) | (offset >>> 8), offset & 255));
}

export function udp(
  sourcePort: number,
  destinationPort: number,
  words: PacketWords = {},
  payload = bytes(),
): Uint8Array {
  const source = ip(words.source ?? ADDRESS);
  const destination = ip(words.destination ?? GLOBAL);
  const whole = emitUdp({ source, destination, sourcePort, destinationPort }, payload);
  return fragment(ethernet(words.to ?? GATEWAY_MAC, words.from ?? VM, 0x0800, whole), words);
}

/** A TCP SYN without options. */
export function tcp(destinationPort: number, words: PacketWords = {}): Uint8Array {
  const port = [destinationPort >>> 8, destinationPort & 255];
  return packet(TCP, bytes(0xc0, 0, ...port, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0), words);
}

/** An ICMP message of 8 bytes with a right checksum. */
export function icmp(type: number, words: PacketWords = {}, code = 0): Uint8Array {
  const message = bytes(type, code, 0, 0, 0, 1, 0, 1);
  put16(message, 2, checksumOf(addToSum(0, message, 0, 8)));
  return packet(ICMP, message, words);
}

/* DHCP */

export type Option = readonly [code: number, value: Uint8Array];

export interface DhcpWords extends PacketWords {
  readonly type: number;
  readonly xid?: number;
  readonly op?: number;
  readonly hops?: number;
  readonly flags?: number;
  readonly ciaddr?: string;
  readonly yiaddr?: string;
  readonly giaddr?: string;
  readonly chaddr?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** Behind option 53. */
  readonly options?: readonly Option[];
}

/** A DHCP message, from the VM's client unless told otherwise. */
export function dhcpMessage(words: DhcpWords): Uint8Array {
  const message = emitDhcp({
    op: words.op ?? 1,
    xid: words.xid ?? 1,
    chaddr: parseMac(words.chaddr ?? VM)!,
    flags: words.flags ?? 0,
    ciaddr: ip(words.ciaddr ?? NOBODY),
    yiaddr: ip(words.yiaddr ?? NOBODY),
    giaddr: ip(words.giaddr ?? NOBODY),
    options: [[53, bytes(words.type)], ...(words.options ?? [])],
  });
  message[3] = words.hops ?? 0;
  return message;
}

/** A frame around a DHCP message; from 0.0.0.0 to everyone unless told otherwise. */
export function dhcp(words: DhcpWords, message: Uint8Array = dhcpMessage(words)): Uint8Array {
  const { sourcePort = 68, destinationPort = 67, destination = EVERYONE } = words;
  const to = words.to ?? (destination === EVERYONE ? EVERYONE_MAC : GATEWAY_MAC);
  return udp(sourcePort, destinationPort, { source: NOBODY, ...words, destination, to }, message);
}

/** Where the DHCP message begins in a frame. */
export const MESSAGE = 14 + 20 + 8;

/** A DHCP message whose options are given byte by byte, with sname and file if wanted; nothing is added. */
export function rawMessage(
  words: Omit<DhcpWords, "options">,
  options: Uint8Array,
  file = bytes(),
  sname = bytes(),
): Uint8Array {
  const message = join(dhcpMessage(words).subarray(0, 240), options);
  message.set(sname, 44);
  message.set(file, 108);
  return message;
}

export interface ClientWords {
  readonly xid?: number;
  /** Option 61. */
  readonly identifier?: Uint8Array;
  /** Sets the broadcast flag. */
  readonly broadcast?: boolean;
  /** Options that this client adds to each DISCOVER and REQUEST, such as 55, 57, 60. */
  readonly options?: readonly Option[];
}

type Change = Partial<DhcpWords>;

/** A client that writes what RFC 2131's table 5 says; each method answers a frame, `change` bends it. */
export class Client {
  xid: number;
  readonly #identifier: readonly Option[];
  readonly #options: readonly Option[];
  readonly #flags: number;

  constructor(words: ClientWords = {}) {
    this.xid = words.xid ?? 0x11111111;
    this.#identifier = words.identifier === undefined ? [] : [[61, words.identifier]];
    this.#options = words.options ?? [];
    this.#flags = words.broadcast === true ? 0x8000 : 0;
  }

  #frame(type: number, options: readonly Option[], change: Change, plain: Change = {}): Uint8Array {
    const more = type === RELEASE || type === DECLINE ? this.#identifier : [...this.#identifier, ...this.#options];
    const flags = type === RELEASE || type === DECLINE ? 0 : this.#flags;
    const all = [...options, ...more, ...(change.options ?? [])];
    return dhcp({ type, xid: this.xid, flags, ...plain, ...change, options: all });
  }

  discover(change: Change = {}): Uint8Array {
    return this.#frame(DISCOVER, [], change);
  }
  /** REQUEST in SELECTING. */
  select(wanted: string, server: string, change: Change = {}): Uint8Array {
    return this.#frame(
      REQUEST,
      [
        [50, address(wanted)],
        [54, address(server)],
      ],
      change,
    );
  }
  /** REQUEST in INIT-REBOOT. */
  reboot(wanted: string, change: Change = {}): Uint8Array {
    return this.#frame(REQUEST, [[50, address(wanted)]], change);
  }
  /** REQUEST in RENEWING. */
  renew(own: string, server: string, change: Change = {}): Uint8Array {
    return this.#frame(REQUEST, [], change, { source: own, ciaddr: own, destination: server, flags: 0 });
  }
  /** REQUEST in REBINDING. */
  rebind(own: string, change: Change = {}): Uint8Array {
    return this.#frame(REQUEST, [], change, { source: own, ciaddr: own });
  }
  inform(own: string, change: Change = {}): Uint8Array {
    return this.#frame(INFORM, [], change, { source: own, ciaddr: own });
  }
  release(own: string, server: string, change: Change = {}): Uint8Array {
    return this.#frame(RELEASE, [[54, address(server)]], change, { source: own, ciaddr: own, destination: server });
  }
  decline(wanted: string, server: string, change: Change = {}): Uint8Array {
    return this.#frame(
      DECLINE,
      [
        [50, address(wanted)],
        [54, address(server)],
      ],
      change,
    );
  }
}

export interface ServerWords {
  readonly mac?: string;
  /** IPv4 source of what it sends. */
  readonly address?: string;
  /** Option 54; the address unless told otherwise. */
  readonly identifier?: string;
  readonly router?: string | undefined;
  readonly netmask?: string | undefined;
  readonly dns?: readonly string[];
  /** Seconds. */
  readonly lease?: number;
}

/** A DHCP server; each method answers a frame for a client, `change` bends it. */
export class Server {
  readonly mac: string;
  readonly address: string;
  readonly identifier: string;
  readonly router: string | undefined;
  readonly netmask: string | undefined;
  readonly dns: readonly string[];
  readonly lease: number;

  constructor(words: ServerWords = {}) {
    this.mac = words.mac ?? GATEWAY_MAC;
    this.address = words.address ?? GATEWAY;
    this.identifier = words.identifier ?? this.address;
    this.router = "router" in words ? words.router : GATEWAY;
    this.netmask = "netmask" in words ? words.netmask : "255.255.255.0";
    this.dns = words.dns ?? [DNS_SERVER];
    this.lease = words.lease ?? 3600;
  }

  #frame(type: number, client: Client, options: readonly Option[], change: Change, plain: Change): Uint8Array {
    return dhcp({
      type,
      op: 2,
      xid: client.xid,
      source: this.address,
      from: this.mac,
      to: VM,
      sourcePort: 67,
      destinationPort: 68,
      ...plain,
      ...change,
      options: [[54, address(this.identifier)], ...options, ...(change.options ?? [])],
    });
  }

  #settings(): Option[] {
    const options: Option[] = [];
    if (this.netmask !== undefined) options.push([1, address(this.netmask)]);
    if (this.router !== undefined) options.push([3, address(this.router)]);
    if (this.dns.length > 0) options.push([6, address(...this.dns)]);
    return options;
  }

  offer(client: Client, yiaddr: string, change: Change = {}): Uint8Array {
    const plain = { yiaddr, destination: yiaddr === NOBODY ? EVERYONE : yiaddr };
    return this.#frame(OFFER, client, [[51, word(this.lease)], ...this.#settings()], change, plain);
  }
  ack(client: Client, yiaddr: string, change: Change = {}): Uint8Array {
    const plain = { yiaddr, destination: yiaddr };
    return this.#frame(ACK, client, [[51, word(this.lease)], ...this.#settings()], change, plain);
  }
  /** The ACK to an INFORM: no yiaddr, no lease time (RFC 2131 4.3.5). */
  ackInform(client: Client, own: string, change: Change = {}): Uint8Array {
    return this.#frame(ACK, client, this.#settings(), change, { ciaddr: own, destination: own });
  }
  nak(client: Client, change: Change = {}): Uint8Array {
    return this.#frame(NAK, client, [], change, { destination: EVERYONE, to: EVERYONE_MAC });
  }
}

/* The bench */

/** A guard and its clock. `out` and `in` judge a frame from and to the VM and answer "pass" or the drop reason. */
export class Bench {
  readonly guard: Guard;
  readonly changes: BindingChange[] = [];
  now = 1_700_000_000 * SECOND;

  constructor(options: Partial<GuardOptions> = {}, observer?: IPv4Observer) {
    const onBinding: GuardOptions["onBinding"] = (change) => this.changes.push(change);
    this.guard = createGuard({ macAddress: VM, onBinding, ...options }, observer);
  }

  wait(time: number): void {
    this.now += time;
  }

  out(frame: Uint8Array): string {
    const { verdict, reason } = this.guard.egress(frame, this.now);
    return reason ?? verdict;
  }

  in(frame: Uint8Array): string {
    const { verdict, reason } = this.guard.ingress(frame, this.now);
    return reason ?? verdict;
  }

  passesOut(...frames: readonly Uint8Array[]): void {
    for (const [index, frame] of frames.entries()) assert.equal(this.out(frame), "pass", `frame ${index + 1} out`);
  }

  passesIn(...frames: readonly Uint8Array[]): void {
    for (const [index, frame] of frames.entries()) assert.equal(this.in(frame), "pass", `frame ${index + 1} in`);
  }

  dropsOut(reason: string, ...frames: readonly Uint8Array[]): void {
    for (const [index, frame] of frames.entries()) assert.equal(this.out(frame), reason, `frame ${index + 1} out`);
  }

  dropsIn(reason: string, ...frames: readonly Uint8Array[]): void {
    for (const [index, frame] of frames.entries()) assert.equal(this.in(frame), reason, `frame ${index + 1} in`);
  }

  /** The bound address as text; undefined while there is none. Looks at the clock first, by a frame that drops. */
  get bound(): string | undefined {
    this.in(bytes());
    const { ipv4 } = this.guard.binding;
    return ipv4 && formatIPv4(ipv4.address);
  }

  /** The usual four messages; every one must pass. */
  bind(wanted = ADDRESS, client = new Client(), server = new Server()): void {
    this.passesOut(client.discover());
    this.passesIn(server.offer(client, wanted));
    this.passesOut(client.select(wanted, server.identifier));
    this.passesIn(server.ack(client, wanted));
    assert.equal(this.bound, wanted);
  }

  /** Fails unless the VM is bound to this address and what an ordinary guest does with it passes, and only from it. */
  assertOnline(own = ADDRESS, gateway = GATEWAY, gatewayMac = GATEWAY_MAC): void {
    assert.equal(this.bound, own);
    this.passesOut(
      arp({ sender: own, target: own }),
      arp({ sender: own, target: gateway }),
      icmp(8, { source: own, destination: gateway }),
      icmp(8, { source: own }),
      tcp(443, { source: own }),
    );
    this.passesIn(
      arpReply(gateway, gatewayMac, { target: own }),
      icmp(0, { source: GLOBAL, destination: own, from: gatewayMac, to: VM }),
    );
    this.dropsOut("ipv4.source", tcp(443, { source: "192.168.64.77" }));
    this.dropsOut("arp.sender-address", arp({ sender: "192.168.64.77" }));
  }

  /** Fails unless the VM has no address and can send nothing from the one it had. */
  assertOffline(former = ADDRESS): void {
    assert.equal(this.bound, undefined);
    this.dropsOut("ipv4.unbound", tcp(443, { source: former }), icmp(8, { source: former }));
    this.dropsOut("arp.sender-address", arp({ sender: former, target: NEIGHBOUR }));
  }
}
