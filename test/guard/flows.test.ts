/** Flows of a stateful policy (threat rows I12, I13): who may answer whom, for how long, and how many. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK_FLAG,
  change,
  echoIn,
  echoOut,
  errorIn,
  FIN,
  flowsOf,
  middle,
  REMOTE,
  RST,
  remote,
  type SegmentWords,
  SYN,
  TRACKING,
  tcpIn,
  tcpOut,
  tracking,
  udpIn,
  udpOut,
} from "./flow-support.ts";
import {
  ADDRESS,
  Bench,
  Client,
  DNS_SERVER,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  HOUR,
  NEIGHBOUR,
  packet,
  SECOND,
  Server,
  TCP,
  udp,
} from "./support.ts";

const CLOSED = { block: ["in 0.0.0.0/0"] };

test("bare rules alone are stateless: nothing to the VM is asked, and no flow is noted", () => {
  const bench = tracking({ block: ["93.0.0.0/8"] });
  bench.dropsOut("policy.block", tcpOut());
  bench.passesIn(tcpIn(), tcpIn(middle), udpIn());
  assert.equal(flowsOf(bench), 0);
  assert.equal(bench.guard.stateful, false);
});

test("with in and a port, an inbound connection passes on that port only, and is answered", () => {
  const bench = tracking({ allow: ["in 93.184.216.34/32:22"], block: ["in 0.0.0.0/0"] });
  const ssh = { port: 50_000, own: 22 };
  bench.dropsIn("policy.block", tcpIn({ port: 50_000, own: 23 }), tcpIn({ ...ssh, source: "93.184.216.35" }));
  bench.dropsIn("policy.block", udpIn({ port: 22, own: 40_000 }), echoIn(8));
  bench.passesIn(tcpIn(ssh));
  bench.passesOut(tcpOut({ ...ssh, flags: SYN | ACK_FLAG }));
  bench.passesIn(tcpIn({ ...ssh, ...middle }), tcpIn({ ...ssh, flags: FIN | ACK_FLAG }));
  assert.equal(flowsOf(bench), 1);
});

test("in 192.168.64.9/32:22 lets a neighbour in, and its answers out, though the VM may not connect there", () => {
  const bench = tracking({ allow: ["in 192.168.64.9/32:22"] });
  const words = { source: NEIGHBOUR, port: 50_000, own: 22 };
  bench.dropsOut("policy.destination", tcpOut({ destination: NEIGHBOUR }));
  bench.dropsOut("flow.unknown", tcpOut({ destination: NEIGHBOUR, port: 50_000, own: 22, ...middle }));
  bench.passesIn(tcpIn(words));
  bench.passesOut(tcpOut({ destination: NEIGHBOUR, port: 50_000, own: 22, flags: SYN | ACK_FLAG }));
  bench.dropsOut("policy.destination", tcpOut({ destination: NEIGHBOUR, port: 50_000, own: 22 }));
  bench.dropsOut("flow.unknown", tcpOut({ destination: NEIGHBOUR, port: 50_001, own: 22, ...middle }));
  bench.dropsOut("policy.destination", udpOut({ destination: NEIGHBOUR, port: 50_000, own: 22 }));
});

test("answers to what the VM asked pass a closed way in: TCP, UDP, ping; what nobody asked does not", () => {
  const bench = tracking(CLOSED);
  bench.dropsIn("flow.unknown", tcpIn({ flags: SYN | ACK_FLAG }));
  bench.dropsIn("policy.block", tcpIn(), udpIn(), echoIn(0), echoIn(8));
  bench.passesOut(tcpOut(), udpOut(), echoOut(8));
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }), tcpIn({ flags: RST }), udpIn(), echoIn(0));
  bench.dropsIn(
    "flow.unknown",
    tcpIn({ flags: SYN | ACK_FLAG, port: 444 }),
    tcpIn({ flags: SYN | ACK_FLAG, own: 40_001 }),
    tcpIn({ flags: SYN | ACK_FLAG, source: remote(1) }),
  );
  bench.dropsIn(
    "policy.block",
    udpIn({ port: 444 }),
    udpIn({ own: 40_001 }),
    udpIn({ source: remote(1) }),
    echoIn(0, { identifier: 8 }),
    echoIn(0, { source: remote(1) }),
    echoIn(8),
  );
});

test("a TCP flow answers for no UDP, and an echo flow for no port of its identifier", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut({ own: 7, port: 0 }));
  bench.dropsIn("policy.block", udpIn({ own: 7, port: 0 }), echoIn(0, { identifier: 7 }));
});

test("a bare SYN asks the rules although its flow is live; everything else of the flow does not", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut());
  bench.dropsIn("policy.block", tcpIn());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }), tcpIn({ flags: FIN }), tcpIn({ flags: 0 }));
});

test("pings belong to the side that sends the requests", () => {
  const bench = tracking({ allow: ["in 0.0.0.0/0"], block: ["out 0.0.0.0/0"] });
  bench.dropsOut("policy.block", echoOut(8), echoOut(0));
  bench.passesIn(echoIn(8));
  bench.passesOut(echoOut(0));
  bench.dropsOut("policy.block", echoOut(8), echoOut(0, { identifier: 8 }));
  assert.equal(flowsOf(bench), 1);
});

test("an echo answer that nobody asked for asks the rules and opens nothing", () => {
  const bench = tracking();
  bench.passesOut(echoOut(0));
  bench.passesIn(echoIn(0));
  assert.equal(flowsOf(bench), 0);
});

test("inbound traffic that no rule covers passes, and what it opened is answered", () => {
  const bench = tracking({ allow: ["out 10.0.0.0/8"] });
  bench.dropsOut("policy.destination", udpOut({ destination: "192.168.1.1" }));
  bench.passesIn(udpIn({ source: "192.168.1.1" }));
  bench.passesOut(udpOut({ destination: "192.168.1.1" }));
});

test("the middle of a connection asks and opens a flow: softnet may have been started after it", () => {
  const bench = tracking(CLOSED);
  bench.dropsIn("flow.unknown", tcpIn(middle));
  bench.passesOut(tcpOut(middle));
  bench.passesIn(tcpIn(middle));
});

test("what is no TCP, UDP or ping is no flow: each packet asks", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(packet(47, new Uint8Array(8), { destination: REMOTE }));
  bench.dropsIn(
    "policy.block",
    packet(47, new Uint8Array(8), {
      source: REMOTE,
      destination: ADDRESS,
      to: "7e:1a:00:00:00:01",
      from: "02:00:00:00:00:64",
    }),
  );
  assert.equal(flowsOf(bench), 0);
});

test("multicast and broadcast ask and are no flows, in either direction", () => {
  const open = { address: ADDRESS, subnet: "192.168.64.0/24", allow: ["out 0.0.0.0/0"] };
  const bench = new Bench(open);
  for (const destination of ["224.0.0.251", EVERYONE, "192.168.64.255"]) {
    bench.passesOut(udp(5353, 5353, { destination, to: EVERYONE_MAC }));
    bench.passesIn(udpIn({ destination, to: EVERYONE_MAC }), udpIn({ source: destination }));
  }
  assert.equal(flowsOf(bench), 0);
  const closed = new Bench({ ...open, block: ["in 0.0.0.0/0"] });
  closed.passesOut(udpOut({ destination: EVERYONE, to: EVERYONE_MAC }));
  closed.dropsIn("policy.block", udpIn({ source: EVERYONE }), udpIn({ destination: EVERYONE, to: EVERYONE_MAC }));
});

test("while there is no binding, what comes asks the rules and opens nothing", () => {
  const bench = new Bench(TRACKING);
  bench.passesIn(tcpIn(), udpIn());
  assert.equal(flowsOf(bench), 0);
  new Bench(CLOSED).dropsIn("policy.block", tcpIn());
});

/* Times: whole seconds */

