/** IPv6 frames in words. Whatever the bytes are: one line of printable ASCII, of bounded length. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { describeFrame } from "../../src/wire/describe.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import {
  ALL_NODES,
  ANY,
  address6,
  clientId,
  dhcp6,
  dhcp6In,
  dnsOption,
  GLOBAL6,
  iaAddress,
  iaNa,
  icmpv6,
  inbound,
  LINK,
  mld,
  na,
  ns,
  nsDad,
  OTHER,
  OWN,
  packet6,
  prefixOption,
  ROUTER,
  ROUTER_MAC,
  ra,
  rs,
  sourceLink,
  targetLink,
  tcp6,
  udp6,
  VM,
  type Words6,
} from "../guard/ipv6/support.ts";
import { bytes, join, word } from "../guard/support.ts";

/** Described in the middle of other bytes, which must not show. */
function told(frame: Uint8Array, length = frame.length): string {
  const around = new Uint8Array(frame.length + 64).fill(0x41);
  around.set(frame, 32);
  return describeFrame(FrameView.of(around, 32, length));
}

const HOSTS = `${OWN} > ${GLOBAL6}`;
const fragment = (next: number, offset: number, more: number) =>
  bytes(next, 0, offset >>> 8, offset | more, 0, 0, 0, 1);
const padding = (next: number) => bytes(next, 0, 1, 4, 0, 0, 0, 0);

test("TCP, UDP and other protocols", () => {
  assert.equal(told(tcp6()), `TCP [${OWN}]:49152 > [${GLOBAL6}]:443 [SYN]`);
  assert.equal(told(udp6(5353, 53, bytes(1))), `UDP [${OWN}]:5353 > [${GLOBAL6}]:53`);
  assert.equal(told(packet6(17, new Uint8Array(7))), `UDP cut short ${HOSTS}`);
  assert.equal(told(packet6(6, new Uint8Array(13))), `TCP cut short ${HOSTS}`);
  assert.equal(told(packet6(47, new Uint8Array(8))), `IPv6 protocol 47 ${HOSTS}`);
});

test("ICMPv6, and what its errors quote", () => {
  const quoted = tcp6(inbound()).subarray(14);
  assert.equal(told(icmpv6(128, new Uint8Array(4))), `ICMPv6 echo request ${HOSTS}`);
  assert.equal(told(icmpv6(200, new Uint8Array(4), { code: 7 })), `ICMPv6 type 200 code 7 ${HOSTS}`);
  assert.equal(told(packet6(58, bytes(128))), `ICMPv6 cut short ${HOSTS}`);
  const about = `about TCP [${GLOBAL6}]:49152 > [${OWN}]:443 [SYN]`;
  assert.equal(told(icmpv6(1, join(word(0), quoted), { code: 4 })), `ICMPv6 unreachable code 4 ${HOSTS} ${about}`);
  assert.equal(told(icmpv6(2, join(word(1280), quoted))), `ICMPv6 too big MTU 1280 ${HOSTS} ${about}`);
  assert.equal(told(icmpv6(3, word(0))), `ICMPv6 time exceeded code 0 ${HOSTS}`);
});

test("an error that quotes an error, or neighbour discovery, names it and no more", () => {
  const error = (quoted: Uint8Array): Uint8Array => icmpv6(4, join(word(0), quoted.subarray(14)));
  assert.equal(
    told(error(error(tcp6()))),
    `ICMPv6 parameter problem code 0 ${HOSTS} about ICMPv6 parameter problem ${HOSTS}`,
  );
  assert.equal(
    told(error(ra())),
    `ICMPv6 parameter problem code 0 ${HOSTS} about ND router advertisement ${ROUTER} > ${ALL_NODES}`,
  );
});

