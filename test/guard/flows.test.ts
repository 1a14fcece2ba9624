/** Flows of a stateful policy: which packets belong to one, and which ask the rules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK_FLAG,
  CLOSED,
  echoIn,
  echoOut,
  FIN,
  flowsOf,
  middle,
  REMOTE,
  RST,
  remote,
  SYN,
  TRACKING,
  tcpIn,
  tcpOut,
  tracking,
  udpIn,
  udpOut,
} from "./flow-support.ts";
import { ADDRESS, Bench, EVERYONE, EVERYONE_MAC, NEIGHBOUR, packet, udp } from "./support.ts";

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
