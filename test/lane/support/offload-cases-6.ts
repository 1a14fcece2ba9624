/** As offload-cases.ts, of IPv6. */
import { addToSum, checksumOf, foldSum } from "../../../src/wire/checksum.ts";
import { packet6, udp6 } from "../../guard/ipv6/support.ts";
import { patch } from "../../guard/support.ts";
import type { Direction, Offered } from "../../ports/offload-talk.ts";
import type { RealFrames } from "./mutants.ts";
import type { Case } from "./offload-cases.ts";
import { IPV6, type OffloadHeader, offloadHeader, PARTIAL, VERIFIED } from "./offload-header.ts";

const TCP = 6;
const TRANSPORT = 54;
const ACK = 0x10;

const header = (frame: Uint8Array, given: OffloadHeader): Uint8Array => offloadHeader(frame, given, IPV6);

/** The pseudo-header's sum in the checksum's place (RFC 8200 8.1). */
function partial(frame: Uint8Array): Uint8Array {
  const length = (frame[18]! << 8) | frame[19]!;
  const sum = foldSum(addToSum(frame[20]! + length, frame, 22, 32));
  return patch(frame, TRANSPORT + (frame[20] === TCP ? 16 : 6), sum >>> 8, sum & 255);
}

/** The same frame on its way to the VM. */
function turned(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  for (const [one, other, length] of [
    [0, 6, 6],
    [22, 38, 16],
    [54, 56, 2],
  ] as const) {
    copy.set(frame.subarray(one, one + length), other);
    copy.set(frame.subarray(other, other + length), one);
  }
  return copy;
}

const content = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index * 7);

/** A segment of the VM's from port 1024 to 443. */
function segment(payload: number, options = 0): Uint8Array {
  const bytes = new Uint8Array(20 + options + payload);
  bytes.set([4, 0, 1, 187, 0, 0, 0, 1, 0, 0, 0, 1, ((20 + options) / 4) << 4, ACK, 255, 255]);
  bytes.fill(1, 20, 20 + options);
  bytes.set(content(payload), 20 + options);
  return partial(packet6(TCP, bytes));
}

const datagram = (data: Uint8Array): Uint8Array => partial(udp6(1024, 443, data));

/** Data that makes the kernel, which writes the checksum over the destination port, write this one there. */
function aimed(port: number): Uint8Array {
  const frame = datagram(Uint8Array.of(0, 0));
  const rest = checksumOf(addToSum(port, frame, TRANSPORT, frame.length - TRANSPORT));
  return patch(frame, frame.length - 2, rest >>> 8, rest & 255);
}

const padded = (frame: Uint8Array, count: number): Uint8Array => Uint8Array.from([...frame, ...content(count)]);

function tagged(frame: Uint8Array, tag: number, type = 0x8100): Uint8Array {
  return Uint8Array.from([...frame.subarray(0, 12), type >> 8, type & 255, tag >> 8, tag & 255, ...frame.subarray(12)]);
}

type Row = readonly [name: string, frame: Uint8Array, header: OffloadHeader, express?: boolean, tag?: number];

const ORDINARY: readonly Row[] = [
  ["a segment", segment(100), PARTIAL, true],
  ["a segment without a word", segment(0), {}, true],
  ["a datagram", datagram(content(100)), PARTIAL, true],
];

const PLACES: readonly Row[] = [
  ...[53, 547, 80].map((port): Row => [`a UDP port that becomes ${port}`, aimed(port), { flags: 1, offset: 2 }, false]),
  ["the source port", datagram(content(8)), { flags: 1, offset: 0 }, false],
  ["UDP's checksum in TCP's place", datagram(content(100)), { flags: 1, offset: 16 }, false],
  ["TCP's checksum in UDP's place", segment(100), { flags: 1, offset: 6 }, false],
  ["the place that is right, counted from elsewhere", segment(100), { flags: 1, start: 56, offset: 14 }, false],
  ["the same of UDP", datagram(content(100)), { flags: 1, start: 58, offset: 2 }, false],
  ["the destination port of TCP", segment(100), { flags: 1, start: 40 }, false],
  ["the destination port of UDP", datagram(content(100)), { flags: 1, start: 50 }, false],
  ["IPv4's place of TCP's checksum", segment(100), { flags: 1, start: 34 }, false],
  ["behind TCP's header", segment(100), { flags: 1, start: 58 }, false],
  ["the destination address", datagram(content(100)), { flags: 1, start: 38, offset: 10 }, false],
  ["TCP's flags", segment(100), { flags: 1, offset: 12 }, false],
];

