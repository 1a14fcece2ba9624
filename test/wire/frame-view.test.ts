/** A frame's view: literal bytes taken apart, what is malformed in the order of the checks, and nothing left of the frame before. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NONE } from "../../src/wire/frame-headers.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import {
  ARP_FORM,
  IPV4_CHECKSUM,
  IPV4_FRAGMENT,
  IPV4_LENGTH,
  IPV4_OPTIONS,
  IPV4_TRANSPORT,
  IPV4_VERSION,
  IPV6_FORM,
  SHORT,
  SOUND,
} from "../../src/wire/malformed.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));

const ETHERNET = "ff ff ff ff ff fe  02 00 f0 00 00 11  08 00";
/** 192.168.64.9:51966 to 203.0.113.7:443, ACK and PSH, sequence 0xdeadbeef, acknowledgement 0xfeedface. */
const TCP = `${ETHERNET} 45 00 00 28 ab cd 40 00 40 06 83 9b c0 a8 40 09 cb 00 71 07
  ca fe 01 bb de ad be ef fe ed fa ce 50 18 ff ff 00 00 00 00`;

/** The frame with other bytes from `at` on, and the header's checksum made right. */
function changed(frame: Uint8Array, at: number, ...values: readonly number[]): Uint8Array {
  const copy = frame.slice();
  copy.set(values, at);
  copy.set([0, 0], 24);
  let sum = 0;
  for (let word = 14; word < 34; word += 2) sum += (copy[word]! << 8) | copy[word + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  const checksum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
  copy.set([checksum >>> 8, checksum & 255], 24);
  return copy;
}

const tcp = changed(hex(TCP), 0);
const malformed = (frame: Uint8Array, length = frame.length): number => FrameView.of(frame, 0, length).malformed;

/** All fields, as an object. */
const fieldsOf = (view: FrameView): object => ({ ...view, bytes: undefined, frame: undefined });

test("TCP: every field, of bytes whose upper bits are set", () => {
  const around = new Uint8Array(200).fill(0x5a);
  around.set(tcp, 33);
  const view = FrameView.of(around, 33, tcp.length);
  assert.equal(view.malformed, SOUND);
  assert.equal(view.destinationMac, 0xfffffffffffe);
  assert.equal(view.sourceMac, 0x0200f0000011);
  assert.deepEqual([view.isToGroup, view.isToReserved], [true, false]);
  assert.deepEqual([view.type, view.protocol, view.headerLength, view.totalLength], [0x0800, 6, 20, 40]);
  assert.deepEqual([view.source, view.destination], [0xc0a84009, 0xcb007107]);
  assert.deepEqual([view.fragmentBits, view.identification], [0, 0xabcd]);
  assert.deepEqual([view.sourcePort, view.destinationPort, view.tcpFlags], [0xcafe, 443, 0x18]);
  assert.deepEqual([view.tcpSequence, view.tcpAcknowledgement, view.tcpHeaderLength], [0xdeadbeef, 0xfeedface, 20]);
  assert.deepEqual([view.packet, view.transport, view.transportLength], [47, 67, 20]);
  assert.equal(view.icmpType, NONE);
});

test("an ICMP error tells the packet that it quotes", () => {
  const quoted = "45 00 00 1d 00 01 00 00 40 11 00 00 0a 00 00 02 c0 a8 40 09  f0 01 00 35 00 09 00 00";
  const frame = changed(
    hex(`${ETHERNET} 45 00 00 38 00 00 00 00 40 01 00 00 c0 a8 40 09 0a 00 00 02 03 03 00 00 00 00 00 00 ${quoted}`),
    0,
  );
  const view = FrameView.of(frame);
  assert.deepEqual([view.malformed, view.icmpType, view.icmpCode, view.quotes], [SOUND, 3, 3, true]);
  assert.deepEqual([view.quotedProtocol, view.quotedSource, view.quotedDestination], [17, 0x0a000002, 0xc0a84009]);
  assert.deepEqual([view.quotedSourcePort, view.quotedDestinationPort], [0xf001, 53]);
  assert.equal(FrameView.of(changed(frame, 17, 0x37)).quotes, false, "a byte is missing");
  assert.equal(FrameView.of(changed(frame, 20, 0x20)).quotes, false, "in pieces");
  assert.equal(FrameView.of(changed(frame, 42, 0x46)).quotes, false, "options");
  assert.equal(FrameView.of(changed(frame, 49, 1)).quotes, false, "a later fragment");
  assert.equal(FrameView.of(changed(frame, 34, 8)).quotes, false, "an echo request");
});

test("what is malformed, in the order of the checks", () => {
  assert.equal(malformed(tcp), SOUND);
  assert.equal(malformed(tcp, 13), SHORT);
  assert.equal(malformed(tcp, 33), IPV4_VERSION);
  assert.equal(malformed(changed(tcp, 14, 0x65)), IPV4_VERSION);
  assert.equal(malformed(changed(tcp, 14, 0x44)), IPV4_LENGTH);
  assert.equal(malformed(changed(tcp, 14, 0x4f)), IPV4_LENGTH, "IHL beyond the frame");
  assert.equal(malformed(tcp, 53), IPV4_LENGTH);
  assert.equal(malformed(changed(tcp, 16, 0, 19)), IPV4_LENGTH);
  assert.equal(malformed(changed(tcp, 14, 0x46)), IPV4_OPTIONS);
  assert.equal(malformed(tcp.with(25, tcp[25]! ^ 1)), IPV4_CHECKSUM);
  assert.equal(malformed(changed(tcp, 16, 0, 39)), IPV4_TRANSPORT);
  assert.equal(malformed(changed(tcp, 16, 0, 39, 0, 0, 0x20)), IPV4_FRAGMENT, "a first fragment that hides its header");
  assert.equal(malformed(changed(tcp, 20, 0, 1)), IPV4_FRAGMENT, "an offset of 1");
  assert.equal(malformed(changed(tcp, 20, 0, 2)), SOUND);
  assert.equal(malformed(changed(tcp, 20, 0x1f, 0xff)), IPV4_FRAGMENT, "past 65,535 bytes");
  assert.equal(malformed(tcp.with(13, 6)), ARP_FORM);
  assert.equal(malformed(tcp.with(12, 0x88).with(13, 0xb5)), SOUND);
  assert.equal(malformed(tcp.with(12, 0x86).with(13, 0xdd)), IPV6_FORM);
});

test("ports, flags and types are told as far as the frame has them, and not of a later fragment", () => {
  const cut = FrameView.of(tcp, 0, 38);
  assert.deepEqual([cut.malformed, cut.sourcePort, cut.destinationPort, cut.tcpFlags], [IPV4_LENGTH, 0xcafe, 443, 0]);
  assert.equal(FrameView.of(tcp, 0, 37).sourcePort, NONE);
  const later = FrameView.of(changed(tcp, 20, 0, 2));
  assert.deepEqual([later.sourcePort, later.destinationPort, later.tcpFlags], [NONE, NONE, 0]);
  assert.equal(FrameView.of(changed(changed(tcp, 23, 1), 20, 0, 2)).icmpType, NONE);
});

test("nothing is left of the frame before, whatever the two are, and nothing beyond the frame counts", () => {
  const start = fc.constantFrom(TCP.slice(0, 160), TCP, ETHERNET, ETHERNET.replace("08 00", "08 06"));
  const tail = fc.uint8Array({ maxLength: 64 });
  const frame = fc.tuple(start, tail, fc.nat(3)).map(([head, rest, change]) => {
    const bytes = Uint8Array.from([...hex(head), ...rest]);
    return change > 0 && bytes.length >= 34 ? changed(bytes, 13 + 9 * change, rest[0] ?? 0) : bytes;
  });
  const view = new FrameView();
  fc.assert(
    fc.property(frame, fc.nat(100), fc.uint8Array({ minLength: 64, maxLength: 64 }), (bytes, cut, after) => {
      const length = Math.min(cut, bytes.length);
      view.read(bytes, 0, length);
      const alone = FrameView.of(bytes.slice(0, length));
      assert.deepEqual(fieldsOf(view), fieldsOf(alone));
      const slab = Uint8Array.from([...bytes.subarray(0, length), ...after]);
      assert.deepEqual(fieldsOf(FrameView.of(slab, 0, length)), fieldsOf(alone));
    }),
    { numRuns: 5000 },
  );
});
