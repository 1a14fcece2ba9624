/** IPv4: form, options, checksum, fragments, sources, ICMP (threat rows I1–I5, I16, and I6 for loopback). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { change } from "./flow-support.ts";
import {
  ADDRESS,
  Bench,
  bytes,
  Client,
  EVERYONE_MAC,
  ethernet,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  hex,
  ICMP,
  icmp,
  join,
  MINUTE,
  NEIGHBOUR,
  NOBODY,
  OTHER_MAC,
  type PacketWords,
  packet,
  padded,
  patch,
  Server,
  TCP,
  tcp,
  UDP,
  udp,
  VM,
  withChecksum,
} from "./support.ts";

const settled = (options = {}) => new Bench({ address: ADDRESS, gateway: GATEWAY, ...options });

/** Words of a frame to the VM. */
const INCOMING = { source: GLOBAL, destination: ADDRESS, from: GATEWAY_MAC, to: VM } as const;

/** Judges the same packet from the VM and to it. */
function both(
  reason: string,
  change: (frame: Uint8Array) => Uint8Array,
  build = (words: PacketWords) => tcp(443, words),
): void {
  const bench = settled();
  assert.equal(bench.out(change(build({}))), reason, "out");
  assert.equal(bench.in(change(build(INCOMING))), reason, "in");
}

test("an echo request as it is on the wire passes", () => {
  new Bench({ address: "10.0.0.2" }).passesOut(
    hex(`
    020000000064 7e1a00000001 0800
    4500 001c 0001 4000 4001 2edd 0a000002 01010101
    0800 f7fd 0001 0001`),
  );
});

test("I2 options drop in both directions: LSRR, SSRR, record route, router alert, even a single no-op", () => {
  for (const options of [
    "83070408080808 00",
    "89070408080808 00",
    "0707040000000000",
    "94040000",
    "01010100",
    "44040500",
  ]) {
    both("ipv4.options", (frame) => {
      const value = hex(options);
      const total = frame.length - 14 + value.length;
      const longer = join(frame.subarray(0, 34), value, frame.subarray(34));
      return withChecksum(patch(patch(longer, 14, 0x45 + value.length / 4), 16, total >>> 8, total & 255));
    });
  }
});

test("I2 a header of 24 to 60 bytes drops for its options, whether the checksum is right or not", () => {
  for (let length = 6; length <= 15; length++) {
    const bench = settled();
    bench.dropsOut("ipv4.options", patch(patch(padded(tcp(443), 114), 14, 0x40 + length), 16, 0, 100));
    bench.dropsIn("ipv4.options", patch(patch(padded(tcp(443, INCOMING), 114), 14, 0x40 + length), 16, 0, 100));
  }
});

test("I2 IGMP with its router alert option has a reason of its own, without it it is any multicast", () => {
  const bench = settled();
  const report = "46c0 0020 0000 4000 0102 0000 c0a84005 e0000016 94040000 2200 0000 0000 0000";
  bench.dropsOut("ipv4.igmp", hex(`01005e000016 7e1a00000001 0800 ${report}`));
  bench.dropsIn("ipv4.igmp", hex(`01005e000016 020000000099 0800 ${report}`));
  bench.dropsOut(
    "policy.multicast",
    packet(2, new Uint8Array(8), { destination: "224.0.0.22", to: "01:00:5e:00:00:16" }),
  );
});

test("I3 a version other than 4 drops", () => {
  for (let version = 0; version < 16; version++) {
    if (version !== 4) both("ipv4.format", (frame) => withChecksum(patch(frame, 14, version * 16 + 5)));
  }
});

test("I3 a header length below 20 bytes, or beyond the frame, drops", () => {
  for (let length = 0; length < 5; length++) both("ipv4.format", (frame) => patch(frame, 14, 0x40 + length));
  both("ipv4.format", (frame) => patch(frame.subarray(0, 14 + 20), 14, 0x46));
  both("ipv4.format", (frame) => patch(frame.subarray(0, 14 + 40), 14, 0x4f));
});

test("I3 a total length below the header's, or beyond the frame, drops; the frame's own passes", () => {
  const total = (value: number) => (frame: Uint8Array) => withChecksum(patch(frame, 16, value >>> 8, value & 255));
  for (const value of [0, 1, 19, 41, 42, 1500, 0xffff]) both("ipv4.format", total(value));
  both("pass", total(40));
  both("ipv4.transport", total(39));
  both("ipv4.transport", total(20));
});