test("neighbour discovery with target and link-layer address", () => {
  assert.equal(told(ns({ options: sourceLink(VM) })), `ND solicitation ${ROUTER} from ${LINK} link ${VM}`);
  assert.equal(told(nsDad(OWN)), `ND probe ${OWN}`);
  assert.equal(told(na()), `ND advertisement ${OWN} from ${OWN} link ${VM}`);
  assert.equal(told(na({ flags: 0xe0, options: bytes() })), `ND advertisement ${OWN} from ${OWN} router`);
  assert.equal(told(rs()), `ND router solicitation from ${ANY}`);
  const redirect = join(word(0), address6(ROUTER, GLOBAL6), targetLink(ROUTER_MAC));
  assert.equal(
    told(icmpv6(137, redirect, { source: ROUTER, destination: OWN, hops: 255 })),
    `ND redirect ${GLOBAL6} to ${ROUTER} from ${ROUTER} link ${ROUTER_MAC}`,
  );
  assert.equal(told(na({ options: bytes(2, 0) })), `ND advertisement malformed ${OWN} > ${ROUTER}`);
});

test("router advertisements with lifetime, prefixes, DNS servers and NAT64 prefix", () => {
  const from = `ND router advertisement from ${ROUTER} link ${ROUTER_MAC}`;
  assert.equal(told(ra({ lifetime: 0, options: bytes() })), `${from} lifetime 0`);
  assert.equal(told(ra()), `${from} lifetime 1800 prefix 2001:db8:1::/64 valid 86400`);
  const nat64 = join(bytes(38, 2, 0x0e, 0x10), address6("64:ff9b::").subarray(0, 12));
  const options = join(
    prefixOption("fd00::", { valid: 60 }),
    dnsOption(600, OTHER, ROUTER),
    nat64,
    prefixOption("fd01::"),
    prefixOption("fd02::"),
  );
  assert.equal(
    told(ra({ options })),
    `${from} lifetime 1800 prefix fd00::/64 valid 60 and 2 more dns ${OTHER} and 1 more nat64 64:ff9b::/96`,
  );
});

test("MLD with its group", () => {
  const alert = "behind hop-by-hop options";
  assert.equal(told(mld(131)), `MLD report from ${LINK} group ff02::1:ff00:5 ${alert}`);
  assert.equal(told(mld(132)), `MLD done from ${LINK} group ff02::1:ff00:5 ${alert}`);
  assert.equal(told(mld(130, { target: ANY })), `MLD query from ${LINK} group :: ${alert}`);
  assert.equal(told(mld(143)), `MLDv2 report from ${LINK} groups 0 ${alert}`);
  assert.equal(told(icmpv6(131, word(0))), `MLD report cut short ${HOSTS}`);
});

test("DHCPv6 by type and transaction, with the addresses that it is about", () => {
  assert.equal(told(dhcp6(1, [clientId()], { xid: 0xabc })), "DHCPv6 SOLICIT xid 0x000abc");
  const two = iaNa(7, iaAddress(OWN), iaAddress(OTHER));
  assert.equal(told(dhcp6(3, [two], { xid: 0x123456 })), `DHCPv6 REQUEST xid 0x123456 names ${OWN} and 1 more`);
  assert.equal(told(dhcp6In(7, [iaNa(7, iaAddress(OWN))])), `DHCPv6 REPLY xid 0x000001 gives ${OWN}`);
  assert.equal(told(dhcp6(99, [])), "DHCPv6 type 99 xid 0x000001");
  assert.equal(
    told(udp6(547, 546, bytes(), { source: ROUTER, destination: LINK })),
    `DHCPv6 malformed [${ROUTER}]:547 > [${LINK}]:546`,
  );
});

