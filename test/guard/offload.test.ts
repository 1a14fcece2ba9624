/** What a sender leaves to do, held against the frame (docs/guard.md, "What a sender leaves to do" and 8a). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard, type Guard, verdictObject } from "../../src/guard/guard.ts";
import { completeDhcp } from "../../src/guard/offload.ts";
import { get16, put16 } from "../../src/wire/bytes.ts";
import { addToSum, checksumOf, foldSum } from "../../src/wire/checksum.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { pseudoHeaderSum } from "../../src/wire/ipv4.ts";
import {
  COMPLETE,
  completeElsewhere,
  ELSEWHERE,
  MALFORMED,
  PARTIAL_TCP,
  PARTIAL_UDP,
  readVirtioNetHeader,
  VERIFIED_TCP,
} from "../../src/wire/virtio-net.ts";
import {
  ADDRESS,
  arp,
  arpReply,
  bytes,
  Client,
  ethernet,
  GATEWAY_MAC,
  GLOBAL,
  icmp,
  join,
  NEIGHBOUR,
  packet,
  padded,
  patch,
  TCP,
  udp,
  VM,
  withChecksum,
} from "./support.ts";

const ACK = 0x10;

/** A TCP segment with `payload` bytes behind `options` bytes of options. */
interface SegmentWords {
  readonly flags?: number;
  /** Bytes. */
  readonly options?: number;
  /** What the header claims to be long, in bytes. */
  readonly dataOffset?: number;
}

function segment(payload: number, words: SegmentWords = {}): Uint8Array {
  const { flags = ACK, options = 0 } = words;
  const dataOffset = words.dataOffset ?? 20 + options;
  const head = bytes(0xc0, 0, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, (dataOffset / 4) << 4, flags, 0xff, 0xff, 0, 0, 0, 0);
  return join(head, new Uint8Array(options + payload).fill(1));
}

const large = (payload: number, words: SegmentWords = {}): Uint8Array => packet(TCP, segment(payload, words));
const datagram = (payload: number, ports: readonly [number, number] = [40_000, 443]): Uint8Array =>
  udp(...ports, {}, new Uint8Array(payload));

/** The same frame, to the VM. */
const incoming = (frame: Uint8Array): Uint8Array =>
  withChecksum(
    join(
      ethernet(VM, GATEWAY_MAC, 0x0800),
      frame.subarray(14, 26),
      frame.subarray(30, 34),
      frame.subarray(26, 30),
      frame.subarray(34),
    ),
  );

class OffloadBench {
  readonly #guard: Guard;

  constructor(mtu?: number, block: readonly string[] = []) {
    this.#guard = createGuard({ macAddress: VM, address: ADDRESS, block, ...(mtu !== undefined && { mtu }) });
  }

