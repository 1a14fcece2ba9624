/** What a sender leaves to do with IPv6, held against the frame (docs/guard-ipv6.md, 6; docs/guard.md, what is completed). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { verdictObject } from "../../../src/guard/guard.ts";
import { completeDhcp } from "../../../src/guard/offload.ts";
import type { GuardOptions } from "../../../src/index.ts";
import { get16, put16 } from "../../../src/wire/bytes.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import {
  COMPLETE,
  completeElsewhere,
  ELSEWHERE,
  MALFORMED,
  PARTIAL_TCP,
  PARTIAL_TCP6,
  PARTIAL_UDP,
  PARTIAL_UDP6,
  readVirtioNetHeader,
  VERIFIED_TCP,
  VERIFIED_TCP6,
} from "../../../src/wire/virtio-net.ts";
import { bytes, icmp, join, packet, padded, patch, word } from "../support.ts";
import { advertise, SOLICIT, solicit } from "./dhcpv6-support.ts";
import {
  Bench6,
  clientId,
  dhcp6,
  GLOBAL6,
  iaNa,
  icmpv6,
  inbound,
  LINK,
  mld,
  nsDad,
  OWN,
  packet6,
  ra,
  short,
  udp6,
  type Words6,
} from "./support.ts";

const ACK = 0x10;
const TCP = 6;
const UDP = 17;

interface SegmentWords extends Words6 {
  readonly flags?: number;
  /** Bytes of options. */
  readonly options?: number;
  /** What the header claims to be long, in bytes. */
  readonly dataOffset?: number;
}

function large(payload: number, words: SegmentWords = {}): Uint8Array {
  const { flags = ACK, options = 0 } = words;
  const dataOffset = words.dataOffset ?? 20 + options;
  const head = join(
    short(49_152),
    short(443),
    word(1),
    word(1),
    bytes((dataOffset / 4) << 4, flags, 255, 255, 0, 0, 0, 0),
  );
  return packet6(TCP, join(head, new Uint8Array(options + payload).fill(1)), words);
}

const datagram = (payload: number, words: Words6 = {}, ports: readonly [number, number] = [49_152, 443]): Uint8Array =>
  udp6(...ports, new Uint8Array(payload), words);

class Bench6Offload {
  readonly bench: Bench6;

  constructor(options: Partial<GuardOptions> = {}) {
    this.bench = new Bench6(options).start();
  }

  out(frame: Uint8Array, offload: number): string {
    return reasonOf(this.bench.guard.judgeEgress(FrameView.of(frame, 0, frame.length, offload)));
  }

  in(frame: Uint8Array, offload: number): string {
    return reasonOf(this.bench.guard.judgeIngress(FrameView.of(frame, 0, frame.length, offload)));
  }

  /** Both ways. */
  both(make: (words: Words6) => Uint8Array, offload: number, expected: string, what = ""): void {
    assert.equal(this.out(make({}), offload), expected, `egress ${what}`);
    assert.equal(this.in(make(inbound()), offload), expected, `ingress ${what}`);
  }
}

const reasonOf = (verdict: number): string => verdictObject(verdict).reason ?? "pass";

/** A header with NEEDS_CSUM in front of a frame. */
function withHeader(start: number, offset: number, frame: Uint8Array): Uint8Array {
  const out = join(new Uint8Array(10), frame);
  new DataView(out.buffer).setUint16(6, start, true);
  new DataView(out.buffer).setUint16(8, offset, true);
  out[0] = 1;
  return out;
}

/** What a port makes of it; the frame as it is then. */
function taken(start: number, offset: number, frame: Uint8Array): { offload: number; frame: Uint8Array } {
  const all = withHeader(start, offset, frame);
  const read = readVirtioNetHeader(all, 0);
  const offload = read === ELSEWHERE ? completeElsewhere(all, 10, frame.length) : read;
  return { offload, frame: all.subarray(10) };
}

/** The frame as a kernel hands it to a card that computes checksums: the field has the pseudo-header's sum. */
function withPartialSum(frame: Uint8Array, protocol: number, transport = 54): Uint8Array {
  const copy = frame.slice();
  const field = transport + (protocol === TCP ? 16 : protocol === UDP ? 6 : 2);
  const whole = join(copy.subarray(22, 54), word(copy.length - transport), bytes(0, 0, 0, protocol));
  let sum = 0;
  for (let at = 0; at < whole.length; at += 2) sum += get16(whole, at);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  put16(copy, field, sum);
  return copy;
}