test("I3 a total length of 0, as offloading cards write it, drops", () => {
  both("ipv4.format", (frame) => withChecksum(patch(frame, 16, 0, 0)));
});

test("I3 a frame cut inside the header drops at every length", () => {
  for (let length = 14; length < 34; length++) both("ipv4.format", (frame) => frame.subarray(0, length));
});

test("I3 bytes behind the total length are padding, whatever they are", () => {
  for (const length of [55, 60, 1514]) both("pass", (frame) => padded(frame, length).fill(0xff, 54));
});

test("I3 a wrong header checksum drops, one bit is enough; 0xffff for 0 as well", () => {
  for (let bit = 0; bit < 16; bit++)
    both("ipv4.checksum", (frame) => patch(frame, 24 + (bit >>> 3), frame[24 + (bit >>> 3)]! ^ (1 << (bit & 7))));
  for (let at = 15; at < 34; at++) {
    if (at === 16 || at === 17) continue;
    both("ipv4.checksum", (frame) => patch(frame, at, frame[at]! ^ 0x40));
  }
});

test("every time to live and every kind of service passes untouched", () => {
  for (const value of [0, 1, 64, 255]) {
    both("pass", (frame) => withChecksum(patch(frame, 22, value)));
    both("pass", (frame) => withChecksum(patch(frame, 15, value)));
  }
});

/* Fragments */

const HEADERS = [
  [TCP, 20],
  [UDP, 8],
  [ICMP, 8],
] as const;

test("I1 a fragment at offset 1 drops, of any protocol", () => {
  for (const protocol of [ICMP, TCP, UDP, 4, 41, 47, 50, 132, 255]) {
    for (const more of [false, true]) {
      both(
        "ipv4.fragment",
        (frame) => frame,
        (words) => packet(protocol, new Uint8Array(64), { ...words, more, offset: 1 }),
      );
    }
  }
});

test("I1 a first fragment without its whole TCP, UDP or ICMP header drops; with it, it passes", () => {
  for (const [protocol, header] of HEADERS) {
    for (let length = 0; length <= header + 1; length++) {
      both(
        length < header ? "ipv4.fragment" : "pass",
        (frame) => frame,
        (words) => packet(protocol, new Uint8Array(length), { ...words, more: true }),
      );
    }
  }
});

test("I1 an unfragmented packet without its whole TCP, UDP or ICMP header drops; with it, it passes", () => {
  for (const [protocol, header] of HEADERS) {
    for (let length = 0; length <= header + 1; length++) {
      both(
        length < header ? "ipv4.transport" : "pass",
        (frame) => frame,
        (words) => packet(protocol, new Uint8Array(length), words),
      );
    }
  }
});

test("I1 later fragments from the VM follow their first one, those to it pass", () => {
  const bench = settled();
  for (const offset of [2, 3, 185, 8000]) {
    for (const more of [false, true]) {
      const words = { more, offset };
      const later = [
        packet(UDP, new Uint8Array(8), words),
        packet(TCP, bytes(1), words),
        packet(ICMP, bytes(5), words),
      ];
      bench.dropsOut("ipv4.fragment-unknown", ...later);
      bench.passesOut(...[UDP, TCP, ICMP].map((protocol) => packet(protocol, new Uint8Array(32), { more: true })));
      bench.passesOut(...later);
      change(bench, []);
      bench.passesIn(packet(UDP, new Uint8Array(8), { ...INCOMING, ...words }));
      bench.dropsOut("ipv4.fragment-unknown", packet(UDP, new Uint8Array(8), { ...words, destination: NEIGHBOUR }));
      bench.dropsOut("ipv4.source", packet(UDP, new Uint8Array(8), { ...words, source: NEIGHBOUR }));
    }
  }
});

