/** Layer 2: length, Ethernet addresses and type (threat rows L1–L13, S10). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard } from "../../src/index.ts";
import {
  ADDRESS,
  arp,
  arpReply,
  Bench,
  bytes,
  EVERYONE_MAC,
  ethernet,
  GATEWAY_MAC,
  GLOBAL,
  hex,
  icmp,
  join,
  mac,
  NEIGHBOUR,
  OTHER_MAC,
  padded,
  patch,
  tcp,
  udp,
  VM,
} from "./support.ts";

/** A bench whose VM has its address without any DHCP. */
const settled = () => new Bench({ address: ADDRESS });

const type16 = (type: number) => bytes(type >>> 8, type & 255);

/* The header variants of row L4. */

const Q = 0x8100;
const AD = 0x88a8;
const OUIS = [hex("000000"), hex("0000f8")];

/** What stands between the two MAC addresses and a layer 3 packet, for that packet. */
type Header = (type: number, packet: Uint8Array) => Uint8Array;

/** Tags of VID 0, then what `inner` says: each tag's type announces it, and its last two bytes announce what follows. */
function tagged(tags: readonly number[], inner: Header): Header {
  return (type, packet) => {
    let header = inner(type, packet);
    for (const tag of tags.toReversed()) header = join(type16(tag), bytes(0, 0), header);
    return header;
  };
}

const plain: Header = (type) => type16(type);
const snap = (oui: Uint8Array, type: number) => join(oui, type16(type));
const llc = (oui: Uint8Array, type: number) => join(hex("aaaa03"), snap(oui, type));

/** A length, then LLC and SNAP; `length` overrides the right one, `tags` follow behind SNAP. */
function llcSnap(oui: Uint8Array, length?: number, tags: readonly number[] = []): Header {
  return (type, packet) => {
    const behind = tagged(tags, plain)(type, packet);
    const header = join(hex("aaaa03"), oui, behind);
    return join(type16(length ?? header.length + packet.length), header);
  };
}

const five = (first: number, second = first) => [first, second, first, second, first];
const STACKS = [[Q], [Q, Q], [AD], [AD, AD], [Q, AD], [AD, Q], five(Q), five(AD), five(AD, Q), five(Q, AD)];

const VARIANTS: readonly Header[] = [
  plain,
  ...STACKS.map((tags) => tagged(tags, plain)),
  ...OUIS.map((oui) => llcSnap(oui)),
  ...[[Q], [AD], five(Q), five(AD)].flatMap((tags) => OUIS.map((oui) => tagged(tags, llcSnap(oui)))),
  ...[[Q], [AD], five(Q), five(AD)].flatMap((tags) => OUIS.map((oui) => llcSnap(oui, undefined, tags))),
  ...[[Q], [AD]].flatMap((tags) => OUIS.map((oui) => tagged(tags, llcSnap(oui, undefined, tags)))),
  ...[[], [Q], [Q, Q]].flatMap((tags) => [0, 0x5ff].map((length) => tagged(tags, llcSnap(OUIS[0]!, length)))),
  ...OUIS.map(
    (oui): Header =>
      (type) =>
        join(type16(0x88b7), snap(oui, type)),
  ),
  ...OUIS.flatMap((outer) =>
    OUIS.map(
      (inner): Header =>
        (type, packet) => {
          const header = join(llc(outer, 0x88b7), snap(inner, type));
          return join(type16(header.length + packet.length), header);
        },
    ),
  ),
  ...OUIS.map(
    (oui): Header =>
      (type) =>
        join(type16(0x8870), llc(oui, type)),
  ),
];

/** The layer 3 packets of row L4, with what the plain header makes of them: from the VM, and to it. */
const PACKETS: readonly (readonly [name: string, type: number, packet: Uint8Array, out: string, into: string])[] = [
  [
    "a router advertisement",
    0x86dd,
    ipv6(hex("8600 0000 4000 0708 00000000 00000000")),
    "ethernet.ipv6",
    "ethernet.ipv6",
  ],
  [
    "a neighbour advertisement",
    0x86dd,
    ipv6(hex("8800 0000 20000000 fe80000000000000 0000000000000001")),
    "ethernet.ipv6",
    "ethernet.ipv6",
  ],
  [
    "an ARP reply for a neighbour",
    0x0806,
    arp({ operation: 2, sender: NEIGHBOUR, from: VM }).subarray(14),
    "arp.sender-address",
    "pass",
  ],
  ["an ICMPv6 echo request", 0x86dd, ipv6(hex("8000 0000 0001 0001")), "ethernet.ipv6", "ethernet.ipv6"],
  ["an ICMP echo request from a neighbour", 0x0800, icmp(8, { source: NEIGHBOUR }).subarray(14), "ipv4.source", "pass"],
];

