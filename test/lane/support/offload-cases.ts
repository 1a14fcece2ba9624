/** Named frames of established flows with virtio-net headers: those that pass in the kernel, and those that must not. */
import { addToSum, checksumOf, foldSum } from "../../../src/wire/checksum.ts";
import { packet, patch, udp } from "../../guard/support.ts";
import { type Direction, type Offered, turned } from "../../ports/offload-talk.ts";
import type { RealFrames } from "./mutants.ts";
import { IPV4, type OffloadHeader, offloadHeader, PARTIAL, VERIFIED } from "./offload-header.ts";

export interface Case {
  readonly name: string;
  readonly group: RealFrames;
  readonly offered: Offered;
  /** Whether it passes in the kernel; left out where it need not, and may. */
  readonly express?: boolean;
}

const TCP = 6;
const TRANSPORT = 34;
const ACK = 0x10;

const header = (frame: Uint8Array, given: OffloadHeader): Uint8Array => offloadHeader(frame, given, IPV4);

/** The pseudo-header's sum in the checksum's place. */
function partial(frame: Uint8Array): Uint8Array {
  const total = ((frame[16]! << 8) | frame[17]!) - 20;
  const sum = foldSum(addToSum(frame[23]! + total, frame, 26, 8));
  return patch(frame, TRANSPORT + (frame[23] === TCP ? 16 : 6), sum >>> 8, sum & 255);
}

const content = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index * 7);

/** A segment of the VM's from port 1024 to 443. */
function segment(payload: number, options = 0): Uint8Array {
  const bytes = new Uint8Array(20 + options + payload);
  bytes.set([4, 0, 1, 187, 0, 0, 0, 1, 0, 0, 0, 1, ((20 + options) / 4) << 4, ACK, 255, 255]);
  bytes.fill(1, 20, 20 + options);
  bytes.set(content(payload), 20 + options);
  return partial(packet(TCP, bytes));
}

const datagram = (payload: number): Uint8Array => partial(udp(1024, 443, {}, content(payload)));

const padded = (frame: Uint8Array, count: number): Uint8Array => Uint8Array.from([...frame, ...content(count)]);

/** The type of 802.1Q in front of the frame's own, with a priority or an identifier. */
function tagged(frame: Uint8Array, tag: number, type = 0x8100): Uint8Array {
  return Uint8Array.from([...frame.subarray(0, 12), type >> 8, type & 255, tag >> 8, tag & 255, ...frame.subarray(12)]);
}

/** Data that makes the kernel, which writes the checksum over the destination port, write 53 there. */
function aimed(port: number): Uint8Array {
  const frame = udp(1024, 443, {}, Uint8Array.of(0, 0));
  const rest = checksumOf(addToSum(port, frame, TRANSPORT, frame.length - TRANSPORT));
  return patch(frame, frame.length - 2, rest >>> 8, rest & 255);
}

type Row = readonly [
  name: string,
  frame: Uint8Array,
  header: OffloadHeader,
  express?: boolean,
  /** What is done with the frame once it has its direction. */
  wrap?: (frame: Uint8Array) => Uint8Array,
];

const ORDINARY: readonly Row[] = [
  ["a segment", segment(100), PARTIAL, true],
  ["a segment without a word", segment(0), {}, true],
  ["a datagram", datagram(100), PARTIAL, true],
  ["a datagram that somebody has verified", datagram(100), VERIFIED],
];

const PLACES: readonly Row[] = [
  ...[53, 67, 80].map((port): Row => [`a UDP port that becomes ${port}`, aimed(port), { flags: 1, offset: 2 }, false]),
  ["the source port", datagram(8), { flags: 1, offset: 0 }, false],
  ["UDP's checksum in TCP's place", datagram(100), { flags: 1, offset: 16 }, false],
  ["TCP's checksum in UDP's place", segment(100), { flags: 1, offset: 6 }, false],
  ["the place that is right, counted from elsewhere", segment(100), { flags: 1, start: 36, offset: 14 }, false],
  ["the same of UDP", datagram(100), { flags: 1, start: 38, offset: 2 }, false],
  ["the destination port of TCP", segment(100), { flags: 1, start: 20 }, false],
  ["the destination port of UDP", datagram(100), { flags: 1, start: 30 }, false],
  ["behind TCP's header", segment(100), { flags: 1, start: 38 }, false],
  ["behind UDP's header", datagram(100), { flags: 1, start: 42 }, false],
  ["IPv4's own checksum", segment(100), { flags: 1, start: 14, offset: 10 }, false],
  ["the destination address", datagram(100), { flags: 1, start: 20, offset: 10 }, false],
  ["TCP's flags", segment(100), { flags: 1, offset: 12 }, false],
  ["a tunnel's", datagram(200), { flags: 1, start: 84, offset: 16 }, false],
];