for (const [what, frames, seconds] of [
  ["UDP", [udpOut()], 30],
  ["answered UDP", [udpOut(), udpIn()], 120],
  ["ping", [echoOut(8), echoIn(0)], 60],
  ["TCP", [tcpOut(middle)], 7440],
  ["half-open TCP", [tcpOut(), tcpIn(middle)], 60],
  ["closed TCP", [tcpOut({ flags: FIN | ACK_FLAG }), tcpIn({ flags: FIN | ACK_FLAG }), tcpOut(middle)], 240],
  ["reset TCP", [tcpOut(middle), tcpIn({ flags: RST })], 240],
] as const) {
  test(`G12 a flow of ${what} lives ${seconds} s after its last packet, in whole seconds, and no longer`, () => {
    const bench = tracking(CLOSED);
    const pass = (): void => {
      for (const frame of frames) assert.equal(frame[6] === 0x7e ? bench.out(frame) : bench.in(frame), "pass");
    };
    bench.wait(SECOND - 1); // The last microsecond of a second.
    pass();
    bench.wait(1 + (seconds - 1) * SECOND + SECOND - 1);
    assert.equal(flowsOf(bench), 1);
    const last = frames.at(-1)!;
    assert.equal(last[6] === 0x7e ? bench.out(last) : bench.in(last), "pass");
    bench.wait(seconds * SECOND);
    assert.equal(flowsOf(bench), 1);
    bench.wait(1);
    assert.equal(flowsOf(bench), 0);
  });
}