function ipv6(message: Uint8Array): Uint8Array {
  const link = hex("fe80000000000000 0000000000000001");
  const all = hex("ff02000000000000 0000000000000001");
  return join(hex("60000000"), type16(message.length), bytes(58, 255), link, all, message);
}

test("L4 there are 47 header variants, all different", () => {
  const [, type, packet] = PACKETS[2]!;
  const headers = VARIANTS.map((header) => Buffer.from(header(type, packet)).toString("hex"));
  assert.equal(headers.length, 47);
  assert.equal(new Set(headers).size, 47);
});

for (const [name, type, packet, out, into] of PACKETS) {
  test(`L1 L2 L3 L4 ${name} behind 46 other headers drops in both directions, the plain one is judged by the rules`, () => {
    for (const [index, header] of VARIANTS.entries()) {
      const bench = settled();
      const behind = join(header(type, packet), packet);
      const from = join(mac(EVERYONE_MAC), mac(VM), behind);
      const to = join(mac(VM), mac(OTHER_MAC), behind);
      assert.equal(bench.out(from), index === 0 ? out : "ethernet.type", `variant ${index} from the VM`);
      assert.equal(bench.in(to), index === 0 ? into : "ethernet.type", `variant ${index} to the VM`);
    }
  });
}

test("L4 what the VM may send plainly drops behind each of the 46 headers", () => {
  for (const frame of [arp(), tcp(443)]) {
    const type = frame[12]! * 256 + frame[13]!;
    const packet = frame.subarray(14);
    for (const [index, header] of VARIANTS.entries()) {
      const wrapped = join(frame.subarray(0, 12), header(type, packet), packet);
      assert.equal(settled().out(wrapped), index === 0 ? "pass" : "ethernet.type", `variant ${index}`);
    }
  }
});

test("L1 a priority tag before ARP drops, bytes as they are on the wire", () => {
  const bench = settled();
  const tag = "8100 0000 0806 0001 0800 06 04 0001 7e1a00000001 c0a84001 000000000000 c0a84009";
  bench.dropsOut("ethernet.type", hex(`ffffffffffff 7e1a00000001 ${tag}`));
  bench.dropsIn("ethernet.type", hex(`7e1a00000001 020000000099 ${tag}`));
});

test("L2 a service tag before a priority tag before IPv4 drops", () => {
  const bench = settled();
  const stack = "88a8 0000 8100 0000 0800 4500001c000000004001b9880a0000010a000002 0800f7fd00010001";
  bench.dropsOut("ethernet.type", hex(`020000000064 7e1a00000001 ${stack}`));
  bench.dropsIn("ethernet.type", hex(`7e1a00000001 020000000064 ${stack}`));
});

test("L3 every type field from 0 to 0x05ff is a length and drops", () => {
  const bench = settled();
  const packet = arp().subarray(14);
  for (let length = 0; length < 0x600; length++) {
    bench.dropsOut("ethernet.type", ethernet(EVERYONE_MAC, VM, length, hex("aaaa030000000806"), packet));
    bench.dropsIn("ethernet.type", ethernet(VM, OTHER_MAC, length, hex("aaaa030000000806"), packet));
  }
});

test("L5 only the types of IPv4 and ARP pass, of all 65,536, in both directions", () => {
  const bench = settled();
  const ipv4 = tcp(443).subarray(14);
  const passed = { out: [] as number[], in: [] as number[] };
  for (let type = 0; type <= 0xffff; type++) {
    const payload = type === 0x0806 ? arp().subarray(14) : ipv4;
    if (bench.out(ethernet(GATEWAY_MAC, VM, type, payload)) === "pass") passed.out.push(type);
    const incoming = type === 0x0806 ? arp({ sender: NEIGHBOUR }).subarray(14) : ipv4;
    if (bench.in(ethernet(VM, OTHER_MAC, type, incoming)) === "pass") passed.in.push(type);
  }
  assert.deepEqual(passed, { out: [0x0800, 0x0806], in: [0x0800, 0x0806] });
});