const LARGE: readonly Row[] = [
  ["segments of 1,440 bytes", segment(40_000), { ...PARTIAL, size: 1440 }, true],
  ["with options", segment(40_000, 12), { ...PARTIAL, size: 1428 }, true],
  ["with ECN", patch(segment(40_000), 67, 0x90), { ...PARTIAL, size: 1440, type: 0x84 }, true],
  ["verified by somebody", segment(20_000), { ...VERIFIED, size: 1440 }],
  ["datagrams of 1,000 bytes", datagram(content(40_000)), { ...PARTIAL, size: 1000 }, true],
  ["the longest packet", segment(65_515), { ...PARTIAL, size: 1440 }, true],
  ["256 segments", segment(256 * 8), { ...PARTIAL, size: 8 }, true],
  ["128 datagrams", datagram(content(128 * 8)), { ...PARTIAL, size: 8 }, true],
  ["257 segments", segment(256 * 8 + 1), { ...PARTIAL, size: 8 }, false],
  ["one segment of each byte", segment(40_000), { ...PARTIAL, size: 1 }, false],
  ["129 datagrams", datagram(content(128 * 8 + 1)), { ...PARTIAL, size: 8 }, false],
  ["no checksum", segment(20_000), { size: 1440 }, false],
  ["no checksum, UDP", datagram(content(20_000)), { size: 1000 }, false],
  ["UDP verified by somebody", datagram(content(20_000)), { ...VERIFIED, size: 1000 }, false],
  ["a byte too long", segment(20_000), { ...PARTIAL, size: 1441 }, false],
  ["a byte too long with options", segment(20_000, 12), { ...PARTIAL, size: 1429 }, false],
  ["far too long", segment(40_000), { ...PARTIAL, size: 9000 }, false],
  ["datagrams that are too long", datagram(content(20_000)), { ...PARTIAL, size: 1453 }, false],
  ["as fragments", datagram(content(20_000)), { ...PARTIAL, size: 1000, type: 3 }, false],
  ["TCP as fragments", segment(20_000), { ...PARTIAL, size: 1000, type: 3 }, false],
  ["TCP as datagrams", segment(20_000), { ...PARTIAL, size: 1000, type: 5 }, false],
  ["UDP as segments", datagram(content(20_000)), { ...PARTIAL, size: 1000, type: 4 }, false],
  ["IPv4's segments", segment(20_000), { ...PARTIAL, size: 1000, type: 1 }, false],
  ["IPv4's place of the checksum", datagram(content(20_000)), { ...PARTIAL, size: 1000, start: 34 }, false],
  ["padding", padded(segment(20_000), 6), { ...PARTIAL, size: 1440 }, false],
  ["padding of UDP", padded(datagram(content(20_000)), 6), { ...PARTIAL, size: 1000 }, false],
  ["a TCP header of 16 bytes", patch(segment(20_000), 66, 0x40), { ...PARTIAL, size: 1000 }, false],
  ["a TCP header beyond the packet", patch(segment(30), 66, 0xf0), { ...PARTIAL, size: 1 }, false],
  ["another length of UDP", patch(datagram(content(4000)), 58, 4, 0), { ...PARTIAL, size: 1000 }, false],
];

const PADDING: readonly Row[] = [
  ["padding behind a partial checksum", padded(segment(8), 6), PARTIAL, false],
  ["padding behind a complete one", padded(segment(0), 6), {}, false],
];

const TAGS: readonly Row[] = [
  ["a priority", segment(10), {}, false, 0x2000],
  ["an identifier", datagram(content(10)), {}, false, 5],
  ["a partial checksum", segment(10), { flags: 1, start: 58 }, false, 5],
];

/** A virtio-net header says how many bytes the kernel keeps in one piece of what is longer than a page. */
const PIECES = [14, 20, 34, 54, 58, 62, 70, 74, 86];

const LINEAR: readonly Row[] = PIECES.flatMap((length): Row[] => [
  [`large TCP of which ${length} bytes are in one piece`, segment(20_000), { ...PARTIAL, size: 1440, length }, true],
  [
    `large UDP of which ${length} bytes are in one piece`,
    datagram(content(20_000)),
    { ...PARTIAL, size: 1000, length },
    true,
  ],
]);

/** With an MTU of 9,000. */
const LONG: readonly Row[] = PIECES.flatMap((length): Row[] => [
  [`TCP of which ${length} bytes are in one piece`, segment(8000), { length }, true],
  [`UDP of which ${length} bytes are in one piece`, datagram(content(8000)), { length }, true],
]);

export const CASES_6: readonly Case[] = casesOf([
  ["ways", ORDINARY],
  ["large frames", LARGE],
  ["padding", PADDING],
  ["tags", TAGS],
  ["short linear part", LINEAR],
  // Last of all: some of them are taken for the end of a connection.
  ["places of checksums", PLACES],
]);

/** The same for an MTU of 9,000. */
export const LONG_CASES_6: readonly Case[] = casesOf([["short linear part", LONG]]);

function casesOf(groups: readonly (readonly [RealFrames, readonly Row[]])[]): Case[] {
  return groups.flatMap(([group, rows]) =>
    (["egress", "ingress"] as const).flatMap((direction) => rows.map((row) => caseOf(group, direction, row))),
  );
}

function caseOf(group: RealFrames, direction: Direction, [name, frame, given, express, tag]: Row): Case {
  const sent = direction === "egress" ? frame : turned(frame);
  const offered = { direction, header: header(frame, given), frame: tag === undefined ? sent : tagged(sent, tag) };
  // Some bridges cut padding off.
  const known = express !== undefined && !(direction === "ingress" && name.includes("padding"));
  return { name: `IPv6, ${group}, ${direction}: ${name}`, group, offered, ...(known && { express }) };
}

/** Opens both flows, so that packets both ways have passed. */
export function opening6(): readonly Offered[] {
  return [segment(10), datagram(content(10))].flatMap((frame) => {
    const bytes = header(frame, PARTIAL);
    return [0, 1, 2].flatMap((): Offered[] => [
      { direction: "egress", header: bytes, frame },
      { direction: "ingress", header: bytes, frame: turned(frame) },
    ]);
  });
}

/** Large UDP from a server of DHCPv6's ports to another port of the VM's. `size` 0: not large. */
export function fromDhcpv6Port(port: number, size: number): Offered {
  const data = content(size === 0 ? 100 : 4000);
  const frame = turned(partial(udp6(5000, port, data)));
  return { direction: "ingress", header: header(frame, size === 0 ? {} : { ...PARTIAL, size }), frame };
}
