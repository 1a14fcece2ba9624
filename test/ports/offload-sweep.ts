/**
 * Every value of each field, one after the other: of the virtio-net header, of the frame's length, and of the headers in the
 * frame. All else is ordinary, so that nothing but the field decides.
 */
import { packet6, udp6 } from "../guard/ipv6/support.ts";
import { packet, patch, udp, withChecksum } from "../guard/support.ts";
import { IPV4, IPV6, type Layout, layoutOf } from "./offload-layout.ts";
import { content, makePartial, type Offered, turned } from "./offload-talk.ts";

const TCP = 6;
const UDP = 17;
const IP = 14;
const ALL_16_BITS = 65_536;

interface Header {
  readonly flags?: number;
  readonly type?: number;
  readonly headerLength?: number;
  readonly size?: number;
  readonly start?: number;
  readonly offset?: number;
}

/** What a field's value is shown in: a frame of the VM, and what its sender leaves to do. */
interface Sent {
  readonly frame: Uint8Array;
  readonly header: Header;
}

/** `variants`: as many offers show each value. */
interface Field {
  readonly values: number;
  readonly variants: number;
  readonly show: (value: number, variant: number) => Sent;
}

const put16 = (frame: Uint8Array, at: number, value: number): Uint8Array => patch(frame, at, value >>> 8, value & 255);

/** Even variants show TCP, odd ones UDP. */
const isTcp = (variant: number): boolean => variant % 2 === 0;

/** The frames of one version of IP, and the headers that fit them. */
class Shown {
  readonly layout: Layout;
  /** Of TCP's frame, of UDP's; of the longest frame. */
  readonly headers: readonly [number, number];
  readonly longest: number;

  constructor(layout: Layout) {
    this.layout = layout;
    this.headers = [layout.transport + 20, layout.transport + 8];
    this.longest = layout.counted + 65_535;
  }

  /** An acknowledgement with data, in the middle of a connection. */
  tcp(data: number): Uint8Array {
    const segment = new Uint8Array(20 + data);
    segment.set([0x04, 0x07, 0x01, 0xbb, 0xff, 0xff, 0xf0, 0, 0, 0, 0, 9, 0x50, 0x10, 0xff, 0xff]);
    segment.set(content(data), 20);
    return this.layout.version === 4 ? packet(TCP, segment) : packet6(TCP, segment);
  }

  udp(data: number): Uint8Array {
    return this.layout.version === 4 ? udp(1031, 443, {}, content(data)) : udp6(1031, 443, content(data));
  }

  frame(variant: number, data: number): Uint8Array {
    return isTcp(variant) ? this.tcp(data) : this.udp(data);
  }

  partial(variant: number): Header {
    return { start: this.layout.transport, offset: isTcp(variant) ? 16 : 6 };
  }

  segmented(variant: number, size: number): Header {
    return { ...this.partial(variant), type: isTcp(variant) ? this.layout.tcp : 5, size };
  }

  /** TCP and UDP to be cut, then both whole. */
  either(variant: number, size: number): Header {
    return variant < 2 ? this.segmented(variant, size) : this.partial(variant);
  }

  /** As much data as makes so many segments, or a byte more or less. */
  dataFor(value: number, size: number, variant: number): number {
    const most = isTcp(variant) ? 256 : 128;
    const count = [1, 2, 3, most - 1, most, most, most + 1][value % 7]!;
    const data = count * size + [0, -1, 1][Math.floor(value / 7) % 3]!;
    return Math.max(0, Math.min(this.longest - this.headersOf(variant), data));
  }

  /** A frame of this length that is whole, or what is left of the longest one. */
  ofLength(length: number, variant: number): Uint8Array {
    const headers = this.headersOf(variant);
    if (variant < 2 && length >= headers && length <= this.longest) return this.frame(variant, length - headers);
    const frame = new Uint8Array(length);
    frame.set(this.frame(variant, this.longest - headers).subarray(0, length));
    return frame;
  }

  headersOf(variant: number): number {
    return this.headers[isTcp(variant) ? 0 : 1];
  }
}

