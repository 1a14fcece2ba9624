/** The view of an IPv6 frame: literal bytes taken apart, and what is malformed in the order of the checks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NONE } from "../../src/wire/frame-headers.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { getIPv6 } from "../../src/wire/ipv6-address.ts";
import {
  IPV6_EXTENSION,
  IPV6_FORM,
  IPV6_FRAGMENT,
  IPV6_LOOPBACK,
  IPV6_OPTIONS,
  IPV6_ROUTING,
  IPV6_SOURCE,
  IPV6_TRANSPORT,
  SOUND,
} from "../../src/wire/malformed.ts";

const ETHERNET = "33 33 00 00 00 01 02 00 f0 00 00 11 86 dd";
const SOURCE = "fe 80 00 00 00 00 00 00 00 00 f0 ff fe 00 00 11";
const DESTINATION = "ff 02 00 00 00 00 00 00 00 00 00 00 00 00 00 01";
const UDP = "ca fe 01 bb 00 0c 00 00 01 02 03 04";
const TCP = "ca fe 01 bb de ad be ef fe ed fa ce 50 18 ff ff 00 00 00 00";
const ICMPV6 = "87 00 00 00 00 00 00 00";

const bytesOf = (text: string): number[] => [...Buffer.from(text.replaceAll(/\s/g, ""), "hex")];

/** A frame with this next header and what is behind the IPv6 header. */
function frame(next: number, payload: string, addresses = SOURCE + DESTINATION): Uint8Array {
  const behind = bytesOf(payload);
  return Uint8Array.from([
    ...bytesOf(ETHERNET),
    ...[0x6a, 0xbc, 0xde, 0xf0, behind.length >> 8, behind.length & 255, next, 64],
    ...bytesOf(addresses),
    ...behind,
  ]);
}

const faultOf = (next: number, payload: string, addresses?: string): number =>
  FrameView.of(frame(next, payload, addresses)).malformed;

test("UDP behind hop-by-hop and destination options: every field", () => {
  const options = "3c 00 01 04 00 00 00 00";
  const around = new Uint8Array(300).fill(0xa5);
  const packet = frame(0, `${options} 11 00 01 04 00 00 00 00 ${UDP}`);
  around.set(packet, 31);
  const view = FrameView.of(around, 31, packet.length);
  assert.equal(view.malformed, SOUND);
  assert.deepEqual([view.type, view.protocol, view.headerLength, view.totalLength], [0x86dd, 17, 56, 68]);
  assert.deepEqual([view.sourcePort, view.destinationPort, view.fragmentBits, view.extensions], [0xcafe, 443, 0, 3]);
  assert.deepEqual([view.transport, view.transportLength], [31 + 14 + 56, 12]);
  assert.deepEqual([...view.source6], [0xfe800000 | 0, 0, 0x0000f0ff, 0xfe000011 | 0]);
  assert.deepEqual([...view.destination6], [0xff020000 | 0, 0, 0, 1]);
  assert.equal(getIPv6(Uint8Array.from(bytesOf(DESTINATION)), 0), 0xff020000000000000000000000000001n);
  assert.deepEqual([view.sourceWord, view.destinationWord, view.icmpType], [0, 0, NONE]);
});

test("TCP's flags and ICMPv6's type, which no IPv4 type equals", () => {
  assert.equal(FrameView.of(frame(6, TCP)).tcpFlags, 0x18);
  assert.equal(FrameView.of(frame(58, ICMPV6)).icmpType, 256 + 135);
});

test("a first fragment has its ports, a later one has not", () => {
  const first = FrameView.of(frame(44, `11 00 00 01 f1 23 45 67 ${UDP} 05 06 07 08`));
  assert.deepEqual(
    [first.malformed, first.fragmentBits, first.sourcePort, first.headerLength],
    [SOUND, 0x2000, 0xcafe, 48],
  );
  assert.equal(first.fragmentIdentification, 0xf1234567 | 0);
  const later = FrameView.of(frame(44, "11 00 00 08 f1 23 45 67 01 02 03"));
  assert.deepEqual([later.malformed, later.fragmentBits, later.protocol, later.sourcePort], [SOUND, 1, 17, NONE]);
});

