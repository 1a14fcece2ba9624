/**
 * The built-in DHCP server, asked by clients in every state (RFC 2131 figure 5), by odd and by hostile ones. Replies are
 * read here byte by byte, at the offsets of RFC 2131 figure 1, not with our own parser; one of each kind is literal, and
 * Wireshark reads them all.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as path } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { DhcpServer, type DhcpServerOptions } from "../../src/networks/dhcp/server.ts";
import { parseIPv4, parseMac } from "../../src/wire/address.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import {
  ACK,
  address,
  bytes,
  Client,
  type DhcpWords,
  DISCOVER,
  dhcp,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY_MAC,
  hex,
  INFORM,
  join,
  MESSAGE,
  mac,
  NAK,
  OFFER,
  OTHER_MAC,
  padded,
  patch,
  REQUEST,
  rawMessage,
  udp,
  VM,
  withChecksum,
  word,
} from "../guard/support.ts";
import { needs, run } from "../support/tools.ts";

const GATEWAY = "192.168.77.1";
const OWN = "192.168.77.2";
const OTHER = "192.168.77.9";
const DNS = ["192.0.2.53", "198.51.100.53"];
const ip = (text: string): number => parseIPv4(text)!;

const PLAIN: DhcpServerOptions = {
  gateway: ip(GATEWAY),
  gatewayMac: parseMac(GATEWAY_MAC)!,
  address: ip(OWN),
  netmask: ip("255.255.255.252"),
  dnsServers: DNS.map(ip),
  vmMac: parseMac(VM)!,
};

const server = (change: Partial<DhcpServerOptions> = {}): DhcpServer => new DhcpServer({ ...PLAIN, ...change });

/** What a reply says, read without our own code. */
interface Reply {
  readonly to: string;
  readonly from: string;
  readonly source: string;
  readonly destination: string;
  readonly xid: number;
  readonly flags: number;
  readonly ciaddr: string;
  readonly yiaddr: string;
  /** Option 53. */
  readonly type: number;
  /** The other options in hexadecimal digits, by code. */
  readonly options: Readonly<Record<number, string>>;
}

function read(frame: Uint8Array): Reply {
  const data = Buffer.from(frame);
  const macAt = (at: number): string =>
    [...data.subarray(at, at + 6)].map((b) => b.toString(16).padStart(2, "0")).join(":");
  const addressAt = (at: number): string => data.subarray(at, at + 4).join(".");
  assert.equal(data.readUInt16BE(12), 0x0800);
  assert.equal(data[14], 0x45);
  assert.equal(data.readUInt16BE(16), data.length - 14, "total length");
  assert.equal(data[23], 17);
  assert.equal(sum(data.subarray(14, 34)), 0xffff, "IPv4 checksum");
  assert.deepEqual([data.readUInt16BE(34), data.readUInt16BE(36)], [67, 68]);
  assert.equal(data.readUInt16BE(38), data.length - 34, "UDP length");
  assert.notEqual(data.readUInt16BE(40), 0, "no UDP checksum");
  const pseudo = Buffer.concat([data.subarray(26, 34), Buffer.from([0, 17]), data.subarray(38, 40)]);
  assert.equal(sum(Buffer.concat([pseudo, data.subarray(34)])), 0xffff, "UDP checksum");

  const message = data.subarray(42);
  assert.ok(message.length >= 300 && message.length <= 548, `${message.length} bytes`);
  assert.deepEqual([...message.subarray(0, 4)], [2, 1, 6, 0], "op, htype, hlen, hops");
  assert.equal(message.readUInt16BE(8), 0, "secs");
  assert.equal(message.readUInt32BE(20), 0, "siaddr");
  assert.equal(message.readUInt32BE(24), 0, "giaddr");
  assert.equal(macAt(42 + 28), VM, "chaddr");
  assert.ok(
    message.subarray(34, 236).every((byte) => byte === 0),
    "chaddr's padding, sname, file",
  );
  assert.equal(message.readUInt32BE(236), 0x63825363);
  const options: Record<number, string> = {};
  let at = 240;
  while (message[at] !== 255) {
    const code = message[at]!;
    assert.ok(!(code in options), `option ${code} twice`);
    options[code] = message.toString("hex", at + 2, at + 2 + message[at + 1]!);
    at += 2 + message[at + 1]!;
    assert.ok(at < message.length, "no end option");
  }
  assert.ok(
    message.subarray(at + 1).every((byte) => byte === 0),
    "padding",
  );
  const { 53: type, ...others } = options;
  assert.equal(message[240], 53, "the message type comes first");
  return {
    to: macAt(0),
    from: macAt(6),
    source: addressAt(26),
    destination: addressAt(30),
    xid: message.readUInt32BE(4),
    flags: message.readUInt16BE(10),
    ciaddr: addressAt(42 + 12),
    yiaddr: addressAt(42 + 16),
    type: Number.parseInt(type!, 16),
    options: others,
  };
}

