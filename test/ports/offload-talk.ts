/** For the fuzzer of virtio-net headers: frames with headers, some right, most bent. */
import { completeElsewhere, ELSEWHERE, readVirtioNetHeader, VIRTIO_NET_HEADER } from "../../src/wire/virtio-net.ts";
import { solicit } from "../guard/ipv6/dhcpv6-support.ts";
import { GLOBAL6, icmpv6, nsDad, OTHER, packet6, udp6 } from "../guard/ipv6/support.ts";
import {
  arp,
  Client,
  ethernet,
  GATEWAY_MAC,
  GLOBAL,
  icmp,
  NEIGHBOUR,
  packet,
  patch,
  udp,
  VM,
  withChecksum,
} from "../guard/support.ts";
import { pseudoSum } from "./offload-cut.ts";
import { layoutOf } from "./offload-layout.ts";

export type Direction = "egress" | "ingress";

/** A frame with the ten bytes that came in front of it. */
export interface Offered {
  readonly direction: Direction;
  readonly header: Uint8Array;
  readonly frame: Uint8Array;
}

/** Small, fast and deterministic (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  number(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  below(limit: number): number {
    return this.number() % limit;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

const IP = 14;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;

const at16 = (frame: Uint8Array, at: number): number => (frame[at]! << 8) | frame[at + 1]!;

const put16 = (frame: Uint8Array, at: number, value: number): void => {
  frame[at] = value >>> 8;
  frame[at + 1] = value;
};

/** Bytes that show where they belong. */
const CONTENT = Uint8Array.from({ length: 65_536 }, (_, index) => (index * 7 + (index >>> 8)) & 255);
export const content = (length: number): Uint8Array => CONTENT.subarray(0, length);

/** Payload lengths around what matters. */
function payloadLength(dice: Dice): number {
  if (dice.chance(20)) return dice.below(40);
  if (dice.chance(50)) return dice.below(1500);
  if (dice.chance(60)) return dice.below(9000);
  return dice.below(65_480);
}

/** Sometimes one that the policy blocks. */
const destination = (dice: Dice): string => (dice.chance(90) ? GLOBAL : NEIGHBOUR);
const destination6 = (dice: Dice): string => (dice.chance(90) ? GLOBAL6 : OTHER);

function tcpFrame(dice: Dice, version: 4 | 6): Uint8Array {
  const options = dice.chance(60) ? 0 : 4 * dice.below(11);
  const flags = dice.chance(80) ? dice.pick([0x10, 0x18, 0x11, 0x19, 0x90, 0x98, 0x30]) : dice.below(256);
  const payload = Math.min(payloadLength(dice), (version === 4 ? 65_495 : 65_515) - options);
  const segment = new Uint8Array(20 + options + payload);
  put16(segment, 0, 1024 + dice.below(8));
  put16(segment, 2, dice.pick([80, 443]));
  for (let at = 4; at < 12; at++) segment[at] = dice.below(256);
  segment[12] = ((20 + options) / 4) << 4;
  segment[13] = flags;
  put16(segment, 14, dice.below(65_536));
  if (flags & 0x20) put16(segment, 18, dice.below(65_536));
  segment.fill(1, 20, 20 + options);
  segment.set(content(payload), 20 + options);
  if (version === 6) return packet6(TCP, segment, { destination: destination6(dice) });
  return packet(TCP, segment, { destination: destination(dice) });
}

function udpFrame6(dice: Dice): Uint8Array {
  const ports = dice.chance(95)
    ? ([1024 + dice.below(8), 443] as const)
    : dice.pick([
        [546, 547],
        [5000, 547],
        [546, 443],
        [547, 546],
      ] as const);
  return udp6(ports[0], ports[1], content(payloadLength(dice)), { destination: destination6(dice) });
}

/** Headers in front of the upper layer's, the last one naming it. */
function extended(dice: Dice): Uint8Array {
  const number = dice.pick([0, 44, 60, 43]);
  const bits = dice.pick([1, 0, 8, 800]);
  const rest = number === 44 ? [bits >>> 8, bits & 255, 0, 0, 0, 1] : [1, 4, 0, 0, 0, 0];
  const headers = Uint8Array.from([dice.pick([TCP, UDP]), 0, ...rest]);
  return packet6(TCP, content(8 * dice.below(100)), { next: number, headers });
}