test("I1 a fragment that would run past 65,535 bytes drops, one that ends there passes", () => {
  for (const [offset, length, verdict] of [
    [8189, 3, "pass"],
    [8189, 4, "ipv4.fragment"],
    [8191, 0, "ipv4.fragment"],
    [8190, 0, "ipv4.fragment"],
    [8188, 11, "pass"],
    [8188, 12, "ipv4.fragment"],
    [8100, 1480, "ipv4.fragment"],
    [8004, 1480, "pass"],
  ] as const) {
    for (const more of [false, true]) {
      const bench = settled();
      const fragment = (words: PacketWords) => packet(UDP, new Uint8Array(length), { ...words, more, offset });
      bench.passesOut(packet(UDP, new Uint8Array(64), { more: true }));
      assert.equal(bench.out(fragment({})), verdict);
      assert.equal(bench.in(fragment(INCOMING)), verdict);
    }
  }
});

test("I1 the don't-fragment and the reserved flag make no fragment", () => {
  for (const flags of [0x40, 0x80, 0xc0]) both("pass", (frame) => withChecksum(patch(frame, 20, flags, 0)));
});

test("I1 a datagram cut into fragments passes whole where its destination is open, and nowhere else", () => {
  const bench = settled();
  const payload = new Uint8Array(1480);
  const pieces = (words: PacketWords) => [
    packet(UDP, join(hex("c000 01bb 0c88 0000"), payload.subarray(8)), { ...words, more: true }),
    packet(UDP, payload, { ...words, more: true, offset: 185 }),
    packet(UDP, payload.subarray(0, 248), { ...words, offset: 370 }),
  ];
  bench.passesOut(...pieces({}), ...pieces({ destination: GATEWAY }));
  bench.passesIn(...pieces(INCOMING));
  const [first, ...rest] = pieces({ destination: NEIGHBOUR });
  bench.dropsOut("policy.destination", first!);
  bench.dropsOut("ipv4.fragment-unknown", ...rest);
});

/* Whose packets */

test("A1 a source that is not the VM's address drops, also when it differs in one bit", () => {
  const bench = settled();
  for (let bit = 0; bit < 32; bit++) {
    const frame = tcp(443);
    bench.dropsOut(
      "ipv4.source",
      withChecksum(patch(frame, 26 + (bit >>> 3), frame[26 + (bit >>> 3)]! ^ (1 << (bit & 7)))),
    );
  }
  for (const source of [NOBODY, "255.255.255.255", "127.0.0.1", GATEWAY, NEIGHBOUR, GLOBAL, "224.0.0.1"]) {
    bench.dropsOut("ipv4.source", tcp(443, { source }), udp(1024, 53, { source }), icmp(8, { source }));
  }
});

test("D6 without a binding nothing but DHCP passes, not even to the gateway or to an allowed destination", () => {
  for (const options of [{}, { allow: ["0.0.0.0/0"] }, { gateway: GATEWAY, allow: ["@host"] }]) {
    const bench = new Bench(options);
    for (const source of [ADDRESS, NOBODY, GATEWAY]) {
      bench.dropsOut(
        "ipv4.unbound",
        tcp(443, { source }),
        icmp(8, { source, destination: GATEWAY }),
        udp(5353, 5353, { source, destination: "224.0.0.251" }),
      );
    }
  }
});

test("I6 destinations in 0.0.0.0/8 and 127.0.0.0/8 never pass, whatever the rules say; their neighbours may", () => {
  for (const allow of [[], ["0.0.0.0/0"], ["0.0.0.0/8", "127.0.0.0/8"], ["127.0.0.1/32"]]) {
    const bench = settled({ allow });
    for (const destination of ["0.0.0.0", "0.0.0.1", "0.255.255.255", "127.0.0.0", "127.0.0.1", "127.255.255.255"]) {
      bench.dropsOut(
        "ipv4.loopback",
        tcp(443, { destination }),
        icmp(8, { destination }),
        packet(47, bytes(0), { destination }),
      );
    }
    bench.passesOut(
      tcp(443, { destination: "1.0.0.0" }),
      tcp(443, { destination: "126.255.255.255" }),
      tcp(443, { destination: "128.0.0.0" }),
    );
  }
});

