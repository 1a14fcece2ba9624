/**
 * The headers of one frame, read once into the fields of an object that is used again for the next frame. Every field is
 * of this frame: what the frame does not have is NONE, an address is 0.
 *
 * All fields are small integers: 32 bits are kept as a signed number, which V8 keeps in the object itself. Headers are
 * read in words through a DataView, with a third of the loads and checks that single bytes cost. It is made when the
 * array's buffer is another one than before: who reads from two buffers in turn has two views.
 */
import { isArpForIPv4 } from "./arp.ts";
import { ETHERNET_HEADER, TYPE_ARP, TYPE_IPV4, TYPE_IPV6 } from "./ethernet.ts";
import {
  EXTENSION_FRAGMENT,
  EXTENSION_OTHER_ALERT,
  EXTENSION_ROUTER_ALERT,
  ExtensionHeaders,
} from "./extension-headers.ts";
import { ICMP_HEADER } from "./icmp.ts";
import { ICMPV6, ICMPV6_HEADER, isMld } from "./icmpv6.ts";
import { IPV4_HEADER, PLAIN_HEADER, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "./ipv4.ts";
import { IPV6_HEADER, PROTOCOL_ICMPV6 } from "./ipv6.ts";
import {
  ARP_FORM,
  IPV4_CHECKSUM,
  IPV4_FRAGMENT,
  IPV4_LENGTH,
  IPV4_OPTIONS,
  IPV4_TRANSPORT,
  IPV4_VERSION,
  IPV6_FORM,
  IPV6_FRAGMENT,
  IPV6_LOOPBACK,
  IPV6_OPTIONS,
  IPV6_SOURCE,
  IPV6_TRANSPORT,
  SHORT,
  SOUND,
} from "./malformed.ts";
import { TCP_FLAGS_END, TCP_HEADER } from "./tcp.ts";
import { UDP_HEADER } from "./udp.ts";
import { COMPLETE } from "./virtio-net.ts";

/** What the frame does not have: no port, no protocol, no type. */
export const NONE = -1;

/** The largest payload of an IPv4 packet without options. */
const LARGEST_PAYLOAD = 65_515;
/** Bytes of a transport header up to the end of its ports, of ICMP's type and code. */
const PORTS_END = 4;
const TCP_FLAGS = 13;
const ICMP_CODE_END = 2;
export class FrameHeaders {
  /** The array in which the frame lies, from `frame` on, `length` bytes. */
  bytes: Uint8Array = new Uint8Array(0);
  frame = 0;
  length = 0;
  malformed = SHORT;
  /** What its sender has left to do (virtio-net.ts). */
  offload = COMPLETE;

  /** Ethernet addresses: the upper 16 bits, and the lower 32 as a signed number. */
  destinationHigh = 0;
  destinationLow = 0;
  sourceHigh = 0;
  sourceLow = 0;
  /** Ethernet's type field. */
  type = NONE;

  /** IPv4's protocol; IPv6's upper layer, in a later fragment what its fragment header says. */
  protocol = NONE;
  /** IHL, in bytes; of IPv6 from its header to the upper layer. */
  headerLength = 0;
  /** Of the packet, as its sender claims. */
  totalLength = 0;
  /** MF and fragment offset at once, as IPv4 has them: 0 = the packet is whole. */
  fragmentBits = 0;
  /** IPv4 addresses as signed numbers, to be compared with others that are. */
  sourceWord = 0;
  destinationWord = 0;
  /** Ports of TCP and UDP, in a first fragment too; NONE in a later one. */
  sourcePort = NONE;
  destinationPort = NONE;
  /** TCP's; 0 where there are none. */
  tcpFlags = 0;
  /** ICMP's type, ICMPv6's with ICMPV6 added; NONE in a later fragment. */
  icmpType = NONE;
  /** IPv6 addresses as four signed words. Of an IPv6 frame with room for its header only: others leave here what was. */
  readonly source6 = new Int32Array(4);
  readonly destination6 = new Int32Array(4);
  /** Extension headers of an IPv6 frame (extension-headers.ts); of any other 0. */
  extensions = 0;

  /** Of the whole buffer that `bytes` is part of, and where `bytes` begins in it. */
  #data: DataView = new DataView(new ArrayBuffer(0));
  #origin = 0;
  readonly #walk = new ExtensionHeaders();

  /**
   * Reads the frame `bytes[frame] … bytes[frame + length - 1]`, which must lie within the array. `offload`: what its sender
   * has left to do, COMPLETE where the frame is as it will be on the wire.
   */
  read(bytes: Uint8Array, frame: number, length: number, offload = COMPLETE): void {
    if (bytes !== this.bytes) this.#attach(bytes);
    this.frame = frame;
    this.length = length;
    this.offload = offload;
    if (length < ETHERNET_HEADER) {
      this.#clearEthernet();
      return;
    }
    const data = this.#data;
    const at = this.#origin + frame;
    this.destinationHigh = data.getInt16(at) & 0xffff;
    this.destinationLow = data.getInt32(at + 2);
    this.sourceHigh = data.getInt16(at + 6) & 0xffff;
    this.sourceLow = data.getInt32(at + 8);
    const type = data.getInt16(at + 12) & 0xffff;
    this.type = type;
    if (type === TYPE_IPV4 && length >= ETHERNET_HEADER + IPV4_HEADER) this.#readIPv4();
    else if (type === TYPE_IPV6 && length >= ETHERNET_HEADER + IPV6_HEADER) this.#readIPv6();
    else this.#readOther(type);
  }

  #attach(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.#origin = bytes.byteOffset;
    if (bytes.buffer !== this.#data.buffer) this.#data = new DataView(bytes.buffer);
  }

  #clearEthernet(): void {
    this.malformed = SHORT;
    this.destinationHigh = 0;
    this.destinationLow = 0;
    this.sourceHigh = 0;
    this.sourceLow = 0;
    this.type = NONE;
    this.#clearIPv4();
  }

  #clearIPv4(): void {
    this.protocol = NONE;
    this.headerLength = 0;
    this.totalLength = 0;
    this.fragmentBits = 0;
    this.sourceWord = 0;
    this.destinationWord = 0;
    this.extensions = 0;
    this.#clearTransport();
  }

  #clearTransport(): void {
    this.sourcePort = NONE;
    this.destinationPort = NONE;
    this.tcpFlags = 0;
    this.icmpType = NONE;
  }

  #readOther(type: number): void {
    this.#clearIPv4();
    this.malformed = SOUND;
    if (type === TYPE_IPV4) this.malformed = IPV4_VERSION;
    else if (type === TYPE_IPV6) this.malformed = IPV6_FORM;
    else if (
      type === TYPE_ARP &&
      !isArpForIPv4(this.bytes, this.frame + ETHERNET_HEADER, this.length - ETHERNET_HEADER)
    ) {
      this.malformed = ARP_FORM;
    }
  }

  #readIPv4(): void {
    const data = this.#data;
    const packet = this.#origin + this.frame + ETHERNET_HEADER;
    const first = data.getInt32(packet);
    const second = data.getInt32(packet + 4);
    const third = data.getInt32(packet + 8);
    const source = data.getInt32(packet + 12);
    const destination = data.getInt32(packet + 16);
    const header = (first >>> 22) & 0x3c;
    const total = first & 0xffff;
    const fragment = second & 0x3fff;
    const protocol = (third >>> 16) & 0xff;
    this.headerLength = header;
    this.totalLength = total;
    this.extensions = 0;
    this.fragmentBits = fragment;
    this.protocol = protocol;
    this.sourceWord = source;
    this.destinationWord = destination;
    this.#readTransport(
      protocol,
      packet + header,
      (fragment & 0x1fff) === 0 ? this.length - ETHERNET_HEADER - header : 0,
    );
    if (first >>> 24 !== PLAIN_HEADER || total < IPV4_HEADER || total > this.length - ETHERNET_HEADER) {
      this.malformed = this.#lengthFault(first >>> 28);
      return;
    }
    // Ones' complement sum of 16-bit words (RFC 1071): both halves of all words.
    const sum =
      (first >>> 16) +
      total +
      (second >>> 16) +
      (second & 0xffff) +
      (third >>> 16) +
      (third & 0xffff) +
      (source >>> 16) +
      (source & 0xffff) +
      (destination >>> 16) +
      (destination & 0xffff);
    // Ten words carry at most 9: adding them once leaves no further carry where the sum is right.
    if ((sum & 0xffff) + (sum >>> 16) !== 0xffff) this.malformed = IPV4_CHECKSUM;
    else if (fragment === 0 && total >= IPV4_HEADER + TCP_HEADER) this.malformed = SOUND;
    else this.malformed = payloadFault(fragment, total - IPV4_HEADER, protocol);
  }

  #readIPv6(): void {
    const data = this.#data;
    const packet = this.#origin + this.frame + ETHERNET_HEADER;
    const { source6, destination6 } = this;
    const first = data.getInt32(packet);
    const second = data.getInt32(packet + 4);
    const source = data.getInt32(packet + 8);
    const destination = data.getInt32(packet + 24);
    source6[0] = source;
    source6[1] = data.getInt32(packet + 12);
    source6[2] = data.getInt32(packet + 16);
    source6[3] = data.getInt32(packet + 20);
    destination6[0] = destination;
    destination6[1] = data.getInt32(packet + 28);
    destination6[2] = data.getInt32(packet + 32);
    destination6[3] = data.getInt32(packet + 36);
    const payload = second >>> 16;
    const next = (second >>> 8) & 0xff;
    this.totalLength = IPV6_HEADER + payload;
    this.sourceWord = 0;
    this.destinationWord = 0;
    if (first >>> 28 !== 6 || payload === 0 || IPV6_HEADER + payload > this.length - ETHERNET_HEADER) {
      this.#clearIPv4();
      this.totalLength = IPV6_HEADER + payload;
      this.malformed = IPV6_FORM;
      return;
    }
    // Only an address that begins with ff00::/8 or 32 bits of 0 may be none that a packet can have.
    const mayBeFault = source === 0 || destination === 0 || source >>> 24 === 0xff;
    const addresses = mayBeFault ? addressFault(source6, destination6) : SOUND;
    if (next === PROTOCOL_TCP || next === PROTOCOL_UDP || next === PROTOCOL_ICMPV6) {
      // Nearly every packet: no extension header.
      this.protocol = next;
      this.headerLength = IPV6_HEADER;
      this.extensions = 0;
      this.fragmentBits = 0;
      this.#readTransport(next, packet + IPV6_HEADER, payload);
      if (addresses !== SOUND) this.malformed = addresses;
      else this.malformed = payload < TCP_HEADER && payload < transportHeader6(next) ? IPV6_TRANSPORT : SOUND;
      return;
    }
    this.#readExtensions(packet, addresses);
  }

  /** `addresses`: what is wrong with those. */
  #readExtensions(packet: number, addresses: number): void {
    this.#clearTransport();
    const begin = this.frame + ETHERNET_HEADER;
    const walk = this.#walk;
    const fault = walk.read(this.bytes, begin, begin + this.totalLength);
    this.protocol = walk.protocol;
    this.headerLength = walk.length;
    this.extensions = walk.extensions;
    this.fragmentBits = walk.fragmentBits;
    this.malformed = addresses !== SOUND ? addresses : fault;
    if (fault !== SOUND) return;
    const alerts = (walk.extensions & (EXTENSION_ROUTER_ALERT | EXTENSION_OTHER_ALERT)) !== 0;
    if ((walk.fragmentBits & 0x1fff) !== 0) {
      if (alerts && addresses === SOUND) this.malformed = IPV6_OPTIONS;
      return;
    }
    const left = this.totalLength - walk.length;
    this.#readTransport(walk.protocol, packet + walk.length, left);
    if (addresses !== SOUND) return;
    if (left < transportHeader6(walk.protocol)) {
      this.malformed = walk.fragmentBits === 0 ? IPV6_TRANSPORT : IPV6_FRAGMENT;
    } else if (alerts && !isMld(this.icmpType)) {
      this.malformed = IPV6_OPTIONS;
    }
  }

  /** Of the fragment header, signed; 0 where there is none. */
  get fragmentIdentification(): number {
    return (this.extensions & EXTENSION_FRAGMENT) !== 0 ? this.#walk.identification : 0;
  }

  /** Bytes behind the fragment header; 0 where there is none. */
  get fragmentLength(): number {
    return (this.extensions & EXTENSION_FRAGMENT) !== 0 ? this.#walk.fragmentLength : 0;
  }

  /** Reads what `left` bytes at `at`, in the buffer, have of a transport header; of a packet that is not sound, too. */
  #readTransport(protocol: number, at: number, left: number): void {
    let sourcePort = NONE;
    let destinationPort = NONE;
    let flags = 0;
    let type = NONE;
    if (protocol === PROTOCOL_UDP || protocol === PROTOCOL_TCP) {
      if (left >= PORTS_END) {
        const ports = this.#data.getInt32(at);
        sourcePort = ports >>> 16;
        destinationPort = ports & 0xffff;
        if (protocol === PROTOCOL_TCP && left >= TCP_FLAGS_END) flags = this.#data.getInt8(at + TCP_FLAGS) & 0xff;
      }
    } else if (protocol === PROTOCOL_ICMP && left >= ICMP_CODE_END) {
      type = this.#data.getInt8(at) & 0xff;
    } else if (protocol === PROTOCOL_ICMPV6 && left >= ICMP_CODE_END && this.type === TYPE_IPV6) {
      type = ICMPV6 + (this.#data.getInt8(at) & 0xff);
    }
    this.sourcePort = sourcePort;
    this.destinationPort = destinationPort;
    this.tcpFlags = flags;
    this.icmpType = type;
  }

  /** What is wrong with a header that is not plain, or does not fit. */
  #lengthFault(version: number): number {
    const { headerLength, totalLength } = this;
    const room = this.length - ETHERNET_HEADER;
    if (version !== 4) return IPV4_VERSION;
    if (headerLength < IPV4_HEADER || headerLength > room) return IPV4_LENGTH;
    if (totalLength < headerLength || totalLength > room) return IPV4_LENGTH;
    return IPV4_OPTIONS;
  }
}