test("what is malformed, in the order of the checks", () => {
  assert.equal(FrameView.of(frame(17, UDP), 0, 14 + 39).malformed, IPV6_FORM, "room for no header");
  assert.equal(faultOf(17, ""), IPV6_FORM, "no payload: a jumbogram, or nothing");
  assert.equal(FrameView.of(frame(17, UDP), 0, 14 + 40 + 11).malformed, IPV6_FORM, "longer than the frame");
  const four = frame(17, UDP);
  four[14] = 0x45;
  assert.equal(FrameView.of(four).malformed, IPV6_FORM, "version");
  const loopback = `${"00".repeat(15)}01`;
  assert.equal(faultOf(17, UDP, DESTINATION + DESTINATION), IPV6_SOURCE);
  assert.equal(faultOf(17, UDP, loopback + DESTINATION), IPV6_LOOPBACK);
  assert.equal(faultOf(17, UDP, SOURCE + "00".repeat(16)), IPV6_LOOPBACK);
  assert.equal(faultOf(17, UDP, "00".repeat(16) + DESTINATION), SOUND, "from no address");
  assert.equal(faultOf(17, UDP, `${SOURCE} ${"00".repeat(10)} ff ff 7f 00 00 01`), IPV6_LOOPBACK, "mapped");
  assert.equal(faultOf(43, `11 00 00 00 00 00 00 00 ${UDP}`), IPV6_ROUTING);
  assert.equal(
    faultOf(60, `00 00 01 04 00 00 00 00 11 00 01 04 00 00 00 00 ${UDP}`),
    IPV6_EXTENSION,
    "hop-by-hop late",
  );
  assert.equal(faultOf(60, `11 01 01 04 00 00 00 00`), IPV6_FORM, "cut short");
  assert.equal(faultOf(60, `11 00 c9 04 00 00 00 00 ${UDP}`), IPV6_OPTIONS, "home address");
  assert.equal(faultOf(60, `11 00 01 05 00 00 00 00 ${UDP}`), IPV6_OPTIONS, "an option beyond the header");
  assert.equal(faultOf(0, `11 00 05 02 00 00 01 00 ${UDP}`), IPV6_OPTIONS, "router alert, and no MLD");
  assert.equal(faultOf(0, `3a 00 05 02 00 00 01 00 8f 00 00 00 00 00 00 00`), SOUND, "router alert and MLD");
  assert.equal(faultOf(44, `11 00 00 00 00 00 00 01 ${UDP}`), IPV6_FRAGMENT, "atomic");
  assert.equal(faultOf(44, `11 00 00 01 00 00 00 01 ${UDP}`), IPV6_FRAGMENT, "no multiple of 8");
  assert.equal(faultOf(44, "11 00 ff f8 00 00 00 01 01 02 03 04 05 06 07 08"), IPV6_FRAGMENT, "beyond 65,535 bytes");
  assert.equal(faultOf(44, "06 00 00 01 00 00 00 01 01 02 03 04 05 06 07 08"), IPV6_FRAGMENT, "hides TCP's header");
  assert.equal(faultOf(44, "3c 00 00 01 00 00 00 01 3a 01 01 0c 00 00 00 00"), IPV6_FRAGMENT, "hides the chain's end");
  assert.equal(faultOf(44, `2c 00 00 01 00 00 00 01 11 00 00 01 00 00 00 02 ${UDP} 00 00 00 00`), IPV6_EXTENSION);
  for (const next of [1, 2, 51, 59, 135, 139, 140, 253, 254])
    assert.equal(faultOf(next, UDP), IPV6_EXTENSION, `${next}`);
  for (const next of [4, 41, 47, 50, 132]) assert.equal(faultOf(next, UDP), SOUND, `${next}`);
  const padded = (count: number): string => "3c 00 01 04 00 00 00 00".repeat(count);
  assert.equal(faultOf(60, `${padded(7)} 11 00 01 04 00 00 00 00 ${UDP}`), SOUND, "eight headers");
  assert.equal(faultOf(60, `${padded(8)} 11 00 01 04 00 00 00 00 ${UDP}`), IPV6_EXTENSION, "nine");
  const long = `11 1f 01 ${"fc"} ${"00".repeat(252)}`;
  assert.equal(faultOf(60, `${long} ${UDP}`), SOUND, "256 bytes");
  assert.equal(faultOf(60, `3c 00 01 04 00 00 00 00 ${long} ${UDP}`), IPV6_EXTENSION, "264 bytes");
  assert.equal(faultOf(6, UDP), IPV6_TRANSPORT);
  assert.equal(faultOf(58, "87 00 00 00 00 00 00"), IPV6_TRANSPORT);
});

test("a view that has read IPv6 has nothing of it left for the next frame", () => {
  const view = new FrameView();
  const packet = frame(0, `3a 00 05 02 00 00 01 00 8f 00 00 00 00 00 00 00`);
  view.read(packet, 0, packet.length);
  const arp = Uint8Array.from([...bytesOf(ETHERNET).slice(0, 12), 0x12, 0x34, ...bytesOf(UDP)]);
  view.read(arp, 0, arp.length);
  assert.deepEqual([view.extensions, view.protocol, view.icmpType, view.headerLength], [0, NONE, NONE, 0]);
});