test("flows end in the second in which they are over, however the clock jumps", () => {
  for (const jumps of [[31], [10, 20, 1], [1, 30], [100_000], [30, 400], [2 ** 32], [2 ** 32 + 5], [30, 2 ** 33]]) {
    const bench = tracking(CLOSED);
    bench.passesOut(udpOut());
    for (const [index, jump] of jumps.entries()) {
      bench.wait(jump * SECOND);
      assert.equal(flowsOf(bench), index === jumps.length - 1 ? 0 : 1, `${jumps}`);
    }
  }
});

test("thousands of flows that were used at different times are live exactly as long as each should", () => {
  const bench = tracking(CLOSED);
  /** The second of each flow's last packet. */
  const last: number[] = [];
  const answered = new Set<number>();
  const patience = (index: number): number => (answered.has(index) ? 120 : 30);
  const second = (): number => Math.floor(bench.now / SECOND);
  for (let index = 0; index < 3000; index++) {
    if (index % 100 === 0) bench.wait(SECOND);
    bench.passesOut(udpOut({ destination: remote(index) }));
    last[index] = second();
  }
  for (let round = 0; round < 40; round++) {
    // Every so many are used again, if they are still live.
    for (let index = round; index < 3000; index += 7 + round * 3) {
      const live = second() - last[index]! <= patience(index);
      assert.equal(bench.in(udpIn({ source: remote(index) })), live ? "pass" : "policy.block");
      if (!live) continue;
      last[index] = second();
      answered.add(index);
    }
    assert.equal(flowsOf(bench), last.filter((used, index) => second() - used <= patience(index)).length);
    bench.wait((1 + (round % 3)) * SECOND);
  }
  bench.wait(121 * SECOND);
  assert.equal(flowsOf(bench), 0);
});

test("a connection is half-open until the other side's SYN and ACK and the opener's next segment", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut(), tcpOut(middle));
  bench.passesIn(tcpIn({ flags: ACK_FLAG }));
  bench.wait(61 * SECOND);
  bench.dropsIn("flow.unknown", tcpIn(middle)); // The opener's segment came before the answer.

  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut({ flags: SYN | ACK_FLAG }));
  bench.wait(61 * SECOND);
  bench.dropsIn("flow.unknown", tcpIn(middle)); // With SYN it completes nothing.

  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut(middle));
  bench.wait(300 * SECOND);
  bench.passesIn(tcpIn(middle));
});

test("an inbound connection is completed by the VM's answer and the other side's next segment", () => {
  const bench = tracking({ allow: ["in 93.184.216.34/32:40000"], block: ["in 0.0.0.0/0"] });
  bench.passesIn(tcpIn());
  bench.passesOut(tcpOut({ flags: SYN | ACK_FLAG }));
  bench.passesIn(tcpIn(middle));
  change(bench, [], ["in 0.0.0.0/0:9"]);
  bench.wait(299 * SECOND);
  assert.equal(flowsOf(bench), 1);
});

/* Limits (threat row I13) */

test("I13 the 32,769th flow is refused, none is pushed out, and there is room again when one is over", () => {
  const bench = tracking(CLOSED);
  for (let index = 0; index < 32_768; index++) {
    if (bench.out(udpOut({ destination: remote(index) })) !== "pass") assert.fail(`flow ${index}`);
  }
  assert.equal(flowsOf(bench), 32_768);
  bench.dropsOut("flow.full", udpOut({ own: 1 }), tcpOut(), tcpOut(middle), echoOut(8));
  bench.dropsIn("policy.block", tcpIn());
  bench.passesOut(echoOut(0), packet(47, new Uint8Array(4), { destination: REMOTE }));
  bench.wait(30 * SECOND);
  for (const index of [0, 1, 16_384, 32_767]) bench.passesOut(udpOut({ destination: remote(index) }));
  bench.passesOut(udpOut({ destination: remote(5) }));
  bench.dropsOut("flow.full", tcpOut());
  bench.wait(SECOND);
  assert.equal(flowsOf(bench), 5);
  bench.passesOut(tcpOut());
});

