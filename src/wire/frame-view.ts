/**
 * One frame as everything behind it sees it. Nothing else indexes a frame's bytes, except where a view says that it may.
 * The headers that every frame is judged by are read at once (frame-headers.ts); the rest here, when it is asked for.
 *
 * `malformed` says what is wrong with the frame's form; where that is SOUND, all headers that its protocols need lie
 * within it, and so does what is read here. What is wrong with its meaning is not known here.
 */
import {
  arpOperation,
  senderHardwareAddress,
  senderProtocolAddress,
  targetHardwareAddress,
  targetProtocolAddress,
} from "./arp.ts";
import type { DhcpMessage } from "./dhcp.ts";
import { ETHERNET_HEADER, TYPE_IPV6 } from "./ethernet.ts";
import { FrameHeaders, NONE } from "./frame-headers.ts";
import { ICMP_HEADER, icmpCode, icmpIdentifier, icmpType, isIcmpError } from "./icmp.ts";
import { ICMPV6, ICMPV6_HEADER, ICMPV6_TOO_BIG, icmpv6Mtu, isIcmpv6Error } from "./icmpv6.ts";
import { quotedHeaderLength, quotedNextHeader } from "./icmpv6-quote.ts";
import {
  destinationAddress,
  fragmentOffset,
  IPV4_HEADER,
  ipIdentification,
  ipProtocol,
  PLAIN_HEADER,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  pseudoHeaderSum,
  sourceAddress,
} from "./ipv4.ts";
import { destinationAt6, IPV6_LEAST_MTU, PROTOCOL_ICMPV6, pseudoHeader6Sum, readWords, sourceAt6 } from "./ipv6.ts";
import { tcpAcknowledgement, tcpChecksumIsRight, tcpHeaderLength, tcpSequence } from "./tcp.ts";
import {
  UDP_HEADER,
  udpChecksum6IsRight,
  udpChecksumIsRight,
  udpDestinationPort,
  udpLength,
  udpSourcePort,
} from "./udp.ts";
import { COMPLETE } from "./virtio-net.ts";

/** An ICMP error quotes a header without options and 8 bytes more (RFC 792). */
const QUOTED_LENGTH = IPV4_HEADER + 8;

export class FrameView extends FrameHeaders {
  readonly #quotedSource6 = new Int32Array(4);
  readonly #quotedDestination6 = new Int32Array(4);

  /** A view of its own for one frame; for what is rare. */
  static of(bytes: Uint8Array, frame = 0, length = bytes.length, offload = COMPLETE): FrameView {
    const view = new FrameView();
    view.read(bytes, frame, length, offload);
    return view;
  }

  /*
   * Ethernet. Addresses are 48 bits (wire/address.ts).
   */

  get destinationMac(): number {
    return this.destinationHigh * 0x100000000 + (this.destinationLow >>> 0);
  }

  get sourceMac(): number {
    return this.sourceHigh * 0x100000000 + (this.sourceLow >>> 0);
  }

  /** Whether the frame goes to all machines of the segment, or to many. */
  get isToGroup(): boolean {
    return (this.destinationHigh & 0x100) !== 0;
  }

  /** 01:80:c2:xx:xx:xx: bridges, pause frames, LLDP; never forwarded by a bridge, never sent by a VM (IEEE 802.1Q 8.6.3). */
  get isToReserved(): boolean {
    return this.destinationHigh === 0x0180 && this.destinationLow >>> 24 === 0xc2;
  }

  /** Where the packet begins, in `bytes`. */
  get packet(): number {
    return this.frame + ETHERNET_HEADER;
  }

  /*
   * ARP, where the type says so and the frame is sound.
   */

  get arpOperation(): number {
    return arpOperation(this.bytes, this.packet);
  }

  get senderHardware(): number {
    return senderHardwareAddress(this.bytes, this.packet);
  }

  get senderProtocol(): number {
    return senderProtocolAddress(this.bytes, this.packet);
  }

  get targetHardware(): number {
    return targetHardwareAddress(this.bytes, this.packet);
  }

  get targetProtocol(): number {
    return targetProtocolAddress(this.bytes, this.packet);
  }

  /*
   * IPv4. Addresses are in host order.
   */

  get source(): number {
    return this.sourceWord >>> 0;
  }

  get destination(): number {
    return this.destinationWord >>> 0;
  }

  /** In units of 8 bytes, 0 … 8,191. */
  get fragmentOffset(): number {
    return this.fragmentBits & 0x1fff;
  }

  /** MF, the more fragments flag. */
  get moreFragments(): boolean {
    return (this.fragmentBits & 0x2000) !== 0;
  }

  /** Where the IPv4 header is at hand. */
  get identification(): number {
    return ipIdentification(this.bytes, this.packet);
  }

  /** Where the payload begins, in `bytes`. */
  get transport(): number {
    return this.frame + ETHERNET_HEADER + this.headerLength;
  }

  /** Bytes of the payload, as far as the frame has them; negative where lengths do not fit. */
  get transportLength(): number {
    return Math.min(this.totalLength, this.length - ETHERNET_HEADER) - this.headerLength;
  }

