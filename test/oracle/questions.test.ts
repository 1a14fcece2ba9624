/** The second guard's rules about aliases with ports, and softnet's own questions for the gateway's MAC (A9). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arpFrame } from "./build.ts";
import { addressNumber } from "./bytes.ts";
import { A, GATEWAY, PEER_MAC, SECOND, SYN, Talk, TCP, tcp, UDP, udp, VM, VM_MAC } from "./talk.ts";

const OTHER_MAC = "02:00:00:00:00:02";
const NOBODY = "00:00:00:00:00:00";

/** A VM on a network whose gateway speaks ARP. */
class Segment {
  readonly talk: Talk;

  constructor(talk = new Talk({ ask: true })) {
    this.talk = talk;
  }

  /** The gateway's address claimed by this MAC. */
  claim(mac: string, operation = 2): string {
    return this.#arp("ingress", mac, VM_MAC, operation, GATEWAY, VM);
  }

  /** The VM asks for its gateway. */
  request(): string {
    return this.#arp("egress", VM_MAC, "ff:ff:ff:ff:ff:ff", 1, VM, GATEWAY);
  }

  /** Where the question that is due now goes. */
  question(): string | undefined {
    const frame = this.talk.guard.takeQuestion();
    if (frame === undefined) return undefined;
    assert.equal(frame.length, 60);
    const hex = Buffer.from(frame).toString("hex");
    assert.ok(hex.startsWith("7e1a00000001080600010800060400017e1a00000001c0a84005", 12));
    assert.equal(hex.slice(76, 84), "c0a84001");
    return hex.slice(0, 12);
  }

  learn(): void {
    assert.equal(this.request(), "pass");
    assert.equal(this.claim(PEER_MAC), "pass");
  }

  #arp(direction: "egress" | "ingress", from: string, to: string, operation: number, sender: string, target: string) {
    const frame = arpFrame({
      ethernetDestination: to,
      ethernetSource: from,
      hardwareType: 1,
      protocolType: 0x0800,
      hardwareLength: 6,
      protocolLength: 4,
      operation,
      senderHardware: from,
      senderAddress: addressNumber(sender),
      targetHardware: operation === 1 ? NOBODY : to,
      targetAddress: addressNumber(target),
      padding: 0,
    });
    const verdict = this.talk.guard[direction](frame, this.talk.time);
    return verdict.reason ?? verdict.verdict;
  }
}

const ALL = "ffffffffffff";
const KNOWN = "020000000001";

test("A9 without a known MAC a claim makes softnet ask everybody, once a second at most, and believe the first reply", () => {
  const segment = new Segment();
  assert.equal(segment.question(), undefined);
  assert.equal(segment.claim(OTHER_MAC), "arp.gateway");
  assert.equal(segment.question(), ALL);
  assert.equal(segment.question(), undefined);
  assert.equal(segment.claim(OTHER_MAC, 1), "arp.gateway", "a request is no reply");
  assert.equal(segment.question(), undefined);
  segment.talk.time += SECOND - 1;
  assert.equal(segment.claim(PEER_MAC, 1), "arp.gateway");
  assert.equal(segment.question(), undefined);
  segment.talk.time += 1;
  segment.claim(OTHER_MAC, 1);
  assert.equal(segment.question(), ALL);
  assert.equal(segment.claim(PEER_MAC), "pass");
  assert.equal(segment.claim(OTHER_MAC), "arp.gateway");
});

test("A9 with a known MAC it is asked alone; it counts as gone after three questions and their three seconds", () => {
  const segment = new Segment();
  segment.learn();
  assert.equal(segment.claim(OTHER_MAC), "arp.gateway");
  for (let turn = 0; turn < 3; turn++) {
    assert.equal(segment.question(), KNOWN);
    segment.talk.time += SECOND - 1;
    assert.equal(segment.claim(OTHER_MAC), "arp.gateway");
    assert.equal(segment.question(), undefined);
    segment.talk.time += 1;
    segment.talk.in(A, UDP, udp([1, 1])); // time goes on with a frame
  }
  assert.equal(segment.claim(OTHER_MAC), "arp.gateway", "forgotten only with the question to all");
  assert.equal(segment.question(), ALL);
  assert.equal(segment.claim(OTHER_MAC), "pass");
});

test("A9 the gateway that is heard ends the questions", () => {
  const segment = new Segment();
  segment.learn();
  for (let turn = 0; turn < 9; turn++) {
    assert.equal(segment.claim(OTHER_MAC), "arp.gateway");
    assert.equal(segment.question(), KNOWN);
    assert.equal(segment.claim(PEER_MAC), "pass");
    segment.talk.time += SECOND;
    segment.talk.in(A, UDP, udp([1, 1]));
    assert.equal(segment.question(), undefined);
  }
});

test("A9 another bound address ends the questions, the same one does not", () => {
  for (const [address, goesTo] of [
    [VM, ALL],
    ["192.168.64.6", undefined],
  ] as const) {
    const segment = new Segment(new Talk({ ask: true }, {}));
    segment.talk.lease(VM, GATEWAY, []);
    assert.equal(segment.claim(OTHER_MAC), "arp.gateway");
    segment.talk.lease(address, GATEWAY, []);
    assert.equal(segment.question(), goesTo);
  }
});

test("a block rule for an alias is opened by port rules about a part of it, and by no wider one", () => {
  const verdict = (rules: { allow: string[]; block: string[] }, remote: string, port = 80) =>
    new Talk(rules).out(remote, TCP, tcp([40000, port], SYN));
  const service = "169.254.169.254";
  const metadata = (...allow: string[]) => verdict({ allow, block: ["@metadata"] }, service);
  assert.equal(metadata("0.0.0.0/0:80"), "policy.block");
  assert.equal(metadata("169.254.169.254/31:80"), "policy.block");
  assert.equal(metadata("@global:80"), "policy.block");
  assert.equal(metadata("169.254.169.254/32:80"), "pass");
  assert.equal(metadata("@metadata:80"), "pass");
  assert.equal(metadata("169.254.169.254/32:81"), "policy.block");
  assert.equal(
    verdict({ allow: ["8.0.0.0/6:80"], block: ["@private:1-99"] }, "10.1.2.3"),
    "pass",
    "a block with a port",
  );
  const own = (...allow: string[]) => verdict({ allow, block: ["@private"] }, "10.1.2.3");
  assert.equal(own("10.1.0.0/16:80"), "pass");
  assert.equal(own("10.0.0.0/8:80"), "pass");
  assert.equal(own("8.0.0.0/6:80"), "policy.block");
  assert.equal(own("0.0.0.0/0:80"), "policy.block");
  assert.equal(own("@private:80"), "pass");
  assert.equal(own("8.0.0.0/6:80", "10.1.2.0/24"), "pass", "rules without a port count as ever");
  assert.equal(verdict({ allow: ["@host:80"], block: ["@private"] }, GATEWAY), "pass");
  assert.equal(verdict({ allow: ["0.0.0.0/0:80"], block: ["@private"] }, A), "pass", "another address");
  assert.equal(verdict({ allow: ["0.0.0.0/0:80"], block: ["in @private"] }, "10.1.2.3"), "pass", "another direction");
});
