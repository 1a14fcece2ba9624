/** Packets from elsewhere (RFCs, what other programs sent), byte by byte: read by us, and made again by us. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIPv4, formatMac, getMac, isGroupMac, parseIPv4, parseMac, putMac } from "../../src/wire/address.ts";
import * as arp from "../../src/wire/arp.ts";
import { addToSum, checksumOf, foldSum } from "../../src/wire/checksum.ts";
import * as dhcp from "../../src/wire/dhcp.ts";
import { putEthernet } from "../../src/wire/ethernet.ts";
import { emitIcmpEcho, isIcmpError, putIcmpError } from "../../src/wire/icmp.ts";
import * as ipv4 from "../../src/wire/ipv4.ts";
import * as tcp from "../../src/wire/tcp.ts";
import * as udp from "../../src/wire/udp.ts";

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");

test("RFC 1071 section 3's example sums to ddf2", () => {
  const data = bytes("0001 f203 f4f5 f6f7");
  assert.equal(foldSum(addToSum(0, data, 0, 8)), 0xddf2);
  assert.equal(checksumOf(addToSum(0, data, 0, 8)), 0x220d);
});

test("an odd last byte is the high half of a word", () => {
  assert.equal(foldSum(addToSum(0, bytes("00 01 f2"), 0, 3)), 0xf201);
});

test("the largest packet of ones folds right", () => {
  const data = new Uint8Array(65_535).fill(0xff);
  assert.equal(foldSum(addToSum(0, data, 0, data.length)), 0xff00);
});

test("IPv4 and MAC addresses read and print", () => {
  assert.equal(parseIPv4("192.168.64.1"), 0xc0a84001);
  assert.equal(formatIPv4(0xffffffff), "255.255.255.255");
  for (const bad of ["1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", " 1.2.3.4", "1.2.3.4 ", "0x1.2.3.4", ""]) {
    assert.equal(parseIPv4(bad), undefined, bad);
  }
  assert.equal(parseMac("7e:1a:00:00:00:01"), 0x7e1a00000001);
  assert.equal(parseMac("7E-1A-0-0-0-1"), 0x7e1a00000001);
  for (const bad of [
    "7e:1a:00:00:00",
    "7e:1a:00:00:00:001",
    "7e:1a-00:00:00:01",
    "7g:1a:00:00:00:01",
    "7e1a00000001",
  ]) {
    assert.equal(parseMac(bad), undefined, bad);
  }
  assert.equal(formatMac(0x00000000000a), "00:00:00:00:00:0a");
  const at = new Uint8Array(8);
  putMac(at, 1, 0xfedcba987654);
  assert.equal(hex(at), "00fedcba98765400");
  assert.equal(getMac(at, 1), 0xfedcba987654);
  assert.equal(isGroupMac(0x01005e000001), true);
  assert.equal(isGroupMac(0x02005e000001), false);
});

// A request as Linux sends it: who has 192.168.64.1, tell 192.168.64.35.
const ARP = "0001 0800 06 04 0001 020000000011 c0a84023 000000000000 c0a84001";

test("RFC 826 an ARP request reads and is made again", () => {
  const packet = bytes(ARP);
  assert.equal(arp.isArpForIPv4(packet, 0, 28), true);
  assert.equal(arp.isArpForIPv4(packet, 0, 27), false);
  const fields = {
    operation: arp.arpOperation(packet, 0),
    senderHardware: arp.senderHardwareAddress(packet, 0),
    senderProtocol: arp.senderProtocolAddress(packet, 0),
    targetHardware: arp.targetHardwareAddress(packet, 0),
    targetProtocol: arp.targetProtocolAddress(packet, 0),
  };
  assert.deepEqual(fields, {
    operation: 1,
    senderHardware: 0x020000000011,
    senderProtocol: 0xc0a84023,
    targetHardware: 0,
    targetProtocol: 0xc0a84001,
  });
  assert.equal(hex(arp.emitArp(fields)), hex(packet));
});

test("an IPv4 header with the checksum b861 is right, and is made again", () => {
  // The header that textbooks compute: 60 … (protocol UDP, 115 bytes, 192.168.0.1 to 192.168.0.199).
  const packet = bytes("4500 0073 0000 4000 4011 b861 c0a80001 c0a800c7");
  assert.equal(ipv4.headerChecksumIsRight(packet, 0), true);
  assert.equal(ipv4.totalLength(packet, 0), 115);
  assert.equal(ipv4.fragmentBits(packet, 0), 0, "do not fragment is no fragment");
  packet[10] = 0xb9;
  assert.equal(ipv4.headerChecksumIsRight(packet, 0), false);
});

test("RFC 791 fragment fields", () => {
  const packet = bytes("4500 0073 0000 2001 4011 0000 c0a80001 c0a800c7");
  assert.equal(ipv4.moreFragments(packet, 0), true);
  assert.equal(ipv4.fragmentOffset(packet, 0), 1);
});

test("RFC 768 a UDP checksum is right as made, wrong when a bit flips, right when absent", () => {
  const fields = { source: 0x0a000002, destination: 0x08080808, sourcePort: 40000, destinationPort: 53 };
  const packet = udp.emitUdp(fields, bytes("010203"));
  assert.equal(udp.udpChecksumIsRight(packet, 0, 11), true);
  packet[30]! ^= 1;
  assert.equal(udp.udpChecksumIsRight(packet, 0, 11), false);
  packet[26] = packet[27] = 0;
  assert.equal(udp.udpChecksumIsRight(packet, 0, 11), true);
});

test("RFC 792 an echo request carries a checksum that sums to ffff", () => {
  const message = emitIcmpEcho(8, 0x1234, 1, bytes("616263"));
  assert.equal(foldSum(addToSum(0, message, 0, message.length)), 0xffff);
});

test("RFC 9293 a RST is written in place, and read again", () => {
  // To 10.0.0.2 port 40,000, which asked with the sequence number 0x11223344; both checksums were summed by hand.
  const expected = "4500 0028 0000 4000 4006 26ce 0a000001 0a000002 0051 9c40 00000000 11223345 5014 0000 bad5 0000";
  const out = new Uint8Array(48).fill(0xaa);
  ipv4.putIPv4Header(out, 4, 40, 6, 0x0a000001, 0x0a000002);
  tcp.putTcp(out, 4, 81, 40_000, 0, 0x11223345, tcp.TCP_RST | tcp.TCP_ACK);
  assert.equal(hex(out), `aaaaaaaa${hex(bytes(expected))}aaaaaaaa`);
  assert.equal(ipv4.headerChecksumIsRight(out, 4), true);
  assert.equal(foldSum(addToSum(ipv4.pseudoHeaderSum(out, 4, 20), out, 24, 20)), 0xffff);
  assert.equal(tcp.tcpSequence(out, 24), 0);
  assert.equal(tcp.tcpAcknowledgement(out, 24), 0x11223345);
  assert.equal(tcp.tcpHeaderLength(out, 24), 20);
  assert.equal(tcp.isBareSyn(tcp.tcpFlags(out, 24)), false);
  assert.deepEqual([0x02, 0x03, 0x0a, 0x12, 0x10, 0x00].map(tcp.isBareSyn), [true, true, true, false, false, false]);
});

test("RFC 792 an error quotes what it is about, and its checksum sums to ffff, whatever was there before", () => {
  const about = bytes("ffff 4500 001d 0001 0000 4011 0000 0a000002 08080808 9c40 0035 0009 0000 61");
  const out = new Uint8Array(40).fill(0xaa);
  assert.equal(putIcmpError(out, 2, 3, 13, about, 2, 28), 36);
  const quoted = hex(about.subarray(2, 30));
  assert.equal(hex(out), `aaaa030d${hex(out.subarray(4, 6))}00000000${quoted}aaaa`);
  assert.equal(foldSum(addToSum(0, out, 2, 36)), 0xffff);
  const errors = Array.from({ length: 256 }, (_, type) => type).filter(isIcmpError);
  assert.deepEqual(errors, [3, 4, 11, 12]);
});

test("an Ethernet header is written in place", () => {
  const out = new Uint8Array(18).fill(0xaa);
  putEthernet(out, 2, 0x7e1a00000001, 0x020000000064, 0x0800);
  assert.equal(hex(out), "aaaa7e1a000000010200000000640800aaaa");
});

// A DISCOVER as busybox' udhcpc sends it, up to its end option.
const DISCOVER =
  "01 01 06 00 f8bdb109 0000 0000 00000000 00000000 00000000 00000000 020000000011 00000000000000000000" +
  "00".repeat(192) +
  "63825363 35 01 01 3d 07 01020000000011 39 02 0240 37 07 010306 0c0f1c2a 3c 0c 756468637020312e33352e30 ff";

test("RFC 2131 a DISCOVER of udhcpc reads", () => {
  const message = new dhcp.DhcpMessage();
  const data = bytes(DISCOVER);
  assert.equal(message.read(data, 0, data.length), true);
  assert.equal(message.op, dhcp.BOOT_REQUEST);
  assert.equal(message.messageType, dhcp.DHCP_DISCOVER);
  assert.equal(message.xid, 0xf8bdb109);
  assert.equal(message.chaddr, 0x020000000011);
  assert.equal(message.clientIdentifierLength, 7);
  assert.equal(hex(message.clientIdentifier.subarray(0, 7)), "01020000000011");
  assert.equal(message.serverIdentifier, 0);
  assert.equal(message.leaseTime, -1);
  assert.equal(message.rapidCommit, false);
});

test("D23 a message cut anywhere in its options reads as none, or as one that ends there, and never throws", () => {
  const message = new dhcp.DhcpMessage();
  const data = bytes(DISCOVER);
  for (let length = 0; length < data.length; length++) {
    const read = message.read(data, 0, length);
    if (length < 243) assert.equal(read, false, String(length));
  }
});

const options = (...parts: (readonly [number, string])[]): (readonly [number, Uint8Array])[] =>
  parts.map(([code, value]) => [code, bytes(value)] as const);
const reply = (parts: (readonly [number, Uint8Array])[]): Uint8Array =>
  dhcp.emitDhcp({ op: 2, xid: 1, chaddr: 0x020000000011, yiaddr: 0x0a000002, options: parts });

test("D14 an option of fixed length that stands twice refuses the message", () => {
  const message = new dhcp.DhcpMessage();
  const once = options([53, "05"], [51, "00000e10"], [54, "0a000001"], [50, "0a000002"]);
  assert.equal(message.read(reply(once), 0, reply(once).length), true);
  assert.equal(message.leaseTime, 3600);
  for (const twice of once) {
    const data = reply([...once, twice]);
    assert.equal(message.read(data, 0, data.length), false, `option ${twice[0]}`);
  }
});

test("D14 RFC 3396 long options are concatenated across fields, in the order options, file, sname", () => {
  const data = new Uint8Array(548);
  data.set(reply(options([53, "05"], [52, "03"], [61, "aa"], [6, "08080808"])));
  data.set(bytes("3d 01 bb 06 02 0909 ff"), 108); // file
  data.set(bytes("3d 01 cc 06 02 0a0a 33 04 00000e10"), 44); // sname
  const message = new dhcp.DhcpMessage();
  assert.equal(message.read(data, 0, data.length), true);
  assert.equal(hex(message.clientIdentifier.subarray(0, message.clientIdentifierLength)), "aabbcc");
  assert.deepEqual(
    [message.dnsServerCount, formatIPv4(message.dnsServer(0)), formatIPv4(message.dnsServer(1))],
    [2, "8.8.8.8", "9.9.10.10"],
  );
  assert.equal(message.leaseTime, 3600);
});

test("D14 without option 52 the fields file and sname are text, not options", () => {
  const data = reply(options([53, "05"]));
  data.set(bytes("33 04 00000e10 ff"), 108);
  const message = new dhcp.DhcpMessage();
  assert.equal(message.read(data, 0, data.length), true);
  assert.equal(message.leaseTime, -1);
});

test("a message is read afresh: nothing stays from the one before", () => {
  const message = new dhcp.DhcpMessage();
  const full = reply(options([53, "05"], [51, "00000e10"], [54, "0a000001"], [61, "aabb"], [3, "0a000001"], [80, ""]));
  const bare = reply(options([53, "02"]));
  message.read(full, 0, full.length);
  message.read(bare, 0, bare.length);
  assert.deepEqual(
    [message.messageType, message.leaseTime, message.serverIdentifier, message.clientIdentifierLength, message.router],
    [2, -1, 0, 0, 0],
  );
  assert.equal(message.rapidCommit, false);
});

test("an option longer than 255 bytes is split as it is written and whole as it is read", () => {
  const identifier = new Uint8Array(255).map((_, index) => index);
  const servers = new Uint8Array(400).fill(8);
  const data = reply([
    [53, bytes("01")],
    [61, identifier],
    [6, servers],
  ]);
  const message = new dhcp.DhcpMessage();
  assert.equal(message.read(data, 0, data.length), true);
  assert.equal(message.clientIdentifierLength, 255);
  assert.equal(message.dnsServerCount, 8);
});