/** Fields of the virtio-net header, of the frame's length, and of TCP and UDP. */
const fieldsOf = (shown: Shown): readonly Field[] => [
  {
    // flags and gso_type
    values: ALL_16_BITS,
    variants: 4,
    show: (value, variant) => ({
      frame: shown.frame(variant, variant < 2 ? 3000 : 100),
      header: { ...shown.segmented(variant, 1000), flags: value >>> 8, type: value & 255 },
    }),
  },
  {
    // gso_size
    values: ALL_16_BITS,
    variants: 3,
    show: (size, variant) => ({
      frame: shown.frame(variant, shown.dataFor(size, size, variant)),
      header: variant === 2 ? { flags: 2, type: shown.layout.tcp + 128, size } : shown.segmented(variant, size),
    }),
  },
  {
    // csum_start
    values: ALL_16_BITS,
    variants: 4,
    show: (start, variant) => ({
      frame: shown.frame(variant, 1100),
      header: { ...shown.either(variant, 1000), start },
    }),
  },
  {
    // csum_offset
    values: ALL_16_BITS,
    variants: 4,
    show: (offset, variant) => ({
      frame: shown.frame(variant, 1100),
      header: { ...shown.either(variant, 1000), offset },
    }),
  },
  {
    // hdr_len
    values: ALL_16_BITS,
    variants: 2,
    show: (headerLength, variant) => ({
      frame: shown.frame(variant, 3000),
      header: { ...shown.segmented(variant, 1000), headerLength },
    }),
  },
  {
    // the frame's length
    values: shown.longest + 2,
    variants: 4,
    show: (length, variant) => ({ frame: shown.ofLength(length, variant), header: shown.segmented(variant, 1400) }),
  },
  {
    // TCP's data offset and flags
    values: ALL_16_BITS,
    variants: 1,
    show: (value, variant) => ({
      frame: put16(shown.tcp(1400), shown.layout.transport + 12, value),
      header: shown.segmented(variant, 700),
    }),
  },
  {
    // UDP's length
    values: ALL_16_BITS,
    variants: 2,
    show: (value, variant) => ({
      frame: put16(shown.udp(1400), shown.layout.transport + 4, value),
      header: variant === 0 ? shown.segmented(1, 700) : shown.partial(1),
    }),
  },
  {
    // the packet's length
    values: ALL_16_BITS,
    variants: 4,
    show: (value, variant) => ({
      frame: whole(put16(shown.frame(variant, 1400), shown.layout.length, value)),
      header: shown.either(variant, 700),
    }),
  },
  {
    // each byte of the headers, with IPv4's checksum as it was
    values: shown.headers[0] * 256,
    variants: 4,
    show: (value, variant) => ({
      frame: patch(shown.frame(variant, 1400), value >>> 8, value & 255),
      header: shown.either(variant, 700),
    }),
  },
  ...(shown.layout.version === 4 ? fieldsOf4(shown) : fieldsOf6(shown)),
];

/** With IPv4's header checksum right again. */
const whole = (frame: Uint8Array): Uint8Array => (layoutOf(frame).version === 4 ? withChecksum(frame) : frame);

const fieldsOf4 = (shown: Shown): readonly Field[] => [
  {
    // IPv4's fragment bits and offset
    values: ALL_16_BITS,
    variants: 4,
    show: (value, variant) => ({
      frame: withChecksum(put16(shown.frame(variant, 1400), 20, value)),
      header: shown.either(variant, 700),
    }),
  },
  {
    // each byte of IPv4's header, with a right checksum
    values: 20 * 256,
    variants: 4,
    show: (value, variant) => {
      const frame = patch(shown.frame(variant, 1400), IP + (value >>> 8), value & 255);
      return { frame: withChecksum(frame), header: shown.either(variant, 700) };
    },
  },
];

const fieldsOf6 = (shown: Shown): readonly Field[] => [
  {
    // a fragment header's offset and flags, in front of what would be cut
    values: ALL_16_BITS,
    variants: 4,
    show: (value, variant) => {
      const transport = shown.frame(variant, 1400).subarray(54);
      const headers = Uint8Array.of(isTcp(variant) ? TCP : UDP, 0, value >>> 8, value & 255, 0, 0, 0, 1);
      const start = 54 + (value % 2) * 8;
      return {
        frame: packet6(TCP, transport, { next: 44, headers }),
        header: { ...shown.either(variant, 700), start },
      };
    },
  },
  {
    // every next header, with the transport header behind it or one of 8 bytes
    values: 512,
    variants: 4,
    show: (value, variant) => {
      const transport = shown.frame(variant, 1400).subarray(54);
      const headers = value < 256 ? Uint8Array.of(isTcp(variant) ? TCP : UDP, 0, 1, 4, 0, 0, 0, 0) : new Uint8Array(0);
      return {
        frame: packet6(value & 255, transport, { next: value & 255, headers }),
        header: shown.either(variant, 700),
      };
    },
  },
];

const FIELDS: Readonly<Record<4 | 6, readonly Field[]>> = {
  4: fieldsOf(new Shown(IPV4)),
  6: fieldsOf(new Shown(IPV6)),
};

/** How many offers show each value of each field, for a version of IP. */
export const sweepSize = (version: 4 | 6): number =>
  FIELDS[version].reduce((sum, { values, variants }) => sum + values * variants, 0);

/** One of them, from 0. */
export function swept(version: 4 | 6, index: number): Offered {
  let rest = index;
  for (const { values, variants, show } of FIELDS[version]) {
    if (rest >= values * variants) {
      rest -= values * variants;
      continue;
    }
    const [value, variant] = [Math.floor(rest / variants), rest % variants];
    const { frame, header } = show(value, variant);
    // Neighbours go different ways, and so do a value's variants.
    const direction = (value + variant + (variant >>> 1)) % 2 === 0 ? "egress" : "ingress";
    const given = direction === "egress" ? frame : turned(frame);
    makePartial(given);
    return { direction, header: headerBytes(header), frame: given };
  }
  throw new RangeError(`${index} is beyond the sweep`);
}

function headerBytes({ flags = 1, type = 0, headerLength = 54, size = 0, start = 34, offset = 16 }: Header) {
  const header = new DataView(new ArrayBuffer(10));
  header.setUint8(0, flags);
  header.setUint8(1, type);
  for (const [index, value] of [headerLength, size, start, offset].entries())
    header.setUint16(2 + 2 * index, value, true);
  return new Uint8Array(header.buffer);
}