function otherFrame6(dice: Dice): Uint8Array {
  switch (dice.below(7)) {
    case 0:
      return icmpv6(dice.pick([128, 129, 1]), content(dice.below(200)));
    case 1:
      return nsDad("2001:db8:1::5");
    case 2:
      return solicit();
    case 3:
      return packet6(dice.pick([47, 50, 59, 132]), content(dice.below(400)));
    case 4:
    case 5:
      return extended(dice);
    default:
      return packet6(dice.pick([TCP, UDP]), content(dice.below(60)));
  }
}

function udpFrame(dice: Dice): Uint8Array {
  const ports = dice.chance(95)
    ? ([1024 + dice.below(8), 443] as const)
    : dice.pick([
        [68, 67],
        [5000, 67],
        [68, 443],
        [67, 68],
      ] as const);
  return udp(ports[0], ports[1], { destination: destination(dice) }, content(payloadLength(dice)));
}

function otherFrame(dice: Dice): Uint8Array {
  switch (dice.below(7)) {
    case 0:
      return arp();
    case 1:
      return icmp(8);
    case 2:
      return ethernet(GATEWAY_MAC, VM, 0x86dd, content(60 + dice.below(100)));
    case 3:
      return packet(dice.pick([2, 47, 132, 0]), content(dice.below(400)));
    case 4:
      return udp(1024, 443, { more: true, offset: dice.pick([0, 0, 2, 100]) }, content(8 * dice.below(100)));
    case 5:
      return new Client().discover();
    default:
      return Uint8Array.from({ length: dice.below(2000) }, () => dice.below(256));
  }
}

/** The same frame on its way to the VM. */
export function turned(frame: Uint8Array): Uint8Array {
  const { type, transport, protocol, addresses } = layoutOf(frame);
  if (frame.length < transport) return frame;
  const copy = frame.slice();
  copy.set(frame.subarray(0, 6), 6);
  copy.set(frame.subarray(6, 12), 0);
  const middle = (addresses + transport) / 2;
  copy.set(frame.subarray(addresses, middle), middle);
  copy.set(frame.subarray(middle, transport), addresses);
  const hasPorts = frame[protocol] === TCP || frame[protocol] === UDP;
  if (hasPorts && frame.length >= transport + 4 && at16(frame, 12) === type) {
    copy.set(frame.subarray(transport, transport + 2), transport + 2);
    copy.set(frame.subarray(transport + 2, transport + 4), transport);
  }
  return copy;
}

/** One field of the frame other than it was; with a right IPv4 checksum most times, or the change shows nothing else. */
function bent(dice: Dice, frame: Uint8Array): Uint8Array {
  if (frame.length < 54) return frame;
  if (layoutOf(frame).version === 6) return bent6(dice, frame);
  const at = dice.pick([14, 16, 17, 20, 21, 23, 34, 36, 37, 38, 39, 46, 47, dice.below(54)]);
  const copy = patch(frame, at, dice.chance(50) ? dice.below(256) : frame[at]! ^ (1 << dice.below(8)));
  const length = (copy[14]! & 15) * 4;
  return dice.chance(90) && length <= copy.length - IP ? withChecksum(copy) : copy;
}

function bent6(dice: Dice, frame: Uint8Array): Uint8Array {
  const places = [14, 18, 19, 20, 21, 22, 38, 54, 56, 57, 58, 59, 66, 67];
  const at = Math.min(frame.length - 1, dice.pick([...places, dice.below(74)]));
  return patch(frame, at, dice.chance(50) ? dice.below(256) : frame[at]! ^ (1 << dice.below(8)));
}

/** The header that a kernel would write, as far as the frame lets it, but for hdr_len; `size` 0: no segments. */
function ordinaryHeader(frame: Uint8Array, size: number, headerLength: number): Uint8Array {
  const header = new Uint8Array(10);
  const view = new DataView(header.buffer);
  const layout = layoutOf(frame);
  const protocol = frame[layout.protocol];
  const tcp = protocol === TCP;
  view.setUint8(0, 1);
  view.setUint8(1, size === 0 ? 0 : tcp ? layout.tcp : 5);
  view.setUint16(2, headerLength, true);
  view.setUint16(4, size, true);
  view.setUint16(6, layout.transport, true);
  view.setUint16(8, tcp ? 16 : layout.version === 6 && protocol === ICMPV6 ? 2 : 6, true);
  return header;
}