test("I13 a remote address has 256 half-open connections at most from each side; others and live ones go on", () => {
  const bench = tracking();
  bench.passesOut(tcpOut({ own: 1 }));
  bench.passesIn(tcpIn({ own: 1, flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut({ own: 1, ...middle }));
  for (let index = 0; index < 256; index++) {
    bench.passesOut(tcpOut({ own: 1000 + index }));
    bench.passesIn(tcpIn({ own: 22, port: 1000 + index }));
  }
  bench.dropsOut("flow.half-open", tcpOut({ own: 2 }));
  bench.dropsIn("flow.half-open", tcpIn({ own: 22, port: 2 }), tcpIn({ own: 22, port: 2, ...middle }));
  // A repeated SYN, a living connection, the middle of another, another protocol, another address.
  bench.passesOut(tcpOut({ own: 1000 }), tcpOut({ own: 1, ...middle }), tcpOut({ own: 3, ...middle }), udpOut());
  bench.passesOut(tcpOut({ destination: remote(1) }));
  bench.passesIn(tcpIn({ own: 1, ...middle }));
  // One is completed: one more may come.
  bench.passesIn(tcpIn({ own: 1000, flags: SYN | ACK_FLAG }));
  bench.dropsOut("flow.half-open", tcpOut({ own: 2 }));
  bench.passesOut(tcpOut({ own: 1000, ...middle }), tcpOut({ own: 2 }));
  bench.dropsOut("flow.half-open", tcpOut({ own: 4 }));
  bench.wait(61 * SECOND);
  bench.passesOut(tcpOut({ own: 4 }));
});

test("I13 the other side fills half of the table at most, and the VM's own flows the rest", () => {
  const bench = tracking();
  for (let index = 0; index < 16_384; index++) {
    if (bench.in(udpIn({ source: remote(index) })) !== "pass") assert.fail(`flow ${index}`);
  }
  bench.dropsIn("flow.full", udpIn({ source: remote(20_000) }), tcpIn(), echoIn(8));
  for (let index = 0; index < 16_384; index++) {
    if (bench.out(udpOut({ destination: remote(index), own: 1 })) !== "pass") assert.fail(`flow ${index}`);
  }
  bench.dropsOut("flow.full", udpOut({ own: 2 }));
  bench.wait(31 * SECOND);
  bench.passesIn(udpIn({ source: remote(20_000) }));
});

test("what the other side begins in the middle is half-open until the VM answers it with more than a RST", () => {
  const bench = tracking();
  const of = (own: number) => ({ own, ...middle });
  bench.passesIn(tcpIn(of(1)), tcpIn(of(2)), tcpIn(of(3)));
  bench.passesOut(tcpOut(of(1)), tcpOut({ own: 2, flags: RST }));
  assert.equal(flowsOf(bench), 2);
  bench.wait(61 * SECOND);
  assert.equal(flowsOf(bench), 1);
  bench.wait(239 * SECOND);
  bench.passesIn(tcpIn(of(1)));
  assert.equal(flowsOf(bench), 1);
});

test("I13 a half-open connection is over when the side that did not open it resets it, and not by the other one's RST", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut({ own: 1 }), tcpOut({ own: 2 }), tcpOut({ own: 2, flags: RST }));
  bench.passesIn(tcpIn({ own: 1, flags: RST | ACK_FLAG }));
  assert.equal(flowsOf(bench), 1);
  bench.dropsIn("flow.unknown", tcpIn({ own: 1, flags: SYN | ACK_FLAG }));
  bench.passesIn(tcpIn({ own: 2, flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut({ own: 2, ...middle }));
  bench.passesIn(tcpIn({ own: 2, flags: RST })); // complete: it may be anybody's
  assert.equal(flowsOf(bench), 1);
});

test("I13 the rules are asked before the limits", () => {
  const bench = tracking({ block: ["in 0.0.0.0/0", "out 93.184.216.34/32:81"] });
  for (let index = 0; index < 256; index++) bench.passesOut(tcpOut({ own: 1 + index }));
  bench.dropsOut("flow.half-open", tcpOut());
  bench.dropsOut("policy.block", tcpOut({ port: 81 }));
});

/* Closing (finding G12): threat rows I12, I13 */

/** A connection that the VM opened. */
function connect(bench: Bench, words: SegmentWords = {}): void {
  bench.passesOut(tcpOut(words));
  bench.passesIn(tcpIn({ source: words.destination ?? REMOTE, ...portsIn(words), flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut({ ...words, ...middle }));
}

const portsIn = ({ own, port }: SegmentWords): SegmentWords => ({
  ...(own !== undefined && { own }),
  ...(port !== undefined && { port }),
});

test("G12 an SSH session that is silent for two hours goes on, also where only its keep-alives pass", () => {
  const bench = tracking(CLOSED);
  connect(bench, { port: 22 });
  for (let hours = 0; hours < 24; hours += 2) {
    bench.wait(2 * HOUR);
    bench.passesOut(tcpOut({ port: 22, ...middle }));
    bench.passesIn(tcpIn({ port: 22, ...middle }));
  }
});

test("G12 a connection that was idle for too long is unknown on both sides, not denied by a rule", () => {
  const bench = tracking({ allow: ["in 93.184.216.34/32:22"], block: ["in 0.0.0.0/0", "out @global"] });
  const ports = { own: 22, port: 50_000 };
  bench.passesIn(tcpIn(ports));
  bench.passesOut(tcpOut({ ...ports, flags: SYN | ACK_FLAG }));
  bench.passesIn(tcpIn({ ...ports, ...middle }));
  bench.wait(7441 * SECOND);
  bench.dropsOut("flow.unknown", tcpOut({ ...ports, ...middle }));
  bench.dropsIn("flow.unknown", tcpIn({ port: 443, ...middle }));
  bench.dropsOut("policy.block", tcpOut(ports), udpOut(ports)); // what begins something is denied
  bench.dropsIn("policy.block", tcpIn({ own: 23 }), udpIn());
});

test("G12 what is no flow's to begin with keeps its reason: groups, no binding, a stateless policy", () => {
  const bench = tracking({ block: ["0.0.0.0/0", "in 0.0.0.0/0"] });
  bench.dropsOut("policy.block", tcpOut({ destination: "224.0.0.1", ...middle }));
  bench.dropsIn("policy.block", tcpIn({ destination: EVERYONE, to: EVERYONE_MAC, ...middle }));
  new Bench(CLOSED).dropsIn("policy.block", tcpIn(middle));
  tracking({ live: true, block: ["93.0.0.0/8"] }).dropsOut("policy.block", tcpOut(middle));
});

test("G12 I12 a forged RST takes nothing from a connection whose other side goes on", () => {
  for (const [forged, goesOn] of [
    [(bench: Bench) => bench.passesIn(tcpIn({ flags: RST })), (bench: Bench) => bench.passesOut(tcpOut(middle))],
    [(bench: Bench) => bench.passesOut(tcpOut({ flags: RST })), (bench: Bench) => bench.passesIn(tcpIn(middle))],
    [(bench: Bench) => bench.passesIn(tcpIn({ flags: RST })), (bench: Bench) => bench.passesIn(tcpIn(middle))],
  ] as const) {
    const bench = tracking(CLOSED);
    connect(bench);
    forged(bench);
    goesOn(bench); // RFC 5961 3.2: a challenge ACK
    bench.wait(7440 * SECOND);
    bench.passesIn(tcpIn(middle));
  }
  const bench = tracking(CLOSED);
  connect(bench);
  bench.passesIn(tcpIn({ flags: RST | FIN }), tcpIn({ flags: SYN | ACK_FLAG | RST }));
  bench.passesOut(tcpOut({ flags: FIN | ACK_FLAG }));
  bench.wait(241 * SECOND);
  bench.passesIn(tcpIn(middle)); // a FIN with RST is none
});

test("G12 a connection that one side alone has closed goes on for as long as one that is open", () => {
  const bench = tracking(CLOSED);
  connect(bench);
  bench.passesOut(tcpOut({ flags: FIN | ACK_FLAG }), tcpOut({ flags: FIN | ACK_FLAG }));
  bench.wait(HOUR);
  bench.passesIn(tcpIn(middle)); // the other side still sends (RFC 9293 3.6, FIN-WAIT-2)
  bench.passesIn(tcpIn({ flags: FIN | ACK_FLAG }));
  bench.wait(240 * SECOND);
  bench.passesIn(tcpIn({ flags: FIN | ACK_FLAG })); // sent again: it keeps the closed flow
  bench.wait(241 * SECOND);
  bench.dropsIn("flow.unknown", tcpIn({ flags: FIN | ACK_FLAG }));
});

test("G12 a bare SYN on a closed flow opens it anew, half-open, and whose it is follows the SYN", () => {
  const bench = tracking({ allow: ["in 93.184.216.34/32:40000"], block: ["in 0.0.0.0/0"] });
  connect(bench);
  bench.passesOut(tcpOut({ flags: RST }));
  bench.passesOut(tcpOut());
  assert.equal(flowsOf(bench), 1);
  bench.passesIn(tcpIn({ flags: RST | ACK_FLAG })); // half-open: over at once
  assert.equal(flowsOf(bench), 0);
  connect(bench);
  bench.passesIn(tcpIn({ flags: RST }));
  bench.passesIn(tcpIn()); // by a rule
  bench.wait(61 * SECOND);
  assert.equal(flowsOf(bench), 0);
});

test("G12 I12 a bare SYN that no rule allows ends no closed flow, and one on a live flow ends none, also with RST and FIN", () => {
  const bench = tracking(CLOSED);
  connect(bench);
  bench.passesOut(tcpOut({ flags: SYN | RST }), tcpOut({ flags: SYN | FIN }));
  bench.passesIn(tcpIn({ flags: FIN | ACK_FLAG }));
  bench.wait(HOUR);
  bench.passesIn(tcpIn(middle)); // neither was a RST or a FIN of the VM's
  bench.passesOut(tcpOut({ flags: FIN | ACK_FLAG }));
  bench.dropsIn("policy.block", tcpIn(), tcpIn({ flags: SYN | RST }));
  assert.equal(flowsOf(bench), 1);
  bench.passesIn(tcpIn(middle));
  bench.passesOut(tcpOut(middle));
  bench.wait(240 * SECOND);
  assert.equal(flowsOf(bench), 1);
  bench.wait(SECOND);
  assert.equal(flowsOf(bench), 0);
});

test("G12 a closed flow is over also when its place is refused to the next one", () => {
  const bench = tracking(CLOSED);
  for (let index = 0; index < 256; index++) bench.passesOut(tcpOut({ own: 1000 + index }));
  bench.passesOut(tcpOut({ own: 1, flags: RST }));
  assert.equal(flowsOf(bench), 257);
  bench.dropsOut("flow.half-open", tcpOut({ own: 1 }));
  assert.equal(flowsOf(bench), 256);
});

test("G12 in a stateless policy a bare SYN opens a closed flow anew, but keeps a cut one", () => {
  const bench = tracking({ live: true });
  connect(bench);
  bench.passesIn(tcpIn({ flags: RST }));
  bench.passesIn(tcpIn());
  bench.wait(61 * SECOND);
  assert.equal(flowsOf(bench), 0);
  connect(bench);
  bench.passesIn(tcpIn({ flags: RST }));
  change(bench, [], ["93.0.0.0/8"]);
  bench.passesIn(tcpIn());
  assert.equal(flowsOf(bench), 0);
  change(bench, []);
  assert.equal(flowsOf(bench), 1);
});

test("G12 cut flows keep the same lives", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  connect(bench);
  connect(bench, { own: 1 });
  bench.passesIn(tcpIn({ own: 1, flags: FIN | ACK_FLAG }));
  bench.passesOut(tcpOut({ own: 1, flags: FIN | ACK_FLAG }), udpOut());
  bench.passesIn(udpIn());
  change(bench, [], ["out 93.184.216.34/32"]);
  bench.wait(120 * SECOND);
  bench.dropsIn("flow.cut", udpIn());
  bench.wait(121 * SECOND);
  bench.passesIn(udpIn(), tcpIn({ own: 1, ...middle })); // both are over: something new
  bench.wait(7199 * SECOND);
  bench.dropsIn("flow.cut", tcpIn(middle));
});

test("G12 an exposed port's client is answered also when its connection was forgotten", () => {
  const bench = tracking({ gateway: GATEWAY, exposedPorts: [80], block: ["@host", "in 10.0.0.0/8"] });
  const words = { destination: GATEWAY, port: 50_000 };
  bench.passesOut(tcpOut({ ...words, own: 80, ...middle }), tcpOut({ ...words, own: 80, flags: SYN | ACK_FLAG }));
  bench.dropsOut("flow.unknown", tcpOut({ ...words, own: 81, ...middle }));
  bench.dropsOut("flow.unknown", tcpOut({ ...words, own: 80, destination: NEIGHBOUR, ...middle }));
  bench.dropsOut("policy.block", tcpOut({ ...words, own: 80 }), udpOut({ ...words, own: 80 }));
  assert.equal(flowsOf(bench), 0);
});

/* A policy that changes (threat row I12) */

test("I12 a changed policy ends what it no longer allows, and nothing else", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut(), udpOut(), echoOut(8), tcpOut({ destination: remote(1) }));
  assert.equal(change(bench, [], ["in 0.0.0.0/0", "out 93.184.216.34/32:443"]), 2);
  bench.dropsIn("flow.cut", tcpIn({ flags: SYN | ACK_FLAG }), udpIn());
  bench.passesIn(echoIn(0), tcpIn({ source: remote(1), flags: SYN | ACK_FLAG }));
  assert.equal(change(bench, [], ["in 0.0.0.0/0", "out @global"]), 2);
  assert.equal(flowsOf(bench), 0);
});

test("I12 what the far side of a cut flow goes on sending opens nothing, however long it does: no way in is closed here", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut(middle));
  bench.passesOut(udpOut());
  bench.passesIn(udpIn(), tcpIn(middle));
  assert.equal(change(bench, [], ["out 93.184.216.34/32"]), 2);
  assert.equal(flowsOf(bench), 0);
  for (let second = 0; second < 1000; second += 20) {
    bench.dropsIn("flow.cut", tcpIn(middle), udpIn());
    bench.dropsOut("policy.block", tcpOut(middle), udpOut());
    bench.wait(20 * SECOND);
  }
  bench.wait(101 * SECOND);
  bench.passesIn(udpIn()); // after 121 s of silence it is something new, and no rule covers it
  bench.wait(7319 * SECOND);
  bench.dropsIn("flow.cut", tcpIn(middle)); // 7,440 s are its patience
  bench.wait(7441 * SECOND);
  bench.passesIn(tcpIn(middle));
});

