/** How many flows there may be (threat row I13). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK_FLAG,
  CLOSED,
  echoIn,
  echoOut,
  flowsOf,
  middle,
  REMOTE,
  RST,
  remote,
  SYN,
  tcpIn,
  tcpOut,
  tracking,
  udpIn,
  udpOut,
} from "./flow-support.ts";
import { packet, SECOND } from "./support.ts";

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
