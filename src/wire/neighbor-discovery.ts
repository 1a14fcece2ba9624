/**
 * Messages of neighbour discovery (RFC 4861 4): an object that is filled for each message and used again, so that reading
 * allocates nothing; and the two that softnet sends itself. Offsets count from the message's first byte.
 */
import { get16, get32, put16 } from "./bytes.ts";
import { addToSum, checksumOf, foldSum } from "./checksum.ts";
import { ETHERNET_HEADER, putEthernet, TYPE_IPV6 } from "./ethernet.ts";
import {
  ICMPV6,
  ND_NEIGHBOR_ADVERTISEMENT,
  ND_NEIGHBOR_SOLICITATION,
  ND_ROUTER_ADVERTISEMENT,
  ND_ROUTER_SOLICITATION,
} from "./icmpv6.ts";
import { IPV6_HEADER, PROTOCOL_ICMPV6, pseudoHeader6Sum, putIPv6Header, readWords } from "./ipv6.ts";
import { putIPv6 } from "./ipv6-address.ts";

const CHECKSUM = 2;
const FLAGS = 4;
const TARGET = 8;

const FLAG_ROUTER = 0x80;
const FLAG_SOLICITED = 0x40;

const SOURCE_LINK = 1;
const TARGET_LINK = 2;
/** Bytes of a link-layer address option on Ethernet (RFC 2464 6). */
const LINK_OPTION = 8;
const MOST_OPTIONS = 32;

/** No link-layer address option, in a field for the upper 16 bits of its address. */
export const NO_LINK = -1;

/** Whether the checksum of what is behind the header is right. `at`: where it begins; `length`: its bytes, within bounds. */
export function checksum6IsRight(
  bytes: Uint8Array,
  packet: number,
  protocol: number,
  at: number,
  length: number,
): boolean {
  return foldSum(addToSum(pseudoHeader6Sum(bytes, packet, protocol, length), bytes, at, length)) === 0xffff;
}

/** Bytes before a message's options. */
function fixedLength(type: number): number {
  switch (type) {
    case ND_ROUTER_SOLICITATION:
      return 8;
    case ND_ROUTER_ADVERTISEMENT:
      return 16;
    case ND_NEIGHBOR_SOLICITATION:
    case ND_NEIGHBOR_ADVERTISEMENT:
      return 24;
    default:
      return 40;
  }
}

export class NdMessage {
  /** Of NS and NA. */
  readonly target = new Int32Array(4);
  /** Of an NA. */
  isRouter = false;
  isSolicited = false;
  /** Link-layer addresses in options: the upper 16 bits, NO_LINK where there is none, and the lower 32 as a signed number. */
  sourceLinkHigh = NO_LINK;
  sourceLinkLow = 0;
  targetLinkHigh = NO_LINK;
  targetLinkLow = 0;
  /** Where its options begin and end, in the array that it was read from. */
  options = 0;
  end = 0;

  /**
   * Reads the message at `at` with `length` bytes, 8 or more, of a view's `type`. Returns false where it is too short, has
   * an option that does not fit, more than 32 of them, or a link-layer address that can be read in two ways.
   */
  read(bytes: Uint8Array, at: number, length: number, type: number): boolean {
    const fixed = fixedLength(type);
    if (length < fixed) return false;
    if (fixed === 24) {
      readWords(bytes, at + TARGET, this.target);
      this.isRouter = (bytes[at + FLAGS]! & FLAG_ROUTER) !== 0;
      this.isSolicited = (bytes[at + FLAGS]! & FLAG_SOLICITED) !== 0;
    }
    this.options = at + fixed;
    this.end = at + length;
    this.sourceLinkHigh = NO_LINK;
    this.targetLinkHigh = NO_LINK;
    return this.#readOptions(bytes);
  }

  #readOptions(bytes: Uint8Array): boolean {
    let options = 0;
    let at = this.options;
    while (at < this.end) {
      if (at + 2 > this.end || ++options > MOST_OPTIONS) return false;
      const length = bytes[at + 1]! * 8;
      if (length === 0 || at + length > this.end) return false;
      const type = bytes[at]!;
      if ((type === SOURCE_LINK || type === TARGET_LINK) && !this.#readLink(bytes, at, type, length)) return false;
      at += length;
    }
    return true;
  }

  #readLink(bytes: Uint8Array, at: number, type: number, length: number): boolean {
    if (length !== LINK_OPTION) return false;
    const high = get16(bytes, at + 2);
    const low = get32(bytes, at + 4) | 0;
    if (type === SOURCE_LINK) {
      if (this.sourceLinkHigh !== NO_LINK) return false;
      this.sourceLinkHigh = high;
      this.sourceLinkLow = low;
    } else {
      if (this.targetLinkHigh !== NO_LINK) return false;
      this.targetLinkHigh = high;
      this.targetLinkLow = low;
    }
    return true;
  }
}

/** The Ethernet address of a group in ff02::/16 or of any other multicast address (RFC 2464 7). `last`: its last 32 bits. */
export function multicastMac(last: number): number {
  return 0x333300000000 + (last >>> 0);
}

/** ff02::2 */
const ALL_ROUTERS_GROUP = 0xff020000_00000000_00000000_00000002n;
/** ff02::1:ff00:0/104 */
const SOLICITED_NODE = 0xff020000_00000000_00000001_ff000000n;

/** Bytes of the frames below. */
export const ROUTER_SOLICITATION_FRAME = ETHERNET_HEADER + IPV6_HEADER + 8;
export const NEIGHBOR_SOLICITATION_FRAME = ETHERNET_HEADER + IPV6_HEADER + 24;

/** Writes a frame with a router solicitation from :: to all routers, without options; returns its length. */
export function putRouterSolicitation(out: Uint8Array, at: number, mac: number): number {
  put(out, at, mac, ND_ROUTER_SOLICITATION, 8, ALL_ROUTERS_GROUP, undefined);
  return ROUTER_SOLICITATION_FRAME;
}

/** Writes a frame with a neighbour solicitation from :: to the target's solicited-node address; returns its length. */
export function putNeighborSolicitation(out: Uint8Array, at: number, mac: number, target: bigint): number {
  put(out, at, mac, ND_NEIGHBOR_SOLICITATION, 24, SOLICITED_NODE | (target & 0xffffffn), target);
  return NEIGHBOR_SOLICITATION_FRAME;
}

function put(
  out: Uint8Array,
  at: number,
  mac: number,
  type: number,
  length: number,
  group: bigint,
  target: bigint | undefined,
): void {
  putEthernet(out, at, multicastMac(Number(group & 0xffffffffn)), mac, TYPE_IPV6);
  const packet = at + ETHERNET_HEADER;
  putIPv6Header(out, packet, length, PROTOCOL_ICMPV6, 255, 0n, group);
  const message = packet + IPV6_HEADER;
  out.fill(0, message, message + length);
  out[message] = type - ICMPV6;
  if (target !== undefined) putIPv6(out, message + TARGET, target);
  const sum = addToSum(pseudoHeader6Sum(out, packet, PROTOCOL_ICMPV6, length), out, message, length);
  put16(out, message + CHECKSUM, checksumOf(sum));
}
