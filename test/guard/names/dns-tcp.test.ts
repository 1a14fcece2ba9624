/** DNS over TCP: what the VM hears when a connection is broken off (docs/guard-names.md, DNS over TCP). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST_NAME_ANSWER } from "../../../src/guard/names/dns-reply.ts";
import { put16 } from "../../../src/wire/bytes.ts";
import { IPV4_HEADER } from "../../../src/wire/ipv4.ts";
import { IPV6_HEADER } from "../../../src/wire/ipv6.ts";
import { ACK_FLAG, FIN, RST } from "../segment.ts";
import { fromVm, START, toVm } from "./segments.ts";
import { A, answer, question, RESOLVER, World } from "./world.ts";

const GOOD = "good.example.com";
const EVIL = "evil.example.com";
const OWN = 40_000;

function framed(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + message.length);
  put16(bytes, 0, message.length);
  bytes.set(message, 2);
  return bytes;
}

/** A connection to the DNS server on which an allowed name was asked for; returns how long the question was. */
function connected(world: World): number {
  assert.equal(world.connect(RESOLVER, 53, OWN), "pass");
  world.accepted(RESOLVER, 53, OWN);
  const asked = framed(question(GOOD));
  assert.equal(world.say(RESOLVER, asked, 0, 53, OWN), "pass");
  return asked.length;
}

test("softnet's answer stands behind the server's, also where the VM has not acknowledged that yet", () => {
  const world = new World([GOOD]);
  const length = connected(world);
  const answered = framed(answer(GOOD, [[GOOD, A, 300, "93.184.216.34"]]));
  const words = { source: RESOLVER, port: 53, own: OWN, sequence: 9000, acknowledgement: (START + 1 + length) >>> 0 };
  world.passesIn(toVm({ ...words, data: answered }));
  const forbidden = fromVm(length, framed(question(EVIL, { id: 8 })), {
    destination: RESOLVER,
    port: 53,
    own: OWN,
    acknowledgement: 9000,
  });
  const { reason, answer: refused } = world.refused(forbidden);
  assert.equal(reason, "dns.denied");
  assert.equal(refused?.tcpSequence, 9000 + answered.length);
});

test("what a VM sends in a connection to its DNS server that was broken off, or not seen from its beginning, is answered with a RST, but for an ACK of softnet's answer", () => {
  const world = new World([GOOD]);
  const length = connected(world);
  const words = { destination: RESOLVER, port: 53, own: OWN, acknowledgement: 9000 };
  const denied = framed(question(EVIL, { id: 8 }));
  assert.equal(world.refused(fromVm(length, denied, words)).reason, "dns.denied");
  const acknowledged = world.refused(fromVm(length + denied.length, new Uint8Array(0), words));
  assert.equal(acknowledged.reason, "name.segment");
  assert.equal(acknowledged.answer, undefined);
  const last = fromVm(length + denied.length, new Uint8Array(0), { ...words, flags: FIN | ACK_FLAG });
  for (let again = 0; again < 2; again++) {
    const { reason, answer: reset } = world.refused(last);
    assert.equal(reason, "flow.cut");
    assert.equal(reset?.tcpFlags, RST);
    assert.equal(reset?.tcpSequence, 9000);
  }
  const unseen = world.refused(fromVm(0, framed(question(GOOD)), { ...words, own: OWN + 1 }));
  assert.equal(unseen.reason, "flow.unknown");
  assert.equal(unseen.answer?.tcpFlags, RST);
});

test("the longest answer of softnet's, by TCP to a question of the longest name with EDNS, has a place", () => {
  const world = new World([GOOD]);
  const length = connected(world);
  const longest = [...["a", "b", "c"].map((letter) => letter.repeat(63)), "d".repeat(61)].join(".");
  const asked = framed(question(longest, { opt: true }));
  const words = { destination: RESOLVER, port: 53, own: OWN, acknowledgement: 9000 };
  const { reason, answer: refused } = world.refused(fromVm(length, asked, words));
  assert.equal(reason, "dns.denied");
  // IPv6's header is longer.
  const frame = refused!.transport + refused!.transportLength;
  assert.equal(frame + IPV6_HEADER - IPV4_HEADER, LONGEST_NAME_ANSWER);
});