  out(frame: Uint8Array, offload: number): string {
    return reasonOf(this.#guard.judgeEgress(FrameView.of(frame, 0, frame.length, offload)));
  }

  in(frame: Uint8Array, offload: number): string {
    return reasonOf(this.#guard.judgeIngress(FrameView.of(frame, 0, frame.length, offload)));
  }

  /** Both ways. */
  both(frame: Uint8Array, offload: number, expected: string, what = ""): void {
    assert.equal(this.out(frame, offload), expected, `egress ${what}`);
    assert.equal(this.in(incoming(frame), offload), expected, `ingress ${what}`);
  }
}

/** What is left to do when a DHCP datagram's checksum was completed. */
function completed(frame: Uint8Array, offload: number): number {
  const view = FrameView.of(frame, 0, frame.length, offload);
  completeDhcp(view);
  return view.offload;
}

const reasonOf = (verdict: number): string => verdictObject(verdict).reason ?? "pass";

/** A header with NEEDS_CSUM. */
function header(start: number, offset: number): Uint8Array {
  const out = new Uint8Array(10);
  new DataView(out.buffer).setUint16(6, start, true);
  new DataView(out.buffer).setUint16(8, offset, true);
  out[0] = 1;
  return out;
}

test("L11 a checksum at any other place is completed before the frame is judged, and the guard reads what it became", () => {
  // The checksum goes where the destination port is, and the payload makes it 53.
  const frame = join(new Uint8Array(10), udp(40_000, 443, {}, bytes(0, 0)));
  frame.set(header(34, 2));
  put16(frame, frame.length - 2, checksumOf(addToSum(53, frame, 44, frame.length - 44)));
  const bench = new OffloadBench(undefined, [`${GLOBAL}/32:53`]);
  assert.equal(bench.out(frame.subarray(10), COMPLETE), "pass");
  assert.equal(readVirtioNetHeader(frame, 0), ELSEWHERE);
  assert.equal(completeElsewhere(frame, 10, frame.length - 10), COMPLETE);
  assert.equal(get16(frame, 10 + 36), 53);
  assert.equal(bench.out(frame.subarray(10), COMPLETE), "policy.block");
});

test("L11 a place in front of what IPv4 carries, or not in the frame, drops", () => {
  const bench = new OffloadBench();
  const places: readonly (readonly [number, number, number])[] = [
    ...[0, 14, 20, 24, 33].map((start) => [start, 16, MALFORMED] as const),
    [20, 10, MALFORMED],
    [34, 118, COMPLETE],
    [34, 119, MALFORMED],
    [34, 65_535, MALFORMED],
    [65_535, 0, MALFORMED],
    [152, 0, COMPLETE],
    [153, 0, MALFORMED],
  ];
  for (const [start, offset, expected] of places) {
    const frame = join(header(start, offset), large(100));
    assert.equal(frame.length, 10 + 154);
    assert.equal(completeElsewhere(frame, 10, 154), expected, `${start}+${offset}`);
    assert.equal(bench.out(frame.slice(10), expected), expected === COMPLETE ? "pass" : "frame.offload");
    if (expected === MALFORMED) assert.deepEqual(frame.slice(10), large(100), "not touched");
  }
});

test("L11 TCP's and UDP's own checksum are the only ones that are left to do, in both directions", () => {
  const bench = new OffloadBench();
  const frames = [
    { frame: large(100), own: 16 },
    { frame: datagram(100), own: 6 },
    { frame: icmp(8), own: -1 },
    { frame: packet(99, new Uint8Array(60)), own: -1 },
  ];
  for (const { frame, own } of frames) {
    for (const start of [0, 14, 20, 26, 33, 34, 35, 42, 54, 1000, 65_535]) {
      for (let offset = 0; offset < 64; offset++) {
        const read = readVirtioNetHeader(header(start, offset), 0);
        const offload = read === ELSEWHERE ? MALFORMED : read;
        const right = start === 34 && offset === own;
        bench.both(frame, offload, right ? "pass" : "frame.offload", `${start}+${offset}`);
      }
    }
  }
});

test("L11 every header that is none drops what would pass without", () => {
  const bench = new OffloadBench();
  for (const frame of [large(100), datagram(100), icmp(8)]) {
    bench.both(frame, COMPLETE, "pass");
    bench.both(frame, MALFORMED, "frame.offload");
  }
  assert.equal(bench.out(arp(), COMPLETE), "pass");
  for (const offload of [MALFORMED, PARTIAL_TCP, PARTIAL_UDP, PARTIAL_TCP | 1000, PARTIAL_UDP | 1000]) {
    assert.equal(bench.out(arp(), offload), "frame.offload");
    assert.equal(bench.in(arpReply(NEIGHBOUR, GATEWAY_MAC), offload), "frame.offload");
  }
});

test("what is wrong for other reasons keeps its name", () => {
  const bench = new OffloadBench();
  const options = withChecksum(
    join(patch(large(100), 14, 0x46, 0, 0, 0x90).subarray(0, 34), bytes(1, 1, 1, 1), segment(100)),
  );
  assert.equal(bench.out(ethernet(GATEWAY_MAC, VM, 0x86dd, new Uint8Array(60)), MALFORMED), "ethernet.ipv6");
  assert.equal(bench.out(ethernet(GATEWAY_MAC, VM, 0x8100, new Uint8Array(60)), MALFORMED), "ethernet.type");
  assert.equal(bench.out(patch(large(100), 6, 2), MALFORMED), "ethernet.source");
  assert.equal(bench.out(options, MALFORMED), "ipv4.options");
  assert.equal(bench.out(patch(large(100), 24, 0, 0), MALFORMED), "ipv4.checksum");
  assert.equal(bench.out(bytes(1, 2, 3), MALFORMED), "frame.short");
});

test("large frames pass as segments within the MTU, with every header that counts, and not one byte more", () => {
  for (const mtu of [576, 1500, 9000]) {
    const bench = new OffloadBench(mtu);
    for (const options of [0, 12, 40]) {
      const size = mtu - 40 - options;
      for (const kind of [PARTIAL_TCP, VERIFIED_TCP]) {
        bench.both(large(20_000, { options }), kind | size, "pass");
        bench.both(large(20_000, { options }), kind | (size + 1), "frame.long");
        bench.both(large(10, { options }), kind | (size + 1), "frame.long");
      }
    }
    bench.both(datagram(20_000), PARTIAL_UDP | (mtu - 28), "pass");
    bench.both(datagram(20_000), PARTIAL_UDP | (mtu - 27), "frame.long");
    bench.both(large(20_000), PARTIAL_TCP | 65_535, "frame.long"); // GSO_BY_FRAGS of Linux
    bench.both(large(20_000), PARTIAL_TCP, "frame.long");
    bench.both(large(20_000), COMPLETE, "frame.long");
    bench.both(large(20_000), MALFORMED, "frame.long");
  }
  new OffloadBench().both(large(65_495), PARTIAL_TCP | 1448, "pass"); // the longest that IPv4 has
});

test("L11 one frame becomes at most 256 by TCP, and 128 by UDP", () => {
  const bench = new OffloadBench();
  for (const size of [1, 8, 100, 255]) {
    bench.both(large(256 * size), PARTIAL_TCP | size, "pass");
    bench.both(large(256 * size + 1), PARTIAL_TCP | size, "frame.offload");
    bench.both(datagram(128 * size), PARTIAL_UDP | size, "pass");
    bench.both(datagram(128 * size + 1), PARTIAL_UDP | size, "frame.offload");
  }
});

test("L11 what a frame says it is cut into must be what it is", () => {
  const bench = new OffloadBench();
  for (const size of [0, 1000]) {
    bench.both(large(1200), PARTIAL_UDP | size, "frame.offload", "TCP as UDP");
    bench.both(datagram(1200), PARTIAL_TCP | size, "frame.offload", "UDP as TCP");
    bench.both(icmp(8), PARTIAL_TCP | size, "frame.offload", "ICMP");
    bench.both(padded(large(100), 180), PARTIAL_TCP | size, "frame.offload", "padding");
    bench.both(withChecksum(patch(large(1200), 20, 0x20, 0)), PARTIAL_TCP | size, "frame.offload", "first fragment");
    assert.equal(bench.out(withChecksum(patch(large(1200), 20, 0, 9)), PARTIAL_TCP | size), "frame.offload");
  }
  const size = 500;
  for (const dataOffset of [0, 4, 16]) {
    bench.both(large(1200, { dataOffset }), PARTIAL_TCP | size, "frame.offload", `data offset ${dataOffset}`);
  }
  bench.both(large(30, { dataOffset: 60 }), PARTIAL_TCP | size, "frame.offload", "a header beyond the packet");
  bench.both(large(40, { dataOffset: 60 }), PARTIAL_TCP | size, "pass", "a header and no payload");
  for (const flags of [0x02, 0x12, 0x04, 0x14]) {
    bench.both(large(1200, { flags }), PARTIAL_TCP | size, "frame.offload", `flags ${flags}`);
    bench.both(large(100, { flags }), PARTIAL_TCP, "pass", `flags ${flags}, not segmented`);
  }
  for (const flags of [0x11, 0x18, 0x30, 0x90]) bench.both(large(1200, { flags }), PARTIAL_TCP | size, "pass");
  bench.both(patch(datagram(1200), 38, 0, 100), PARTIAL_UDP | size, "frame.offload", "UDP length");
  assert.equal(bench.out(datagram(1200, [68, 67]), PARTIAL_UDP | size), "frame.offload");
  assert.equal(bench.out(datagram(1200, [1000, 67]), PARTIAL_UDP | size), "frame.offload");
  assert.equal(bench.in(incoming(datagram(1200, [67, 68])), PARTIAL_UDP | size), "frame.offload");
});

/** The frame as a kernel hands it to a card that computes checksums: UDP's field has the pseudo-header's sum. */
function withPartialChecksum(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  put16(copy, 40, foldSum(pseudoHeaderSum(copy, 14, copy.length - 34)));
  return copy;
}

test("L11 D17 a DHCP message's partial checksum is completed before it is verified, both ways", () => {
  const guard = createGuard({ macAddress: VM });
  const discover = new Client().discover();
  const partial = withPartialChecksum(discover);
  assert.notDeepEqual(partial, discover);
  assert.equal(reasonOf(guard.judgeEgress(FrameView.of(partial.slice()))), "dhcp.checksum"); // as from a socket
  assert.equal(completed(partial, PARTIAL_UDP), COMPLETE);
  assert.deepEqual(partial, discover);
  assert.equal(reasonOf(guard.judgeEgress(FrameView.of(partial))), "pass");
  const offer = incoming(udp(67, 68, {}, new Uint8Array(300)));
  const toVm = withPartialChecksum(offer);
  assert.equal(completed(toVm, PARTIAL_UDP), COMPLETE);
  assert.ok(foldSum(addToSum(pseudoHeaderSum(toVm, 14, toVm.length - 34), toVm, 34, toVm.length - 34)) === 0xffff);
});

test("L11 D17 a wrong sum under a partial checksum makes a wrong checksum, no right one", () => {
  const partial = withPartialChecksum(new Client().discover());
  put16(partial, 40, get16(partial, 40) ^ 0x100);
  assert.equal(completed(partial, PARTIAL_UDP), COMPLETE);
  const guard = createGuard({ macAddress: VM });
  assert.equal(reasonOf(guard.judgeEgress(FrameView.of(partial))), "dhcp.checksum");
});

test("L11 nothing but a whole DHCP datagram is completed, and DHCP that is not drops", () => {
  const discover = new Client().discover();
  const others: readonly (readonly [Uint8Array, number])[] = [
    [discover, COMPLETE],
    [discover, PARTIAL_TCP],
    [discover, MALFORMED],
    [discover, PARTIAL_UDP | 100],
    [discover.subarray(0, 41), PARTIAL_UDP],
    [padded(discover, discover.length + 1), PARTIAL_UDP],
    [withChecksum(patch(discover, 14, 0x46)), PARTIAL_UDP],
    [withChecksum(patch(discover, 20, 0x20)), PARTIAL_UDP],
    [withChecksum(patch(discover, 23, TCP)), PARTIAL_UDP],
    [patch(discover, 12, 0x86, 0xdd), PARTIAL_UDP],
    [datagram(300), PARTIAL_UDP],
  ];
  for (const [frame, offload] of others) {
    const copy = frame.slice();
    assert.equal(completed(copy, offload), offload);
    assert.deepEqual(copy, frame);
  }
  const bench = new OffloadBench();
  for (const offload of [MALFORMED, PARTIAL_TCP, PARTIAL_UDP | 100]) {
    assert.equal(bench.out(discover, offload), "frame.offload");
  }
  assert.equal(bench.out(padded(discover, discover.length + 1), PARTIAL_UDP), "frame.offload");
});

test("partial and large frames are judged by policy like any other", () => {
  const guard = createGuard({ macAddress: VM, address: ADDRESS, block: [`${GLOBAL}/32`] });
  for (const [frame, offload] of [
    [large(100), PARTIAL_TCP],
    [large(20_000), PARTIAL_TCP | 1448],
    [datagram(20_000), PARTIAL_UDP | 1200],
  ] as const) {
    assert.equal(reasonOf(guard.judgeEgress(FrameView.of(frame, 0, frame.length, offload))), "policy.block");
  }
});

test("--reject: a large frame that policy denies gets one answer, of the usual length", () => {
  const options = { macAddress: VM, address: ADDRESS, reject: true, allow: ["out 0.0.0.0/0:80"], block: ["0.0.0.0/0"] };
  const guard = createGuard(options);
  const out = new Uint8Array(128);
  for (const [frame, offload, reason, length, protocol] of [
    [large(20_000), PARTIAL_TCP | 1448, "flow.unknown", 60, TCP],
    [datagram(20_000), PARTIAL_UDP | 1200, "policy.block", 70, 1],
  ] as const) {
    const view = FrameView.of(frame, 0, frame.length, offload);
    const verdict = guard.judgeEgress(view);
    assert.equal(reasonOf(verdict), reason);
    assert.equal(guard.answer(view, verdict, out, 0), length);
    assert.equal(out[23], protocol);
  }
});
