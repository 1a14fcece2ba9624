/** Rules by name in IPv6: AAAA answers, pairs, connections and softnet's own answers, as in IPv4. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { verdictObject } from "../../../src/guard/guard.ts";
import { put16 } from "../../../src/wire/bytes.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import {
  address6,
  Bench6,
  dnsOption,
  inbound,
  LINK,
  OWN,
  PREFIX,
  packet6,
  prefixOption,
  ra,
  sum6,
  udp6,
} from "../ipv6/support.ts";
import { segment } from "../segment.ts";
import { join } from "../support.ts";
import { helloFor, START } from "./segments.ts";
import { AAAA, labels, question } from "./world.ts";

const NAME = "registry.npmjs.org";
const DNS = "2001:db8:1::53";
const CDN = "2606:4700::6810:1";
const HELLO = await helloFor(NAME);
const EVIL = await helloFor("evil.example.net");

function online(...block: readonly string[]): Bench6 {
  const closed = ["out ::/0", "out 0.0.0.0/0"];
  const bench = new Bench6({ allow: [NAME, "out @dns:53"], block: [...closed, ...block], mtu: 4000 });
  bench.detect(LINK);
  bench.passesIn(ra({ options: join(prefixOption(PREFIX), dnsOption(3600, DNS)) }));
  bench.detect(OWN);
  return bench;
}

const ask = (name: string, words = {}): Uint8Array =>
  udp6(5453, 53, question(name, { type: AAAA, ...words }), { destination: DNS });

function answered(name: string, address: string, wrong = 0): Uint8Array {
  const asked = question(name, { type: AAAA });
  const header = [0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
  const record = [...labels(name), 0, AAAA, 0, 1, 0, 0, 1, 0, 0, 16, ...address6(address)];
  const message = Uint8Array.from([...header, ...asked.slice(12), ...record]);
  return udp6(53, 5453, message, inbound({ source: DNS, ...(wrong !== 0 && { wrong }) }));
}

/** The other side takes the SYN. */
function taken(source = CDN): Uint8Array {
  const acknowledgement = (START + 1) >>> 0;
  const plain = segment(443, 40_000, { flags: SYN | ACK, sequence: 8999, acknowledgement });
  put16(plain, 16, sum6(6, plain, { source, destination: OWN }));
  return packet6(6, plain, inbound({ source }));
}

function tcp(at: number, data: Uint8Array, flags: number, destination = CDN): Uint8Array {
  const sequence = (START + at) >>> 0;
  const plain = segment(40_000, 443, { flags, sequence, acknowledgement: 9000, data });
  put16(plain, 16, sum6(6, plain, { source: OWN, destination }));
  return packet6(6, plain, { source: OWN, destination });
}

const SYN = 2;
const ACK = 16;
const NOTHING = new Uint8Array(0);

test("an AAAA answer opens its address; the hello decides, and both sides of a denied one get a RST", () => {
  const bench = online();
  assert.equal(bench.out(tcp(0, NOTHING, SYN)), "name.unpinned");
  bench.passesOut(ask(NAME));
  bench.dropsIn("dns.checksum", answered(NAME, CDN, 1));
  bench.passesIn(answered(NAME, CDN));
  bench.passesOut(tcp(0, NOTHING, SYN));
  bench.dropsOut("name.order", tcp(1, HELLO, ACK));
  bench.passesIn(taken());
  bench.passesOut(tcp(1, HELLO, ACK));

  const other = online();
  other.passesOut(ask(NAME));
  other.passesIn(answered(NAME, CDN));
  other.passesOut(tcp(0, NOTHING, SYN));
  other.passesIn(taken());
  const view = FrameView.of(tcp(1, EVIL, ACK));
  const verdict = other.guard.judgeEgress(view);
  assert.equal(verdictObject(verdict).reason, "name.denied");
  const out = new Uint8Array(2048);
  const toVm = FrameView.of(out, 0, other.guard.answer(view, verdict, out, 0));
  assert.equal(toVm.tcpFlags, 4);
  assert.equal(toVm.tcpSequence, 9000);
  const toNetwork = FrameView.of(out, 0, other.guard.takeQuestion(out, 0));
  assert.equal(toNetwork.tcpFlags, 4);
  assert.equal(toNetwork.tcpSequence, (START + 1) >>> 0);
  assert.equal(toNetwork.tcpChecksumIsRight, true);
});

test("a name that is not allowed gets NXDOMAIN; an address that no name opens is not pinned", () => {
  const bench = online();
  const view = FrameView.of(ask("evil.example.net"));
  const verdict = bench.guard.judgeEgress(view);
  assert.equal(verdictObject(verdict).reason, "dns.denied");
  const out = new Uint8Array(2048);
  const reply = FrameView.of(out, 0, bench.guard.answer(view, verdict, out, 0));
  assert.equal(reply.udpChecksumIsRight, true);
  assert.equal(reply.bytes[reply.transport + 8 + 3]! & 15, 3);
  for (const address of ["fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1"]) {
    bench.passesOut(ask(NAME));
    bench.passesIn(answered(NAME, address));
  }
  assert.deepEqual([...bench.guard.namePairs], []);
  assert.equal(bench.out(tcp(0, NOTHING, SYN, "fd00::1")), "name.rebind");
});

test("an allowed name may have the IPv6 address of a DNS server", () => {
  const bench = online();
  const server = "2620:fe::fe";
  bench.passesIn(ra({ options: join(prefixOption(PREFIX), dnsOption(3600, DNS, server)) }));
  bench.passesOut(ask(NAME));
  bench.passesIn(answered(NAME, server));
  bench.passesOut(tcp(0, NOTHING, SYN, server));
});

test("an answer by IPv6 without a UDP checksum is no answer", () => {
  const bench = online();
  bench.passesOut(ask(NAME));
  const frame = answered(NAME, CDN);
  frame.set([0, 0], 14 + 40 + 6);
  bench.dropsIn("dns.checksum", frame);
  assert.deepEqual([...bench.guard.namePairs], []);
});

test("a name opens an address that embeds an IPv4 one (DNS64), but not against a rule that blocks that one's port", () => {
  const embedding = "64:ff9b::808:808";
  for (const [block, expected] of [
    [[], "pass"],
    [["8.8.8.0/24:443"], "pass"],
    [["8.8.8.8/32:443"], "name.unpinned"],
    [["8.8.8.8/32:80"], "pass"],
  ] as const) {
    const bench = online(...block);
    bench.passesOut(ask(NAME));
    bench.passesIn(answered(NAME, embedding));
    assert.equal(bench.out(tcp(0, NOTHING, SYN, embedding)), expected, String(block));
  }
});
