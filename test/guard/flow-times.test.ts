/** How long flows live, and when they are half-open (findings G12; threat rows I12, I13). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK_FLAG,
  CLOSED,
  change,
  echoIn,
  echoOut,
  FIN,
  flowsOf,
  middle,
  REMOTE,
  RST,
  remote,
  type SegmentWords,
  SYN,
  tcpIn,
  tcpOut,
  tracking,
  udpIn,
  udpOut,
} from "./flow-support.ts";
import { Bench, EVERYONE, EVERYONE_MAC, GATEWAY, HOUR, NEIGHBOUR, SECOND } from "./support.ts";

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
