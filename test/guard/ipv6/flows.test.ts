/** Flows of IPv6 (docs/guard-ipv6.md, Flows): what belongs to which, what ends them, what half-open ones are counted by. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_PLACE } from "../../../src/guard/ipv6/own-places.ts";
import { RemoteNumbers, SCRATCH } from "../../../src/guard/ipv6/remote-numbers.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { grownBy } from "../../support/heap.ts";
import {
  ACK,
  addressOf,
  CLOSED,
  cidr,
  echoIn,
  echoOut,
  errorIn,
  errorOut,
  FRAGMENT,
  fragment,
  middle,
  OWN,
  PolicyBench,
  packet,
  pieceIn,
  pieceOut,
  REMOTE,
  RST,
  SECOND_OWN,
  SYN,
  tcpIn,
  tcpOut,
  UDP,
  udpIn,
  udpOut,
  wordsOf,
} from "./policy-support.ts";

test("I12 what the VM began is answered, and nothing else passes from outside", () => {
  const bench = new PolicyBench(CLOSED);
  assert.equal(bench.in(udpIn()), "policy.block");
  assert.equal(bench.out(udpOut()), "pass");
  assert.equal(bench.in(udpIn()), "pass");
  assert.equal(bench.in(udpIn({ port: 444 })), "policy.block");
  assert.equal(bench.in(udpIn({ source: "2600:1f18::35" })), "policy.block");
  assert.equal(bench.in(tcpIn(middle)), "flow.unknown");
  assert.equal(bench.out(tcpOut()), "pass");
  assert.equal(bench.in(tcpIn({ flags: SYN | ACK })), "pass");
  assert.equal(bench.flows, 2);
});

test("an address of 128 bits: each of its words tells flows apart", () => {
  const bench = new PolicyBench(CLOSED);
  assert.equal(bench.out(udpOut({ destination: "2600:1:2:3:4:5:6:7" })), "pass");
  for (const other of ["2601:1:2:3:4:5:6:7", "2600:1:2:4:4:5:6:7", "2600:1:2:3:5:5:6:7", "2600:1:2:3:4:5:6:8"]) {
    assert.equal(bench.in(udpIn({ source: other })), "policy.block", other);
  }
  assert.equal(bench.in(udpIn({ source: "2600:1:2:3:4:5:6:7" })), "pass");
});

test("a flow is of one of the VM's addresses, is kept alive by its packets alone, and ends with it", () => {
  const bench = new PolicyBench(CLOSED);
  assert.equal(bench.out(udpOut()), "pass");
  assert.equal(bench.out(udpOut({ source: SECOND_OWN, own: 40_001 })), "pass");
  assert.equal(bench.in(udpIn({ destination: SECOND_OWN })), "policy.block");
  assert.equal(bench.in(udpIn({ own: 40_001 })), "policy.block");
  assert.equal(bench.flows, 2);
  bench.wait(31);
  assert.equal(bench.flows, 0);
  assert.equal(bench.out(udpOut()), "pass");
  assert.equal(bench.out(udpOut({ source: SECOND_OWN })), "pass");
  bench.own.end(4);
  bench.policy.ownAddressEnded(4);
  assert.equal(bench.flows, 1);
  assert.equal(bench.in(udpIn({ destination: SECOND_OWN })), "pass");
  bench.own.set(4, OWN);
  assert.equal(bench.in(udpIn()), "policy.block");
});

test("echo has ICMPv6's types: 128 opens, 129 answers", () => {
  const bench = new PolicyBench(CLOSED);
  assert.equal(bench.in(echoIn(129)), "policy.block");
  assert.equal(bench.out(echoOut(128)), "pass");
  assert.equal(bench.in(echoIn(129)), "pass");
  assert.equal(bench.in(echoIn(128)), "policy.block");
  assert.equal(bench.in(echoIn(129, 8)), "policy.block");
  for (let more = 0; more < 199; more++) assert.equal(bench.out(echoOut(128)), "pass");
  assert.equal(bench.out(echoOut(128)), "icmp.rate");
});

test("multicast belongs to no flow, nor does what goes to no valid address of the VM's", () => {
  const bench = new PolicyBench({ allow: ["ff02::/16", "in 2600::/16"] });
  assert.equal(bench.out(udpOut({ destination: "ff02::fb" })), "pass");
  assert.equal(bench.in(udpIn({ destination: "ff02::fb" })), "pass");
  assert.equal(bench.in(udpIn({ destination: "2001:db8:1::77" })), "pass");
  assert.equal(bench.flows, 0);
});

test("I14 an ICMPv6 error passes for the packet of a live flow, behind a fragment header too, else it is flow.icmp", () => {
  const bench = new PolicyBench(CLOSED);
  const sent = udpOut();
  assert.equal(bench.in(errorIn(sent)), "flow.icmp");
  assert.equal(bench.out(sent), "pass");
  assert.equal(bench.in(errorIn(sent)), "pass");
  assert.equal(bench.in(errorIn(sent, {}, 2, 1280)), "pass");
  const inPieces = packet(FRAGMENT, fragment(UDP, 0, true, 9, sent.subarray(54)));
  assert.equal(bench.in(errorIn(inPieces, {}, 2, 1400)), "pass");
  assert.equal(bench.in(errorIn(udpOut({ port: 444 }))), "flow.icmp");
  assert.equal(bench.in(errorIn(udpOut({ source: SECOND_OWN }), { destination: SECOND_OWN })), "flow.icmp");
  assert.equal(bench.out(echoOut(128)), "pass");
  assert.equal(bench.in(errorIn(echoOut(128))), "pass");
  assert.equal(bench.in(errorIn(echoOut(129))), "flow.icmp");
  // About what the other side sent, to another of the VM's addresses than the error comes from.
  assert.equal(bench.in(udpIn()), "pass");
  assert.equal(bench.out(errorOut(udpIn())), "pass");
  assert.equal(bench.out(errorOut(udpIn(), { source: SECOND_OWN })), "pass");
});

test("I13 half-open flows are counted by the upper 64 bits of the remote address", () => {
  const bench = new PolicyBench();
  const from = (upper: string, index: number): string => `2600:${upper}::${index.toString(16)}`;
  for (let index = 0; index < 256; index++) assert.equal(bench.in(tcpIn({ source: from("1:2:3", index + 1) })), "pass");
  assert.equal(bench.in(tcpIn({ source: from("1:2:3", 999) })), "flow.half-open");
  assert.equal(bench.in(tcpIn({ source: from("1:2:4", 1) })), "pass");
  assert.equal(bench.out(tcpOut({ destination: from("1:2:3", 999) })), "pass");
  bench.wait(61);
  assert.equal(bench.in(tcpIn({ source: from("1:2:3", 999) })), "pass");
});

test("a closed flow is opened anew between the same ports, also as the only one of its remote address", () => {
  const bench = new PolicyBench(CLOSED);
  for (let round = 0; round < 3; round++) {
    assert.equal(bench.out(tcpOut()), "pass");
    assert.equal(bench.in(tcpIn({ flags: SYN | ACK })), "pass");
    assert.equal(bench.out(tcpOut(middle)), "pass");
    assert.equal(bench.in(tcpIn({ flags: RST })), "pass");
    assert.equal(bench.flows, 1);
  }
});

test("I12 other rules cut flows and mend them; a cut one remembers itself", () => {
  const bench = new PolicyBench();
  assert.equal(bench.out(tcpOut()), "pass");
  assert.equal(bench.in(tcpIn({ flags: SYN | ACK })), "pass");
  assert.equal(bench.out(tcpOut(middle)), "pass");
  assert.equal(bench.rules(["out 2001:db8:ffff::/128"], ["2600::/16"]), 1);
  assert.equal(bench.in(tcpIn(middle)), "flow.cut");
  assert.equal(bench.out(tcpOut(middle)), "policy.block");
  assert.equal(bench.rules(["out 2001:db8:ffff::/128"]), 0);
  assert.equal(bench.in(tcpIn(middle)), "pass");
});

test("flows are judged again when a DNS server, an on-link prefix or the router changes", () => {
  const bench = new PolicyBench();
  assert.equal(bench.out(udpOut({ port: 53, destination: "fd00::53" })), "policy.destination");
  bench.network({ dnsServers: [addressOf("fd00::53")] });
  assert.equal(bench.out(udpOut({ port: 53, destination: "fd00::53" })), "pass");
  assert.equal(bench.out(udpOut()), "pass");
  bench.network({});
  assert.equal(bench.flows, 1);
  assert.equal(bench.in(udpIn({ port: 53, source: "fd00::53" })), "flow.cut");
  bench.network({ onLink: [cidr("2600:1f18::/64")] });
  assert.equal(bench.flows, 0);
  assert.equal(bench.out(udpOut()), "policy.on-link");
});

test("S10 I7 a remote address that embeds an IPv4 one passes only where that would, for IPv4's reason", () => {
  const bench = new PolicyBench({ allow: ["out 2001:db8:ffff::/128", "::/0"], block: ["93.184.0.0/16:443"] });
  assert.equal(bench.out(udpOut({ destination: "64:ff9b::5db8:2222" })), "policy.block");
  assert.equal(bench.out(udpOut({ destination: "64:ff9b::5db8:2222", port: 80 })), "pass");
  assert.equal(bench.out(udpOut({ destination: "64:ff9b::a9fe:a9fe" })), "policy.metadata");
  assert.equal(bench.out(udpOut({ destination: "64:ff9b::7f00:1" })), "ipv4.loopback");
  assert.equal(bench.out(udpOut({ destination: "2002:0a00:0001::1" })), "policy.destination");
  // IPv6's reason comes first.
  const closed = new PolicyBench({ block: ["64:ff9b::/96"] });
  assert.equal(closed.out(udpOut({ destination: "64:ff9b::a9fe:a9fe" })), "policy.block");
  assert.equal(bench.out(echoOut(128, 1, { destination: "64:ff9b::c0a8:4001" })), "pass");
  bench.network({ nat64: [cidr("2600:1f18::/96")] });
  assert.equal(bench.out(udpOut({ destination: "2600:1f18::5db8:2222" })), "policy.block");
});

test("S10 a flow to an embedded address is judged again when IPv4's gateway changes", () => {
  const bench = new PolicyBench();
  const gateway = "64:ff9b::c0a8:4001";
  assert.equal(bench.out(udpOut({ destination: gateway })), "pass");
  assert.equal(bench.flows, 1);
  bench.ipv4.updateNetwork({ gateway: 0xc0a84002, address: 0xc0a84005, netmask: 0xffffff00, dnsServers: [] });
  assert.equal(bench.flows, 0);
});

test("I7 a packet from a metadata address opens a flow only where an allow rule decides about it", () => {
  for (const source of ["fd00:ec2::254", "64:ff9b::a9fe:a9fe"]) {
    const bench = new PolicyBench();
    assert.equal(bench.in(udpIn({ source })), "pass");
    assert.equal(bench.flows, 0, source);
  }
  const open = new PolicyBench({ allow: ["in @metadata"] });
  assert.equal(open.in(udpIn({ source: "fd00:ec2::254" })), "pass");
  assert.equal(open.in(udpIn({ source: "64:ff9b::a9fe:a9fe" })), "pass");
  assert.equal(open.flows, 2);
});

test("without directions nothing is asked about packets to the VM; with `live` flows are noted", () => {
  const bench = new PolicyBench({ block: ["2600::/16"], live: true });
  assert.equal(bench.in(udpIn()), "pass");
  assert.equal(bench.out(udpOut()), "policy.block");
  assert.equal(bench.in(errorIn(udpOut({ port: 9 }))), "pass");
  assert.equal(bench.flows, 1);
  const plain = new PolicyBench({ block: ["2600::/16"] });
  assert.equal(plain.out(udpOut()), "policy.block");
  assert.equal(plain.out(udpOut({ destination: "2a00::1" })), "pass");
  assert.equal(plain.in(udpIn()), "pass");
  assert.equal(plain.flows, 0);
});

test("what an exposed port answers to the router passes though a rule blocks it", () => {
  for (const block of [["@host"], ["in @host", "out @host"]]) {
    const bench = new PolicyBench({ block, exposedPorts: [22] });
    bench.network({ routers: [addressOf("fe80::1"), addressOf("2001:db8:1::1")] });
    for (const destination of ["fe80::1", "2001:db8:1::1"]) {
      assert.equal(bench.out(tcpOut({ destination, own: 22, ...middle })), "pass");
      assert.equal(bench.out(tcpOut({ destination, own: 22 })), "policy.block");
      assert.notEqual(bench.out(tcpOut({ destination, own: 23, ...middle })), "pass");
    }
    assert.notEqual(bench.out(tcpOut({ destination: "fe80::2", own: 22, ...middle })), "pass");
  }
});

test("S10 a block rule about IPv4's whole space is in force for IPv6, and the other way round", () => {
  const bench = new PolicyBench({ block: ["0.0.0.0/0"] });
  assert.equal(bench.out(udpOut()), "policy.block");
  const other = new PolicyBench({ block: ["::/0"], allow: ["64:ff9b::/96"] });
  assert.equal(other.out(udpOut({ destination: "64:ff9b::5db8:2222" })), "policy.block");
});

test("a rule with a direction makes the policy stateful in both families", () => {
  assert.ok(new PolicyBench({ block: ["in 10.0.0.0/8"] }).policy.stateful);
  assert.ok(new PolicyBench({ block: ["in 2600::/16"] }).ipv4.stateful);
  assert.ok(!new PolicyBench({ block: ["2600::/16"] }).policy.stateful);
});

test("explain says what a packet would be told, and whose rule decides", () => {
  const { policy } = new PolicyBench({ allow: ["out 2001:db8:ffff::/128"], block: ["2600::/16", "93.184.0.0/16"] });
  const ask = (remote: string, protocol: "tcp" | "icmp" | number = "tcp") =>
    policy.explain({ direction: "out", protocol, remote: addressOf(remote), port: 443 });
  assert.deepEqual(ask(REMOTE), {
    verdict: "drop",
    reason: "policy.block",
    rule: { action: "block", text: "2600::/16" },
  });
  assert.deepEqual(ask("2a00::1"), { verdict: "pass", default: "global" });
  assert.deepEqual(ask("fe80::1", 99), { verdict: "drop", reason: "policy.gateway", default: "gateway" });
  assert.deepEqual(ask("fe80::1", "icmp"), { verdict: "pass", default: "gateway" });
  const { verdict, reason, embedded } = ask("64:ff9b::5db8:2222");
  assert.deepEqual(
    { verdict, reason, embedded },
    {
      verdict: "drop",
      reason: "policy.block",
      embedded: {
        address: "93.184.34.34",
        decides: true,
        verdict: "drop",
        reason: "policy.block",
        rule: { action: "block", text: "93.184.0.0/16" },
      },
    },
  );
});

test("numbers are lent while something has them, as often as one likes, and each is one address", () => {
  const numbers = new RemoteNumbers();
  const held = new Map<string, { number: number; times: number }>();
  let state = 12_345;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let step = 0; step < 40_000; step++) {
    const text = `2001:db8:0:${random(7)}::${random(23).toString(16)}`;
    const known = held.get(text);
    const found = numbers.find(wordsOf(text));
    assert.equal(found, known?.number ?? SCRATCH);
    if (random(2) === 0) {
      const number = numbers.hold(found);
      if (known === undefined) held.set(text, { number, times: 1 });
      else known.times++;
      assert.ok(number !== SCRATCH && (known === undefined || number === known.number));
    } else if (known !== undefined) {
      numbers.release(found);
      if (--known.times === 0) held.delete(text);
    }
    assert.equal(numbers.count, held.size);
  }
  for (const [text, { number }] of held) {
    numbers.select(number);
    assert.deepEqual(numbers.words, wordsOf(text));
  }
});

test("policy allocates nothing per frame, whatever becomes of it", () => {
  const bench = new PolicyBench({ allow: ["out 2600::/16"], block: ["in [::/0]:9"] });
  const turns: [out: boolean, frame: Uint8Array][] = [];
  for (let index = 0; index < 50; index++) {
    const remote = `2600:0:0:${index.toString(16)}::${(index % 7).toString(16)}`;
    const id = index;
    turns.push(
      [true, tcpOut({ destination: remote, own: index })],
      [false, tcpIn({ source: remote, own: index, flags: SYN | ACK })],
      [false, errorIn(tcpOut({ destination: remote, own: index }))],
      [false, tcpIn({ source: remote, own: index, flags: RST })],
      [true, udpOut({ destination: `64:ff9b::${(0xf000 + index).toString(16)}:1`, own: 7 })],
      [false, udpIn({ port: 9, source: remote, own: 9 })],
      [true, pieceOut({ destination: remote, id })],
      [true, pieceOut({ destination: remote, id, offset: 64 })],
      [false, pieceIn({ destination: "ff02::fb", source: remote, id })],
      [false, tcpIn({ source: remote, own: 8, port: index })],
    );
  }
  const views = turns.map(([out, frame]) => ({ out, view: FrameView.of(frame) }));
  const { policy } = bench;
  const place = bench.own.placeOf(wordsOf(OWN));
  const judge = (times: number): number => {
    let sum = 0;
    for (let turn = 0; turn < times; turn++) {
      const { out, view } = views[turn % views.length]!;
      sum += out
        ? policy.egress(view, place)
        : policy.ingress(view, view.destination6[0]! >>> 24 === 0xff ? NO_PLACE : place);
    }
    return sum;
  };
  const grown = grownBy(300_000, judge);
  assert.ok(grown < 1_000_000, `${grown} bytes`);
});
