/** Frames in words. Whatever the bytes are: one line of printable ASCII. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseIPv4, parseMac } from "../../src/wire/address.ts";
import { emitArp } from "../../src/wire/arp.ts";
import { describeFrame } from "../../src/wire/describe.ts";
import { emitDhcp } from "../../src/wire/dhcp.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { emitIcmpEcho } from "../../src/wire/icmp.ts";
import { emitIPv4 } from "../../src/wire/ipv4.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { COMPLETE, MALFORMED, PARTIAL_UDP } from "../../src/wire/virtio-net.ts";

const VM = parseMac("7e:1a:00:00:00:01")!;
const ip = (text: string) => parseIPv4(text)!;
const bytes = (...values: number[]) => Uint8Array.from(values);
const address = (text: string) => bytes(...text.split(".").map(Number));

/** Described in the middle of other bytes, which must not show. */
function told(frame: Uint8Array, length = frame.length): string {
  const around = new Uint8Array(frame.length + 64).fill(0x41);
  around.set(frame, 32);
  return describeFrame(FrameView.of(around, 32, length));
}

const ethernet = (type: number, payload: Uint8Array) => emitEthernet(0xffffffffffff, VM, type, payload);
const arp = (operation: number, sender: string, target: string) =>
  told(
    ethernet(
      0x0806,
      emitArp({
        operation,
        senderHardware: VM,
        senderProtocol: ip(sender),
        targetHardware: 0,
        targetProtocol: ip(target),
      }),
    ),
  );

const hosts = { source: ip("10.0.0.2"), destination: ip("1.1.1.1") };
const ipv4 = (protocol: number, payload: Uint8Array, change?: (packet: Uint8Array) => void) => {
  const packet = emitIPv4({ ...hosts, protocol }, payload);
  change?.(packet);
  // Without Ethernet's padding, which would hide short packets.
  return told(ethernet(0x0800, packet), 14 + packet.length);
};

test("ARP", () => {
  assert.equal(arp(1, "192.168.64.9", "192.168.64.1"), "ARP who-has 192.168.64.1 tell 192.168.64.9");
  assert.equal(arp(2, "192.168.64.1", "192.168.64.9"), "ARP 192.168.64.1 is-at 7e:1a:00:00:00:01");
  assert.equal(arp(1, "0.0.0.0", "192.168.64.9"), "ARP probe 192.168.64.9");
  assert.equal(arp(1, "192.168.64.9", "192.168.64.9"), "ARP announcement 192.168.64.9");
  assert.equal(arp(8, "192.168.64.9", "192.168.64.9"), "ARP operation 8");
  assert.equal(told(ethernet(0x0806, bytes(0, 6))), "ARP malformed");
});

test("UDP", () => {
  const fields = { source: ip("10.0.0.2"), destination: ip("224.0.0.251"), sourcePort: 5353, destinationPort: 5353 };
  assert.equal(told(ethernet(0x0800, emitUdp(fields, bytes(1, 2, 3)))), "UDP 10.0.0.2:5353 > 224.0.0.251:5353");
  assert.equal(ipv4(17, new Uint8Array(7)), "UDP cut short 10.0.0.2 > 1.1.1.1");
});

test("TCP", () => {
  const segment = (flags: number) => bytes(0x9c, 0x40, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0);
  assert.equal(ipv4(6, segment(0x02)), "TCP 10.0.0.2:40000 > 1.1.1.1:443 [SYN]");
  assert.equal(ipv4(6, segment(0x19)), "TCP 10.0.0.2:40000 > 1.1.1.1:443 [FIN PSH ACK]");
  assert.equal(ipv4(6, segment(0)), "TCP 10.0.0.2:40000 > 1.1.1.1:443 []");
  assert.equal(ipv4(6, segment(2).subarray(0, 13)), "TCP cut short 10.0.0.2 > 1.1.1.1");
});

test("ICMP", () => {
  assert.equal(ipv4(1, emitIcmpEcho(8, 1, 1, bytes())), "ICMP echo request 10.0.0.2 > 1.1.1.1");
  assert.equal(ipv4(1, bytes(5, 1, 0, 0)), "ICMP redirect 10.0.0.2 > 1.1.1.1");
  assert.equal(ipv4(1, bytes(42, 7, 0, 0)), "ICMP type 42 code 7 10.0.0.2 > 1.1.1.1");
  assert.equal(ipv4(1, bytes(8)), "ICMP cut short 10.0.0.2 > 1.1.1.1");
});

test("other protocols", () => {
  assert.equal(ipv4(41, bytes()), "IPv4 protocol 41 10.0.0.2 > 1.1.1.1");
  assert.equal(ipv4(2, bytes(0x16)), "IGMP 10.0.0.2 > 1.1.1.1");
});

test("fragments", () => {
  const first = (packet: Uint8Array) => packet.set([0x20, 0], 6);
  const later = (packet: Uint8Array) => packet.set([0x20, 185], 6);
  const last = (packet: Uint8Array) => packet.set([0, 185], 6);
  const ports = bytes(0, 53, 0, 54, 0, 8, 0, 0);
  assert.equal(ipv4(17, ports, first), "UDP 10.0.0.2:53 > 1.1.1.1:54 first fragment");
  assert.equal(ipv4(17, ports, later), "UDP fragment 10.0.0.2 > 1.1.1.1 offset 1480");
  assert.equal(ipv4(41, ports, last), "IPv4 protocol 41 fragment 10.0.0.2 > 1.1.1.1 offset 1480");
});

