/** Others who use up what flows are made of, or a stateful policy's openness to what comes, against the VM. */
import assert from "node:assert/strict";
import test from "node:test";
import {
  ACK_FLAG,
  change,
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
    assert.deepEqual(guard.egress(udpOut({ destination: source, ...words }), now), denied, `UDP ${source}`);
    assert.deepEqual(guard.egress(tcpOut({ destination: source, ...words, ...middle }), now), denied, `TCP ${source}`);
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
