/** A packet of an established flow with one field changed: of Ethernet, IPv4, TCP or UDP, its length, or what is behind it. */
import { be16, be32, join, macBytes } from "../../oracle/build.ts";
import { onesComplementSum } from "../../oracle/bytes.ts";
import type { Random } from "../../oracle/random.ts";

const IPV4 = 14;
const TRANSPORT = 34;
const TCP = 6;

/** Where a field is; numbers that it likes beside any other; whether IPv4's checksum is put right afterwards. */
interface Field {
  readonly name: string;
  readonly at: number;
  readonly size: 1 | 2 | 4;
  readonly likes: readonly number[];
  readonly unrepaired?: true;
}

const GROUPS = [0xffffffff, 0xe00000fb, 0xefffffff, 0, 0x7f000001, 0x01010101, 0xa9fea9fe];

const ETHERNET_FIELDS: readonly Field[] = [
  { name: "destination, upper", at: 0, size: 2, likes: [0xffff, 0x0100, 0x0180, 0x3333, 0] },
  { name: "destination, lower", at: 2, size: 4, likes: [0xffffffff, 0xc2000000, 0] },
  { name: "source, upper", at: 6, size: 2, likes: [0xffff, 0x0100, 0x0300, 0] },
  { name: "source, lower", at: 8, size: 4, likes: [0xffffffff, 0] },
  { name: "type", at: 12, size: 2, likes: [0x0806, 0x86dd, 0x8100, 0x88a8, 0x0008, 0x0801, 0x05dc] },
];

const IPV4_FIELDS: readonly Field[] = [
  { name: "version and length", at: IPV4, size: 1, likes: [0x44, 0x46, 0x47, 0x4f, 0x55, 0x65, 0x40, 0x05] },
  { name: "type of service", at: IPV4 + 1, size: 1, likes: [0xff, 3] },
  { name: "identification", at: IPV4 + 4, size: 2, likes: [0, 0xffff] },
  {
    name: "fragment",
    at: IPV4 + 6,
    size: 2,
    likes: [0, 0x2000, 0x4000, 0x6000, 0x8000, 0x8001, 1, 2, 0x2001, 0x1fff, 0x0100, 0x3fff],
  },
  { name: "time to live", at: IPV4 + 8, size: 1, likes: [0, 1, 255] },
  { name: "protocol", at: IPV4 + 9, size: 1, likes: [1, 2, 6, 17, 47, 132, 0, 255] },
  { name: "checksum", at: IPV4 + 10, size: 2, likes: [0, 0xffff], unrepaired: true },
  { name: "source", at: IPV4 + 12, size: 4, likes: GROUPS },
  { name: "destination", at: IPV4 + 16, size: 4, likes: GROUPS },
];

const PORTS = [0, 53, 67, 68, 80, 443, 0xffff];
const PORT_FIELDS: readonly Field[] = [
  { name: "source port", at: TRANSPORT, size: 2, likes: PORTS },
  { name: "destination port", at: TRANSPORT + 2, size: 2, likes: PORTS },
];

const TCP_FIELDS: readonly Field[] = [
  { name: "sequence", at: TRANSPORT + 4, size: 4, likes: [0] },
  { name: "acknowledgement", at: TRANSPORT + 8, size: 4, likes: [0, 0xffffffff] },
  { name: "data offset", at: TRANSPORT + 12, size: 1, likes: [0, 0x40, 0x50, 0x51, 0x5e, 0x60, 0xf0, 0xff] },
  { name: "flags", at: TRANSPORT + 13, size: 1, likes: [0, 1, 2, 4, 8, 16, 0x11, 0x12, 0x14, 0x18, 0xd0, 0x3f, 0xff] },
  { name: "window", at: TRANSPORT + 14, size: 2, likes: [0, 0xffff] },
  { name: "TCP checksum", at: TRANSPORT + 16, size: 2, likes: [0] },
];

const UDP_FIELDS: readonly Field[] = [
  { name: "UDP length", at: TRANSPORT + 4, size: 2, likes: [0, 7, 8, 9, 0xffff] },
  { name: "UDP checksum", at: TRANSPORT + 6, size: 2, likes: [0, 0xffff] },
];

