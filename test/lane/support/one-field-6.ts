/** As one-field.ts, of an IPv6 packet: one field of Ethernet, IPv6, TCP or UDP, its length, or headers before TCP and UDP. */
import { be16, be32, join, macBytes } from "../../oracle/build.ts";
import { optionsHeader } from "../../oracle/ipv6/build.ts";
import { addressBytes } from "../../oracle/ipv6/bytes.ts";
import { someHeaders } from "../../oracle/ipv6/nd-frames.ts";
import type { World6 } from "../../oracle/ipv6/world.ts";
import type { Changed } from "./one-field.ts";

const IPV6 = 14;
const TRANSPORT = 54;
const TCP = 6;

interface Field {
  readonly name: string;
  readonly at: number;
  readonly size: 1 | 2 | 4;
  readonly likes: readonly number[];
}

const WORDS = [0, 1, 0xffffffff, 0xffff, 0xff020000, 0xfe800000];
const addressFields = (name: string, at: number): Field[] =>
  [0, 1, 2, 3].map((word) => ({ name: `${name}, word ${word}`, at: at + 4 * word, size: 4 as const, likes: WORDS }));

const ETHERNET_FIELDS: readonly Field[] = [
  { name: "destination, upper", at: 0, size: 2, likes: [0xffff, 0x0100, 0x0180, 0x3333, 0] },
  { name: "destination, lower", at: 2, size: 4, likes: [0xffffffff, 0xc2000000, 0] },
  { name: "source, upper", at: 6, size: 2, likes: [0xffff, 0x0100, 0x0300, 0] },
  { name: "source, lower", at: 8, size: 4, likes: [0xffffffff, 0] },
  { name: "type", at: 12, size: 2, likes: [0x0806, 0x0800, 0x8100, 0x88a8, 0xdd86, 0x86de] },
];
const IPV6_FIELDS: readonly Field[] = [
  { name: "version and class", at: IPV6, size: 1, likes: [0x45, 0x50, 0x70, 0x6f, 0x00, 0xe0] },
  { name: "flow label", at: IPV6 + 1, size: 2, likes: [0, 0xffff] },
  { name: "next header", at: IPV6 + 6, size: 1, likes: [0, 1, 2, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 135, 255] },
  { name: "next header", at: IPV6 + 6, size: 1, likes: [6, 17] },
  { name: "hop limit", at: IPV6 + 7, size: 1, likes: [0, 1, 255] },
  ...addressFields("source", IPV6 + 8),
  ...addressFields("destination", IPV6 + 24),
];
const PORTS = [0, 53, 80, 443, 546, 547, 0xffff];
const PORT_FIELDS: readonly Field[] = [
  { name: "source port", at: TRANSPORT, size: 2, likes: PORTS },
  { name: "destination port", at: TRANSPORT + 2, size: 2, likes: PORTS },
];
const TCP_FIELDS: readonly Field[] = [
  { name: "acknowledgement", at: TRANSPORT + 8, size: 4, likes: [0, 0xffffffff] },
  { name: "data offset", at: TRANSPORT + 12, size: 1, likes: [0, 0x40, 0x50, 0x5e, 0xf0] },
  { name: "flags", at: TRANSPORT + 13, size: 1, likes: [0, 1, 2, 4, 8, 16, 0x11, 0x12, 0x14, 0x18, 0xd0, 0x3f, 0xff] },
];
const UDP_FIELDS: readonly Field[] = [
  { name: "UDP length", at: TRANSPORT + 4, size: 2, likes: [0, 7, 8, 9, 0xffff] },
  { name: "UDP checksum", at: TRANSPORT + 6, size: 2, likes: [0, 0xffff] },
];

/** `macs`: addresses that the Ethernet header may be given. */
export function changeOne6(world: World6, original: Uint8Array, macs: readonly string[]): Changed {
  switch (world.random.below(10)) {
    case 0:
      return changeMac(world, original, macs);
    case 1:
      return changePayloadLength(world, original);
    case 2:
      return changeLength(world, original);
    case 3:
      return addHeaders(world, original);
    case 4:
      return changeAddress(world, original);
    default:
      return changeField(world, original);
  }
}

function changeField({ random }: World6, original: Uint8Array): Changed {
  const frame = original.slice();
  const own = frame[20] === TCP ? TCP_FIELDS : UDP_FIELDS;
  const field = random.pick([...ETHERNET_FIELDS, ...IPV6_FIELDS, ...PORT_FIELDS, ...own, ...own]);
  const before = read(frame, field.at, field.size);
  const value = random.chance(0.5) ? random.pick(field.likes) : (before ^ (1 << random.below(8 * field.size))) >>> 0;
  frame.set(be32(value).slice(4 - field.size), field.at);
  return { frame, label: field.name };
}

function changeMac({ random }: World6, original: Uint8Array, macs: readonly string[]): Changed {
  const frame = original.slice();
  const atSource = random.chance(0.5);
  if (random.chance(0.2)) frame.set([...original.slice(6, 12), ...original.slice(0, 6)]);
  else frame.set(macBytes(random.pick(macs)), atSource ? 6 : 0);
  return { frame, label: atSource ? "source MAC" : "destination MAC" };
}

function changeAddress(world: World6, original: Uint8Array): Changed {
  const { random } = world;
  const frame = original.slice();
  const atSource = random.chance(0.5);
  frame.set(addressBytes(random.pick([...world.own, ...world.remotes6])), atSource ? IPV6 + 8 : IPV6 + 24);
  return { frame, label: atSource ? "source" : "destination" };
}

/** To and across each bound. */
function changePayloadLength({ random }: World6, original: Uint8Array): Changed {
  const frame = original.slice();
  const payload = read(frame, IPV6 + 4, 2);
  const likes = [0, 1, 7, 8, 19, 20, 21, payload - 1, payload + 1, payload + 40, payload - 40, 0xffff];
  frame.set(be16(Math.max(0, random.pick(likes))), IPV6 + 4);
  return { frame, label: "payload length" };
}

/** The frame's length: cut, or with bytes behind it, up to the longest frame and one more; the payload length may follow. */
function changeLength({ random, options6 }: World6, original: Uint8Array): Changed {
  const longest = (options6.mtu ?? 1500) + 14;
  const length = random.pick([
    ...[random.below(original.length), 54, 61, 62, 73, 74, original.length - 1, original.length + 1],
    ...[original.length + random.below(30), longest, longest + 1, longest + random.below(9)],
  ]);
  const frame = new Uint8Array(Math.max(14, Math.min(length, 9_100)));
  frame.set(original.slice(0, frame.length));
  if (frame.length > 54 && random.chance(0.5)) frame.set(be16(frame.length - 54), IPV6 + 4);
  return { frame, label: "length" };
}

/** Headers of all kinds between IPv6 and its transport, with a payload length that is right. */
function addHeaders(world: World6, original: Uint8Array): Changed {
  const { random } = world;
  const headers = random.chance(0.3) ? [optionsHeader(60, [])] : someHeaders(world);
  const numbers = [...headers.map(({ number }) => number), original[20]!];
  const chain = headers.map(({ bytes }, index) => join([numbers[index + 1]!], bytes.slice(1)));
  const frame = join(original.slice(0, TRANSPORT), ...chain, original.slice(TRANSPORT));
  frame[20] = numbers[0]!;
  frame.set(be16(frame.length - 54), IPV6 + 4);
  return { frame, label: "extension headers" };
}

function read(frame: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let index = at; index < at + size; index++) value = value * 256 + (frame[index] ?? 0);
  return value;
}