/** RFC 1071, the slow way. */
function sum(data: Buffer): number {
  let total = 0;
  for (let at = 0; at < data.length; at += 2) total += data[at]! * 256 + (data[at + 1] ?? 0);
  while (total > 0xffff) total = (total % 0x10000) + Math.floor(total / 0x10000);
  return total;
}

const ask = (frame: Uint8Array, of = server()): Uint8Array | undefined => of.answer(FrameView.of(frame));

/** The reply to a frame; there must be one. */
function answered(frame: Uint8Array, of?: DhcpServer): Reply {
  const reply = ask(frame, of);
  assert.ok(reply !== undefined, "no answer");
  return read(reply);
}

function silent(...frames: readonly Uint8Array[]): void {
  for (const [index, frame] of frames.entries()) assert.equal(ask(frame), undefined, `frame ${index + 1}`);
}

const IDENTITY = "c0a84d01"; // option 54: 192.168.77.1
const CONFIGURATION = { 1: "fffffffc", 3: IDENTITY, 6: "c0000235c6336435" };
const LEASE = { 51: "ffffffff" };
const UNICAST = { to: VM, from: GATEWAY_MAC, source: GATEWAY, destination: OWN };
const BROADCAST = { to: EVERYONE_MAC, from: GATEWAY_MAC, source: GATEWAY, destination: EVERYONE };
const ASSIGNED = { xid: 0x11111111, flags: 0, ciaddr: "0.0.0.0", yiaddr: OWN };
const FULL = { 54: IDENTITY, ...LEASE, ...CONFIGURATION };
const REFUSED = {
  ...BROADCAST,
  xid: 0x11111111,
  flags: 0,
  ciaddr: "0.0.0.0",
  yiaddr: "0.0.0.0",
  type: NAK,
  options: { 54: IDENTITY },
};

const client = new Client();

/* Bytes */

const HEAD = "7e1a00000001 020000000064 0800  4500 0148 0000 0000 40 11 5e51 c0a84d01 c0a84d02  0043 0044 0134";
const FIXED = "02 01 06 00 11111111 0000 0000 00000000 c0a84d02 00000000 00000000 7e1a00000001 00000000000000000000";

test("an OFFER byte by byte, with the checksums that scapy gives it", () => {
  const literal = join(
    hex(`${HEAD} 3460 ${FIXED}`),
    new Uint8Array(64 + 128),
    hex("63825363 35 01 02 36 04 c0a84d01 33 04 ffffffff 01 04 fffffffc 03 04 c0a84d01 06 08 c0000235 c6336435 ff"),
  );
  assert.deepEqual(ask(client.discover()), padded(literal, 14 + 20 + 8 + 300));
});

test("Wireshark reads every kind of reply and finds nothing wrong", needs("tshark"), (t) => {
  const identified = new Client({ identifier: hex("ff 12345678 0001 0001 2a2b2c2d 7e1a00000001"), broadcast: true });
  const finite = server({ leaseTime: 3600, mtu: 1400 });
  const replies = [
    ask(client.discover()),
    ask(identified.discover({ options: [[80, bytes()]] }), finite),
    ask(client.select(OWN, GATEWAY), finite),
    ask(identified.reboot(OTHER)),
    ask(client.inform(OWN)),
  ].map((reply) => reply!);
  const file = pcap(t, replies);
  const checks = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
  const fields = [
    "dhcp.option.dhcp",
    "dhcp.ip.your",
    "dhcp.option.ip_address_lease_time",
    "dhcp.option.renewal_time_value",
  ];
  fields.push("dhcp.option.rebinding_time_value", "dhcp.option.interface_mtu", "_ws.expert.message");
  const output = run("tshark", "-r", file, ...checks, "-T", "fields", ...fields.flatMap((field) => ["-e", field]));
  assert.deepEqual(
    output
      .replace(/\n$/, "")
      .split("\n")
      .map((line) => line.split("\t").slice(0, fields.length)),
    [
      ["2", OWN, "4294967295", "", "", "", ""],
      ["5", OWN, "3600", "1800", "3150", "1400", ""],
      ["5", OWN, "3600", "1800", "3150", "1400", ""],
      ["6", "0.0.0.0", "", "", "", "", ""],
      ["5", "0.0.0.0", "", "", "", "", ""],
    ],
  );
});

