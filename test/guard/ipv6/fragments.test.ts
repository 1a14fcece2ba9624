/** Fragments of IPv6 (docs/guard-ipv6.md, Fragments). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, join } from "../support.ts";
import {
  addressOf,
  CLOSED,
  DESTINATION_OPTIONS,
  FRAGMENT,
  fragment,
  OWN,
  PolicyBench,
  packet,
  pieceIn,
  pieceOut,
  SECOND_OWN,
  udpIn,
  udpOut,
} from "./policy-support.ts";

const UNKNOWN = "ipv6.fragment-unknown";

test("I1 a later fragment follows its first one: of the same addresses and identification", () => {
  const bench = new PolicyBench();
  assert.equal(bench.out(pieceOut({ offset: 64 })), UNKNOWN);
  assert.equal(bench.out(pieceOut({ id: 0x1_0001 })), "pass");
  assert.equal(bench.out(pieceOut({ offset: 64, id: 1 })), UNKNOWN);
  assert.equal(bench.out(pieceOut({ offset: 64, id: 0x1_0001, source: SECOND_OWN })), UNKNOWN);
  assert.equal(bench.out(pieceOut({ offset: 64, id: 0x1_0001, destination: "2600:1f18::35" })), UNKNOWN);
  assert.equal(bench.in(pieceIn({ offset: 64, id: 0x1_0001 })), UNKNOWN);
  assert.equal(bench.out(pieceOut({ offset: 64, id: 0x1_0001, more: true })), "pass");
  assert.equal(bench.out(pieceOut({ offset: 128, id: 0x1_0001 })), "pass");
  // Whole: its place is another's.
  assert.equal(bench.out(pieceOut({ offset: 192, id: 0x1_0001 })), UNKNOWN);
});

test("I1 RFC 5722: a later fragment that begins within the first one overlaps it", () => {
  const bench = new PolicyBench();
  assert.equal(bench.out(pieceOut()), "pass");
  assert.equal(bench.out(pieceOut({ offset: 8 })), "ipv6.fragment");
  assert.equal(bench.out(pieceOut({ offset: 56 })), "ipv6.fragment");
  assert.equal(bench.out(pieceOut({ offset: 64 })), "pass");
});

test("I1 RFC 5722: what is behind the fragment header counts, other extension headers among it", () => {
  const bench = new PolicyBench();
  const options = bytes(17, 0, 1, 4, 0, 0, 0, 0);
  const first = fragment(
    DESTINATION_OPTIONS,
    0,
    true,
    1,
    join(options, udpOut({ data: new Uint8Array(8) }).subarray(54)),
  );
  assert.equal(bench.out(packet(FRAGMENT, first)), "pass");
  assert.equal(bench.out(pieceOut({ offset: 16 })), "ipv6.fragment");
  assert.equal(bench.out(pieceOut({ offset: 24 })), "pass");
});

test("a first fragment is judged as a whole packet, flows included", () => {
  const bench = new PolicyBench(CLOSED);
  assert.equal(bench.in(pieceIn()), "policy.block");
  assert.equal(bench.in(pieceIn({ offset: 64 })), UNKNOWN);
  assert.equal(bench.out(udpOut()), "pass");
  assert.equal(bench.in(pieceIn()), "pass");
  assert.equal(bench.in(pieceIn({ offset: 64 })), "pass");
  assert.equal(bench.out(pieceOut({ port: 444, id: 2 })), "pass");
  assert.equal(bench.in(udpIn({ port: 444 })), "pass");
});

test("without directions fragments to the VM pass, those from it follow", () => {
  const bench = new PolicyBench({});
  assert.equal(bench.in(pieceIn({ offset: 64 })), "pass");
  assert.equal(bench.out(pieceOut({ offset: 64 })), UNKNOWN);
});

test("I1 to a DNS server that only its port opens a first fragment is ipv6.fragment", () => {
  const bench = new PolicyBench();
  bench.network({ dnsServers: [addressOf("fd00::53")] });
  assert.equal(bench.out(udpOut({ port: 53, destination: "fd00::53" })), "pass");
  const fresh = new PolicyBench({});
  fresh.network({ dnsServers: [addressOf("fd00::53")] });
  assert.equal(fresh.out(pieceOut({ port: 53, destination: "fd00::53" })), "ipv6.fragment");
});

test("noted packets are over after 30 s, with other rules, and with the VM's address", () => {
  const bench = new PolicyBench();
  assert.equal(bench.out(pieceOut()), "pass");
  bench.wait(30);
  assert.equal(bench.out(pieceOut({ offset: 64, more: true })), "pass");
  bench.wait(1);
  assert.equal(bench.out(pieceOut({ offset: 128 })), UNKNOWN);
  assert.equal(bench.out(pieceOut()), "pass");
  bench.rules(["out 2001:db8:ffff::/128"]);
  assert.equal(bench.out(pieceOut({ offset: 64 })), UNKNOWN);
  assert.equal(bench.out(pieceOut()), "pass");
  assert.equal(bench.out(pieceOut({ source: SECOND_OWN })), "pass");
  bench.policy.ownAddressEnded(4);
  assert.equal(bench.out(pieceOut({ offset: 64 })), UNKNOWN);
  assert.equal(bench.out(pieceOut({ offset: 64, source: SECOND_OWN })), "pass");
});

test("fragments to addresses that are none of the VM's follow those to the same one, and give its number back", () => {
  const bench = new PolicyBench();
  assert.equal(bench.in(pieceIn({ destination: "ff02::fb" })), "pass");
  assert.equal(bench.in(pieceIn({ destination: "2001:db8:1::77", id: 2 })), "pass");
  assert.equal(bench.in(pieceIn({ destination: "ff02::fc", offset: 64 })), UNKNOWN);
  assert.equal(bench.in(pieceIn({ offset: 64 })), UNKNOWN);
  assert.equal(bench.in(pieceIn({ destination: "ff02::fb", id: 2, offset: 64 })), UNKNOWN);
  assert.equal(bench.in(pieceIn({ destination: "ff02::fb", offset: 64 })), "pass");
  assert.equal(bench.in(pieceIn({ destination: "2001:db8:1::77", id: 2, offset: 64 })), "pass");
  for (let index = 0; index < 40_000; index++) {
    assert.equal(bench.in(pieceIn({ destination: `ff05::${index.toString(16)}` })), "pass");
  }
});

test("I13 64 packets of one remote address are noted, whichever of the VM's addresses they go to", () => {
  const bench = new PolicyBench();
  for (let id = 1; id <= 64; id++) {
    assert.equal(bench.in(pieceIn({ id, destination: id % 2 === 0 ? OWN : SECOND_OWN })), "pass");
  }
  assert.equal(bench.in(pieceIn({ id: 65 })), "pass");
  assert.equal(bench.in(pieceIn({ id: 1, offset: 64, destination: SECOND_OWN })), UNKNOWN);
  assert.equal(bench.in(pieceIn({ id: 2, offset: 64 })), "pass");
});

test("I13 256 packets are noted, and the addresses of those that made room are given back", () => {
  const bench = new PolicyBench();
  const from = (index: number): string => `2600:0:0:${index.toString(16)}::1`;
  for (let index = 0; index < 2000; index++) assert.equal(bench.in(pieceIn({ source: from(index) })), "pass");
  assert.equal(bench.in(pieceIn({ source: from(1743), offset: 64 })), UNKNOWN);
  assert.equal(bench.in(pieceIn({ source: from(1744), offset: 64 })), "pass");
});

test("I13 fragments of the VM's that stay in pieces have a rate, whole packets have none", () => {
  const bench = new PolicyBench();
  for (let id = 0; id < 1000; id++) {
    assert.equal(bench.out(pieceOut({ id })), "pass");
    assert.equal(bench.out(pieceOut({ id, offset: 64 })), "pass");
  }
  for (let id = 0; id < 400; id++) assert.equal(bench.out(pieceOut({ id })), "pass");
  assert.equal(bench.out(pieceOut({ id: 999 })), "ipv6.fragment-rate");
  assert.equal(bench.out(pieceOut({ id: 399, offset: 64 })), "ipv6.fragment-rate");
  assert.equal(bench.out(pieceOut({ id: 399, offset: 8 })), "ipv6.fragment");
  assert.equal(bench.out(pieceOut({ id: 999, offset: 64 })), UNKNOWN);
});