  /** TCP or UDP, which have their ports in the same place. */
  get hasPorts(): boolean {
    return this.protocol === PROTOCOL_TCP || this.protocol === PROTOCOL_UDP;
  }

  /*
   * TCP, UDP and ICMP, of a sound frame's first fragment.
   */

  get tcpSequence(): number {
    return tcpSequence(this.bytes, this.transport);
  }

  get tcpAcknowledgement(): number {
    return tcpAcknowledgement(this.bytes, this.transport);
  }

  /** TCP's data offset in bytes, as the sender claims. */
  get tcpHeaderLength(): number {
    return tcpHeaderLength(this.bytes, this.transport);
  }

  /** Of a whole packet that is complete. */
  get tcpChecksumIsRight(): boolean {
    const { bytes, packet, transport, transportLength: length } = this;
    const pseudoHeader =
      this.type === TYPE_IPV6
        ? pseudoHeader6Sum(bytes, packet, PROTOCOL_TCP, length)
        : pseudoHeaderSum(bytes, packet, length);
    return tcpChecksumIsRight(bytes, transport, length, pseudoHeader);
  }

  /** Header and payload, as the sender claims. */
  get udpLength(): number {
    return udpLength(this.bytes, this.transport);
  }

  /** Of a whole packet; in IPv6 there is always one (RFC 8200 8.1). */
  get udpChecksumIsRight(): boolean {
    const { bytes, packet, transport, transportLength: length } = this;
    if (this.type === TYPE_IPV6) return udpChecksum6IsRight(bytes, packet, transport, length);
    return udpChecksumIsRight(bytes, packet, length);
  }

  /** Reads a whole UDP packet's payload; false where it is no DHCP message, or one that can be read in two ways. */
  readDhcp(message: DhcpMessage): boolean {
    return message.read(this.bytes, this.transport + UDP_HEADER, this.transportLength - UDP_HEADER);
  }

  get icmpCode(): number {
    return icmpCode(this.bytes, this.transport);
  }

  get icmpIdentifier(): number {
    return icmpIdentifier(this.bytes, this.transport);
  }

  /*
   * The packet that an ICMP error quotes.
   */

  /**
   * Whether the sound frame is an ICMP error that quotes an unfragmented packet's beginning, or a first fragment's, with a
   * header without options and 8 bytes more: then what follows is in bounds. In pieces the quotation could be written
   * over behind its first one.
   */
  get quotes(): boolean {
    if (!isIcmpError(this.icmpType) || this.fragmentBits !== 0) return false;
    if (this.transportLength < ICMP_HEADER + QUOTED_LENGTH) return false;
    return this.bytes[this.quoted] === PLAIN_HEADER && fragmentOffset(this.bytes, this.quoted) === 0;
  }

  /** Where the quoted packet begins, in `bytes`. */
  get quoted(): number {
    return this.transport + ICMP_HEADER;
  }

  get quotedSource(): number {
    return sourceAddress(this.bytes, this.quoted);
  }

  get quotedDestination(): number {
    return destinationAddress(this.bytes, this.quoted);
  }

  get quotedProtocol(): number {
    if (this.type !== TYPE_IPV6) return ipProtocol(this.bytes, this.quoted);
    return quotedNextHeader(this.bytes, this.quoted, this.#quotedHeader);
  }

  /** Of TCP and UDP. */
  get quotedSourcePort(): number {
    return udpSourcePort(this.bytes, this.quoted + this.#quotedHeader);
  }

  get quotedDestinationPort(): number {
    return udpDestinationPort(this.bytes, this.quoted + this.#quotedHeader);
  }

  /** Of ICMP, and with ICMPV6 added of ICMPv6; NONE where the protocol is not the family's own of these two. */
  get quotedIcmpType(): number {
    const ipv6 = this.type === TYPE_IPV6;
    if (this.quotedProtocol !== (ipv6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)) return NONE;
    return icmpType(this.bytes, this.quoted + this.#quotedHeader) + (ipv6 ? ICMPV6 : 0);
  }

  get quotedIdentifier(): number {
    return icmpIdentifier(this.bytes, this.quoted + this.#quotedHeader);
  }

  get #quotedHeader(): number {
    return this.type === TYPE_IPV6
      ? quotedHeaderLength(this.bytes, this.quoted, this.transportLength - ICMPV6_HEADER)
      : IPV4_HEADER;
  }

  /**
   * As `quotes`, of a sound IPv6 frame. A Packet Too Big message with an MTU below the one that every link has is no error
   * (RFC 8201 4).
   */
  get quotes6(): boolean {
    if (!isIcmpv6Error(this.icmpType) || this.fragmentBits !== 0) return false;
    if (this.icmpType === ICMPV6_TOO_BIG && icmpv6Mtu(this.bytes, this.transport) < IPV6_LEAST_MTU) return false;
    return this.#quotedHeader !== 0;
  }

  /** IPv6 addresses of the quoted packet, as four signed words that stay until the same is asked of another frame. */
  get quotedSource6(): Int32Array {
    return readWords(this.bytes, sourceAt6(this.quoted), this.#quotedSource6);
  }

  get quotedDestination6(): Int32Array {
    return readWords(this.bytes, destinationAt6(this.quoted), this.#quotedDestination6);
  }
}