function segmentSize(dice: Dice, frame: Uint8Array): number {
  if (dice.chance(25)) return 0;
  if (dice.chance(20)) {
    // As many segments as may be, or one more or less.
    const count = dice.pick([1, 2, 3, 64, 127, 128, 129, 255, 256, 257]);
    return Math.max(1, Math.floor(frame.length / count) + dice.pick([-1, 0, 1]));
  }
  const { transport, protocol } = layoutOf(frame);
  const fits = 1514 - transport;
  const offset = transport + 12;
  const longest = frame[protocol] === TCP && frame.length > offset ? fits - (frame[offset]! >>> 4) * 4 : fits - 8;
  if (dice.chance(40)) return Math.max(1, longest);
  if (dice.chance(40)) return 1 + dice.below(1500);
  return dice.pick([1, 2, 8, 100, 255, 256, 257, 536, longest + 1, 1460, 1461, 9000, 65_535]);
}

function bentHeader(dice: Dice, header: Uint8Array): Uint8Array {
  const copy = header.slice();
  const view = new DataView(copy.buffer);
  switch (dice.below(8)) {
    case 0:
      view.setUint8(0, dice.pick([0, 2, 3, 4, 5, 8, dice.below(256)]));
      break;
    case 1:
      view.setUint8(1, dice.pick([0, 1, 3, 4, 5, 0x80, 0x81, 0x83, 0x84, 0x85, 0x20, 0x40, dice.below(256)]));
      break;
    case 2:
      view.setUint16(4, dice.below(65_536), true);
      break;
    case 3:
      view.setUint16(6, dice.pick([0, 14, 20, 33, 35, 38, 54, dice.below(65_536)]), true);
      break;
    case 4:
      view.setUint16(8, dice.pick([0, 2, 6, 10, 16, 17, dice.below(65_536)]), true);
      break;
    case 5:
      view.setUint16(2, dice.below(65_536), true);
      break;
    case 6:
      for (let at = 0; at < 10; at++) copy[at] = dice.below(256);
      break;
    default:
      copy.fill(0);
  }
  return copy;
}

/** Puts the pseudo-header's sum where the checksum goes, as a sender does that leaves the rest to the card. */
export function makePartial(frame: Uint8Array): void {
  const { version, transport, protocol, length, counted } = layoutOf(frame);
  const places: Readonly<Record<number, number>> = { [TCP]: 16, [UDP]: 6, ...(version === 6 && { [ICMPV6]: 2 }) };
  const place = places[frame[protocol] ?? 0];
  if (place === undefined || frame.length < transport + place + 2) return;
  if (at16(frame, length) >= transport - counted) put16(frame, transport + place, pseudoSum(frame));
}

/** What a port makes of the header in front of a frame, whose bytes may change. */
export function takeHeader({ header, frame }: Offered): { readonly frame: Uint8Array; readonly offload: number } {
  const bytes = new Uint8Array(Buffer.concat([header, frame]));
  const read = readVirtioNetHeader(bytes, 0);
  const offload = read === ELSEWHERE ? completeElsewhere(bytes, VIRTIO_NET_HEADER, frame.length) : read;
  return { frame: bytes.subarray(VIRTIO_NET_HEADER), offload };
}

const udpOf = (dice: Dice, version: 4 | 6): Uint8Array => (version === 6 ? udpFrame6(dice) : udpFrame(dice));
const otherOf = (dice: Dice, version: 4 | 6): Uint8Array => (version === 6 ? otherFrame6(dice) : otherFrame(dice));

/** An IPv4 frame, or an IPv6 one where that is asked for. */
export function offer(dice: Dice, version: 4 | 6 = 4): Offered {
  let frame = dice.chance(45)
    ? tcpFrame(dice, version)
    : dice.chance(70)
      ? udpOf(dice, version)
      : otherOf(dice, version);
  const direction = dice.pick(["egress", "ingress"] as const);
  if (direction === "ingress") frame = turned(frame);
  if (dice.chance(25)) frame = bent(dice, frame);
  if (dice.chance(3)) frame = Uint8Array.from([...frame, ...content(1 + dice.below(20))]);
  if (dice.chance(3)) frame = frame.slice(0, dice.below(frame.length + 1));
  if (dice.chance(90)) makePartial(frame);
  const { transport, protocol } = layoutOf(frame);
  const isUdp = frame[protocol] === UDP && frame.length >= transport + 8;
  if (isUdp && dice.chance(3)) put16(frame, transport + 6, 0); // there is no checksum
  const headerLength = dice.chance(50) ? 54 : dice.pick([0, 1, 14, 42, 53, 55, 65_535, dice.below(65_536)]);
  let header = ordinaryHeader(frame, segmentSize(dice, frame), headerLength);
  if (dice.chance(35)) header = bentHeader(dice, header);
  return { direction, header, frame };
}
