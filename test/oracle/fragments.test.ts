/** The second guard's fragments on their own (I1, I13): what is noted, for how long, and what it costs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { A, ACK, B, SECOND, Talk, TCP, tcp, UDP, udp } from "./talk.ts";

const POLICIES = [
  { allow: ["0.0.0.0/0"] },
  { allow: ["0.0.0.0/0", "10.0.0.0/8:1"] },
  { allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"] },
];
/** 24 bytes of payload in front. */
const FRONT = new Uint8Array([...udp([40000, 53]), ...new Uint8Array(16)]);
const first = (identification: number) => ({ identification, flags: 1 });
const later = (identification: number, offset: number, flags = 0) => ({ identification, flags, offset });

test("I1 under every policy later fragments from the VM follow their first one for 30 seconds and no further", () => {
  for (const policy of POLICIES) {
    const talk = new Talk(policy);
    const follow = (fields: object) => talk.out(A, UDP, udp([1, 1]), fields);
    assert.equal(follow(later(5, 9)), "ipv4.fragment-unknown", "before its first");
    assert.equal(talk.out(A, UDP, FRONT, first(5)), "pass");
    talk.time += 31 * SECOND - 1;
    assert.equal(follow(later(5, 9)), "pass");
    assert.equal(follow(later(6, 9)), "ipv4.fragment-unknown");
    assert.equal(talk.out(A, TCP, udp([1, 1]), later(5, 9)), "ipv4.fragment-unknown", "another protocol");
    assert.equal(talk.out(B, UDP, udp([1, 1]), later(5, 9)), "ipv4.fragment-unknown", "another destination");
    talk.time += 1;
    assert.equal(follow(later(5, 9)), "ipv4.fragment-unknown", "30 s after its first, whatever came since");
    assert.equal(talk.out(A, UDP, FRONT, first(5)), "pass");
    talk.guard.setRules(policy.allow, []);
    assert.equal(follow(later(5, 9)), "ipv4.fragment-unknown", "another policy forgets");
  }
});

test("I1 a first fragment that drops is not noted", () => {
  const talk = new Talk({ allow: ["1.1.1.1/32:53"], block: ["1.1.1.1/32"] });
  assert.equal(talk.out(A, UDP, udp([40000, 54]), first(5)), "policy.block");
  assert.equal(talk.out(A, UDP, udp([1, 1]), later(5, 9)), "ipv4.fragment-unknown");
  assert.equal(talk.out(A, UDP, udp([40000, 53]), first(5)), "pass");
  assert.equal(talk.out(A, UDP, udp([1, 1]), later(5, 9)), "pass");
});

test("I1 fragments to the VM are noted under a stateful policy only", () => {
  const known = (allow: string[]) => new Talk({ allow }).in(A, UDP, udp([1, 1]), later(5, 9));
  assert.equal(known(["0.0.0.0/0:53"]), "pass");
  assert.equal(known(["out 0.0.0.0/0"]), "ipv4.fragment-unknown");
});

test("I1 a packet is whole when its fragments came in order, and is noted no more then", () => {
  const talk = new Talk({ allow: ["0.0.0.0/0"] });
  const end = (fields: object) => talk.out(A, UDP, new Uint8Array(8), fields);
  assert.equal(talk.out(A, UDP, FRONT, first(1)), "pass");
  assert.equal(end(later(1, 5)), "pass", "out of order: moves nothing");
  assert.equal(end(later(1, 3, 1)), "pass", "the next one");
  assert.equal(end(later(1, 3, 1)), "pass", "twice");
  assert.equal(end(later(1, 4)), "pass", "the last one");
  assert.equal(end(later(1, 5)), "ipv4.fragment-unknown");
  assert.equal(talk.out(A, UDP, FRONT, first(1)), "pass");
  assert.equal(end(later(1, 3, 1)), "pass");
  assert.equal(talk.out(A, UDP, FRONT, first(1)), "pass", "anew in every respect");
  assert.equal(end(later(1, 4)), "pass", "out of order now");
  assert.equal(end(later(1, 3)), "pass");
  assert.equal(end(later(1, 3)), "ipv4.fragment-unknown");
});