test("L11 by IPv6 TCP's and UDP's own checksum are left to do, and every other place is completed first", () => {
  const bench = new Bench6Offload();
  for (const [frame, protocol, kind] of [
    [large(100), TCP, PARTIAL_TCP6],
    [datagram(100), UDP, PARTIAL_UDP6],
  ] as const) {
    for (const start of [34, 46, 53, 54, 55, 62, 100]) {
      for (let offset = 0; offset < 24; offset++) {
        const came = taken(start, offset, frame);
        const own = start === 54 && offset === (protocol === TCP ? 16 : 6);
        const place = `${start}+${offset}`;
        if (own) {
          assert.equal(came.offload, kind, place);
          assert.deepEqual(came.frame, frame, "nothing is written");
          assert.equal(bench.out(came.frame, came.offload), "pass");
        } else if ((start === 54 || start === 34) && (offset === 6 || offset === 16)) {
          // Another protocol's place, or IPv4's.
          assert.equal(bench.out(came.frame, came.offload), "frame.offload", place);
          assert.deepEqual(came.frame, frame);
        } else {
          assert.equal(came.offload, COMPLETE, place);
          assert.notDeepEqual(came.frame, frame, place);
        }
      }
    }
  }
});

test("L11 a checksum that is completed over a port of IPv6's makes the guard read the port that it became", () => {
  const bench = new Bench6Offload({ block: [`[${GLOBAL6}/128]:53`] });
  const frame = udp6(40_000, 443, bytes(0, 0));
  // The checksum goes where the destination port is, and the payload makes it 53.
  let sum = 53;
  for (let at = 54; at < frame.length; at += 2) sum += get16(frame, at);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  put16(frame, frame.length - 2, 0xffff - sum);
  assert.equal(bench.out(frame, COMPLETE), "pass");
  const came = taken(54, 2, frame);
  assert.equal(get16(came.frame, 56), 53);
  assert.equal(bench.out(came.frame, came.offload), "policy.block");
});

test("a place in a frame of another type than IPv6 is completed as before", () => {
  const frame = packet(TCP, new Uint8Array(60).fill(7));
  for (const offset of [6, 16]) {
    const came = taken(54, offset, frame);
    assert.equal(came.offload, COMPLETE);
    assert.notDeepEqual(came.frame, frame);
  }
});

test("L11 kinds of the other family and headers that are none drop, in both directions", () => {
  const bench = new Bench6Offload();
  for (const size of [0, 1000]) {
    for (const kind of [PARTIAL_TCP, VERIFIED_TCP, PARTIAL_UDP, PARTIAL_UDP6]) {
      bench.both((words) => large(1200, words), kind | size, "frame.offload", "TCP");
    }
    for (const kind of [PARTIAL_TCP, VERIFIED_TCP, PARTIAL_UDP, PARTIAL_TCP6, VERIFIED_TCP6]) {
      bench.both((words) => datagram(1200, words), kind | size, "frame.offload", "UDP");
    }
    for (const kind of [PARTIAL_TCP6, PARTIAL_UDP6, VERIFIED_TCP6]) {
      bench.both((words) => icmpv6(128, new Uint8Array(100), words), kind | size, "frame.offload", "ICMPv6");
      assert.equal(bench.out(packet(TCP, large(100).subarray(54)), kind | size), "frame.offload", "IPv4");
      assert.equal(bench.out(icmp(8), kind | size), "frame.offload", "IPv4");
    }
  }
  bench.both((words) => large(100, words), COMPLETE, "pass");
  bench.both((words) => large(100, words), MALFORMED, "frame.offload");
  bench.both((words) => large(20_000, words), MALFORMED, "frame.long");
  assert.equal(bench.out(nsDad(OWN), MALFORMED), "frame.offload");
});

test("what is wrong with a packet's form keeps its name", () => {
  const bench = new Bench6Offload();
  assert.equal(bench.out(large(100, { source: "ff02::5" }), MALFORMED), "ipv6.source");
  assert.equal(bench.out(packet6(6, bytes(1), { next: 43 }), MALFORMED), "ipv6.routing");
  assert.equal(bench.out(patch(large(100), 14, 0x40), MALFORMED), "ipv6.format");
  assert.equal(bench.out(patch(large(100), 18, 0, 0), MALFORMED), "ipv6.format");
  assert.equal(bench.out(large(100).subarray(0, 53), PARTIAL_TCP6), "ipv6.format");
  assert.equal(bench.out(large(2000).subarray(0, 1900), PARTIAL_TCP6 | 1000), "ipv6.format");
  assert.equal(bench.out(packet6(TCP, new Uint8Array(19)), PARTIAL_TCP6), "ipv6.transport");
});

