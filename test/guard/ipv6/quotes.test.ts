/** I14: what an ICMPv6 error must quote (docs/guard-ipv6.md, Both directions). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isAboutPacketOf, isAboutPacketTo } from "../../../src/guard/ipv6/icmp-quote-6.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { bytes, join } from "../support.ts";
import {
  echoOut,
  errorIn,
  errorOut,
  FRAGMENT,
  fragment,
  ICMPV6,
  OWN,
  Places,
  packet,
  quoting,
  REMOTE,
  SECOND_OWN,
  TCP,
  tcpOut,
  UDP,
  udpIn,
  udpOut,
} from "./policy-support.ts";

const own = new Places();
own.set(4, OWN);
own.set(5, SECOND_OWN);

const quotes = (frame: Uint8Array): boolean => FrameView.of(frame).quotes6;
const toVm = { source: "2600::9", destination: OWN };
const about = (quoted: Uint8Array, type = 1, word = 0, length?: number): Uint8Array =>
  packet(ICMPV6, quoting(quoted, type, word, length), toVm);

test("I14 TCP, UDP and ICMPv6 are quotations, with 8 bytes, directly or behind one fragment header", () => {
  for (const sent of [udpOut(), tcpOut(), echoOut(128)]) {
    assert.ok(quotes(about(sent)));
    assert.ok(quotes(about(sent, 4)));
    assert.ok(quotes(about(sent, 1, 0, 48)));
    assert.ok(!quotes(about(sent, 1, 0, 47)));
  }
  for (const [next, sent] of [
    [UDP, udpOut()],
    [TCP, tcpOut()],
    [ICMPV6, echoOut(128)],
  ] as const) {
    const first = packet(FRAGMENT, fragment(next, 0, true, 1, sent.subarray(54)));
    assert.ok(quotes(about(first)));
    assert.ok(quotes(about(first, 1, 0, 56)));
    assert.ok(!quotes(about(first, 1, 0, 55)));
    assert.ok(!quotes(about(packet(FRAGMENT, fragment(next, 8, true, 1, sent.subarray(54))))));
    const twice = fragment(FRAGMENT, 0, true, 1, fragment(next, 0, true, 1, sent.subarray(54)));
    assert.ok(!quotes(about(packet(FRAGMENT, twice))));
  }
});

test("I14 no other version, no other protocol, no other type, and nothing in pieces", () => {
  const sent = udpOut();
  const fourth = sent.slice();
  fourth[14] = 0x45;
  assert.ok(!quotes(about(fourth)));
  for (const next of [0, 43, 50, 59, 60, 1, 132]) assert.ok(!quotes(about(packet(next, sent.subarray(54)))), `${next}`);
  assert.ok(!quotes(about(sent, 128)));
  assert.ok(!quotes(about(sent, 5)));
  const message = join(quoting(sent), bytes(0, 0, 0, 0, 0, 0, 0, 0));
  const first = message.subarray(0, message.length & ~7);
  assert.ok(!quotes(packet(FRAGMENT, fragment(ICMPV6, 0, true, 1, first), toVm)));
  assert.ok(!quotes(udpOut({ data: new Uint8Array(80) })));
});

test("Packet Too Big counts with an MTU that links may have: 1,280 or more", () => {
  assert.ok(quotes(about(udpOut(), 2, 1280)));
  assert.ok(quotes(about(udpOut(), 2, 0xffffffff)));
  assert.ok(!quotes(about(udpOut(), 2, 1279)));
  assert.ok(!quotes(about(udpOut(), 2, 0)));
});

test("I14 an error to the VM is about a packet of the address that it goes to", () => {
  assert.ok(isAboutPacketOf(4, FrameView.of(errorIn(udpOut()))));
  assert.ok(!isAboutPacketOf(-1, FrameView.of(errorIn(udpOut()))));
  assert.ok(!isAboutPacketOf(4, FrameView.of(errorIn(udpOut({ source: SECOND_OWN })))));
});

test("I14 an error from the VM is about a packet to one of its addresses, from where the error goes", () => {
  assert.ok(isAboutPacketTo(own, FrameView.of(errorOut(udpIn()))));
  assert.ok(isAboutPacketTo(own, FrameView.of(errorOut(udpIn({ destination: SECOND_OWN })))));
  assert.ok(!isAboutPacketTo(own, FrameView.of(errorOut(udpIn({ destination: "2001:db8:1::7" })))));
  assert.ok(!isAboutPacketTo(own, FrameView.of(errorOut(udpIn(), { destination: "2600::1" }))));
  assert.ok(!isAboutPacketTo(own, FrameView.of(errorOut(udpOut({ destination: REMOTE })))));
});

test("what is quoted is read where it is", () => {
  for (const frame of [tcpOut(), packet(FRAGMENT, fragment(TCP, 0, true, 1, tcpOut().subarray(54)))]) {
    const view = FrameView.of(about(frame));
    assert.deepEqual([view.quotedProtocol, view.quotedSourcePort, view.quotedDestinationPort], [6, 40_000, 443]);
    assert.equal(view.quotedIcmpType, -1);
  }
  const view = FrameView.of(about(echoOut(128, 0x1234)));
  assert.deepEqual([view.quotedIcmpType, view.quotedIdentifier], [256 + 128, 0x1234]);
});

test("IPv4 that quotes ICMPv6 quotes no echo: the numbers of its types mean something else", () => {
  const ipv4 = (protocol: number, payload: Uint8Array): Uint8Array =>
    join(bytes(0x45, 0, 0, 20 + payload.length, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2), payload);
  const quoted = (protocol: number) => {
    const error = join(bytes(3, 1, 0, 0, 0, 0, 0, 0), ipv4(protocol, bytes(8, 0, 0, 0, 0, 7, 0, 1)));
    return FrameView.of(join(new Uint8Array(12), bytes(8, 0), ipv4(1, error))).quotedIcmpType;
  };
  assert.equal(quoted(1), 8);
  assert.equal(quoted(ICMPV6), -1);
});