test("I12 a half-open flow that is cut is not completed from the far side", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  bench.passesOut(tcpOut());
  assert.equal(change(bench, [], ["out 93.184.216.34/32"]), 1);
  bench.dropsIn("flow.cut", tcpIn({ flags: SYN | ACK_FLAG }));
  bench.dropsOut("policy.block", tcpOut(middle));
});

test("I12 a connection from outside whose rule is withdrawn is cut for the VM's answers, too", () => {
  const bench = tracking({ gateway: GATEWAY, allow: ["in 93.184.216.34/32:22"], block: ["in 0.0.0.0/0"] });
  const ports = { own: 22, port: 50_000 };
  bench.passesIn(tcpIn(ports));
  bench.passesOut(tcpOut({ ...ports, flags: SYN | ACK_FLAG }));
  bench.passesIn(tcpIn({ ...ports, ...middle }));
  assert.equal(change(bench, [], ["in 0.0.0.0/0"]), 1);
  bench.dropsIn("policy.block", tcpIn({ ...ports, ...middle }), tcpIn(ports));
  bench.dropsOut("flow.cut", tcpOut({ ...ports, ...middle }));
});

test("I12 a cut flow that is allowed again lives on; a bare SYN that may opens it anew", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut(middle));
  change(bench, [], ["out 93.184.216.34/32"]);
  bench.dropsIn("flow.cut", tcpIn(middle));
  assert.equal(change(bench, [], ["in 10.0.0.0/8"]), 0);
  assert.equal(flowsOf(bench), 1);
  bench.passesIn(tcpIn(middle));
  bench.passesOut(tcpOut(middle));
  change(bench, [], ["out 93.184.216.34/32"]);
  bench.passesIn(tcpIn()); // from outside, which no rule forbids
  assert.equal(flowsOf(bench), 1);
  bench.passesOut(tcpOut({ flags: SYN | ACK_FLAG }));
});