test("what reaches the VM is judged by form and Ethernet address only", () => {
  const bench = settled({ block: ["0.0.0.0/0"] });
  for (const source of [GLOBAL, NEIGHBOUR, GATEWAY, "127.0.0.1", NOBODY, "224.0.0.1", ADDRESS]) {
    for (const destination of [ADDRESS, NEIGHBOUR, "255.255.255.255", "224.0.0.251"]) {
      const words = { ...INCOMING, source, destination };
      bench.passesIn(tcp(22, words), udp(67, 67, words), icmp(5, words), packet(47, bytes(0), words));
      const everyone = { ...words, to: EVERYONE_MAC, from: OTHER_MAC };
      assert.equal(bench.in(udp(5353, 5353, everyone)), destination === ADDRESS ? "ipv4.group-frame" : "pass");
    }
  }
});

test("an unbound VM hears IPv4 too", () => {
  new Bench().passesIn(tcp(22, INCOMING), udp(5353, 5353, { ...INCOMING, to: EVERYONE_MAC }));
});

/* ICMP, odd protocols, tunnels */

test("I16 redirects, router advertisements and solicitations drop from the VM, also to allowed destinations", () => {
  for (const options of [{}, { allow: ["0.0.0.0/0"] }, { allow: ["@host", `${GLOBAL}/32`] }]) {
    const bench = settled(options);
    for (const destination of [GLOBAL, GATEWAY]) {
      for (const type of [5, 9, 10]) {
        for (const code of [0, 1, 3, 16]) bench.dropsOut("icmp.router", icmp(type, { destination }, code));
      }
    }
  }
});

test("I16 every other type of ICMP that quotes nothing passes to open destinations", () => {
  const bench = settled();
  for (let type = 0; type < 256; type++) {
    if (![3, 4, 5, 9, 10, 11, 12].includes(type)) bench.passesOut(icmp(type), icmp(type, { destination: GATEWAY }));
  }
});

test("I16 a redirect in fragments drops by its first one", () => {
  const bench = settled();
  const redirect = (words: PacketWords) => packet(ICMP, join(hex("0501 0000 c0a84005"), new Uint8Array(24)), words);
  bench.dropsOut("icmp.router", redirect({ more: true }), redirect({ more: true, destination: GATEWAY }));
});

test("I16 type 5 in another protocol's first byte is no redirect", () => {
  settled().passesOut(
    tcp(0x500),
    packet(TCP, join(bytes(5), new Uint8Array(19))),
    packet(132, bytes(5, 1, 0, 0, 0, 0, 0, 0)),
  );
});

test("I4 any protocol passes to a globally routable destination, and only TCP, UDP and ICMP to the gateway", () => {
  const bench = settled();
  for (let protocol = 0; protocol < 256; protocol++) {
    const usual = protocol === TCP || protocol === UDP || protocol === ICMP;
    const payload = usual ? bytes(8, 0, 0, 1, 0, 2, 0, 0, ...new Uint8Array(12)) : new Uint8Array(20);
    bench.passesOut(packet(protocol, payload));
    assert.equal(
      bench.out(packet(protocol, payload, { destination: GATEWAY })),
      usual ? "pass" : "policy.gateway",
      `${protocol}`,
    );
    bench.dropsOut("policy.destination", packet(protocol, payload, { destination: NEIGHBOUR }));
  }
});

test("I4 protocol 0 is no wildcard", () => {
  const bench = settled();
  bench.dropsOut("policy.gateway", packet(0, new Uint8Array(20), { destination: GATEWAY }));
  const closed = settled({ block: ["0.0.0.0/0"] });
  for (let protocol = 0; protocol < 256; protocol++)
    closed.dropsOut("policy.block", packet(protocol, bytes(8, ...new Uint8Array(19))));
});

/** 6in4, IP in IP, GRE, ESP, AH, EtherIP, L2TP, and what may be in them. */
const TUNNELS = [
  [41, "6000 0000 0008 3a ff 20010db8000000000000000000000001 20010db8000000000000000000000002 8000 0000 0001 0001"],
  [4, "4500 001c 0000 0000 4001 0000 c0a84001 c0a84009 0800 f7fd 0001 0001"],
  [47, "0000 0800 4500 001c 0000 0000 4001 0000 c0a84001 c0a84009 0800 f7fd 0001 0001"],
  [50, "00000001 00000001 0000000000000000"],
  [51, "0604 0000 00000001 00000001 00000000"],
  [97, "3000 ffffffffffff 020000000064 0806"],
  [115, "00000001 00000000"],
] as const;

