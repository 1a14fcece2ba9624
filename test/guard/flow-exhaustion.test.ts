/** Others who use up what flows are made of, or a stateful policy's openness to what comes, against the VM. */
import assert from "node:assert/strict";
import test from "node:test";
import {
  ACK_FLAG,
  change,
  echoOut,
  FIN,
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
import { NEIGHBOUR, SECOND } from "./support.ts";

/** Stateful by a rule that has nothing to do with any of this: no mail. */
const NO_MAIL = { block: ["out 0.0.0.0/0:25"] };
const PASS = { verdict: "pass" };
const HALF_OPEN = 256;
const MOST_FLOWS = 32_768;

test("I13 SYNs in a server's name, which the VM refuses, do not keep the VM from that server", () => {
  const { guard, now } = tracking(NO_MAIL);
  for (let own = 1; own <= HALF_OPEN; own++) {
    assert.deepEqual(guard.ingress(tcpIn({ source: REMOTE, own, flags: SYN }), now), PASS);
    assert.deepEqual(guard.egress(tcpOut({ own, flags: RST | ACK_FLAG }), now), PASS);
  }
  assert.deepEqual(guard.egress(tcpOut({ own: 50_000 }), now), PASS);
});

test("I13 a hundred and twenty segments a second from outside leave the VM room for flows of its own", () => {
  const { guard, now } = tracking(NO_MAIL);
  const apart = SECOND / 120;
  for (let count = 0; count < MOST_FLOWS; count++) {
    guard.ingress(tcpIn({ source: remote(1), port: 1 + count, own: 80, ...middle }), now + count * apart);
    guard.egress(tcpOut({ destination: remote(1), port: 1 + count, own: 80, flags: RST }), now + count * apart);
  }
  const then = now + MOST_FLOWS * apart;
  assert.deepEqual(guard.egress(udpOut({ port: 53, destination: "8.8.8.8" }), then), PASS);
  assert.deepEqual(guard.egress(tcpOut({ own: 50_000 }), then), PASS);
});

test("I7 a packet in the name of a metadata address opens no way to it", () => {
  for (const source of ["169.254.169.254", "100.100.100.200", "168.63.129.16"]) {
    const { guard, now } = tracking(NO_MAIL);
    const words = { port: 80, own: 5000 };
    guard.ingress(udpIn({ source, ...words }), now);
    guard.ingress(tcpIn({ source, ...words, ...middle }), now);
    const denied = { verdict: "drop", reason: "policy.metadata" };
    const unknown = { verdict: "drop", reason: "flow.unknown" };
    assert.deepEqual(guard.egress(udpOut({ destination: source, ...words }), now), denied, `UDP ${source}`);
    assert.deepEqual(guard.egress(tcpOut({ destination: source, ...words }), now), denied, `SYN ${source}`);
    assert.deepEqual(guard.egress(tcpOut({ destination: source, ...words, ...middle }), now), unknown, `TCP ${source}`);
  }
});

test("I12 no RST ends a connection that a second change allows again before it was sent", () => {
  const bench = tracking({ ...NO_MAIL, reject: true });
  const { guard } = bench;
  guard.egress(tcpOut(), bench.now);
  guard.ingress(tcpIn({ flags: SYN | ACK_FLAG }), bench.now);
  guard.egress(tcpOut(middle), bench.now);
  assert.equal(change(bench, [], [`out ${REMOTE}/32`]), 1);
  change(bench, [], NO_MAIL.block);
  assert.deepEqual(guard.egress(tcpOut(middle), bench.now), PASS);
  assert.equal(guard.takeReset(new Uint8Array(64), 0), 0);
});

test("what comes from outside is no reason to refuse what the VM opens to a third one", () => {
  const { guard, now } = tracking(NO_MAIL);
  for (let own = 1; own <= 2 * HALF_OPEN; own++) guard.ingress(tcpIn({ source: NEIGHBOUR, own, flags: SYN }), now);
  assert.deepEqual(guard.egress(tcpOut({ own: 50_000 }), now), PASS);
});

/* Room (finding G12): idle connections make it, and nothing else does */

/** Fills the table: half of it with open connections of the VM's, `idle` seconds ago, the rest with UDP that was just now. */
function filled(idle: number) {
  const bench = tracking(NO_MAIL);
  const { guard } = bench;
  for (let index = 0; index < MOST_FLOWS / 2; index++) {
    assert.deepEqual(guard.egress(tcpOut({ destination: remote(index), ...middle }), bench.now), PASS);
  }
  bench.wait(idle * SECOND);
  for (let index = 0; index < MOST_FLOWS / 2; index++) {
    assert.deepEqual(guard.egress(udpOut({ destination: remote(index) }), bench.now), PASS);
  }
  return bench;
}

test("G12 I13 where the table is full, connections idle for more than 300 s make room, all of the oldest second together", () => {
  const bench = tracking(NO_MAIL);
  const open = (from: number, count: number): void => {
    for (let index = from; index < from + count; index++)
      bench.passesOut(tcpOut({ destination: remote(index), ...middle }));
  };
  open(0, 1000);
  bench.wait(SECOND);
  open(1000, MOST_FLOWS - 1000);
  bench.wait(300 * SECOND);
  bench.passesOut(tcpOut({ destination: remote(7), ...middle })); // it is used again
  bench.passesOut(udpOut());
  assert.equal(flowsOf(bench), MOST_FLOWS - 1000 + 1 + 1);
  for (const index of [7, 1000, MOST_FLOWS - 1]) bench.passesIn(tcpIn({ source: remote(index), ...middle }));
  for (let index = 0; index < 998; index++) bench.passesOut(udpOut({ destination: remote(index) }));
  assert.equal(flowsOf(bench), MOST_FLOWS);
  bench.dropsOut("flow.full", udpOut({ own: 5 })); // of the next second's, none is idle for more than 300 s
  bench.wait(SECOND);
  bench.passesOut(udpOut({ own: 5 }));
  assert.equal(flowsOf(bench), 3 + 1 + 998 + 1); // the three that were used, and the new ones
});

test("G12 I13 a flood from the VM takes no place of a connection with traffic in the last 300 s", () => {
  const bench = filled(300);
  bench.dropsOut("flow.full", udpOut({ own: 1 }), tcpOut({ own: 1 }), tcpOut({ own: 1, ...middle }));
  bench.dropsIn("flow.full", udpIn({ own: 1 }), tcpIn({ own: 1 }));
  assert.equal(flowsOf(bench), MOST_FLOWS);
  for (const index of [0, 1, 9999]) bench.passesIn(tcpIn({ source: remote(index), ...middle }));
});

test("G12 I13 a flood from outside makes room among what was opened to the VM only, and none where that had traffic", () => {
  const bench = tracking(NO_MAIL);
  const opened = (index: number) => ({ own: 22, port: 50_000 + (index >> 14), source: remote(index) });
  bench.passesOut(tcpOut({ own: 9, ...middle })); // the VM's own, idle for as long as the table's oldest
  for (let index = 0; index < MOST_FLOWS / 2; index++) {
    const { own, port, source } = opened(index);
    bench.passesIn(tcpIn({ own, port, source, ...middle }));
    bench.passesOut(tcpOut({ own, port, destination: source, ...middle }));
  }
  bench.wait(300 * SECOND);
  bench.dropsIn("flow.full", udpIn({ own: 1 }), tcpIn({ own: 1 }));
  bench.wait(SECOND);
  // One of them has traffic; the flood ends the others, never the VM's own.
  const kept = opened(77);
  bench.passesIn(tcpIn({ ...kept, ...middle }));
  for (let index = 0; index < MOST_FLOWS / 2 - 1; index++) bench.passesIn(udpIn({ source: remote(index), own: 1 }));
  bench.dropsIn("flow.full", udpIn({ own: 2 }));
  bench.passesOut(tcpOut({ own: kept.own, port: kept.port, destination: kept.source, ...middle }));
  assert.equal(flowsOf(bench), MOST_FLOWS / 2 + 1);
});

test("G12 I13 what is refused, or fails the rate of pings, ends nothing to make room", () => {
  const bench = filled(301 - 30);
  bench.wait(30 * SECOND);
  assert.equal(flowsOf(bench), MOST_FLOWS);
  bench.dropsOut("policy.block", tcpOut({ port: 25 }));
  for (let own = 0; own < 200; own++) bench.passesOut(echoOut(0));
  bench.dropsOut("icmp.rate", echoOut(8));
  assert.equal(flowsOf(bench), MOST_FLOWS);
  bench.passesOut(udpOut({ own: 5 }));
  assert.equal(flowsOf(bench), MOST_FLOWS / 2 + 1);
});

test("G12 I13 the places of connections that the other side reset are free again after 240 s, however many they are", () => {
  const bench = tracking(NO_MAIL);
  for (let index = 0; index < MOST_FLOWS; index++) {
    bench.passesOut(tcpOut({ destination: remote(index), ...middle }));
    bench.passesIn(tcpIn({ source: remote(index), flags: RST | ACK_FLAG }));
  }
  bench.wait(240 * SECOND);
  bench.dropsOut("flow.full", tcpOut());
  bench.wait(SECOND);
  assert.equal(flowsOf(bench), 0);
  bench.passesOut(tcpOut());
});

/* What is ended makes room after a second */

type Bench = ReturnType<typeof tracking>;
const words = (index: number) => ({ own: 1024 + (index >> 4), remoteIndex: index & 15 });

/** A connection of the VM's from its SYN to the last acknowledgement. */
function openAndClose(bench: Bench, index: number, end: "FIN" | "RST"): void {
  const { own, remoteIndex } = words(index);
  const [there, back] = [
    { destination: remote(remoteIndex), own },
    { source: remote(remoteIndex), own },
  ];
  bench.passesOut(tcpOut(there));
  bench.passesIn(tcpIn({ ...back, flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut({ ...there, ...middle }));
  if (end === "RST") {
    bench.passesOut(tcpOut({ ...there, flags: RST }));
    return;
  }
  bench.passesIn(tcpIn({ ...back, flags: FIN | ACK_FLAG }));
  bench.passesOut(tcpOut({ ...there, flags: FIN | ACK_FLAG }));
  bench.passesIn(tcpIn({ ...back, ...middle }));
}

for (const end of ["FIN", "RST"] as const) {
  test(`G12 I13 a VM that opens and closes 100,000 connections in ten seconds is not refused, with ${end}, and keeps what is open`, () => {
    const bench = tracking(NO_MAIL);
    for (let own = 1; own <= 1000; own++) bench.passesOut(tcpOut({ own, ...middle }));
    for (let index = 0; index < 100_000; index++) {
      openAndClose(bench, index, end);
      bench.wait(100);
    }
    assert.ok(flowsOf(bench) <= MOST_FLOWS);
    for (let own = 1; own <= 1000; own++) bench.passesIn(tcpIn({ source: REMOTE, own, ...middle }));
  });
}

test("G12 I13 where the table is full, ended connections make room after more than 1 s, those ended longest ago together", () => {
  const bench = tracking(NO_MAIL);
  for (let index = 0; index < 100; index++) openAndClose(bench, index, "FIN");
  bench.wait(SECOND);
  for (let index = 100; index < 200; index++) openAndClose(bench, index, "RST");
  for (let index = 200; index < MOST_FLOWS; index++) bench.passesOut(tcpOut({ destination: remote(index), ...middle }));
  bench.dropsOut("flow.full", udpOut()); // ended in the second before this one, or in this one
  bench.wait(SECOND);
  bench.passesOut(udpOut());
  assert.equal(flowsOf(bench), MOST_FLOWS - 100 + 1);
  for (let own = 1001; own < 1100; own++) bench.passesOut(udpOut({ own }));
  bench.dropsOut("flow.full", udpOut({ own: 1100 }));
  bench.wait(SECOND);
  bench.passesOut(udpOut({ own: 1100 }));
  assert.equal(flowsOf(bench), MOST_FLOWS - 100 + 1);
});

test("G12 I13 ended connections make room before idle ones, and a packet of an ended one lets it rest anew", () => {
  const bench = tracking(NO_MAIL);
  for (let index = 0; index < MOST_FLOWS - 2; index++)
    bench.passesOut(tcpOut({ destination: remote(index), ...middle }));
  bench.wait(301 * SECOND);
  for (const index of [0, 1]) openAndClose(bench, index, "FIN");
  bench.wait(2 * SECOND);
  const { own, remoteIndex } = words(1);
  bench.passesIn(tcpIn({ source: remote(remoteIndex), own, flags: FIN | ACK_FLAG })); // its acknowledgement was lost
  bench.passesOut(udpOut());
  assert.equal(flowsOf(bench), MOST_FLOWS);
  bench.passesIn(tcpIn({ source: remote(remoteIndex), own, flags: FIN | ACK_FLAG }));
  bench.passesOut(udpOut({ own: 9 })); // none but the idle ones is left
  assert.equal(flowsOf(bench), 3);
});

test("G12 I12 I13 a RST from outside, which anybody may have sent, takes no place from a connection", () => {
  const bench = tracking(NO_MAIL);
  for (let index = 0; index < MOST_FLOWS; index++) bench.passesOut(tcpOut({ destination: remote(index), ...middle }));
  for (let index = 0; index < MOST_FLOWS; index += 7) bench.passesIn(tcpIn({ source: remote(index), flags: RST }));
  bench.wait(200 * SECOND);
  bench.dropsOut("flow.full", udpOut());
  for (let index = 0; index < MOST_FLOWS; index += 7) bench.passesIn(tcpIn({ source: remote(index), ...middle }));
});

test("G12 I12 I13 only the VM's own FIN, or its RST that nothing has contradicted, lets a closed connection make room", () => {
  const outside = (index: number, flags: number) => tcpIn({ source: remote(index), flags });
  const own = (index: number, flags: number) => tcpOut({ destination: remote(index), flags });
  const bench = tracking(NO_MAIL);
  for (let index = 0; index < MOST_FLOWS; index++) bench.passesOut(own(index, ACK_FLAG));
  bench.passesIn(outside(0, FIN | ACK_FLAG), outside(0, RST)); // the VM has had no part in it
  bench.passesOut(own(1, RST), own(1, ACK_FLAG)); // it has taken its RST back
  bench.passesIn(outside(1, RST));
  bench.passesOut(own(2, FIN | ACK_FLAG)); // half closed
  bench.wait(2 * SECOND);
  bench.dropsOut("flow.full", udpOut());
  bench.passesIn(outside(2, RST));
  bench.wait(2 * SECOND);
  bench.passesOut(udpOut());
  bench.dropsOut("flow.full", udpOut({ own: 1 }));
});

test("G12 I13 a server in the VM takes 50,000 connections that others open and close in ten seconds", () => {
  const bench = tracking(NO_MAIL);
  for (let index = 0; index < 50_000; index++) {
    const ports = { own: 80, port: 1024 + (index >> 4) };
    const [there, back] = [
      { source: remote(index & 15), ...ports },
      { destination: remote(index & 15), ...ports },
    ];
    bench.passesIn(tcpIn({ ...there, flags: SYN }));
    bench.passesOut(tcpOut({ ...back, flags: SYN | ACK_FLAG }));
    bench.passesIn(tcpIn({ ...there, ...middle }));
    bench.passesOut(tcpOut({ ...back, flags: FIN | ACK_FLAG }));
    bench.passesIn(tcpIn({ ...there, flags: FIN | ACK_FLAG }));
    bench.passesOut(tcpOut({ ...back, ...middle }));
    bench.wait(200);
  }
  assert.ok(flowsOf(bench) <= MOST_FLOWS / 2);
});

test("G12 cut flows make room like live ones", () => {
  const bench = filled(301);
  change(bench, [], [...NO_MAIL.block, "out 93.0.0.0/8"]);
  bench.passesOut(udpOut({ destination: "8.8.8.8" }));
  assert.equal(flowsOf(bench), 1);
  change(bench, [], NO_MAIL.block);
  assert.equal(flowsOf(bench), MOST_FLOWS / 2 + 1);
});