test("DHCP", () => {
  const dhcp = (sourcePort: number, type: number, rest: Partial<Parameters<typeof emitDhcp>[0]> = {}) => {
    const options = [[53, bytes(type)] as const, ...(rest.options ?? [])];
    const message = emitDhcp({ op: 1, xid: 0x12345678, chaddr: VM, ...rest, options });
    return told(ethernet(0x0800, emitUdp({ ...hosts, sourcePort, destinationPort: 135 - sourcePort }, message)));
  };
  const asked = [50, address("192.168.64.5")] as const;
  const server = [54, address("192.168.64.1")] as const;
  assert.equal(dhcp(68, 1), "DHCP DISCOVER xid 0x12345678");
  assert.equal(
    dhcp(68, 3, { options: [asked, server] }),
    "DHCP REQUEST xid 0x12345678 asks 192.168.64.5 server 192.168.64.1",
  );
  assert.equal(
    dhcp(67, 5, { yiaddr: ip("192.168.64.5"), options: [server] }),
    "DHCP ACK xid 0x12345678 gives 192.168.64.5 server 192.168.64.1",
  );
  assert.equal(dhcp(68, 8, { ciaddr: ip("192.168.64.5") }), "DHCP INFORM xid 0x12345678 from 192.168.64.5");
  assert.equal(dhcp(68, 99), "DHCP type 99 xid 0x12345678");
  const empty = emitUdp({ ...hosts, sourcePort: 67, destinationPort: 68 }, bytes());
  assert.equal(told(ethernet(0x0800, empty)), "DHCP malformed 10.0.0.2:67 > 1.1.1.1:68");
});

test("IPv4 that is none, and IPv4 that a capture cut", () => {
  assert.equal(
    ipv4(6, bytes(), (packet) => packet.set([0x65])),
    "IPv4 malformed",
  );
  assert.equal(
    ipv4(6, bytes(), (packet) => packet.set([0x44])),
    "IPv4 malformed",
  );
  assert.equal(
    ipv4(6, bytes(), (packet) => packet.set([0x46])),
    "IPv4 malformed",
  );
  assert.equal(
    ipv4(6, bytes(), (packet) => packet.set([0, 19], 2)),
    "IPv4 malformed",
  );
  assert.equal(told(ethernet(0x0800, bytes(0x45)), 15), "IPv4 malformed");
  const cut = (packet: Uint8Array) => packet.set([5, 220], 2);
  assert.equal(ipv4(1, bytes(0, 0), cut), "ICMP echo reply 10.0.0.2 > 1.1.1.1");
});

test("anything else", () => {
  assert.equal(told(ethernet(0x86dd, bytes(0x60))), "IPv6 :: > :: without payload");
  assert.equal(told(ethernet(0x8100, bytes(0x20, 5, 8, 6))), "VLAN 0x8100 id 5 type 0x0806");
  assert.equal(told(ethernet(0x88a8, bytes()), 14), "VLAN 0x88a8 cut short");
  assert.equal(told(ethernet(38, bytes())), "802.3 length 38");
  assert.equal(told(ethernet(0x88cc, bytes())), "type 0x88cc");
  assert.equal(told(ethernet(0x05dd, bytes())), "type 0x05dd");
  assert.equal(told(bytes(...Array<number>(12).fill(0x1b))), "12 bytes");
  assert.equal(told(bytes(0x1b)), "1 byte");
  assert.equal(told(bytes()), "0 bytes");
});

test("any bytes at all are one short line of printable ASCII, and bytes beyond the frame change nothing", () => {
  const type = fc.constantFrom([8, 0], [8, 6], [0x86, 0xdd], [0x81, 0], [0, 38], [0x1b, 0x5b]);
  const start = fc.constantFrom([], [0x45], [0x45, 0, 1, 0, 0, 0, 0, 0, 64, 17], [0x45, 0, 1, 0, 0, 0, 0, 0, 64, 6]);
  const random = fc.uint8Array({ maxLength: 400 });
  const frame = fc.tuple(fc.uint8Array({ minLength: 12, maxLength: 12 }), type, start, random).map((parts) => {
    return Uint8Array.from(parts.flatMap((part) => [...part]));
  });
  const dhcp = random.map((tail) => {
    const message = emitDhcp({ op: 1, xid: 1, chaddr: VM, options: [] });
    message.set(tail.subarray(0, 60), 240);
    return ethernet(0x0800, emitUdp({ ...hosts, sourcePort: 68, destinationPort: 67 }, message));
  });
  fc.assert(
    fc.property(fc.oneof(frame, random, dhcp), (packet) => {
      const text = told(packet);
      assert.match(text, /^[\x20-\x7e]{1,120}$/);
      assert.equal(describeFrame(FrameView.of(packet)), text);
    }),
    { numRuns: 5000 },
  );
});

test("large frames and headers that no frame can have are told as what they are", () => {
  const packet = emitUdp(
    { source: ip("192.168.64.9"), destination: ip("1.1.1.1"), sourcePort: 5000, destinationPort: 443 },
    new Uint8Array(3000),
  );
  const frame = ethernet(0x0800, packet);
  const words = "UDP 192.168.64.9:5000 > 1.1.1.1:443";
  for (const [offload, text] of [
    [COMPLETE, words],
    [PARTIAL_UDP, words],
    [PARTIAL_UDP | 1200, `${words} large, segments of 1200 bytes`],
    [MALFORMED, `${words} with a malformed virtio-net header`],
  ] as const) {
    assert.equal(describeFrame(FrameView.of(frame, 0, frame.length, offload)), text);
  }
});
