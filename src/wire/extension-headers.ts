/**
 * The walk from the IPv6 header to the upper layer (RFC 8200 4, docs/guard-ipv6.md, Form): at most 8 extension headers with 256
 * bytes together, each within the packet. An object of this class is filled for each packet and used again.
 */
import { get16, get32 } from "./bytes.ts";
import { PROTOCOL_ICMP, PROTOCOL_IGMP } from "./ipv4.ts";
import { IPV6_HEADER, NEXT_DESTINATION, NEXT_FRAGMENT, NEXT_HOP_BY_HOP, NEXT_NONE, NEXT_ROUTING } from "./ipv6.ts";
import { IPV6_EXTENSION, IPV6_FORM, IPV6_FRAGMENT, IPV6_OPTIONS, IPV6_ROUTING, SOUND } from "./malformed.ts";

/** Bits of `extensions`. */
export const EXTENSION_HOP_BY_HOP = 1;
export const EXTENSION_DESTINATION = 2;
export const EXTENSION_FRAGMENT = 4;
/** A hop-by-hop header with a Router Alert option of value 0, which is MLD's (RFC 2711 2.1). */
export const EXTENSION_ROUTER_ALERT = 8;
/** The same with another value. */
export const EXTENSION_OTHER_ALERT = 16;

const MOST_HEADERS = 8;
const MOST_BYTES = 256;
const LEAST_HEADER = 8;
const LARGEST_PAYLOAD = 65_535;

/** RFC 8200 4.2, RFC 2711. */
const PAD1 = 0;
const PADN = 1;
const ROUTER_ALERT = 5;

/** Extension headers that are not walked: AH, mobility, HIP, Shim6, and two for experiments. */
const REFUSED: readonly number[] = [51, 135, 139, 140, 253, 254];
const IS_REFUSED = new Uint8Array(256);
for (const number of [...REFUSED, NEXT_NONE, PROTOCOL_ICMP, PROTOCOL_IGMP]) IS_REFUSED[number] = 1;

export class ExtensionHeaders {
  /** The upper layer's protocol; behind a later fragment's header what that says. */
  protocol = 0;
  /** Bytes from the IPv6 header to what `protocol` names. */
  length = 0;
  /** Which headers and options there are. */
  extensions = 0;
  /** As IPv4's: the offset in units of 8 bytes, and 0x2000 for more fragments; 0 = whole. */
  fragmentBits = 0;
  /** Of the fragment header, as a signed number. */
  identification = 0;
  /** Bytes of the packet behind the fragment header, other extension headers among them. */
  fragmentLength = 0;
  #headers = 0;

  /** Walks the headers of the packet at `packet` that ends before `end`; returns what is wrong (malformed.ts). */
  read(bytes: Uint8Array, packet: number, end: number): number {
    this.extensions = 0;
    this.fragmentBits = 0;
    this.identification = 0;
    this.fragmentLength = 0;
    this.#headers = 0;
    let next = bytes[packet + 6]!;
    let at = packet + IPV6_HEADER;
    let fault = SOUND;
    while (fault === SOUND && isWalked(next) && (this.fragmentBits & 0x1fff) === 0) {
      fault = this.#readHeader(bytes, packet, at, end, next);
      if (fault !== SOUND) break;
      const following = bytes[at]!;
      at += next === NEXT_FRAGMENT ? LEAST_HEADER : (bytes[at + 1]! + 1) * 8;
      next = following;
    }
    this.protocol = next;
    this.length = at - packet;
    if (fault === SOUND && (this.fragmentBits & 0x1fff) === 0 && IS_REFUSED[next] === 1) return IPV6_EXTENSION;
    return fault;
  }

  #readHeader(bytes: Uint8Array, packet: number, at: number, end: number, number: number): number {
    if (number === NEXT_ROUTING) return IPV6_ROUTING;
    if (number === NEXT_HOP_BY_HOP && at !== packet + IPV6_HEADER) return IPV6_EXTENSION;
    if (number === NEXT_FRAGMENT && (this.extensions & EXTENSION_FRAGMENT) !== 0) return IPV6_EXTENSION;
    if (++this.#headers > MOST_HEADERS) return IPV6_EXTENSION;
    const cut = this.fragmentBits === 0 ? IPV6_FORM : IPV6_FRAGMENT;
    if (at + LEAST_HEADER > end) return cut;
    const next = number === NEXT_FRAGMENT ? at + LEAST_HEADER : at + (bytes[at + 1]! + 1) * 8;
    if (next - packet - IPV6_HEADER > MOST_BYTES) return IPV6_EXTENSION;
    if (next > end) return cut;
    if (number === NEXT_FRAGMENT) return this.#readFragment(bytes, at, end);
    this.extensions |= number === NEXT_HOP_BY_HOP ? EXTENSION_HOP_BY_HOP : EXTENSION_DESTINATION;
    return this.#readOptions(bytes, at + 2, next, number === NEXT_HOP_BY_HOP);
  }

  #readFragment(bytes: Uint8Array, at: number, end: number): number {
    const field = get16(bytes, at + 2);
    const offset = field & 0xfff8;
    const more = (field & 1) !== 0;
    const length = end - at - LEAST_HEADER;
    // A fragment that is the whole packet serves nobody but those who want fragments to be made (RFC 8021).
    if (offset === 0 && !more) return IPV6_FRAGMENT;
    if ((more && length % 8 !== 0) || offset + length > LARGEST_PAYLOAD) return IPV6_FRAGMENT;
    this.extensions |= EXTENSION_FRAGMENT;
    this.fragmentBits = (offset >>> 3) | (more ? 0x2000 : 0);
    this.identification = get32(bytes, at + 4) | 0;
    this.fragmentLength = length;
    return SOUND;
  }

  /** A Home Address option would put another source in place of the one that is checked, so what is not known is refused. */
  #readOptions(bytes: Uint8Array, from: number, end: number, hopByHop: boolean): number {
    let at = from;
    while (at < end) {
      const type = bytes[at]!;
      if (type === PAD1) {
        at++;
        continue;
      }
      if (at + 2 > end) return IPV6_OPTIONS;
      const length = bytes[at + 1]!;
      if (at + 2 + length > end) return IPV6_OPTIONS;
      if (type === ROUTER_ALERT) {
        const seen = (this.extensions & (EXTENSION_ROUTER_ALERT | EXTENSION_OTHER_ALERT)) !== 0;
        if (!hopByHop || length !== 2 || seen) return IPV6_OPTIONS;
        this.extensions |= get16(bytes, at + 2) === 0 ? EXTENSION_ROUTER_ALERT : EXTENSION_OTHER_ALERT;
      } else if (type !== PADN) {
        return IPV6_OPTIONS;
      }
      at += 2 + length;
    }
    return SOUND;
  }
}

function isWalked(number: number): boolean {
  return (
    number === NEXT_HOP_BY_HOP || number === NEXT_DESTINATION || number === NEXT_FRAGMENT || number === NEXT_ROUTING
  );
}