test("I13 64 packets of one remote address and 256 of all in each direction; a further one takes the oldest's place", () => {
  for (const way of ["in", "out"] as const) {
    const talk = new Talk({ allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"] });
    const begin = (remote: string, id: number) => assert.equal(talk[way](remote, UDP, FRONT, first(id)), "pass");
    const knows = (remote: string, id: number) => talk[way](remote, UDP, udp([1, 1]), later(id, 9)) === "pass";
    for (let id = 1; id <= 64; id++) begin(A, id);
    begin(A, 1); // noted anew: the youngest
    begin(B, 1);
    begin(A, 65);
    assert.ok(!knows(A, 2));
    assert.ok(knows(A, 1));
    assert.ok(knows(A, 3));
    assert.ok(knows(B, 1));
    for (let id = 2; id <= 64; id++) begin(B, id);
    for (let id = 1; id <= 64; id++) begin("9.9.9.9", id);
    for (let id = 1; id <= 64; id++) begin("9.9.9.10", id);
    begin("9.9.9.11", 1);
    assert.ok(!knows(A, 3), "the oldest of all");
    assert.ok(knows(A, 4));
    begin("9.9.9.10", 65);
    assert.ok(!knows("9.9.9.10", 1));
    assert.ok(knows(A, 4));
  }
});

test("I13 fragments of packets that are not whole: 400 at once, then 20 a second", () => {
  const talk = new Talk({ allow: ["0.0.0.0/0"], block: ["8.8.8.8/32"] });
  assert.equal(talk.out(A, UDP, FRONT, first(1)), "pass");
  for (let turn = 1; turn < 400; turn++) assert.equal(talk.out(A, UDP, udp([1, 1]), later(1, 9)), "pass");
  assert.equal(talk.out(A, UDP, udp([1, 1]), later(1, 9)), "ipv4.fragment-rate");
  assert.equal(talk.out(A, UDP, udp([1, 1]), later(2, 9)), "ipv4.fragment-unknown", "asked before");
  assert.equal(talk.out(B, UDP, FRONT, first(2)), "ipv4.fragment-rate", "before the rules");
  assert.equal(talk.in(A, UDP, FRONT, first(2)), "pass", "to the VM no rate counts");
  assert.equal(talk.out(A, UDP, udp([40000, 53])), "pass", "nor in one piece");
  talk.time += 50_000;
  assert.equal(talk.out(B, UDP, FRONT, first(2)), "policy.block", "what drops takes no token");
  assert.equal(talk.out(A, UDP, udp([1, 1]), later(1, 9)), "pass");
  assert.equal(talk.out(A, UDP, udp([1, 1]), later(1, 9)), "ipv4.fragment-rate");
});

test("I13 a whole packet gives its fragments' tokens back, and no more than it took", () => {
  const talk = new Talk({ allow: ["0.0.0.0/0"] });
  for (let id = 0; id < 2000; id++) {
    assert.equal(talk.out(A, UDP, FRONT, first(id)), "pass");
    assert.equal(talk.out(A, UDP, udp([1, 1]), later(id, 3)), "pass");
  }
  for (let turn = 0; turn < 399; turn++) assert.equal(talk.out(A, UDP, FRONT, first(1)), "pass");
  assert.equal(talk.out(A, UDP, udp([1, 1]), later(1, 3)), "pass");
  // Noted anew each time: it has taken two since.
  assert.equal(talk.out(A, UDP, FRONT, first(1)), "pass");
  assert.equal(talk.out(A, UDP, FRONT, first(2)), "pass");
  assert.equal(talk.out(A, UDP, FRONT, first(3)), "ipv4.fragment-rate");
});

test("a first fragment is part of a flow, a later one of none", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"], block: ["in 0.0.0.0/0"] });
  assert.equal(talk.out(A, TCP, tcp([40000, 80], ACK), first(1)), "pass");
  assert.equal(talk.guard.flows, 1);
  assert.equal(talk.in(A, TCP, tcp([80, 40000], ACK), first(1)), "pass");
  assert.equal(talk.in(A, TCP, tcp([80, 40000], ACK), later(1, 9)), "pass");
  assert.equal(talk.in(A, TCP, tcp([80, 40001], ACK), first(2)), "flow.unknown");
  assert.equal(talk.in(A, TCP, tcp([80, 40001], ACK), later(2, 9)), "ipv4.fragment-unknown");
});