test("without the option IPv6 drops whole, whatever its header says", () => {
  const { guard } = new Bench6({ ipv6: false });
  for (const offload of [COMPLETE, PARTIAL_TCP6 | 1000, PARTIAL_UDP6 | 1000, MALFORMED]) {
    const frame = large(1200);
    assert.equal(reasonOf(guard.judgeEgress(FrameView.of(frame, 0, frame.length, offload))), "ethernet.ipv6");
  }
});

test("large IPv6 frames pass as segments within the MTU, with every header that counts, and not one byte more", () => {
  for (const mtu of [1280, 1500, 9000]) {
    const bench = new Bench6Offload({ mtu });
    for (const options of [0, 12, 40]) {
      const size = mtu - 60 - options;
      for (const kind of [PARTIAL_TCP6, VERIFIED_TCP6]) {
        bench.both((words) => large(20_000, { ...words, options }), kind | size, "pass");
        bench.both((words) => large(20_000, { ...words, options }), kind | (size + 1), "frame.long");
        bench.both((words) => large(10, { ...words, options }), kind | (size + 1), "frame.long");
      }
    }
    bench.both((words) => datagram(20_000, words), PARTIAL_UDP6 | (mtu - 48), "pass");
    bench.both((words) => datagram(20_000, words), PARTIAL_UDP6 | (mtu - 47), "frame.long");
    bench.both((words) => large(20_000, words), PARTIAL_TCP6 | 65_535, "frame.long"); // GSO_BY_FRAGS of Linux
    bench.both((words) => large(20_000, words), PARTIAL_TCP6, "frame.long");
    bench.both((words) => large(20_000, words), COMPLETE, "frame.long");
  }
  // The longest that IPv6 has, without a jumbo payload.
  new Bench6Offload().both((words) => large(65_515, words), PARTIAL_TCP6 | 1428, "pass");
});

test("L11 one IPv6 frame becomes at most 256 by TCP, and 128 by UDP", () => {
  const bench = new Bench6Offload();
  for (const size of [1, 8, 100, 255]) {
    bench.both((words) => large(256 * size, words), PARTIAL_TCP6 | size, "pass");
    bench.both((words) => large(256 * size + 1, words), PARTIAL_TCP6 | size, "frame.offload");
    bench.both((words) => datagram(128 * size, words), PARTIAL_UDP6 | size, "pass");
    bench.both((words) => datagram(128 * size + 1, words), PARTIAL_UDP6 | size, "frame.offload");
  }
});

test("L11 what an IPv6 frame says it is cut into must be what it is", () => {
  const bench = new Bench6Offload();
  const options = bytes(TCP, 0, 1, 4, 0, 0, 0, 0);
  const fragment = bytes(TCP, 0, 0, 1, 0, 0, 0, 1);
  for (const size of [0, 500]) {
    const kind = PARTIAL_TCP6 | size;
    bench.both((words) => padded(large(1200, words), 1300), kind, "frame.offload", "padding");
    bench.both((words) => large(1200, { ...words, next: 60, headers: options }), kind, "frame.offload", "an extension");
    bench.both((words) => large(1204, { ...words, next: 44, headers: fragment }), kind, "frame.offload", "a fragment");
  }
  const kind = PARTIAL_TCP6 | 500;
  for (const dataOffset of [0, 4, 16]) {
    bench.both((words) => large(1200, { ...words, dataOffset }), kind, "frame.offload", `data offset ${dataOffset}`);
  }
  bench.both((words) => large(30, { ...words, dataOffset: 60 }), kind, "frame.offload", "a header beyond the packet");
  bench.both((words) => large(40, { ...words, dataOffset: 60 }), kind, "pass", "a header and no payload");
  for (const flags of [0x02, 0x12, 0x04, 0x14]) {
    bench.both((words) => large(1200, { ...words, flags }), kind, "frame.offload", `flags ${flags}`);
    bench.both((words) => large(100, { ...words, flags }), PARTIAL_TCP6, "pass", `flags ${flags}, not segmented`);
  }
  for (const flags of [0x11, 0x18, 0x30, 0x90]) bench.both((words) => large(1200, { ...words, flags }), kind, "pass");
  bench.both((words) => patch(datagram(1200, words), 58, 0, 100), PARTIAL_UDP6 | 500, "frame.offload", "UDP length");
  for (const ports of [
    [546, 547],
    [1000, 547],
    [546, 1000],
    [547, 1000],
  ] as const) {
    bench.both((words) => datagram(1200, words, ports), PARTIAL_UDP6 | 500, "frame.offload", "DHCPv6");
  }
});

/** What is left to do when a DHCPv6 datagram's checksum was completed. */
function completed(frame: Uint8Array, offload: number): number {
  const view = FrameView.of(frame, 0, frame.length, offload);
  completeDhcp(view);
  return view.offload;
}

