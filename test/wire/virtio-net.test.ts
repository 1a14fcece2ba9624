/** Literal headers taken apart and put together. Numbers in them are little-endian. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMPLETE,
  completeElsewhere,
  ELSEWHERE,
  MALFORMED,
  PARTIAL_TCP,
  PARTIAL_TCP6,
  PARTIAL_UDP,
  PARTIAL_UDP6,
  putVirtioNetHeader,
  readVirtioNetHeader,
  VERIFIED_TCP,
  VERIFIED_TCP6,
  VIRTIO_NET_HEADER,
} from "../../src/wire/virtio-net.ts";
import { hex } from "../capture/build.ts";

/** flags, gso_type, hdr_len, gso_size, csum_start, csum_offset. */
const HEADERS: readonly (readonly [header: string, offload: number])[] = [
  ["00 00 0000 0000 0000 0000", COMPLETE],
  ["02 00 ffff ffff ffff ffff", COMPLETE],
  ["01 00 0000 0000 2200 1000", PARTIAL_TCP],
  ["01 00 0000 ffff 2200 0600", PARTIAL_UDP],
  ["01 01 4200 a805 2200 1000", PARTIAL_TCP | 1448],
  ["01 81 0000 a805 2200 1000", PARTIAL_TCP | 1448],
  ["01 05 2a00 b004 2200 0600", PARTIAL_UDP | 1200],
  ["02 01 0000 a805 0000 0000", VERIFIED_TCP | 1448],
  ["01 00 0000 0000 2100 1000", ELSEWHERE], // csum_start
  ["01 00 0000 0000 0e00 0a00", ELSEWHERE], // IPv4's own checksum
  ["01 00 0000 0000 2200 0200", ELSEWHERE], // a port
  ["01 00 0000 0000 2200 1001", ELSEWHERE], // 272, not 16
  ["01 01 4200 a805 5400 1000", MALFORMED], // segments of what a tunnel carries
  ["03 00 0000 0000 2200 1000", MALFORMED],
  ["04 00 0000 0000 0000 0000", MALFORMED],
  ["08 00 0000 0000 0000 0000", MALFORMED],
  ["00 01 4200 a805 2200 1000", MALFORMED], // segments without a checksum
  ["03 01 4200 a805 2200 1000", MALFORMED],
  ["01 01 4200 0000 2200 1000", MALFORMED], // segments of no size
  ["01 01 4200 a805 2200 0600", MALFORMED], // TCP with UDP's checksum
  ["01 05 2a00 b004 2200 1000", MALFORMED],
  ["02 05 2a00 b004 2200 0600", MALFORMED],
  ["01 85 2a00 b004 2200 0600", MALFORMED], // ECN without TCP
  ["01 80 0000 0000 2200 1000", MALFORMED],
  ["01 03 2a00 b004 2200 0600", MALFORMED], // makes fragments
  ["01 04 4a00 9405 3600 1000", PARTIAL_TCP6 | 1428],
  ["01 84 0000 9405 3600 1000", PARTIAL_TCP6 | 1428],
  ["01 05 3e00 b004 3600 0600", PARTIAL_UDP6 | 1200],
  ["02 04 0000 9405 0000 0000", VERIFIED_TCP6 | 1428],
  ["02 84 0000 9405 2200 1000", VERIFIED_TCP6 | 1428],
  ["01 00 0000 0000 3600 1000", ELSEWHERE], // the frame's type decides
  ["01 00 0000 0000 3600 0600", ELSEWHERE],
  ["01 04 4200 a805 2200 1000", MALFORMED], // TCP in IPv6 with IPv4's place, and the other way round
  ["01 01 4a00 9405 3600 1000", MALFORMED],
  ["01 04 4a00 9405 3600 0600", MALFORMED],
  ["01 05 3e00 b004 3600 1000", MALFORMED],
  ["01 05 3e00 b004 3500 0600", MALFORMED],
  ["01 04 4a00 0000 3600 1000", MALFORMED],
  ["00 04 4a00 9405 3600 1000", MALFORMED],
  ["03 04 4a00 9405 3600 1000", MALFORMED],
  ["02 05 3e00 b004 3600 0600", MALFORMED],
  ["02 00 0000 0000 3600 1000", COMPLETE],
  ["01 21 4200 a805 2200 1000", MALFORMED], // a tunnel
];

test("a header's kind and segment size", () => {
  for (const [header, offload] of HEADERS) {
    assert.equal(readVirtioNetHeader(hex(`ee ${header}`), 1), offload, header);
  }
});

/** 192.168.64.9:40000 > 1.1.1.1:443, ACK, and `payload` bytes; `options` are 4 bytes of no-op. */
function tcp(payload: number, flags = "10", options = false): Uint8Array {
  const total = (options ? 44 : 40) + payload;
  const head = `020000000001 020000000011 0800 4500 ${total.toString(16).padStart(4, "0")} 0001 4000 4006 0000 c0a84009 01010101`;
  const segment = `9c40 01bb 00000001 00000000 ${options ? "60" : "50"}${flags} ffff 1234 0000 ${options ? "01010101" : ""}`;
  return Uint8Array.from([...hex(`${head} ${segment}`), ...new Uint8Array(payload)]);
}