/** A capture file of these frames (pcap, big-endian, Ethernet). */
function pcap(t: TestContext, frames: readonly Uint8Array[]): string {
  const folder = mkdtempSync(path(tmpdir(), "softnet-dhcp-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path(folder, "replies.pcap");
  const records = frames.map((frame) => join(word(0), word(0), word(frame.length), word(frame.length), frame));
  writeFileSync(file, join(hex("a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001"), ...records));
  return file;
}

/* A client's states */

test("DISCOVER gets an OFFER, at the address itself", () => {
  assert.deepEqual(answered(client.discover()), { ...UNICAST, ...ASSIGNED, type: OFFER, options: FULL });
});

test("DISCOVER that wishes another address and lease time is offered what there is", () => {
  const options = [
    [50, address(OTHER)],
    [51, word(60)],
    [57, hex("0240")],
    [55, bytes(1)],
  ] as const;
  assert.deepEqual(answered(client.discover({ options })), { ...UNICAST, ...ASSIGNED, type: OFFER, options: FULL });
});

test("DISCOVER that names the client's former address is answered where it can be heard (NetworkManager)", () => {
  for (const ciaddr of [OTHER, OWN]) {
    assert.deepEqual(answered(client.discover({ ciaddr })), { ...UNICAST, ...ASSIGNED, type: OFFER, options: FULL });
    const deaf = new Client({ broadcast: true });
    const heard = { ...BROADCAST, ...ASSIGNED, flags: 0x8000, options: FULL };
    assert.deepEqual(answered(deaf.discover({ ciaddr })), { ...heard, type: OFFER });
  }
});

test("D12 a client that sets the broadcast flag is answered by broadcast, and no other flag is repeated", () => {
  const deaf = new Client({ broadcast: true });
  const heard = { ...BROADCAST, ...ASSIGNED, flags: 0x8000, options: FULL };
  assert.deepEqual(answered(deaf.discover()), { ...heard, type: OFFER });
  assert.deepEqual(answered(deaf.select(OWN, GATEWAY)), { ...heard, type: ACK });
  assert.deepEqual(answered(deaf.discover({ flags: 0xffff })), { ...heard, type: OFFER });
  assert.equal(answered(deaf.discover({ flags: 0x7fff })).flags, 0);
});

test("D18 rapid commit gets the ACK at once, with the option in it (RFC 4039)", () => {
  const reply = answered(client.discover({ options: [[80, bytes()]] }));
  assert.deepEqual(reply, { ...UNICAST, ...ASSIGNED, type: ACK, options: { ...FULL, 80: "" } });
});

test("SELECTING: the address that was offered is acknowledged", () => {
  assert.deepEqual(answered(client.select(OWN, GATEWAY)), { ...UNICAST, ...ASSIGNED, type: ACK, options: FULL });
});

test("SELECTING: another address is refused, by broadcast", () => {
  assert.deepEqual(answered(client.select(OTHER, GATEWAY)), REFUSED);
});

test("SELECTING: what another server offered is no business of this one, whatever the address", () => {
  silent(client.select(OWN, OTHER), client.select(OTHER, OTHER));
});

test("INIT-REBOOT: the VM's address is acknowledged, another is refused at once", () => {
  assert.deepEqual(answered(client.reboot(OWN)), { ...UNICAST, ...ASSIGNED, type: ACK, options: FULL });
  assert.deepEqual(answered(client.reboot(OTHER)), REFUSED);
  assert.deepEqual(answered(client.reboot("10.0.0.5")), REFUSED);
  const deaf = new Client({ broadcast: true });
  assert.deepEqual(answered(deaf.reboot(OTHER)), { ...REFUSED, flags: 0x8000 });
});

test("RENEWING and REBINDING: the VM's address is acknowledged there, whatever the flag says", () => {
  const reply = { ...UNICAST, ...ASSIGNED, ciaddr: OWN, type: ACK, options: FULL };
  assert.deepEqual(answered(client.renew(OWN, GATEWAY)), reply);
  assert.deepEqual(answered(client.rebind(OWN)), reply);
  assert.deepEqual(answered(client.rebind(OWN, { flags: 0x8000 })), { ...reply, flags: 0x8000 });
  // Some clients name their server again.
  assert.deepEqual(answered(client.renew(OWN, GATEWAY, { options: [[54, address(GATEWAY)]] })), reply);
});

test("RENEWING and REBINDING: another address is refused, by broadcast, as it is nobody's here", () => {
  assert.deepEqual(answered(client.renew(OTHER, GATEWAY)), REFUSED);
  assert.deepEqual(answered(client.rebind(OTHER)), REFUSED);
  // Two addresses, one of them wrong.
  assert.deepEqual(answered(client.rebind(OWN, { options: [[50, address(OTHER)]] })), REFUSED);
  assert.deepEqual(answered(client.rebind(OTHER, { options: [[50, address(OWN)]] })), REFUSED);
});

test("a REQUEST that names no address is not answered", () => {
  silent(dhcp({ type: REQUEST }), dhcp({ type: REQUEST, options: [[54, address(GATEWAY)]] }));
});

test("D8 INFORM is answered without address and lease time", () => {
  const reply = answered(client.inform(OWN));
  const { 54: identity, ...configuration } = reply.options;
  assert.deepEqual([reply.type, reply.yiaddr, reply.ciaddr, identity], [ACK, "0.0.0.0", OWN, IDENTITY]);
  assert.deepEqual(configuration, CONFIGURATION);
  assert.equal(reply.destination, OWN);
});

test("D9 INFORM from another address, or from none, is not answered", () => {
  silent(client.inform(OTHER), dhcp({ type: INFORM }), dhcp({ type: INFORM, source: OWN }));
});

test("RELEASE and DECLINE are taken without a word, and the same address is offered again", () => {
  const one = server();
  for (const frame of [client.release(OWN, GATEWAY), client.decline(OWN, GATEWAY)]) {
    assert.equal(ask(frame, one), undefined);
    assert.equal(answered(client.discover(), one).yiaddr, OWN);
    assert.equal(answered(client.select(OWN, GATEWAY), one).type, ACK);
  }
});

/* What is told */

test("the client identifier is echoed in every reply, whatever it is (RFC 6842)", () => {
  for (const identifier of [hex("01 7e1a00000001"), hex("00 61"), bytes(0), new Uint8Array(255).fill(7)]) {
    const named = new Client({ identifier });
    const digits = Buffer.from(identifier).toString("hex");
    for (const frame of [named.discover(), named.reboot(OWN), named.reboot(OTHER), named.inform(OWN)]) {
      assert.equal(answered(frame).options[61], digits);
    }
  }
});

test("an empty client identifier counts as none", () => {
  assert.equal(answered(client.discover({ options: [[61, bytes()]] })).options[61], undefined);
});

test("a client identifier in two parts is echoed whole (RFC 3396)", () => {
  const options = [
    [61, hex("00 0102")],
    [61, hex("0304")],
  ] as const;
  assert.equal(answered(client.discover({ options })).options[61], "0001020304");
});

test("no reply is longer than what every client takes: the last DNS servers give way to a long identifier", () => {
  const dnsServers = Array.from({ length: 12 }, (_, index) => 0xc0000200 + index);
  const full = server({ dnsServers, leaseTime: 3600, mtu: 1500 });
  assert.equal(answered(client.discover(), full).options[6]!.length, 8 * 8); // read() checks 548 bytes
  for (let length = 1; length <= 255; length++) {
    const named = new Client({ identifier: new Uint8Array(length).fill(7) });
    const { options } = answered(named.discover({ options: [[80, bytes()]] }), full);
    assert.ok((options[6]?.length ?? 0) <= 8 * 8 && options[6] !== "");
    assert.equal(options[61]!.length, 2 * length);
  }
});

test("a network that leads nowhere announces neither router nor DNS servers", () => {
  const { options } = answered(client.discover(), server({ router: false, dnsServers: [] }));
  assert.deepEqual(options, { 54: IDENTITY, ...LEASE, 1: "fffffffc" });
});

test("a lease that ends comes with the times of RFC 2131 4.4.5; the MTU is told if given", () => {
  const { options } = answered(client.select(OWN, GATEWAY), server({ leaseTime: 600, mtu: 9000 }));
  assert.deepEqual(options, { ...FULL, 51: "00000258", 58: "0000012c", 59: "0000020d", 26: "2328" });
});

/* What is not for it */

test("D1, D7 another client's chaddr is not answered, whoever sends it", () => {
  silent(client.discover({ chaddr: OTHER_MAC }), client.discover({ chaddr: OTHER_MAC, from: OTHER_MAC }));
});

test("D21 another hardware type or address length is not answered", () => {
  const htype = MESSAGE + 1;
  const hlen = MESSAGE + 2;
  const unchecked = patch(client.discover(), MESSAGE - 2, 0, 0); // no UDP checksum
  assert.ok(ask(unchecked) !== undefined);
  silent(patch(unchecked, hlen, 16), patch(unchecked, hlen, 0), patch(unchecked, htype, 6));
});

test("D9 a relay's message is not answered", () => {
  silent(client.discover({ giaddr: OTHER }), client.discover({ hops: 1 }));
  silent(client.discover({ options: [[82, bytes(1, 1, 0)]] }));
});

test("D10, D19 other types, and a server's message, are not answered", () => {
  for (const type of [0, OFFER, ACK, NAK, 9, 10, 13, 255]) silent(dhcp({ type }));
  silent(client.discover({ op: 2 }), client.discover({ op: 0 }));
});

test("messages to another server, from other ports and to other ports are not answered", () => {
  silent(client.renew(OWN, OTHER), client.discover({ destination: OTHER }));
  silent(client.discover({ sourcePort: 67 }), client.discover({ destinationPort: 68 }));
  silent(client.discover({ sourcePort: 1024 }));
});

test("D14 options in file and sname are read, and what can be read in two ways is not answered", () => {
  const words: DhcpWords = { type: DISCOVER, xid: 0x11111111 };
  const overloaded = rawMessage(
    words,
    hex("34 01 03 ff"),
    hex("35 01 03 ff"),
    join(hex("32 04"), address(OWN), hex("ff")),
  );
  assert.deepEqual(answered(dhcp(words, overloaded)), { ...UNICAST, ...ASSIGNED, type: ACK, options: FULL });
  const hidden = rawMessage(
    words,
    hex("35 01 01 34 01 03 ff"),
    hex("35 01 03 ff"),
    join(hex("32 04"), address(OTHER), hex("ff")),
  );
  silent(dhcp(words, hidden));
  silent(dhcp(words, rawMessage(words, hex("35 01 01 34 01 04 ff"))));
  silent(client.discover({ options: [[53, bytes(3)]] }));
  silent(client.select(OWN, GATEWAY, { options: [[54, address(OTHER)]] }));
  silent(client.discover({ options: [[50, bytes(1, 2, 3)]] }));
});

test("D15, D23, D31 no cookie, no type, cut off options: not answered", () => {
  const words: DhcpWords = { type: DISCOVER };
  const whole = rawMessage(words, hex("35 01 01 ff"));
  silent(dhcp(words, patch(whole, 236, 0)));
  silent(dhcp(words, rawMessage(words, hex("ff"))), dhcp(words, rawMessage(words, bytes())));
  silent(dhcp(words, rawMessage(words, hex("35"))), dhcp(words, rawMessage(words, hex("35 01 01 3d 07 01"))));
  for (let length = 0; length < 240; length++) silent(dhcp(words, whole.slice(0, length)));
});

test("D17 fragments, IP options, wrong lengths and wrong checksums: not answered", () => {
  const frame = client.discover();
  silent(client.discover({ more: true }), client.discover({ offset: 2 }));
  silent(withChecksum(patch(frame, 14, 0x46)), patch(frame, 24, 0, 0), patch(frame, MESSAGE - 2, 1, 1));
  silent(patch(frame, MESSAGE - 4, 0, 100), patch(frame, 12, 0x08, 0x06), withChecksum(patch(frame, 23, 6)));
  for (let length = 0; length < frame.length; length++) silent(frame.slice(0, length));
  silent(udp(68, 67, {}, bytes(1, 2, 3)));
});

test("a frame anywhere in a slab is read where it is, and padding behind it is not", () => {
  const frame = client.discover();
  const slab = join(new Uint8Array(37).fill(0xff), frame, new Uint8Array(99).fill(0xff));
  assert.deepEqual(server().answer(FrameView.of(slab, 37, frame.length)), ask(frame));
  assert.deepEqual(server().answer(FrameView.of(slab, 37, frame.length + 50)), ask(frame));
});

/* D31: whatever comes */

const conversation = [
  client.discover(),
  client.discover({ options: [[80, bytes()]] }),
  new Client({ identifier: hex("ff 12345678 0001 0001 2a2b2c2d 7e1a00000001"), broadcast: true }).discover(),
  client.select(OWN, GATEWAY),
  client.reboot(OTHER),
  client.renew(OWN, GATEWAY),
  client.inform(OWN),
  client.release(OWN, GATEWAY),
  client.decline(OWN, GATEWAY),
  // Without a UDP checksum, so that what is changed behind it is read.
  ...[client.discover(), client.select(OWN, GATEWAY), client.rebind(OWN)].map((frame) =>
    patch(frame, MESSAGE - 2, 0, 0),
  ),
];

const runs = { numRuns: process.env.SOFTNET_TEST_ALL === "1" ? 50_000 : 3_000 };

/** Fails unless a frame is answered with nothing, or with what may be said to it; answers whether it was answered. */
function holds(of: DhcpServer, frame: Uint8Array): boolean {
  const before = frame.slice();
  const reply = ask(frame, of);
  assert.deepEqual(frame, before, "the frame was changed");
  if (reply === undefined) return false;
  const said = read(reply);
  assert.equal(said.from, GATEWAY_MAC);
  assert.equal(said.xid, Buffer.from(frame).readUInt32BE(MESSAGE + 4));
  assert.deepEqual([said.to, said.destination], said.to === VM ? [VM, OWN] : [EVERYONE_MAC, EVERYONE]);
  assert.ok([OWN, "0.0.0.0"].includes(said.ciaddr));
  assert.equal(said.yiaddr, said.type === NAK || said.options[51] === undefined ? "0.0.0.0" : OWN);
  const { 61: _identifier, 80: _rapidCommit, ...fixed } = said.options;
  const known: Record<number, string> = FULL;
  for (const [code, value] of Object.entries(fixed)) assert.equal(value, known[Number(code)], `option ${code}`);
  return true;
}

test("D31 random bytes, bare and behind right headers, never throw", () => {
  const of = server();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), (random) => {
      holds(of, random);
    }),
    runs,
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (random) => {
      const words: DhcpWords = { type: DISCOVER };
      holds(of, udp(68, 67, { source: "0.0.0.0", destination: EVERYONE, to: EVERYONE_MAC }, random));
      holds(of, dhcp(words, rawMessage(words, random)));
      holds(
        of,
        dhcp(
          words,
          rawMessage(words, join(hex("35 01 03 34 01 03"), random), random.slice(0, 128), random.slice(0, 64)),
        ),
      );
    }),
    runs,
  );
});

test("D31 changed, cut and lengthened messages never throw, and no reply says more than it may", () => {
  const of = server();
  let replies = 0;
  const change = fc.tuple(fc.nat(400), fc.nat(255));
  fc.assert(
    fc.property(
      fc.constantFrom(...conversation),
      fc.array(change, { maxLength: 6 }),
      fc.oneof(fc.constant(0), fc.integer({ min: -300, max: 40 })),
      fc.boolean(),
      (original, changes, resize, recount) => {
        let frame: Uint8Array = original.slice();
        for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
        frame = resize < 0 ? frame.slice(0, frame.length + resize) : padded(frame, frame.length + resize);
        if (recount && frame.length >= 34 && 14 + (frame[14]! & 15) * 4 <= frame.length) frame = withChecksum(frame);
        if (holds(of, frame)) replies++;
      },
    ),
    runs,
  );
  assert.ok(replies > runs.numRuns / 20, `only ${replies} replies: the changes spoil everything`);
});

test("the gateway's own MAC stands in every reply's Ethernet header", () => {
  assert.deepEqual(ask(client.discover())?.subarray(6, 12), mac(GATEWAY_MAC));
});
