/**
 * IPv4 addresses in IPv6 ones (docs/guard-ipv6.md, Policy, "Embedded addresses"): whatever is sent to such an address may
 * come out of a translator or a relay as IPv4, so that IPv4's policy must allow it as well.
 */
import { wordsOf } from "../wire/ipv6-address.ts";
import { type Cidr6, parseCidr6 } from "./cidr-6.ts";
import { WELL_KNOWN_NAT64 } from "./special-purpose-6.ts";

/** Where the IPv4 address is, by the prefix: RFC 6052 2.2 by its length, RFC 3056 2, RFC 4380 4, RFC 4291 2.5.5.1. */
const SIX_TO_FOUR = 0;
const TEREDO = 1;
const COMPATIBLE = 96;

interface Embedding {
  readonly cidr: Cidr6;
  /** Its length for a NAT64 prefix, else one of the above. */
  readonly layout: number;
}

/** Of equal prefixes these count. */
const EVERYWHERE: readonly Embedding[] = [
  { cidr: WELL_KNOWN_NAT64, layout: 96 },
  { cidr: parseCidr6("2002::/16")!, layout: SIX_TO_FOUR },
  { cidr: parseCidr6("2001::/32")!, layout: TEREDO },
  { cidr: parseCidr6("::/96")!, layout: COMPATIBLE },
];

/** Finds embedded addresses, in a network with these NAT64 prefixes. Allocates nothing once it is made. */
export class EmbeddedAddresses {
  /** What `find` has found, unsigned and in host order, in place 0. */
  readonly found = new Uint32Array(1);
  /** The longest first: four words of each prefix, and the bits that count in each. */
  readonly #prefixes: Int32Array;
  readonly #masks: Int32Array;
  readonly #layouts: Uint8Array;
  /** By the upper 12 bits of an address, which every prefix has: whether one of them may be its. Most addresses end here. */
  readonly #mayEmbed = new Uint8Array(1 << 12);

  /** `nat64`: prefixes of 96, 64, 56, 48, 40 or 32 bits; of other lengths there is no layout, and they are left out. */
  constructor(nat64: readonly Cidr6[]) {
    const learned = nat64
      .filter(({ length }) => LENGTHS.includes(length))
      .map((cidr): Embedding => ({ cidr, layout: cidr.length }));
    // The sort is stable: of equal prefixes the first one counts.
    const all = [...EVERYWHERE, ...learned].toSorted((one, other) => other.cidr.length - one.cidr.length);
    this.#prefixes = Int32Array.from(all.flatMap(({ cidr }) => [...wordsOf(cidr.address)]));
    this.#masks = Int32Array.from(all.flatMap(({ cidr }) => [...wordsOf(MASK_OF_ALL << BigInt(128 - cidr.length))]));
    this.#layouts = Uint8Array.from(all, ({ layout }) => layout);
    for (const { cidr } of all) this.#mayEmbed[Number(cidr.address >> 116n)] = 1;
  }

  /**
   * Whether the address whose four words begin at `at` embeds an IPv4 one; if so, `found` has it. Bits that a layout leaves
   * over (RFC 6052: byte 8 and the suffix) are not read.
   */
  find(words: Int32Array, at: number): boolean {
    const first = words[at]!;
    if (this.#mayEmbed[first >>> 20] === 0) return false;
    const second = words[at + 1]!;
    const third = words[at + 2]!;
    const fourth = words[at + 3]!;
    // :: and ::1 are no IPv4-compatible addresses.
    if (first === 0 && second === 0 && third === 0 && fourth >>> 1 === 0) return false;
    const prefixes = this.#prefixes;
    const masks = this.#masks;
    for (let index = 0; index < this.#layouts.length; index++) {
      const word = index * 4;
      if (
        (first & masks[word]!) === prefixes[word] &&
        (second & masks[word + 1]!) === prefixes[word + 1] &&
        (third & masks[word + 2]!) === prefixes[word + 2] &&
        (fourth & masks[word + 3]!) === prefixes[word + 3]
      ) {
        this.found[0] = embeddedIn(this.#layouts[index]!, first, second, third, fourth);
        return true;
      }
    }
    return false;
  }
}

const LENGTHS: readonly number[] = [96, 64, 56, 48, 40, 32];
const MASK_OF_ALL = (1n << 128n) - 1n;

/** The IPv4 address, as a signed word. Byte 8 of an address is the third word's first. */
function embeddedIn(layout: number, first: number, second: number, third: number, fourth: number): number {
  switch (layout) {
    case SIX_TO_FOUR:
      return (first << 16) | (second >>> 16);
    case TEREDO:
      return ~fourth;
    case 32:
      return second;
    case 40:
      return (second << 8) | ((third >>> 16) & 0xff);
    case 48:
      return (second << 16) | ((third >>> 8) & 0xffff);
    case 56:
      return (second << 24) | (third & 0xffffff);
    case 64:
      return (third << 8) | (fourth >>> 24);
    default:
      return fourth;
  }
}
