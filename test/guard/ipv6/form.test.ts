import { test } from "node:test";
import { bytes, EVERYONE_MAC, join, patch, VM, word } from "../support.ts";
import {
  address6,
  Bench6,
  GLOBAL6,
  icmpv6,
  inbound,
  LINK,
  mld,
  ns,
  nsDad,
  OTHER,
  OTHER_LINK,
  OWN,
  packet6,
  ra,
  routerAlert,
  TENTATIVE,
  tcp6,
  udp6,
  type Words6,
} from "./support.ts";

test("S10 without the option IPv6 drops whole", () => {
  const bench = new Bench6({ ipv6: false });
  bench.dropsOut("ethernet.ipv6", nsDad(LINK), tcp6());
  bench.dropsIn("ethernet.ipv6", ra(), tcp6(inbound()));
});

test("S9 routing headers, unknown headers and jumbograms drop in both directions", () => {
  const bench = new Bench6().start();
  const both = (reason: string, frame: (words: Words6) => Uint8Array): void => {
    bench.dropsOut(reason, frame({}));
    bench.dropsIn(reason, frame(inbound()));
  };
  both("ipv6.routing", (words) => packet6(6, join(bytes(6, 0, 0, 0, 0, 0, 0, 0), bytes(0)), { next: 43, ...words }));
  for (const next of [51, 59, 135, 139, 140, 253, 254, 1, 2]) {
    both("ipv6.extension", (words) => packet6(next, bytes(...new Array<number>(24).fill(0)), words));
  }
  both("ipv6.format", (words) => patch(tcp6(words), 18, 0, 0));
  both("ipv6.format", (words) => patch(tcp6(words), 14, 0x40));
  both("ipv6.format", (words) => patch(tcp6(words), 18, 0xff, 0xff));
  both("ipv6.options", (words) =>
    packet6(6, bytes(), { next: 60, headers: bytes(6, 0, 0xc9, 4, 0, 0, 0, 0), ...words }),
  );
  both("ipv6.options", (words) => tcp6({ next: 0, headers: routerAlert(6), ...words }));
  // Of a later fragment nobody knows whether it is one of MLD.
  const later = bytes(58, 0, 0, 0x98, 0, 0, 0, 1);
  both("ipv6.options", (words) =>
    packet6(58, bytes(...new Array<number>(8).fill(0)), { next: 0, headers: join(routerAlert(44), later), ...words }),
  );
  both("ipv6.transport", (words) => packet6(6, bytes(...new Array<number>(19).fill(1)), words));
  both("ipv6.fragment", (words) => tcp6({ next: 44, headers: bytes(6, 0, 0, 0, 0, 0, 0, 1), ...words }));
  both("ipv6.source", (words) => tcp6({ ...words, source: "ff02::5" }));
  both("ipv6.loopback", (words) => tcp6({ ...words, source: "::1" }));
  both("ipv6.loopback", (words) => tcp6({ ...words, destination: "::ffff:1.2.3.4" }));
});

test("I17 a unicast packet in a frame to a group drops in both directions, multicast in a unicast frame does not", () => {
  const bench = new Bench6().start();
  bench.dropsOut(
    "ipv6.group-frame",
    tcp6({ to: EVERYONE_MAC }),
    ns({ destination: "fe80::1", to: "33:33:00:00:00:01" }),
  );
  bench.dropsIn("ipv6.group-frame", tcp6(inbound({ to: "33:33:00:00:00:01" })));
  bench.passesIn(ra({ to: VM }));
});

test("S13 other ICMPv6 types than errors, echo, ND and MLD drop in both directions", () => {
  const bench = new Bench6().start();
  for (let type = 0; type < 256; type++) {
    if ((type >= 1 && type <= 4) || (type >= 128 && type <= 137) || type === 143) continue;
    bench.dropsOut("icmpv6.type", icmpv6(type, word(0)));
    bench.dropsIn("icmpv6.type", icmpv6(type, word(0), inbound()));
  }
  bench.passesOut(icmpv6(128, word(1)), icmpv6(129, word(1)));
  bench.passesIn(icmpv6(128, word(1), inbound()), icmpv6(129, word(1), inbound()));
});

test("S7 UDP ports of DHCPv6: from the VM 546 to 547 only, to the VM 547 to 546 only", () => {
  const bench = new Bench6().start();
  for (const [from, to] of [
    [547, 546],
    [546, 546],
    [547, 547],
    [40_000, 547],
    [40_000, 546],
    [546, 53],
    [547, 53],
  ] as const) {
    bench.dropsOut("dhcpv6.ports", udp6(from, to, bytes(1)));
  }
  bench.dropsIn("dhcpv6.ports", udp6(546, 546, bytes(1), inbound()), udp6(53, 546, bytes(1), inbound()));
  const headers = bytes(17, 0, 0, 1, 0, 0, 0, 9);
  const payload = bytes(...new Array<number>(8).fill(0));
  bench.dropsOut("dhcpv6.fragment", udp6(546, 547, payload, { next: 44, headers, source: LINK }));
  bench.dropsIn("dhcpv6.fragment", udp6(547, 546, payload, inbound({ next: 44, headers })));
});