export interface Changed {
  readonly frame: Uint8Array;
  readonly label: string;
}

/** `macs`: addresses that the Ethernet header may be given. `longest`: bytes of the longest frame that passes. */
export function changeOne(random: Random, original: Uint8Array, macs: readonly string[], longest: number): Changed {
  switch (random.below(10)) {
    case 0:
      return changeMac(random, original, macs);
    case 1:
      return changeTotalLength(random, original);
    case 2:
      return changeLength(random, original, longest);
    case 3:
      return addOptions(random, original);
    default:
      return changeField(random, original);
  }
}

function changeField(random: Random, original: Uint8Array): Changed {
  const frame = original.slice();
  const own = frame[23] === TCP ? TCP_FIELDS : UDP_FIELDS;
  const field = random.pick([...ETHERNET_FIELDS, ...IPV4_FIELDS, ...IPV4_FIELDS, ...PORT_FIELDS, ...own, ...own]);
  const before = read(frame, field.at, field.size);
  const bits = 8 * field.size;
  const value = random.chance(0.5)
    ? random.pick(field.likes)
    : (before ^ (1 << random.below(bits)) ^ (random.chance(0.2) ? 1 << random.below(bits) : 0)) >>> 0;
  frame.set(be32(value).slice(4 - field.size), field.at);
  // A wrong sum now and then, with whatever else.
  if (field.unrepaired !== true && random.chance(0.95)) repair(frame);
  return { frame, label: field.name };
}

function changeMac(random: Random, original: Uint8Array, macs: readonly string[]): Changed {
  const frame = original.slice();
  const atSource = random.chance(0.5);
  if (random.chance(0.2)) frame.set([...original.slice(6, 12), ...original.slice(0, 6)]);
  else frame.set(macBytes(random.pick(macs)), atSource ? 6 : 0);
  return { frame, label: atSource ? "source MAC" : "destination MAC" };
}

/** IPv4's total length, to and across each bound. */
function changeTotalLength(random: Random, original: Uint8Array): Changed {
  const frame = original.slice();
  const room = frame.length - IPV4;
  const total = read(frame, IPV4 + 2, 2);
  const likes = [0, 19, 20, 27, 28, 39, 40, 41, total - 1, total + 1, room, room + 1, 0xffff];
  frame.set(be16(Math.max(0, random.pick(likes))), IPV4 + 2);
  repair(frame);
  return { frame, label: "total length" };
}

/** The frame's length: cut, or with bytes behind it, up to the longest frame and one more. */
function changeLength(random: Random, original: Uint8Array, longest: number): Changed {
  const total = IPV4 + read(original, IPV4 + 2, 2);
  const length = random.pick([
    ...[random.below(original.length), 34, 41, 42, 53, 54, total - 1, total, total + 1],
    ...[original.length + random.below(30), longest, longest + 1, longest + random.below(9)],
  ]);
  const frame = new Uint8Array(Math.max(14, Math.min(length, 9_100)));
  frame.set(original.slice(0, frame.length));
  if (frame.length > original.length && random.chance(0.3)) {
    frame.set(be16(frame.length - IPV4), IPV4 + 2);
    repair(frame);
  }
  return { frame, label: "length" };
}

function addOptions(random: Random, original: Uint8Array): Changed {
  const words = random.between(1, 10);
  const options = random.chance(0.5) ? new Uint8Array(words * 4).fill(1) : random.bytes(words * 4);
  const frame = join(original.slice(0, TRANSPORT), options, original.slice(TRANSPORT));
  frame[IPV4] = 0x45 + words;
  frame.set(be16(read(frame, IPV4 + 2, 2) + words * 4), IPV4 + 2);
  repair(frame, 20 + words * 4);
  return { frame, label: "options" };
}

function read(frame: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let index = at; index < at + size; index++) value = value * 256 + (frame[index] ?? 0);
  return value;
}

function repair(frame: Uint8Array, header = 20): void {
  if (frame.length < IPV4 + header) return;
  frame.set([0, 0], IPV4 + 10);
  frame.set(be16(0xffff - onesComplementSum(frame.slice(IPV4, IPV4 + header))), IPV4 + 10);
}