test("fragments, and extension headers before what they hide", () => {
  const whole = tcp6().subarray(54);
  const behind = (next: number, headers: Uint8Array, payload = whole, words: Words6 = {}) =>
    told(packet6(6, payload, { next, headers, ...words }));
  const tcp = `TCP [${OWN}]:49152 > [${GLOBAL6}]:443 [SYN]`;
  assert.equal(behind(44, fragment(6, 0, 1), join(whole, word(0))), `${tcp} first fragment`);
  assert.equal(behind(44, fragment(17, 1480, 0)), `UDP fragment ${HOSTS} offset 1480`);
  assert.equal(behind(44, fragment(47, 8, 0)), `IPv6 protocol 47 fragment ${HOSTS} offset 8`);
  assert.equal(behind(44, fragment(6, 0, 0)), `IPv6 ${HOSTS} with a malformed fragment`);
  assert.equal(behind(60, padding(6)), `${tcp} behind destination options`);
  assert.equal(behind(0, join(padding(60), padding(6))), `${tcp} behind hop-by-hop and destination options`);
  assert.equal(behind(43, padding(6)), `IPv6 ${HOSTS} with a routing header`);
  assert.equal(behind(51, padding(6)), `IPv6 ${HOSTS} with next header 51`);
  assert.equal(behind(60, bytes(6, 0, 201, 4, 0, 0, 0, 0)), `IPv6 ${HOSTS} with unusual options`);
  const hidden = join(padding(60), padding(58));
  assert.match(told(ra({ next: 60, headers: hidden })), /^ND router advertisement from .* behind destination options$/);
});

test("a packet that is none, and one that a capture has cut", () => {
  assert.equal(told(tcp6(), 53), "IPv6 malformed");
  const version4 = tcp6();
  version4[14] = 0x45;
  assert.equal(told(version4), "IPv6 malformed");
  assert.equal(told(packet6(6, bytes())), `IPv6 ${HOSTS} without payload`);
  assert.equal(told(tcp6(), 14 + 40 + 14), `TCP [${OWN}]:49152 > [${GLOBAL6}]:443 [SYN]`);
  assert.equal(told(packet6(6, bytes(0, 0), { next: 60, headers: padding(6) }), 14 + 44), `IPv6 ${HOSTS} cut short`);
});

test("any bytes at all are one line of bounded length, and bytes beyond the frame change nothing", () => {
  const random = fc.uint8Array({ maxLength: 300 });
  const body = fc.tuple(fc.constantFrom(1, 2, 4, 130, 133, 134, 135, 136, 137, 143), random).map(([type, rest]) => {
    return packet6(58, join(bytes(type), rest));
  });
  const optioned = fc.array(fc.tuple(fc.constantFrom(1, 2, 3, 25, 38), fc.nat(6), random), { maxLength: 6 });
  const advertised = optioned.map((options) =>
    ra({
      options: join(
        ...options.map(([type, length, rest]) => {
          const option = new Uint8Array(Math.max(1, length) * 8);
          option.set(rest.subarray(0, option.length));
          option.set([type, length]);
          return option;
        }),
      ),
    }),
  );
  const hosts = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const quoting = fc.tuple(random, hosts, fc.constantFrom(6, 17, 44, 58, 0, 60)).map(([rest, addresses, next]) => {
    const header = join(bytes(0x60, 0, 0, 0, 1, 44, next, 64), addresses);
    return icmpv6(1, join(word(0), header, rest));
  });
  const dhcp = random.map((rest) => dhcp6(7, [rest]));
  const any = fc.tuple(fc.nat(255), random).map(([next, rest]) => packet6(next, rest));
  const walked = fc.tuple(fc.constantFrom(0, 43, 44, 60), random).map(([next, rest]) => packet6(next, rest));
  const frame = fc.tuple(fc.oneof(body, advertised, quoting, dhcp, any, walked), fc.option(hosts), fc.nat(400));
  fc.assert(
    fc.property(frame, ([packet, addresses, cut]) => {
      if (addresses !== null) packet.set(addresses, 14 + 8);
      const length = Math.max(14, packet.length - cut);
      const text = told(packet, cut % 3 === 0 ? packet.length : length);
      assert.match(text, /^[\x20-\x7e]{1,300}$/);
      assert.equal(describeFrame(FrameView.of(packet, 0, cut % 3 === 0 ? packet.length : length)), text);
    }),
    { numRuns: 3000 },
  );
});