test("I5 a tunnel to the gateway drops, so that the host never unpacks for a guest; a rule opens it", () => {
  for (const [protocol, inner] of TUNNELS) {
    const frame = packet(protocol, hex(inner), { destination: GATEWAY });
    settled().dropsOut("policy.gateway", frame);
    settled({ allow: ["@host"] }).passesOut(frame);
    settled({ allow: [`${GATEWAY}/32`] }).passesOut(frame);
  }
});

test("I5 a tunnel elsewhere is judged by its outer addresses alone", () => {
  for (const [protocol, inner] of TUNNELS) {
    settled().passesOut(packet(protocol, hex(inner)));
    settled().dropsOut("policy.destination", packet(protocol, hex(inner), { destination: NEIGHBOUR }));
    settled().dropsOut("ipv4.source", packet(protocol, hex(inner), { source: GATEWAY }));
  }
});

test("I5 fragments of a tunnel to the gateway drop as well", () => {
  const bench = settled();
  for (const [words, verdict] of [
    [{ more: true }, "policy.gateway"],
    [{ offset: 2 }, "ipv4.fragment-unknown"],
    [{ more: true, offset: 20 }, "ipv4.fragment-unknown"],
  ] as const) {
    bench.dropsOut(verdict, packet(41, new Uint8Array(48), { ...words, destination: GATEWAY }));
    bench.passesOut(
      packet(UDP, join(hex("c000 0045 0000 0000"), new Uint8Array(40)), { ...words, destination: GATEWAY }),
    );
  }
});

test("L13 a header of nothing but zeros, or of nothing but ones, drops", () => {
  const bench = settled();
  for (const fill of [0, 0xff]) {
    for (let length = 0; length < 80; length++) {
      bench.dropsOut("ipv4.format", ethernet(GATEWAY_MAC, VM, 0x0800, new Uint8Array(length).fill(fill)));
      bench.dropsIn("ipv4.format", ethernet(VM, GATEWAY_MAC, 0x0800, new Uint8Array(length).fill(fill)));
    }
  }
});

test("the order of checks: form, options, checksum, fragment, DHCP, binding, source, loopback, ICMP, policy", () => {
  const unbound = new Bench();
  const bad = patch(tcp(443, { source: NEIGHBOUR }), 24, 0, 0);
  unbound.dropsOut("ipv4.format", patch(bad, 16, 0, 0));
  unbound.dropsOut("ipv4.checksum", bad, withoutSum(tcp(443, { more: true, offset: 1 })));
  unbound.dropsOut("ipv4.fragment", tcp(443, { offset: 1, source: NEIGHBOUR }));
  unbound.dropsOut("dhcp.ports", udp(67, 68, { source: NEIGHBOUR, destination: "127.0.0.1" }));
  unbound.dropsOut("ipv4.unbound", icmp(5, { source: NEIGHBOUR, destination: "127.0.0.1" }));
  const bench = settled({ block: ["0.0.0.0/0"] });
  const to = EVERYONE_MAC;
  bench.dropsOut("ipv4.source", icmp(5, { source: NEIGHBOUR, destination: "127.0.0.1", to }));
  bench.dropsOut("ipv4.loopback", icmp(5, { destination: "127.0.0.1", to }));
  bench.dropsOut("ipv4.group-frame", icmp(5, { to }), icmp(3, { to }));
  bench.dropsOut("icmp.router", icmp(5), icmp(5, { more: true }));
  bench.dropsOut("icmp.quote", icmp(3));
  bench.dropsOut("ipv4.fragment-unknown", packet(UDP, bytes(1), { offset: 2 }));
  bench.dropsOut("policy.block", icmp(8), icmp(8, { more: true }));
});

function withoutSum(frame: Uint8Array): Uint8Array {
  return patch(frame, 24, 0, 0);
}

test("D22 traffic of a bound VM passes until its lease ends and not after, whatever the policy", () => {
  const bench = new Bench({ allow: ["0.0.0.0/0"] });
  bench.bind(ADDRESS, new Client(), new Server({ lease: 60 }));
  bench.wait(MINUTE - 1);
  bench.passesOut(tcp(443), tcp(443, { destination: NEIGHBOUR }));
  bench.wait(1);
  bench.dropsOut("ipv4.unbound", tcp(443), tcp(443, { destination: NEIGHBOUR }), icmp(8, { destination: GATEWAY }));
});