test("I14 an ICMP error for a cut flow is for none", () => {
  const bench = tracking({ gateway: GATEWAY, block: ["in 10.0.0.0/8"] });
  bench.passesOut(udpOut());
  bench.passesIn(errorIn(udpOut()));
  change(bench, [], ["out 93.184.216.34/32"]);
  bench.dropsIn("flow.icmp", errorIn(udpOut()));
});

test("I12 a flow is judged as the packet that opened it: its direction, its port", () => {
  const bench = tracking(TRACKING);
  bench.passesIn(tcpIn({ own: 22, port: 50_000 }));
  bench.passesOut(tcpOut({ own: 22_000, port: 443 }));
  assert.equal(change(bench, [], ["out 93.184.216.34/32:50000", "in 93.184.216.34/32:443", "in 0.0.0.0/0:50000"]), 0);
  assert.equal(change(bench, [], ["in 93.184.216.34/32:22"]), 1);
  assert.equal(change(bench, [], ["in @host", "93.184.216.34/32:443"]), 1);
});

test("I12 a thousand changes leave a flow that stays allowed alone", () => {
  const bench = tracking(CLOSED);
  bench.passesOut(tcpOut());
  for (let index = 0; index < 1000; index++) {
    assert.equal(
      change(bench, [`93.184.0.0/${16 + (index % 8)}`], ["in 0.0.0.0/0", `10.0.0.0/${1 + (index % 32)}`]),
      0,
    );
    bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
    bench.passesOut(tcpOut(middle));
  }
  assert.equal(flowsOf(bench), 1);
});