test("L11 S7 a DHCPv6 message's partial checksum is completed before it is verified, both ways", () => {
  const bench = new Bench6Offload();
  const asked = solicit();
  const partial = withPartialSum(asked, UDP);
  assert.notDeepEqual(partial, asked);
  assert.equal(bench.out(partial.slice(), COMPLETE), "dhcpv6.checksum"); // as from a socket
  assert.equal(completed(partial, PARTIAL_UDP6), COMPLETE);
  assert.deepEqual(partial, asked);
  assert.equal(bench.out(partial, COMPLETE), "pass");
  const answer = advertise();
  const toVm = withPartialSum(answer, UDP);
  assert.notDeepEqual(toVm, answer);
  assert.equal(completed(toVm, PARTIAL_UDP6), COMPLETE);
  assert.deepEqual(toVm, answer);
  assert.equal(bench.in(toVm, COMPLETE), "pass");
});

test("L11 S7 a wrong sum under a partial checksum makes a wrong checksum, no right one", () => {
  const partial = withPartialSum(solicit(), UDP);
  put16(partial, 60, get16(partial, 60) ^ 0x100);
  assert.equal(completed(partial, PARTIAL_UDP6), COMPLETE);
  assert.equal(new Bench6Offload().out(partial, COMPLETE), "dhcpv6.checksum");
});

test("L11 nothing but a whole DHCPv6 datagram is completed, and DHCPv6 that is not drops", () => {
  const asked = solicit();
  const extended = dhcp6(SOLICIT, [clientId(), iaNa(7)], { next: 60, headers: bytes(UDP, 0, 1, 4, 0, 0, 0, 0) });
  const others: readonly (readonly [Uint8Array, number])[] = [
    [asked, COMPLETE],
    [asked, PARTIAL_TCP6],
    [asked, PARTIAL_UDP],
    [asked, MALFORMED],
    [asked, PARTIAL_UDP6 | 100],
    [asked.subarray(0, 61), PARTIAL_UDP6],
    [padded(asked, asked.length + 1), PARTIAL_UDP6],
    [patch(asked, 14, 0x40), PARTIAL_UDP6],
    [patch(asked, 20, TCP), PARTIAL_UDP6],
    [patch(asked, 12, 8, 0), PARTIAL_UDP6],
    [extended, PARTIAL_UDP6],
    [packet6(UDP, bytes(2, 34, 2, 35, 0)), PARTIAL_UDP6],
    [datagram(300), PARTIAL_UDP6],
  ];
  const bench = new Bench6Offload();
  for (const [frame, offload] of others) {
    const copy = frame.slice();
    assert.equal(completed(copy, offload), offload);
    assert.deepEqual(copy, frame);
  }
  for (const offload of [MALFORMED, PARTIAL_TCP6, PARTIAL_UDP, PARTIAL_UDP6 | 100]) {
    assert.equal(bench.out(asked, offload), "frame.offload");
  }
  assert.equal(bench.out(padded(asked, asked.length + 1), PARTIAL_UDP6), "frame.offload");
});

test("L11 ICMPv6's partial checksum is completed where it is, so neighbour discovery and MLD are verified", () => {
  const bench = new Bench6Offload();
  for (const [frame, transport, into] of [
    [nsDad(OWN), 54, "out"],
    [icmpv6(128, new Uint8Array(101)), 54, "out"],
    [mld(131, { source: LINK }), 62, "out"],
    [ra(), 54, "in"],
  ] as const) {
    const partial = withPartialSum(frame, 58, transport);
    assert.notDeepEqual(partial, frame);
    const came = taken(transport, 2, partial);
    assert.equal(came.offload, COMPLETE);
    assert.deepEqual(came.frame, frame);
    assert.equal(bench[into](came.frame, COMPLETE), "pass");
  }
});

test("partial and large IPv6 frames are judged by policy like any other, and answered once, with the usual length", () => {
  const bench = new Bench6Offload({ reject: true, allow: ["out [::/0]:80", "out 0.0.0.0/0"], block: ["::/0"] });
  const out = new Uint8Array(1300);
  for (const [frame, offload, reason, length] of [
    [large(100), PARTIAL_TCP6, "flow.unknown", 74],
    [large(20_000), PARTIAL_TCP6 | 1428, "flow.unknown", 74],
    [datagram(20_000), PARTIAL_UDP6 | 1200, "policy.block", 14 + 1280],
  ] as const) {
    const view = FrameView.of(frame, 0, frame.length, offload);
    const verdict = bench.bench.guard.judgeEgress(view);
    assert.equal(reasonOf(verdict), reason);
    assert.equal(bench.bench.guard.answer(view, verdict, out, 0), length);
  }
});