test("S5 source: unbound, tentative, another's", () => {
  const bench = new Bench6();
  bench.dropsOut("ipv6.unbound", tcp6(), tcp6({ source: "::" }), tcp6({ source: LINK }));
  bench.passesOut(nsDad(LINK));
  bench.dropsOut("ipv6.tentative", tcp6({ source: LINK }));
  bench.dropsOut("ipv6.source", tcp6(), tcp6({ source: OTHER_LINK }));
  bench.dropsOut("ipv6.unbound", tcp6({ source: "::" }));
  bench.wait(TENTATIVE);
  bench.dropsOut("ipv6.source", tcp6());
  bench.passesOut(tcp6({ source: LINK }));
});

/** An error about a packet from `source` to `destination`. */
const quoting = (source: string, destination: string, protocol = 6, headers = bytes(), next = protocol): Uint8Array =>
  join(
    bytes(0, 0, 0, 0),
    bytes(0x60, 0, 0, 0, 0, 28, next, 64),
    address6(source, destination),
    headers,
    bytes(0xc0, 0, 1, 0xbb, 0, 0, 0, 1),
  );

test("I14 an error to the VM quotes a packet of its own; one from the VM one that came to it", () => {
  const bench = new Bench6().start();
  for (const type of [1, 3, 4]) {
    bench.passesIn(icmpv6(type, quoting(OWN, OTHER), inbound()));
    bench.dropsIn("icmpv6.quote", icmpv6(type, quoting(OTHER, OWN), inbound()));
    bench.dropsIn("icmpv6.quote", icmpv6(type, quoting(OWN, OTHER), inbound({ destination: OTHER })));
    bench.dropsIn("icmpv6.quote", icmpv6(type, quoting(OWN, OTHER, 50), inbound()));
    bench.dropsIn("icmpv6.quote", icmpv6(type, quoting(OWN, OTHER).subarray(0, 51), inbound()));
    bench.passesOut(icmpv6(type, quoting(GLOBAL6, OWN)), icmpv6(type, quoting(GLOBAL6, LINK)));
    bench.dropsOut("icmpv6.quote", icmpv6(type, quoting(GLOBAL6, OTHER)), icmpv6(type, quoting(OTHER, OWN)));
  }
  const fragment = (offset: number): Uint8Array => bytes(17, 0, offset >>> 8, offset & 255, 0, 0, 0, 1);
  bench.passesIn(icmpv6(1, quoting(OWN, OTHER, 17, fragment(0), 44), inbound()));
  bench.dropsIn("icmpv6.quote", icmpv6(1, quoting(OWN, OTHER, 17, fragment(8), 44), inbound()));
});

test("I14 packet too big says 1,280 bytes or more", () => {
  const bench = new Bench6().start();
  const tooBig = (mtu: number): Uint8Array => icmpv6(2, join(word(mtu), quoting(OWN, OTHER).subarray(4)), inbound());
  bench.passesIn(tooBig(1280), tooBig(1500));
  bench.dropsIn("icmpv6.quote", tooBig(1279), tooBig(0));
});

test("I14 an error needs a valid address of the VM's: a tentative one is none", () => {
  const bench = new Bench6().start();
  bench.passesOut(nsDad(OTHER));
  bench.dropsIn("icmpv6.quote", icmpv6(1, quoting(OTHER, GLOBAL6), inbound({ destination: OTHER })));
  bench.dropsOut("icmpv6.quote", icmpv6(1, quoting(GLOBAL6, OTHER)));
  bench.wait(TENTATIVE);
  bench.passesIn(icmpv6(1, quoting(OTHER, GLOBAL6), inbound({ destination: OTHER })));
});

test("S8 an MLD query of the VM's drops, behind any headers; with Router Alert nothing but MLD passes", () => {
  const bench = new Bench6().start();
  bench.dropsOut("mld.query", mld(130), mld(130, { next: 58, headers: bytes() }));
  bench.dropsOut("ipv6.options", icmpv6(128, word(1), { next: 0, headers: routerAlert() }));
});

test("I14 echo: 200 at once, then 100 a second; the other family's is another", () => {
  const bench = new Bench6().start();
  for (let count = 0; count < 200; count++) bench.passesOut(icmpv6(count % 2 === 0 ? 128 : 129, word(count)));
  bench.dropsOut("icmp.rate", icmpv6(128, word(1)), icmpv6(129, word(1)));
  bench.wait(10_000);
  bench.passesOut(icmpv6(128, word(1)));
  bench.dropsOut("icmp.rate", icmpv6(128, word(1)));
});