/** What is wrong with the payload of a plain header, in its place in the packet. */
function payloadFault(fragmentBits: number, length: number, protocol: number): number {
  const offset = fragmentBits & 0x1fff;
  if (offset > 0) return offset === 1 || offset * 8 + length > LARGEST_PAYLOAD ? IPV4_FRAGMENT : SOUND;
  if (length >= transportHeader(protocol)) return SOUND;
  return fragmentBits === 0 ? IPV4_TRANSPORT : IPV4_FRAGMENT;
}

/** Bytes that a protocol's header needs before it can be judged. */
function transportHeader(protocol: number): number {
  switch (protocol) {
    case PROTOCOL_TCP:
      return TCP_HEADER;
    case PROTOCOL_UDP:
      return UDP_HEADER;
    case PROTOCOL_ICMP:
      return ICMP_HEADER;
    default:
      return 0;
  }
}

/** What is wrong with the addresses of an IPv6 packet. */
function addressFault(source: Int32Array, destination: Int32Array): number {
  if (source[0]! >>> 24 === 0xff) return IPV6_SOURCE;
  return isOneself(source, false) || isOneself(destination, true) ? IPV6_LOOPBACK : SOUND;
}

/** ::1, an address that is mapped from IPv4 and, if asked for, :: itself (RFC 4291 2.5.2, 2.5.3, 2.5.5.2). */
function isOneself(words: Int32Array, unspecified: boolean): boolean {
  if (words[0] !== 0 || words[1] !== 0) return false;
  if (words[2] !== 0) return words[2] === 0xffff;
  return words[3] === 1 || (unspecified && words[3] === 0);
}

/** As `transportHeader`, of protocols in IPv6. */
function transportHeader6(protocol: number): number {
  if (protocol === PROTOCOL_ICMPV6) return ICMPV6_HEADER;
  return protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP ? transportHeader(protocol) : 0;
}