test("L6 a source MAC that is not the VM's drops, one bit of difference is enough", () => {
  const bench = settled();
  for (let bit = 0; bit < 48; bit++) {
    const at = 6 + (bit >>> 3);
    const frame = tcp(443);
    bench.dropsOut("ethernet.source", patch(frame, at, frame[at]! ^ (1 << (bit & 7))));
  }
  bench.passesOut(tcp(443));
});

test("L6 multicast, broadcast and zero source MACs drop in both directions", () => {
  const bench = settled();
  for (const from of [EVERYONE_MAC, "00:00:00:00:00:00", "01:00:5e:00:00:01", "7f:1a:00:00:00:01"]) {
    bench.dropsOut("ethernet.source", tcp(443, { from }), arp({ from }));
    bench.dropsIn("ethernet.source", tcp(443, { from, to: VM }), arp({ from, sender: NEIGHBOUR }));
  }
});

test("L6 the VM's own MAC as the source of a frame to the VM drops", () => {
  const bench = settled();
  bench.dropsIn("ethernet.source", tcp(443, { from: VM, to: VM }), arp({ from: VM, sender: NEIGHBOUR }));
});

test("L7 RARP and QEMU's self-announcement drop, whatever is in them", () => {
  const bench = settled();
  const reverse = "0001 0800 06 04 0003 7e1a00000001 00000000 7e1a00000001 00000000";
  bench.dropsOut("ethernet.type", hex(`ffffffffffff 7e1a00000001 8035 ${reverse}`));
  bench.dropsOut("ethernet.type", padded(hex(`ffffffffffff 7e1a00000001 0835 ${reverse}`), 60));
  bench.dropsIn("ethernet.type", hex(`ffffffffffff 020000000099 8035 ${reverse}`));
});

test("L8 nothing goes to 01:80:c2, in neither direction", () => {
  const bench = settled();
  for (const to of ["01:80:c2:00:00:00", "01:80:c2:00:00:01", "01:80:c2:00:00:0e", "01:80:c2:ff:ff:ff"]) {
    for (const type of [0x8808, 0x88cc, 0x0027, 0x0800, 0x0806]) {
      bench.dropsOut("ethernet.destination", ethernet(to, VM, type, arp().subarray(14)));
      bench.dropsIn("ethernet.destination", ethernet(to, OTHER_MAC, type, arp({ sender: NEIGHBOUR }).subarray(14)));
    }
  }
  bench.dropsOut("ipv4.group-frame", tcp(443, { to: "01:80:c3:00:00:00" }), tcp(443, { to: "01:81:c2:00:00:00" }));
});

test("L8 pause frames, LLDP, CDP, PPPoE and loopback frames drop by their type to any destination", () => {
  const bench = settled();
  for (const type of [0x8808, 0x88cc, 0x2000, 0x8863, 0x8864, 0x888e, 0x9000]) {
    bench.dropsOut("ethernet.type", ethernet(GATEWAY_MAC, VM, type, new Uint8Array(46)));
    bench.dropsIn("ethernet.type", ethernet(VM, OTHER_MAC, type, new Uint8Array(46)));
  }
  bench.dropsOut("ethernet.type", hex("01000ccccccc 7e1a00000001 0010 aaaa0300000c2000 02b4 0000 0001 0006 4141"));
});

test("L9 the VM hears its own MAC, broadcast and multicast, and nobody else's unicast", () => {
  const bench = settled();
  for (const to of [VM, EVERYONE_MAC, "01:00:5e:00:00:fb", "33:33:00:00:00:01"]) {
    bench.passesIn(udp(5353, 5353, { source: NEIGHBOUR, destination: "224.0.0.251", from: OTHER_MAC, to }));
  }
  for (const to of [OTHER_MAC, GATEWAY_MAC, "7e:1a:00:00:00:02", "00:00:00:00:00:00"]) {
    bench.dropsIn("ethernet.destination", tcp(443, { from: GATEWAY_MAC, to }), arpReply(NEIGHBOUR, OTHER_MAC, { to }));
  }
});

