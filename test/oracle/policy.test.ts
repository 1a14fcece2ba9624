/** The second guard's rules, flows and answers on their own: cases that docs/guard.md decides, with literal expectations. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { addressNumber } from "./bytes.ts";
import { normalForm, parseRule } from "./rules.ts";
import {
  A,
  ACK,
  B,
  FIN,
  GATEWAY,
  ICMP,
  icmp,
  type Ports,
  quoting,
  RST,
  SECOND,
  SYN,
  Talk,
  TCP,
  tcp,
  UDP,
  udp,
  VM,
} from "./talk.ts";

test("a rule's normal form, and what is no rule", () => {
  const forms = {
    "10.1.2.3/8": "10.0.0.0/8",
    "in   1.2.3.4/31:22-22": "in 1.2.3.4/31:22",
    "out 1.2.3.5/31:1-65535": "out 1.2.3.4/31:1-65535",
    "@global:53": "@global:53",
    "in @dns": "in @dns",
    "255.255.255.255/1": "128.0.0.0/1",
    "1.2.3.4/32": "1.2.3.4/32",
    "9.9.9.9/0": "0.0.0.0/0",
  };
  for (const [text, form] of Object.entries(forms)) {
    const rule = parseRule("allow", text);
    assert.equal(rule && normalForm(rule), form, text);
  }
  const none = [
    ...["", "in", "in ", "1.2.3.4", "1.2.3.4/33", "1.2.3/24", "in\t1.2.3.4/32", "IN 1.2.3.4/32", "@Host", "@other"],
    ...["1.2.3.4/32:", "1.2.3.4/32:0", "1.2.3.4/32:65536", "1.2.3.4/32:022", "1.2.3.4/32:2-1", "1.2.3.4/32:1-2-3"],
    ...["1.2.3.4/32:a", "1.2.3.4/32:1 ", "1.2.3.4/32:+1", "1.2.3.4/32:1:2", "in out 1.2.3.4/32", "1.2.3.4/32:-5"],
  ];
  for (const text of none) assert.equal(parseRule("allow", text), undefined, text);
});

test("a port rule comes before a longer prefix, then the rank, then block", () => {
  const talk = new Talk({ allow: ["0.0.0.0/0:443", "1.1.1.0/24"], block: ["1.1.1.1/32", "1.1.1.0/24", "@global"] });
  assert.equal(talk.out(A, TCP, tcp([40000, 443], SYN)), "pass");
  assert.equal(talk.out(A, TCP, tcp([40000, 80], SYN)), "policy.block");
  assert.equal(talk.out("1.1.1.2", TCP, tcp([40000, 80], SYN)), "policy.block", "a tie blocks");
  assert.equal(talk.out(A, ICMP, icmp(8, 1)), "policy.block", "a port rule covers nothing without a port");
  assert.equal(talk.out(B, UDP, udp([443, 80])), "policy.block", "the destination's port counts");
});

test("names rank as a prefix of 0 or 32, whatever they cover", () => {
  const talk = new Talk({ allow: ["@private", "128.0.0.0/1"], block: ["192.168.64.0/31:9", "0.0.0.0/1", "@metadata"] });
  assert.equal(talk.out("172.31.0.1", UDP, udp([1, 1])), "pass");
  assert.equal(talk.out("10.0.0.1", UDP, udp([1, 1])), "policy.block", "0.0.0.0/1 is longer than @private");
  assert.equal(talk.out("169.254.169.254", UDP, udp([1, 1])), "policy.block");
  const host = new Talk({ block: ["@host"], allow: ["192.168.64.1/32", "192.168.64.0/31"] });
  assert.equal(host.out(GATEWAY, UDP, udp([1, 1])), "policy.block", "a tie with its /32");
  const global = new Talk({ allow: ["@global"], block: ["168.63.129.0/24"] });
  assert.equal(global.out("168.63.129.16", UDP, udp([1, 1])), "policy.block");
  assert.equal(new Talk({ allow: ["@global"] }).out("168.63.129.16", UDP, udp([1, 1])), "policy.metadata");
});

test("a direction makes the policy stateful: answers pass, strangers do not", () => {
  const talk = new Talk({ allow: ["in 1.1.1.1/32:22"], block: ["in 0.0.0.0/0"] });
  assert.equal(talk.in(A, TCP, tcp([50000, 22], SYN)), "pass");
  assert.equal(talk.in(A, TCP, tcp([50000, 23], SYN)), "policy.block");
  assert.equal(talk.in(B, TCP, tcp([50000, 22], SYN)), "policy.block");
  assert.equal(talk.out(B, UDP, udp([40000, 53])), "pass");
  assert.equal(talk.in(B, UDP, udp([53, 40000])), "pass", "an answer");
  assert.equal(talk.in(B, UDP, udp([53, 40001])), "policy.block");
  assert.equal(talk.guard.flows, 2);
  assert.equal(talk.in(A, 47, new Uint8Array(8)), "policy.block", "without a port");
});

test("a bare SYN of a live flow asks again, a packet in mid-stream does not", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"] });
  assert.equal(talk.out(A, TCP, tcp([40000, 443], SYN)), "pass");
  assert.equal(talk.in(A, TCP, tcp([443, 40000], SYN | ACK)), "pass");
  assert.equal(talk.out(A, TCP, tcp([40000, 443], ACK)), "pass");
  talk.guard.setRules([], ["in 0.0.0.0/0"]);
  assert.equal(talk.in(A, TCP, tcp([443, 40000], SYN)), "policy.block");
  assert.equal(talk.in(A, TCP, tcp([443, 40000], SYN | FIN)), "policy.block");
  assert.equal(talk.in(A, TCP, tcp([443, 40000], ACK)), "pass");
  assert.equal(talk.in(A, TCP, tcp([443, 40000], RST)), "pass");
  assert.equal(talk.guard.flows, 1);
});

test("a handshake is complete only in its order", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"], block: ["in 0.0.0.0/0"] });
  talk.out(A, TCP, tcp([40000, 443], SYN));
  talk.out(A, TCP, tcp([40000, 443], ACK)); // before the answer: counts for nothing
  talk.in(A, TCP, tcp([443, 40000], SYN | ACK));
  talk.time += 61 * SECOND;
  assert.equal(talk.in(A, TCP, tcp([443, 40000], ACK)), "flow.unknown", "half-open still");
});

test("an echo answer opens nothing, and each side has its own identifiers", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"], block: ["in 0.0.0.0/0"] });
  assert.equal(talk.out(A, ICMP, icmp(0, 5)), "pass");
  assert.equal(talk.guard.flows, 0);
  assert.equal(talk.out(A, ICMP, icmp(8, 5)), "pass");
  assert.equal(talk.in(A, ICMP, icmp(8, 5)), "policy.block", "the other side's own request");
  assert.equal(talk.in(A, ICMP, icmp(0, 6)), "policy.block");
  assert.equal(talk.in(A, ICMP, icmp(0, 5)), "pass");
});

test("I13 256 half-open flows of one remote address that one side opened, and others may open more", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"] });
  for (let port = 0; port < 256; port++) assert.equal(talk.in(A, TCP, tcp([1024 + port, 80], SYN)), "pass");
  assert.equal(talk.in(A, TCP, tcp([2000, 80], SYN)), "flow.half-open");
  assert.equal(talk.in(A, TCP, tcp([2000, 80], ACK)), "flow.half-open", "in mid-stream");
  assert.equal(talk.in(A, TCP, tcp([2000, 80], SYN | ACK)), "flow.half-open", "an answer to nothing");
  assert.equal(talk.in(A, TCP, tcp([1024, 80], SYN)), "pass", "one that exists");
  assert.equal(talk.in(A, UDP, udp([2000, 80])), "pass", "never half-open");
  assert.equal(talk.in(B, TCP, tcp([2000, 80], SYN)), "pass");
  assert.equal(talk.out(A, TCP, tcp([3000, 80], ACK)), "pass", "of the VM in mid-stream: not half-open");
  for (let port = 0; port < 256; port++) assert.equal(talk.out(A, TCP, tcp([4000 + port, 80], SYN)), "pass");
  assert.equal(talk.out(A, TCP, tcp([5000, 80], SYN)), "flow.half-open", "the VM has its own 256");
  talk.out(A, TCP, tcp([80, 1024], SYN | ACK));
  talk.in(A, TCP, tcp([1024, 80], ACK));
  assert.equal(
    talk.out(A, TCP, tcp([5000, 80], SYN)),
    "flow.half-open",
    "the other side's handshake frees nothing here",
  );
  assert.equal(talk.in(A, TCP, tcp([2001, 80], SYN)), "pass", "one handshake is complete");
  assert.equal(talk.in(A, TCP, tcp([2002, 80], SYN)), "flow.half-open");
});

test("I13 SYNs with a forged source, reset by the VM, use up nothing", () => {
  for (const policy of [{ allow: ["in 0.0.0.0/0"] }, { allow: ["0.0.0.0/0"], live: true }]) {
    const talk = new Talk(policy);
    for (let port = 0; port < 600; port++) {
      assert.equal(talk.in(A, TCP, tcp([1024 + port, 80], SYN)), "pass");
      assert.equal(talk.guard.flows, 1);
      assert.equal(talk.out(A, TCP, tcp([80, 1024 + port], RST | ACK)), "pass");
      assert.equal(talk.guard.flows, 0);
    }
  }
});

test("I13 a RST ends a half-open flow from the side that did not open it, and no other flow", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"] });
  talk.out(A, TCP, tcp([40000, 443], SYN));
  talk.out(A, TCP, tcp([40000, 443], RST));
  assert.equal(talk.guard.flows, 1, "from the opener");
  talk.in(A, TCP, tcp([443, 40000], SYN | ACK));
  talk.in(A, TCP, tcp([443, 40000], RST | ACK));
  assert.equal(talk.guard.flows, 0, "answered, but half-open still");
  talk.out(A, TCP, tcp([40000, 443], SYN));
  talk.in(A, TCP, tcp([443, 40000], SYN | ACK));
  talk.out(A, TCP, tcp([40000, 443], ACK));
  talk.in(A, TCP, tcp([443, 40000], RST));
  assert.equal(talk.guard.flows, 1, "the handshake is complete");
  talk.in(A, TCP, tcp([50000, 22], ACK));
  talk.in(A, TCP, tcp([50000, 22], RST));
  assert.equal(talk.guard.flows, 2, "in mid-stream, from the opener");
  talk.out(A, TCP, tcp([22, 50000], RST));
  assert.equal(talk.guard.flows, 1, "in mid-stream, from the VM");
  talk.in(A, TCP, tcp([50001, 22], ACK));
  talk.out(A, TCP, tcp([22, 50001], ACK));
  talk.out(A, TCP, tcp([22, 50001], RST));
  assert.equal(talk.guard.flows, 2, "the VM had answered");
});

test("I13 what begins in mid-stream is half-open until the VM sends a segment", () => {
  const alive = (seconds: number, ...answers: number[]) => {
    const talk = new Talk({ allow: ["in 0.0.0.0/0"] });
    assert.equal(talk.in(A, TCP, tcp([50000, 22], ACK)), "pass");
    assert.equal(talk.in(A, TCP, tcp([50000, 22], ACK)), "pass", "more of it is no answer");
    for (const flags of answers) assert.equal(talk.out(A, TCP, tcp([22, 50000], flags)), "pass");
    talk.time += seconds * SECOND;
    talk.in(B, UDP, udp([1, 1])); // time goes on with a frame
    return talk.guard.flows - 1;
  };
  assert.equal(alive(60), 1);
  assert.equal(alive(61), 0);
  assert.equal(alive(61, ACK), 1);
  assert.equal(alive(7440, FIN | ACK), 1);
  assert.equal(alive(7441, ACK), 0);
  assert.equal(alive(0, RST), 0);
  assert.equal(alive(61, SYN), 0, "a bare SYN changes nothing");
});

test("I12 another policy judges flows again, and tells the VM of those that end", () => {
  const talk = new Talk({ allow: ["0.0.0.0/0"], live: true, reject: true });
  talk.out(A, TCP, tcp([40000, 443], ACK));
  talk.out(A, TCP, tcp([40001, 22], SYN));
  talk.in(B, TCP, tcp([50000, 22], ACK));
  talk.out(B, UDP, udp([40000, 53]));
  assert.equal(talk.guard.flows, 4);
  talk.guard.setRules(["out 8.8.8.8/32"], ["out 1.1.1.1/32:443"]);
  assert.equal(talk.guard.flows, 3);
  const [reset, ...more] = talk.guard.takeResets();
  assert.deepEqual(more, []);
  // From 1.1.1.1:443, with the sequence number that the VM acknowledged last.
  assert.equal(
    Buffer.from(reset!).toString("hex"),
    "7e1a00000001" +
      "020000000001" +
      "0800" +
      "45000028000040004006382101010101c0a84005" +
      "01bb9c40cafe0001000000005004000044360000" +
      "000000000000",
  );
  assert.deepEqual(talk.guard.takeResets(), []);
  talk.guard.setRules([], ["in 0.0.0.0/0"]);
  assert.equal(talk.guard.flows, 3, "the one that came in is cut, the one that was cut lives again");
  assert.equal(talk.guard.takeResets().length, 0, "the VM has acknowledged nothing there");
});

test("I12 the far side of a cut flow does not begin it anew, its own side may ask", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"], reject: true });
  talk.out(A, TCP, tcp([40000, 443], ACK));
  talk.guard.setRules(["in 0.0.0.0/0"], ["out 1.1.1.1/32"]);
  assert.equal(talk.guard.flows, 0);
  assert.equal(talk.guard.takeResets().length, 1);
  talk.guard.setRules(["in 0.0.0.0/0"], ["out 1.1.1.1/32"]);
  assert.equal(talk.guard.takeResets().length, 0, "it was cut before");
  assert.equal(talk.in(A, TCP, tcp([443, 40000], ACK)), "flow.cut");
  assert.equal(talk.out(A, TCP, tcp([40000, 443], ACK)), "policy.block");
  // RST alone, with the acknowledgement number of the segment.
  assert.ok(talk.answer()?.includes("01bb9c40cafe0001000000005004"));
  talk.out(A, TCP, tcp([40000, 443], FIN));
  assert.ok(talk.answer()?.includes("030d"), "without ACK: ICMP");
  talk.time += 300 * SECOND;
  assert.equal(talk.in(A, TCP, tcp([443, 40000], ACK)), "flow.cut", "what is dropped keeps it");
  talk.time += 300 * SECOND;
  assert.equal(talk.in(A, TCP, tcp([443, 40000], ACK)), "flow.cut");
  assert.equal(talk.in(A, TCP, tcp([443, 40000], SYN)), "pass", "a new connection from there");
  assert.equal(talk.out(A, TCP, tcp([40000, 443], ACK)), "pass");
  talk.guard.setRules(["out 0.0.0.0/0"], ["in 0.0.0.0/0"]);
  assert.equal(talk.out(A, TCP, tcp([40000, 443], ACK)), "flow.cut");
  assert.ok(talk.answer()?.includes("01bb9c40cafe0001000000005004"));
  assert.equal(talk.out(A, TCP, tcp([40000, 443], SYN)), "pass");
  assert.equal(talk.guard.flows, 1);
});

test("a denied SYN is answered with RST, other packets with ICMP, what must not be answered with nothing", () => {
  const talk = new Talk({ block: ["0.0.0.0/0"], reject: true });
  talk.out(A, TCP, tcp([40000, 443], SYN, 5));
  // 1000 + 1 + 5 is 0x3ee.
  assert.equal(
    talk.answer(),
    "7e1a00000001" +
      "020000000001" +
      "0800" +
      "45000028000040004006382101010101c0a84005" +
      "01bb9c4000000000000003ee501400000b38" +
      "0000" +
      "000000000000",
  );
  talk.out(A, TCP, tcp([40000, 443], SYN | FIN));
  assert.ok(talk.answer()?.includes("01bb9c4000000000000003ea5014"), "a FIN counts as SYN does");
  talk.out(A, UDP, udp([40000, 53]));
  assert.equal(
    talk.answer(),
    "7e1a00000001" +
      "020000000001" +
      "0800" +
      "45000038000040004001396ec0a84001c0a84005" +
      "030d607500000000" +
      "4500001c000700004011781bc0a8400501010101" +
      "9c40003500080000",
  );
  for (const flags of [RST, RST | ACK, RST | SYN]) {
    talk.out(A, TCP, tcp([40000, 443], flags));
    assert.equal(talk.answer(), undefined);
  }
  talk.out(A, ICMP, icmp(3, 0));
  assert.equal(talk.answer(), undefined, "an ICMP error");
  talk.out(A, ICMP, icmp(8, 0));
  assert.ok(talk.answer()?.includes("030d"), "an echo request");
  talk.out(A, UDP, udp([1, 1]), { offset: 2 });
  assert.equal(talk.answer(), undefined, "a later fragment");
  talk.out(A, UDP, udp([1, 1]), { ethernetDestination: "ff:ff:ff:ff:ff:ff" });
  assert.equal(talk.answer(), undefined, "a group address");
  talk.out("2.2.2.2", UDP, udp([1, 1]), { source: addressNumber(A) });
  assert.equal(talk.lastReason, "ipv4.source");
  assert.equal(talk.answer(), undefined, "an anti-spoofing check");
});

test("at most 200 answers at once, then one each 10 ms", () => {
  const talk = new Talk({ block: ["0.0.0.0/0"], reject: true });
  const ask = () => {
    talk.out(A, UDP, udp([1, 1]));
    return talk.answer() !== undefined;
  };
  for (let turn = 0; turn < 200; turn++) assert.ok(ask());
  assert.ok(!ask());
  talk.time += 9_999;
  assert.ok(!ask());
  talk.time += 1;
  assert.ok(ask());
});

test("I14 200 echoes from the VM at once, then one each 10 ms; those that drop open no flow", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"] });
  for (let turn = 0; turn < 200; turn++) assert.equal(talk.out(A, ICMP, icmp(turn % 2 === 0 ? 8 : 0, 1)), "pass");
  assert.equal(talk.out(B, ICMP, icmp(8, 1)), "icmp.rate");
  assert.equal(talk.guard.flows, 1);
  assert.equal(talk.in(A, ICMP, icmp(0, 1)), "pass", "to the VM no rate counts");
  talk.time += 10_000;
  assert.equal(talk.out(B, ICMP, icmp(8, 1)), "pass");
});

test("another gateway and other DNS servers judge flows again, another address ends them all", () => {
  const talk = new Talk({ block: ["in @metadata"], reject: true }, {});
  talk.lease(VM, "192.168.64.1", ["10.0.0.53"]);
  const open = () => {
    assert.equal(talk.out("192.168.64.1", TCP, tcp([40000, 80], ACK)), "pass");
    assert.equal(talk.out("10.0.0.53", UDP, udp([40000, 53])), "pass");
    assert.equal(talk.out(A, TCP, tcp([40000, 80], ACK)), "pass");
    assert.equal(talk.guard.flows, 3);
  };
  open();
  talk.lease(VM, "192.168.64.1", ["10.0.0.54", "10.0.0.53"]);
  assert.equal(talk.guard.flows, 3);
  talk.lease(VM, "192.168.64.1", ["10.0.0.54"]);
  assert.equal(talk.guard.flows, 2);
  talk.lease(VM, "192.168.64.9", ["10.0.0.54"]);
  assert.equal(talk.guard.flows, 1);
  talk.lease("192.168.64.6", "192.168.64.1", ["10.0.0.53"]);
  assert.equal(talk.guard.flows, 0);
  open();
  talk.time += 3600 * SECOND;
  assert.equal(talk.in(A, UDP, udp([1, 1])), "ipv4.unbound");
  assert.equal(talk.guard.flows, 1, "the lease is over, and with it gateway and DNS servers");
  assert.deepEqual(talk.guard.takeResets(), [], "none of this is a change of the policy");
});

test("flows outlive the lease in which they were made, and its renewal with the same address", () => {
  const talk = new Talk({ gateway: GATEWAY, block: ["in 0.0.0.0/0"] }, {});
  talk.lease(VM, GATEWAY, []);
  talk.time += 3590 * SECOND;
  talk.out(A, TCP, tcp([40000, 80], ACK));
  talk.time += 20 * SECOND;
  assert.equal(talk.out(A, TCP, tcp([40000, 80], ACK)), "ipv4.unbound");
  assert.equal(talk.in(A, TCP, tcp([80, 40000], ACK)), "ipv4.unbound", "no address, no flow");
  assert.equal(talk.guard.flows, 1);
  talk.lease(VM, GATEWAY, []);
  assert.equal(talk.in(A, TCP, tcp([80, 40000], ACK)), "pass");
});

test("a stateless policy that may change notes flows and asks none of them", () => {
  for (const live of [true, false]) {
    const talk = new Talk({ allow: ["10.0.0.0/8"], live });
    talk.out("10.0.0.1", UDP, udp([40000, 9]));
    talk.in("10.0.0.2", UDP, udp([40000, 9]));
    assert.equal(talk.out("10.0.0.2", UDP, udp([9, 40000])), "pass");
    assert.equal(talk.out("10.0.0.3", UDP, udp([9, 40000])), "pass");
    assert.equal(talk.guard.flows, live ? 3 : 0);
    talk.guard.setRules([], []);
    assert.equal(talk.guard.flows, live ? 1 : 0, "what came in is let in still");
    assert.equal(talk.out("10.0.0.2", UDP, udp([9, 40000])), "policy.destination", "no flow is asked");
    talk.guard.setRules([], ["in @global"]);
    assert.equal(talk.out("10.0.0.2", UDP, udp([9, 40000])), live ? "pass" : "policy.destination");
  }
});

test("I13 32,768 flows, and one more when the first is over", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"], reject: true });
  for (let flow = 0; flow < 32_768; flow++) {
    if (flow === 1) talk.time += SECOND;
    assert.equal(talk.out(A, UDP, udp([1000 + (flow % 256), 1000 + Math.floor(flow / 256)])), "pass");
  }
  assert.equal(talk.in(A, UDP, udp([300, 300])), "flow.full");
  assert.equal(talk.out(A, TCP, tcp([300, 300], SYN)), "flow.full");
  assert.ok(talk.answer()?.includes("00000000000003e95014"));
  assert.equal(talk.out(A, UDP, udp([1001, 1000])), "pass", "one that is there");
  talk.time += 30 * SECOND;
  assert.equal(talk.in(A, UDP, udp([300, 300])), "pass");
  assert.equal(talk.in(A, UDP, udp([301, 300])), "flow.full");
});

test("I13 16,384 flows opened to the VM, live and cut, and as many again are the VM's alone", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0", "in 0.0.0.0/0"] });
  const ports = (flow: number): Ports => [1000 + (flow % 256), 1000 + Math.floor(flow / 256)];
  for (let flow = 0; flow < 16_384; flow++) assert.equal(talk.in(A, UDP, udp(ports(flow))), "pass");
  assert.equal(talk.in(A, UDP, udp([300, 300])), "flow.full");
  assert.equal(talk.in(B, TCP, tcp([300, 300], SYN)), "flow.full");
  assert.equal(talk.in(B, ICMP, icmp(8, 1)), "flow.full");
  assert.equal(talk.in(A, UDP, udp([1000, 1000])), "pass", "one that is there");
  talk.guard.setRules(["out 0.0.0.0/0", "in 0.0.0.0/0"], ["in 1.1.1.1/32"]);
  assert.equal(talk.guard.flows, 0);
  assert.equal(talk.in(B, UDP, udp([300, 300])), "flow.full", "cut ones count");
  for (let flow = 0; flow < 16_384; flow++) assert.equal(talk.out(B, UDP, udp(ports(flow))), "pass");
  assert.equal(talk.out(B, UDP, udp([300, 300])), "flow.full");
});

test("I7 a metadata address opens a flow only by an allow rule", () => {
  const service = "169.254.169.254";
  const answered = (allow: readonly string[], block: readonly string[] = []): string => {
    const talk = new Talk({ allow, block, live: true });
    assert.equal(talk.in(service, TCP, tcp([80, 40000], ACK)), "pass");
    assert.equal(talk.in(service, UDP, udp([80, 40000])), "pass");
    const verdict = talk.out(service, UDP, udp([40000, 80]));
    const stateful = [...allow, ...block].length > 0 && verdict !== "pass";
    assert.equal(talk.out(service, TCP, tcp([40000, 80], ACK)), stateful ? "flow.unknown" : verdict);
    assert.equal(talk.guard.flows, verdict === "pass" ? 2 : 0);
    return verdict;
  };
  assert.equal(answered(["in 10.0.0.0/8"]), "policy.metadata", "no rule decides");
  assert.equal(answered([], ["out 10.0.0.0/8"]), "policy.metadata");
  assert.equal(answered([]), "policy.metadata", "stateless");
  assert.equal(answered(["in 169.254.0.0/16"]), "pass");
  assert.equal(answered(["in @metadata:40000"]), "pass");
  assert.equal(answered(["in @metadata:40001"]), "policy.metadata", "of another port");
  const own = new Talk({ allow: ["out @metadata"] });
  assert.equal(own.out(service, TCP, tcp([40000, 80], SYN)), "pass");
  assert.equal(own.in(service, TCP, tcp([80, 40000], SYN | ACK)), "pass", "an answer to the VM");
  assert.equal(own.guard.flows, 1);
  const noted = new Talk({ allow: ["@metadata"], live: true });
  assert.equal(noted.in(service, TCP, tcp([80, 40000], ACK)), "pass");
  assert.equal(noted.guard.flows, 0, "stateless: nothing is noted");
});

test("I12 a reset is sent only while the flow is cut", () => {
  const open = ["out 0.0.0.0/0", "in 0.0.0.0/0"];
  const cut = () => {
    const talk = new Talk({ allow: open, reject: true });
    talk.out(A, TCP, tcp([40000, 443], ACK));
    talk.guard.setRules(open, ["out 1.1.1.1/32"]);
    return talk;
  };
  assert.equal(cut().guard.takeResets().length, 1);
  const again = cut();
  again.guard.setRules(open, []);
  assert.deepEqual(again.guard.takeResets(), [], "it lives again");
  again.guard.setRules(open, ["out 1.1.1.1/32"]);
  assert.equal(again.guard.takeResets().length, 1, "cut once more");
  const twice = cut();
  twice.guard.setRules(open, []);
  twice.guard.setRules(open, ["out 1.1.1.1/32"]);
  assert.equal(twice.guard.takeResets().length, 1, "one flow, one reset");
  const anew = cut();
  assert.equal(anew.in(A, TCP, tcp([443, 40000], SYN)), "pass");
  assert.deepEqual(anew.guard.takeResets(), [], "another flow has its place");
  const late = cut();
  late.time += 7441 * SECOND;
  late.in(B, UDP, udp([1, 1]));
  assert.deepEqual(late.guard.takeResets(), [], "it is over");
});

test("nobody's addresses are part of no flow", () => {
  const talk = new Talk({ allow: ["out 0.0.0.0/0"] });
  assert.equal(talk.out("224.0.0.251", UDP, udp([5353, 5353])), "pass");
  assert.equal(talk.out("255.255.255.255", UDP, udp([5353, 5353])), "pass");
  assert.equal(talk.in("224.0.0.251", UDP, udp([5353, 5353])), "pass");
  assert.equal(talk.in(A, UDP, udp([5353, 5353]), { destination: 0xe00000fb }), "pass");
  assert.equal(talk.in("224.0.0.251", ICMP, quoting(VM, "224.0.0.251", [1, 2])), "pass", "an error that only asks");
  assert.equal(talk.guard.flows, 0);
});

test("explain names the rule that decides, or none", () => {
  const { guard } = new Talk({ allow: ["in 1.1.1.9/24:22-22"], block: ["out @private"] });
  const remote = addressNumber(A);
  const rule = "allow in 1.1.1.0/24:22";
  assert.deepEqual(guard.explain("in", TCP, remote, 22), { verdict: "pass", rule });
  assert.deepEqual(guard.explain("in", TCP, remote, 23), { verdict: "pass", default: "inbound" });
  assert.deepEqual(guard.explain("in", ICMP, remote, 22), { verdict: "pass", default: "inbound" });
  const out = (remoteText: string) => guard.explain("out", TCP, addressNumber(remoteText), 80);
  assert.deepEqual(out("10.0.0.1"), { verdict: "drop", reason: "policy.block", rule: "block out @private" });
  assert.deepEqual(out("169.254.169.254"), { verdict: "drop", reason: "policy.metadata", default: "metadata" });
  assert.deepEqual(out("100.64.0.1"), { verdict: "drop", reason: "policy.destination", default: "not-global" });
  assert.deepEqual(out("127.0.0.1"), { verdict: "drop", reason: "ipv4.loopback", default: "loopback" });
  assert.deepEqual(out(A), { verdict: "pass", default: "global" });
});