function written(frame: Uint8Array, offload: number): { header: string; frame: Uint8Array } {
  const bytes = new Uint8Array(16 + frame.length).fill(0xee);
  bytes.set(frame, 16);
  putVirtioNetHeader(bytes, 16, frame.length, offload);
  assert.deepEqual(bytes.subarray(0, 16 - VIRTIO_NET_HEADER), new Uint8Array(6).fill(0xee), "bytes in front");
  return { header: Buffer.from(bytes.subarray(6, 16)).toString("hex"), frame: bytes.slice(16) };
}

test("the header that is written comes from the kind and from the frame", () => {
  const cases: readonly (readonly [Uint8Array, number, string])[] = [
    [tcp(3000), COMPLETE, "00000000000000000000"],
    [tcp(10), PARTIAL_TCP, "01000000000022001000"],
    [tcp(10), PARTIAL_UDP, "01000000000022000600"],
    [tcp(3000), PARTIAL_TCP | 1448, "01013600a80522001000"],
    [tcp(3000, "10", true), PARTIAL_TCP | 1448, "01013a00a80522001000"],
    [tcp(3000, "90"), PARTIAL_TCP | 1448, "01813600a80522001000"], // CWR
    [tcp(3000), PARTIAL_UDP | 1200, "01052a00b00422000600"],
    [tcp(1448), PARTIAL_TCP | 1448, "01000000000022001000"], // one segment
    [tcp(1449), PARTIAL_TCP | 1448, "01013600a80522001000"],
  ];
  for (const [frame, offload, header] of cases) {
    const out = written(frame, offload);
    assert.equal(out.header, header);
    assert.deepEqual(out.frame, frame);
  }
});

test("large TCP that somebody had verified is sent with a partial checksum", () => {
  const { header, frame } = written(tcp(3000), VERIFIED_TCP | 1448);
  assert.equal(header, "01013600a80522001000");
  // c0a8 + 4009 + 0101 + 0101 + 6 + 3020 = 10e85, folded
  const expected = tcp(3000);
  expected.set([0x0e, 0x86], 50);
  assert.deepEqual(frame, expected);
});

/** [fe80::9]:40000 > [fe80::1]:443, ACK, and `payload` bytes; `options` are 4 bytes of no-op. */
function tcp6(payload: number, flags = "10", options = false): Uint8Array {
  const length = ((options ? 24 : 20) + payload).toString(16).padStart(4, "0");
  const [from, to] = ["9", "1"].map((last) => `fe80${last.padStart(28, "0")}`);
  const head = `020000000001 020000000011 86dd 60000000 ${length} 0640 ${from} ${to}`;
  const segment = `9c40 01bb 00000001 00000000 ${options ? "60" : "50"}${flags} ffff 1234 0000 ${options ? "01010101" : ""}`;
  return Uint8Array.from([...hex(`${head} ${segment}`), ...new Uint8Array(payload)]);
}

test("the header of an IPv6 frame that is written comes from the kind and from the frame", () => {
  const cases: readonly (readonly [Uint8Array, number, string])[] = [
    [tcp6(3000), COMPLETE, "00000000000000000000"],
    [tcp6(10), PARTIAL_TCP6, "01000000000036001000"],
    [tcp6(10), PARTIAL_UDP6, "01000000000036000600"],
    [tcp6(3000), PARTIAL_TCP6 | 1428, "01044a00940536001000"],
    [tcp6(3000, "10", true), PARTIAL_TCP6 | 1428, "01044e00940536001000"],
    [tcp6(3000, "90"), PARTIAL_TCP6 | 1428, "01844a00940536001000"], // CWR
    [tcp6(3000), PARTIAL_UDP6 | 1200, "01053e00b00436000600"],
    [tcp6(1428), PARTIAL_TCP6 | 1428, "01000000000036001000"], // one segment
    [tcp6(1429), PARTIAL_TCP6 | 1428, "01044a00940536001000"],
  ];
  for (const [frame, offload, header] of cases) {
    const out = written(frame, offload);
    assert.equal(out.header, header);
    assert.deepEqual(out.frame, frame);
  }
});

test("large TCP of IPv6 that somebody had verified is sent with a partial checksum", () => {
  const { header, frame } = written(tcp6(3000), VERIFIED_TCP6 | 1428);
  assert.equal(header, "01044a00940536001000");
  // Both addresses, the length and the protocol, folded.
  const sum = 0xfe80 + 9 + 0xfe80 + 1 + 6 + 3020;
  const folded = (sum & 0xffff) + (sum >>> 16);
  const expected = tcp6(3000);
  expected.set([folded >>> 8, folded & 255], 70);
  assert.deepEqual(frame, expected);
});

test("a checksum at IPv6's own places is left to do in a frame of its type alone", () => {
  const cases: readonly (readonly [Uint8Array, string, number])[] = [
    [tcp6(10), "01000000000036001000", PARTIAL_TCP6],
    [tcp6(10), "01000000000036000600", PARTIAL_UDP6],
    [tcp6(10).subarray(0, 14), "01000000000036001000", PARTIAL_TCP6],
    [tcp6(10).subarray(0, 13), "01000000000036001000", MALFORMED], // it has no type
    [tcp(100), "01000000000036001000", COMPLETE],
    [tcp6(10), "01000000000036000700", COMPLETE],
  ];
  for (const [frame, header, offload] of cases) {
    const bytes = Uint8Array.from([...hex(header), ...frame]);
    assert.equal(completeElsewhere(bytes, VIRTIO_NET_HEADER, frame.length), offload);
    const kept = offload !== COMPLETE;
    assert.equal(Buffer.compare(bytes.subarray(VIRTIO_NET_HEADER), frame) === 0, kept);
  }
});