test("L10 a frame shorter than an Ethernet header drops before it is read, in both directions", () => {
  const bench = settled();
  for (let length = 0; length < 14; length++) {
    bench.dropsOut("frame.short", arp().subarray(0, length));
    bench.dropsIn("frame.short", arpReply(NEIGHBOUR, OTHER_MAC).subarray(0, length));
  }
  bench.dropsOut("arp.format", arp().subarray(0, 14));
  bench.dropsOut("ipv4.format", tcp(443).subarray(0, 14));
  bench.dropsIn("ipv4.format", hex("7e1a00000001 020000000099 0800"));
  bench.dropsIn("arp.format", hex("7e1a00000001 020000000099 0806"));
});

test("L10 what lies behind a frame in memory is never read", () => {
  const memory = padded(arp(), 2048).fill(0x41, arp().length);
  assert.equal(settled().out(memory.subarray(0, 41)), "arp.format");
  assert.equal(settled().out(memory.subarray(0, 42)), "pass");
});

test("L12 the longest frame is the MTU and 14 bytes; one byte more drops, in both directions", () => {
  for (const mtu of [undefined, 68, 576, 9000, 65_521]) {
    const bench = new Bench({ address: ADDRESS, ...(mtu === undefined ? {} : { mtu }) });
    const longest = (mtu ?? 1500) + 14;
    const incoming = tcp(443, { source: GLOBAL, from: GATEWAY_MAC, to: VM });
    bench.passesOut(padded(tcp(443), longest), padded(arp(), longest));
    bench.passesIn(padded(incoming, longest));
    bench.dropsOut("frame.long", padded(tcp(443), longest + 1), padded(arp(), longest + 1));
    bench.dropsIn("frame.long", padded(incoming, longest + 1));
  }
});

test("L12 absurd lengths drop", () => {
  const bench = settled();
  bench.dropsOut("frame.long", padded(tcp(443), 65_535), padded(tcp(443), 1 << 20));
  bench.dropsOut("frame.short", bytes());
});

test("L13 no length or address length that a frame claims makes the guard throw", () => {
  const guard = createGuard({ macAddress: VM });
  for (const frame of [arp(), tcp(443), udp(68, 67)]) {
    for (let length = 0; length <= frame.length; length++) {
      for (let at = 12; at < length; at++) {
        for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
          guard.egress(patch(frame.subarray(0, length), at, value), 0);
          const incoming = patch(frame.subarray(0, length), at, value);
          incoming.set(mac(VM).subarray(0, length));
          if (length >= 12) incoming.set(mac(OTHER_MAC), 6);
          guard.ingress(incoming, 0);
        }
      }
    }
  }
});

test("S10 IPv6 drops whole, whatever IPv4 rules allow", () => {
  const bench = new Bench({ address: ADDRESS, allow: ["0.0.0.0/0"] });
  for (const [, type, packet] of PACKETS) {
    if (type !== 0x86dd) continue;
    bench.dropsOut("ethernet.ipv6", ethernet("33:33:00:00:00:01", VM, type, packet));
    bench.dropsIn(
      "ethernet.ipv6",
      ethernet(VM, OTHER_MAC, type, packet),
      ethernet("33:33:00:00:00:01", OTHER_MAC, type, packet),
    );
  }
  bench.dropsOut("ethernet.ipv6", hex("333300000002 7e1a00000001 86dd"));
});

test("the first failing check names the reason: length, then addresses, then type", () => {
  const bench = settled();
  bench.dropsOut("frame.long", padded(ethernet("01:80:c2:00:00:00", OTHER_MAC, 0x8100), 1515));
  bench.dropsOut("ethernet.source", ethernet("01:80:c2:00:00:00", OTHER_MAC, 0x8100));
  bench.dropsOut("ethernet.destination", ethernet("01:80:c2:00:00:00", VM, 0x86dd));
  bench.dropsIn("ethernet.source", ethernet("01:80:c2:00:00:00", VM, 0x8100));
  bench.dropsIn("ethernet.destination", ethernet(OTHER_MAC, GATEWAY_MAC, 0x86dd));
});