test("I12 in a policy that becomes stateless what the other side opened goes on", () => {
  const bench = tracking(CLOSED);
  change(bench, ["in 0.0.0.0/0"]);
  bench.passesIn(tcpIn());
  bench.passesOut(udpOut());
  assert.equal(change(bench, [], ["93.0.0.0/8"]), 1);
  assert.equal(bench.guard.stateful, false);
  assert.equal(flowsOf(bench), 1);
});

test("a policy that may change notes flows while it is stateless, so that they live on in a stateful one", () => {
  const bench = tracking({ live: true });
  bench.passesIn(tcpIn({ own: 22, port: 9 }), udpIn(), echoIn(8));
  bench.passesOut(tcpOut(), tcpOut({ own: 1, ...middle }), echoOut(8));
  bench.dropsOut("policy.destination", tcpOut({ destination: NEIGHBOUR }));
  assert.equal(flowsOf(bench), 6);
  assert.equal(change(bench, ["in 10.0.0.0/8"], ["in 0.0.0.0/0"]), 3);
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }), tcpIn({ own: 1, ...middle }), echoIn(0));
  bench.dropsIn("policy.block", udpIn(), tcpIn({ own: 22, port: 9, ...middle }), echoIn(8));

  const deaf = tracking();
  change(deaf, []);
  deaf.passesOut(tcpOut());
  change(deaf, [], ["in 0.0.0.0/0"]);
  deaf.dropsIn("flow.unknown", tcpIn({ flags: SYN | ACK_FLAG }));
});

