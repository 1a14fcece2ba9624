/** The second guard's flows on their own: how long they live, when they are closed, and whose place they take (I13). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { A, ACK, B, FIN, GATEWAY, ICMP, icmp, type Ports, RST, SECOND, SYN, Talk, TCP, tcp, UDP, udp } from "./talk.ts";

const RULES = { allow: ["out 0.0.0.0/0"], block: ["in 0.0.0.0/0"] };
const OPEN = { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"] };
const OUT: Ports = [40000, 443];
const BACK: Ports = [443, 40000];

function handshake(talk: Talk): void {
  talk.out(A, TCP, tcp(OUT, SYN));
  talk.in(A, TCP, tcp(BACK, SYN | ACK));
  talk.out(A, TCP, tcp(OUT, ACK));
}

test("flows end after 7440, 60, 240, 30, 120 and 60 whole seconds without a packet", () => {
  const lives = (open: (talk: Talk) => void, seconds: number) => {
    for (const [wait, expected] of [
      [(seconds + 1) * SECOND - 1, 1],
      [(seconds + 1) * SECOND, 0],
    ] as const) {
      const talk = new Talk(RULES);
      open(talk);
      talk.time += wait;
      talk.in(B, 47, new Uint8Array(0)); // time goes on with a frame
      assert.equal(talk.guard.flows, expected, `${seconds} ${wait}`);
    }
  };
  lives((talk) => talk.out(A, TCP, tcp(OUT, SYN)), 60);
  lives(handshake, 7440);
  lives((talk) => talk.out(A, TCP, tcp(OUT, ACK)), 7440);
  lives((talk) => talk.out(A, TCP, tcp(OUT, RST)), 240);
  lives((talk) => {
    handshake(talk);
    talk.out(A, TCP, tcp(OUT, FIN | ACK));
  }, 7440);
  lives((talk) => {
    handshake(talk);
    talk.out(A, TCP, tcp(OUT, FIN | ACK));
    talk.in(A, TCP, tcp(BACK, FIN | ACK));
    talk.out(A, TCP, tcp(OUT, ACK));
  }, 240);
  lives((talk) => talk.out(A, UDP, udp([40000, 53])), 30);
  lives((talk) => {
    talk.out(A, UDP, udp([40000, 53]));
    talk.out(A, UDP, udp([40000, 53]));
  }, 30);
  lives((talk) => {
    talk.out(A, UDP, udp([40000, 53]));
    talk.in(A, UDP, udp([53, 40000]));
    talk.out(A, UDP, udp([40000, 53]));
  }, 120);
  lives((talk) => talk.out(A, ICMP, icmp(8, 9)), 60);
});

test("a connection is closed by FIN from both sides, or by a RST that the other side believes", () => {
  const closed = (...segments: [from: "out" | "in", flags: number][]) => {
    const talk = new Talk(OPEN);
    handshake(talk);
    for (const [from, flags] of segments)
      assert.equal(talk[from](A, TCP, tcp(from === "out" ? OUT : BACK, flags)), "pass");
    talk.time += 241 * SECOND;
    talk.in(B, 47, new Uint8Array(0));
    return talk.guard.flows === 0;
  };
  assert.ok(closed(["out", FIN | ACK], ["in", FIN]));
  assert.ok(closed(["in", FIN | ACK], ["out", FIN], ["in", ACK], ["out", ACK]), "for good");
  assert.ok(!closed(["out", FIN], ["out", FIN]));
  assert.ok(!closed(["out", FIN], ["in", FIN | RST], ["out", ACK]), "a FIN with RST is none");
  assert.ok(closed(["in", RST]));
  assert.ok(closed(["in", ACK], ["out", RST]));
  assert.ok(!closed(["in", RST], ["out", ACK]), "not believed");
  assert.ok(closed(["in", RST], ["out", ACK], ["in", RST]), "once more");
  assert.ok(!closed(["in", RST], ["in", ACK]), "not its last segment");
  assert.ok(closed(["in", RST], ["out", RST]));
  assert.ok(closed(["in", RST], ["out", RST], ["in", RST]));
  assert.ok(!closed(["in", RST], ["out", RST], ["in", ACK]), "the other side's RST is not believed");
});

test("a bare SYN of a live flow closes nothing, whatever else is set in it", () => {
  const talk = new Talk(OPEN);
  handshake(talk);
  talk.out(A, TCP, tcp(OUT, SYN | FIN));
  talk.in(A, TCP, tcp(BACK, SYN | FIN));
  talk.in(A, TCP, tcp(BACK, SYN | RST));
  talk.time += 300 * SECOND;
  assert.equal(talk.in(A, TCP, tcp(BACK, ACK)), "pass");
  talk.in(A, TCP, tcp(BACK, RST));
  talk.out(A, TCP, tcp(OUT, SYN)); // closed: this opens another one
  talk.time += 61 * SECOND;
  talk.in(B, 47, new Uint8Array(0));
  assert.equal(talk.guard.flows, 0, "half-open");
});

test("a closed flow is opened anew by a bare SYN that passes, from either side, and carries everything else", () => {
  for (const [policy, passes] of [
    [OPEN, true],
    [RULES, false],
  ] as const) {
    const talk = new Talk(policy);
    handshake(talk);
    talk.in(A, TCP, tcp(BACK, RST));
    assert.equal(talk.in(A, TCP, tcp(BACK, ACK)), "pass");
    talk.in(A, TCP, tcp(BACK, RST));
    assert.equal(talk.in(A, TCP, tcp(BACK, SYN)), passes ? "pass" : "policy.block");
    assert.equal(talk.guard.flows, 1);
    talk.out(A, TCP, tcp(OUT, RST));
    assert.equal(talk.guard.flows, passes ? 0 : 1, "half-open, opened by the other side");
  }
});

test("flow.unknown: TCP that is not known and would drop, in both directions, but no bare SYN", () => {
  const talk = new Talk({ block: ["0.0.0.0/0", "in 0.0.0.0/0"], reject: true });
  assert.equal(talk.out(A, TCP, tcp(OUT, ACK)), "flow.unknown");
  assert.ok(talk.answer()?.includes("01bb9c40cafe0001000000005004"), "RST alone, with its acknowledgement number");
  assert.equal(talk.out(A, TCP, tcp(OUT, RST | ACK)), "flow.unknown");
  assert.equal(talk.answer(), undefined);
  assert.equal(talk.out(A, TCP, tcp(OUT, FIN)), "flow.unknown");
  assert.ok(talk.answer()?.includes("030d"), "without ACK: ICMP");
  assert.equal(talk.out(A, TCP, tcp(OUT, SYN)), "policy.block");
  assert.equal(talk.out(A, UDP, udp(OUT)), "policy.block");
  assert.equal(talk.out("224.0.0.251", TCP, tcp(OUT, ACK)), "policy.block", "no flow");
  assert.equal(talk.in(A, TCP, tcp(BACK, ACK)), "flow.unknown");
  assert.equal(talk.in(A, TCP, tcp(BACK, SYN)), "policy.block");
  const byDefault = new Talk({ block: ["in 0.0.0.0/0"] });
  assert.equal(byDefault.out("10.0.0.1", TCP, tcp(OUT, ACK)), "flow.unknown");
  assert.equal(new Talk({ block: ["0.0.0.0/0"] }).out(A, TCP, tcp(OUT, ACK)), "policy.block", "stateless");
});

test("an exposed port answers the gateway also where its flow is not known", () => {
  const talk = new Talk({ block: ["@host", "in 1.1.1.1/32"], exposedPorts: [22] });
  assert.equal(talk.out(GATEWAY, TCP, tcp([22, 50000], ACK)), "pass");
  assert.equal(talk.out(GATEWAY, TCP, tcp([23, 50000], ACK)), "flow.unknown");
  assert.equal(talk.out(GATEWAY, TCP, tcp([22, 50000], SYN)), "policy.block");
  assert.equal(talk.guard.flows, 0);
});

test("I13 where the table is full, flows of the oldest second go together, if they were idle for more than 300 s", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"] });
  const ports = (flow: number): Ports => [1000 + (flow % 256), 1000 + Math.floor(flow / 256)];
  for (let flow = 0; flow < 32_768; flow++) {
    if (flow === 3) talk.time += SECOND;
    assert.equal(talk.out(A, TCP, tcp(ports(flow), ACK)), "pass");
  }
  assert.equal(talk.out(A, UDP, udp([300, 300])), "flow.full");
  talk.time += 300 * SECOND - 1;
  assert.equal(talk.out(A, TCP, tcp(ports(1), ACK)), "pass", "one with traffic stays");
  assert.equal(talk.out(A, UDP, udp([300, 300])), "flow.full");
  talk.time += 1;
  assert.equal(talk.out(A, UDP, udp([300, 300])), "pass");
  assert.equal(talk.guard.flows, 32_767, "two are over");
  assert.equal(talk.out(A, UDP, udp([301, 300])), "pass");
  assert.equal(talk.out(A, UDP, udp([302, 300])), "flow.full");
});

test("I13 where those to the VM are full, only those to it go", () => {
  const talk = new Talk(OPEN);
  const ports = (flow: number): Ports => [1000 + (flow % 256), 1000 + Math.floor(flow / 256)];
  assert.equal(talk.out(B, TCP, tcp([40000, 80], ACK)), "pass");
  for (let flow = 0; flow < 16_384; flow++) {
    if (flow === 5) talk.time += SECOND;
    assert.equal(talk.in(A, TCP, tcp(ports(flow), ACK)), "pass");
    assert.equal(talk.out(A, TCP, tcp([ports(flow)[1], ports(flow)[0]], ACK)), "pass");
  }
  talk.time += 300 * SECOND;
  assert.equal(talk.in(B, UDP, udp([300, 300])), "pass");
  assert.equal(talk.guard.flows, 1 + 16_384 - 5 + 1);
});
