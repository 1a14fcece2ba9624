/**
 * Every value of each field, one after the other: of the virtio-net header, of the frame's length, and of the headers in the
 * frame. All else is ordinary, so that nothing but the field decides.
 */
import { packet, patch, udp, withChecksum } from "../guard/support.ts";
import { content, makePartial, type Offered, turned } from "./offload-talk.ts";

const TCP = 6;
const IP = 14;
const TRANSPORT = 34;
const TCP_HEADERS = TRANSPORT + 20;
const UDP_HEADERS = TRANSPORT + 8;
/** 65,535 bytes of IPv4 behind Ethernet's header. */
const LONGEST = 65_549;
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

/** An acknowledgement with data, in the middle of a connection. */
function tcpFrame(data: number): Uint8Array {
  const segment = new Uint8Array(20 + data);
  segment.set([0x04, 0x07, 0x01, 0xbb, 0xff, 0xff, 0xf0, 0, 0, 0, 0, 9, 0x50, 0x10, 0xff, 0xff]);
  segment.set(content(data), 20);
  return packet(TCP, segment);
}

const udpFrame = (data: number): Uint8Array => udp(1031, 443, {}, content(data));
/** Even variants show TCP, odd ones UDP. */
const isTcp = (variant: number): boolean => variant % 2 === 0;
const frameOf = (variant: number, data: number): Uint8Array => (isTcp(variant) ? tcpFrame(data) : udpFrame(data));
const partial = (variant: number): Header => ({ offset: isTcp(variant) ? 16 : 6 });
const segmented = (variant: number, size: number): Header => ({
  ...partial(variant),
  type: isTcp(variant) ? 1 : 5,
  size,
});
/** TCP and UDP to be cut, then both whole. */
const either = (variant: number, size: number): Header => (variant < 2 ? segmented(variant, size) : partial(variant));

const put16 = (frame: Uint8Array, at: number, value: number): Uint8Array => patch(frame, at, value >>> 8, value & 255);

/** As much data as makes so many segments, or a byte more or less. */
function dataFor(value: number, size: number, most: number, headers: number): number {
  const count = [1, 2, 3, most - 1, most, most, most + 1][value % 7]!;
  const data = count * size + [0, -1, 1][Math.floor(value / 7) % 3]!;
  return Math.max(0, Math.min(LONGEST - headers, data));
}

/** A frame of this length that is whole, or what is left of the longest one. */
function ofLength(length: number, variant: number): Uint8Array {
  const headers = isTcp(variant) ? TCP_HEADERS : UDP_HEADERS;
  const longest = LONGEST - headers;
  if (variant < 2 && length >= headers && length <= LONGEST) return frameOf(variant, length - headers);
  const frame = new Uint8Array(length);
  frame.set(frameOf(variant, longest).subarray(0, length));
  return frame;
}

const FIELDS: readonly Field[] = [
  {
    // flags and gso_type
    values: ALL_16_BITS,
    variants: 4,
    show: (value, variant) => ({
      frame: frameOf(variant, variant < 2 ? 3000 : 100),
      header: { ...segmented(variant, 1000), flags: value >>> 8, type: value & 255 },
    }),
  },
  {
    // gso_size
    values: ALL_16_BITS,
    variants: 3,
    show: (size, variant) => ({
      frame: isTcp(variant)
        ? tcpFrame(dataFor(size, size, 256, TCP_HEADERS))
        : udpFrame(dataFor(size, size, 128, UDP_HEADERS)),
      header: variant === 2 ? { flags: 2, type: 129, size } : segmented(variant, size),
    }),
  },
  {
    // csum_start
    values: ALL_16_BITS,
    variants: 4,
    show: (start, variant) => ({ frame: frameOf(variant, 1100), header: { ...either(variant, 1000), start } }),
  },
  {
    // csum_offset
    values: ALL_16_BITS,
    variants: 4,
    show: (offset, variant) => ({ frame: frameOf(variant, 1100), header: { ...either(variant, 1000), offset } }),
  },
  {
    // hdr_len
    values: ALL_16_BITS,
    variants: 2,
    show: (headerLength, variant) => ({
      frame: frameOf(variant, 3000),
      header: { ...segmented(variant, 1000), headerLength },
    }),
  },
  {
    // the frame's length
    values: LONGEST + 2,
    variants: 4,
    show: (length, variant) => ({ frame: ofLength(length, variant), header: segmented(variant, 1400) }),
  },
  {
    // TCP's data offset and flags
    values: ALL_16_BITS,
    variants: 1,
    show: (value, variant) => ({ frame: put16(tcpFrame(1400), 46, value), header: segmented(variant, 700) }),
  },
  {
    // UDP's length
    values: ALL_16_BITS,
    variants: 2,
    show: (value, variant) => ({
      frame: put16(udpFrame(1400), 38, value),
      header: variant === 0 ? segmented(1, 700) : partial(1),
    }),
  },
  {
    // IPv4's total length
    values: ALL_16_BITS,
    variants: 4,
    show: (value, variant) => ({
      frame: withChecksum(put16(frameOf(variant, 1400), 16, value)),
      header: either(variant, 700),
    }),
  },
  {
    // IPv4's fragment bits and offset
    values: ALL_16_BITS,
    variants: 4,
    show: (value, variant) => ({
      frame: withChecksum(put16(frameOf(variant, 1400), 20, value)),
      header: either(variant, 700),
    }),
  },
  {
    // each byte of the headers, with IPv4's checksum as it was
    values: TCP_HEADERS * 256,
    variants: 4,
    show: (value, variant) => ({
      frame: patch(frameOf(variant, 1400), value >>> 8, value & 255),
      header: either(variant, 700),
    }),
  },
  {
    // each byte of IPv4's header, with a right checksum
    values: 20 * 256,
    variants: 4,
    show: (value, variant) => {
      const frame = patch(frameOf(variant, 1400), IP + (value >>> 8), value & 255);
      return { frame: withChecksum(frame), header: either(variant, 700) };
    },
  },
];

/** How many offers show each value of each field. */
export const SWEEP = FIELDS.reduce((sum, { values, variants }) => sum + values * variants, 0);

/** One of them, from 0. */
export function swept(index: number): Offered {
  let rest = index;
  for (const { values, variants, show } of FIELDS) {
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

function headerBytes({ flags = 1, type = 0, headerLength = 54, size = 0, start = TRANSPORT, offset = 16 }: Header) {
  const header = new DataView(new ArrayBuffer(10));
  header.setUint8(0, flags);
  header.setUint8(1, type);
  for (const [index, value] of [headerLength, size, start, offset].entries())
    header.setUint16(2 + 2 * index, value, true);
  return new Uint8Array(header.buffer);
}