test("I13 a stateless policy that may change refuses nothing for want of room", () => {
  const bench = tracking({ live: true });
  for (let index = 0; index < 300; index++) bench.passesOut(tcpOut({ own: 1 + index }));
  assert.equal(flowsOf(bench), 256);
  for (let index = 0; index < 32_768; index++) bench.out(udpOut({ destination: remote(index) }));
  bench.passesOut(udpOut({ own: 9 }));
  bench.passesIn(udpIn({ own: 10 }));
  assert.equal(flowsOf(bench), 32_768);
});

/* What the binding tells */

test("flows are judged again when the gateway or the DNS servers change, and end with another address", () => {
  const bench = new Bench(CLOSED);
  const client = new Client();
  const dns = { destination: DNS_SERVER, port: 53 };
  bench.bind(ADDRESS, client, new Server());
  bench.passesOut(udpOut(), udpOut(dns), tcpOut({ destination: GATEWAY }));
  const renew = (server: Server): void => {
    bench.passesOut(client.renew(ADDRESS, GATEWAY));
    bench.passesIn(server.ack(client, ADDRESS));
  };
  renew(new Server());
  assert.equal(flowsOf(bench), 3);
  renew(new Server({ dns: ["192.168.64.54"] }));
  assert.equal(flowsOf(bench), 2);
  renew(new Server({ dns: ["192.168.64.54"], router: "192.168.64.2" }));
  assert.equal(flowsOf(bench), 1);
  bench.passesIn(udpIn());
  bench.bind("192.168.64.77", client, new Server());
  assert.equal(flowsOf(bench), 0);
});

test("flows outlive their binding's end when the VM gets the same address again, but for the gateway's", () => {
  const bench = new Bench(CLOSED);
  const client = new Client();
  bench.bind(ADDRESS, client);
  bench.passesOut(tcpOut(middle), tcpOut({ destination: GATEWAY }));
  bench.passesOut(client.release(ADDRESS, GATEWAY));
  assert.equal(flowsOf(bench), 1);
  bench.dropsIn("policy.block", tcpIn(middle));
  bench.bind(ADDRESS, client);
  bench.passesIn(tcpIn(middle));
});

test("@dns and @host follow the binding in both directions", () => {
  const bench = new Bench({ allow: ["@dns:5353"], block: ["in @host", "out @host:22"] });
  bench.bind();
  bench.passesOut(udp(1, 5353, { destination: DNS_SERVER }), udp(1, 53, { destination: DNS_SERVER }));
  bench.dropsOut("policy.destination", udp(1, 54, { destination: DNS_SERVER }));
  bench.dropsIn("policy.block", tcpIn({ source: GATEWAY }));
  bench.dropsOut("policy.block", tcpOut({ destination: GATEWAY, port: 22 }));
  bench.passesOut(tcpOut({ destination: GATEWAY, port: 23 }));
  bench.passesIn(tcpIn({ source: GATEWAY, port: 23, flags: SYN | ACK_FLAG }));
});

test("D27 a policy that blocks everything cuts off neither DHCP nor ARP", () => {
  const bench = new Bench({ block: ["in 0.0.0.0/0", "out 0.0.0.0/0", "0.0.0.0/0:1-65535"] });
  bench.bind();
  const client = new Client();
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(new Server().ack(client, ADDRESS));
  bench.dropsOut("policy.block", tcpOut(), udpOut());
  bench.dropsOut("flow.unknown", packet(TCP, new Uint8Array(20), { destination: REMOTE }));
});