const LARGE: readonly Row[] = [
  ["segments of 1,460 bytes", segment(40_000), { ...PARTIAL, size: 1460 }, true],
  ["with options", segment(40_000, 12), { ...PARTIAL, size: 1448 }, true],
  ["with ECN", patch(segment(40_000), 47, 0x90), { ...PARTIAL, size: 1460, type: 0x81 }, true],
  ["verified by somebody", segment(20_000), { ...VERIFIED, size: 1460 }],
  ["datagrams of 1,000 bytes", datagram(40_000), { ...PARTIAL, size: 1000 }, true],
  ["256 segments", segment(256 * 8), { ...PARTIAL, size: 8 }, true],
  ["128 datagrams", datagram(128 * 8), { ...PARTIAL, size: 8 }, true],
  ["257 segments", segment(256 * 8 + 1), { ...PARTIAL, size: 8 }, false],
  ["one segment of each byte", segment(40_000), { ...PARTIAL, size: 1 }, false],
  ["129 datagrams", datagram(128 * 8 + 1), { ...PARTIAL, size: 8 }, false],
  ["no checksum", segment(20_000), { size: 1460 }, false],
  ["no checksum, UDP", datagram(20_000), { size: 1000 }, false],
  ["UDP verified by somebody", datagram(20_000), { ...VERIFIED, size: 1000 }, false],
  ["a byte too long", segment(20_000), { ...PARTIAL, size: 1461 }, false],
  ["a byte too long with options", segment(20_000, 12), { ...PARTIAL, size: 1449 }, false],
  ["far too long", segment(40_000), { ...PARTIAL, size: 9000 }, false],
  ["datagrams that are too long", datagram(20_000), { ...PARTIAL, size: 1473 }, false],
  ["as fragments", datagram(20_000), { ...PARTIAL, size: 1000, type: 3 }, false],
  ["TCP as fragments", segment(20_000), { ...PARTIAL, size: 1000, type: 3 }, false],
  ["TCP as datagrams", segment(20_000), { ...PARTIAL, size: 1000, type: 5 }, false],
  ["UDP as segments", datagram(20_000), { ...PARTIAL, size: 1000, type: 1 }, false],
  ["IPv6's segments", segment(20_000), { ...PARTIAL, size: 1000, type: 4 }, false],
  ["padding", padded(segment(20_000), 6), { ...PARTIAL, size: 1460 }, false],
  ["padding of UDP", padded(datagram(20_000), 6), { ...PARTIAL, size: 1000 }, false],
  ["a TCP header of 16 bytes", patch(segment(20_000), 46, 0x40), { ...PARTIAL, size: 1000 }, false],
  ["a TCP header beyond the packet", patch(segment(30), 46, 0xf0), { ...PARTIAL, size: 1 }, false],
  ["another length of UDP", patch(datagram(4000), 38, 4, 0), { ...PARTIAL, size: 1000 }, false],
];

const PADDING: readonly Row[] = [
  ["padding behind a partial checksum", padded(segment(8), 6), PARTIAL, false],
  ["padding behind UDP's", padded(datagram(1), 20), PARTIAL, false],
  ["padding behind a complete one", padded(segment(0), 6), {}, true],
];

const TAGS: readonly Row[] = [
  ["a priority", segment(10), {}, false, (frame) => tagged(frame, 0x2000)],
  ["an identifier", datagram(10), {}, false, (frame) => tagged(frame, 5)],
  ["nothing but the type", segment(10), {}, false, (frame) => tagged(frame, 0)],
  ["a service's", segment(10), {}, false, (frame) => tagged(frame, 5, 0x88a8)],
  ["two", segment(10), {}, false, (frame) => tagged(tagged(frame, 5), 6)],
  ["a partial checksum", segment(10), { flags: 1, start: 38 }, false, (frame) => tagged(frame, 5)],
];

/** A virtio-net header says how many bytes the kernel keeps in one piece of what is longer than a page. */
const PIECES = [14, 20, 34, 38, 42, 50, 54, 66];

const LINEAR: readonly Row[] = PIECES.flatMap((length): Row[] => [
  [`large TCP of which ${length} bytes are in one piece`, segment(20_000), { ...PARTIAL, size: 1460, length }, true],
  [`large UDP of which ${length} bytes are in one piece`, datagram(20_000), { ...PARTIAL, size: 1000, length }, true],
]);

/** With an MTU of 9,000. */
const LONG: readonly Row[] = PIECES.flatMap((length): Row[] => [
  [`TCP of which ${length} bytes are in one piece`, segment(8000), { length }, true],
  [`UDP of which ${length} bytes are in one piece`, datagram(8000), { length }, true],
]);

const GROUPS: readonly (readonly [RealFrames, readonly Row[]])[] = [
  ["ways", ORDINARY],
  ["large frames", LARGE],
  ["padding", PADDING],
  ["tags", TAGS],
  ["short linear part", LINEAR],
  // Last of all: some of them are taken for the end of a connection.
  ["places of checksums", PLACES],
];

/** Each in both directions, where the headers are the same. */
export const CASES: readonly Case[] = casesOf(GROUPS);

/** The same for an MTU of 9,000. */
export const LONG_CASES: readonly Case[] = casesOf([["short linear part", LONG]]);

function casesOf(groups: typeof GROUPS): Case[] {
  return groups.flatMap(([group, rows]) =>
    (["egress", "ingress"] as const).flatMap((direction) => rows.map((row) => caseOf(group, direction, row))),
  );
}

function caseOf(group: RealFrames, direction: Direction, row: Row): Case {
  const [name, frame, given, express, wrap = (same) => same] = row;
  const offered = {
    direction,
    header: header(frame, given),
    frame: wrap(direction === "egress" ? frame : turned(frame)),
  };
  // Some bridges cut padding off.
  const known = express !== undefined && !(direction === "ingress" && name.includes("padding"));
  return { name: `${group}, ${direction}: ${name}`, group, offered, ...(known && { express }) };
}

/** Opens both flows, so that packets both ways have passed. */
export function opening(): readonly Offered[] {
  return [segment(10), datagram(10)].flatMap((frame) => {
    const bytes = header(frame, PARTIAL);
    return [0, 1, 2].flatMap((): Offered[] => [
      { direction: "egress", header: bytes, frame },
      { direction: "ingress", header: bytes, frame: turned(frame) },
    ]);
  });
}

/** Large UDP from a server of DHCP's port to another port of the VM's. */
export function fromDhcpPort(size: number): Offered {
  const frame = turned(partial(udp(5000, 67, {}, content(size === 0 ? 100 : 4000))));
  return { direction: "ingress", header: header(frame, size === 0 ? {} : { ...PARTIAL, size }), frame };
}
