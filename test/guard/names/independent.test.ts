/** What the second guard, written from docs/guard-names.md alone, has found. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRules } from "../../../src/policy/rule.ts";
import { put16 } from "../../../src/wire/bytes.ts";
import { START, syn, text, toVm } from "./segments.ts";
import { ONLY, question, RESOLVER, World } from "./world.ts";

const NAME = "good.example.com";
const CDN = "104.16.1.1";
const OWN = 40_000;
const request = (name: string) => text(`GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`);

test("an ACK without data moves nothing: the RST for the network stands behind the last byte that passed", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  world.connect(CDN);
  world.accepted(CDN);
  world.say(CDN, text(""), 70_000);
  assert.equal(world.say(CDN, request("evil.example.net")), "name.denied");
  assert.equal(world.toNetwork()?.tcpSequence, (START + 1) >>> 0);
});

test("a flow that an address opened is cut with its rule, though a name has the address meanwhile", () => {
  const world = new World([NAME], { ...ONLY, allow: [...ONLY.allow, `out ${CDN}/32`] });
  world.connect(CDN);
  world.accepted(CDN);
  world.resolve(NAME, CDN);
  world.guard.setRules(parseRules([...ONLY.allow, NAME], ONLY.block));
  assert.equal(world.in(toVm({ source: CDN })), "flow.cut");
});

test("a SYN that is refused leaves a flow that was broken off as it is", () => {
  const world = new World([], { block: ["evil.example.net"] });
  world.connect(CDN);
  world.accepted(CDN);
  const evil = request("evil.example.net");
  assert.equal(world.say(CDN, evil), "name.denied");
  assert.equal(world.out(syn({ destination: CDN, port: 443, own: OWN, data: text("x") })), "name.segment");
  assert.equal(world.say(CDN, evil), "flow.cut");
});

test("a packet that drops acknowledges nothing: the question may come again", () => {
  const world = new World([NAME]);
  assert.equal(world.connect(RESOLVER, 53, OWN), "pass");
  const message = question(NAME);
  const asked = new Uint8Array(2 + message.length);
  put16(asked, 0, message.length);
  asked.set(message, 2);
  assert.equal(world.say(RESOLVER, asked, 0, 53, OWN), "pass");
  const words = { source: RESOLVER, port: 53, own: OWN, acknowledgement: (START + 1 + asked.length) >>> 0 };
  assert.equal(world.in(toVm({ ...words, sequence: 9001, data: text("x") })), "name.order");
  assert.equal(world.say(RESOLVER, asked, 0, 53, OWN), "pass");
});

test("a SYN may come again with its own sequence number only, also when what followed it is acknowledged", () => {
  const world = new World([NAME]);
  const words = { destination: RESOLVER, port: 53, own: OWN };
  world.connect(RESOLVER, 53, OWN);
  world.accepted(RESOLVER, 53, OWN);
  const message = question(NAME);
  const asked = new Uint8Array(2 + message.length);
  put16(asked, 0, message.length);
  asked.set(message, 2);
  assert.equal(world.say(RESOLVER, asked, 0, 53, OWN), "pass");
  const behind = (START + 1 + asked.length) >>> 0;
  world.passesIn(toVm({ source: RESOLVER, port: 53, own: OWN, sequence: 9000, acknowledgement: behind }));
  assert.equal(world.out(syn({ ...words, sequence: behind - 1 })), "name.segment");
  assert.equal(world.out(syn(words)), "pass");
});

test("N4 a SYN between the ports of a connection that went through begins anew: its first bytes are read again", () => {
  const evil = request("evil.example.net");
  const good = request(NAME);
  // By name; and by address, where the policy blocks a name.
  for (const world of [new World([NAME]), new World([], { block: ["evil.example.net"] })]) {
    world.resolve(NAME, CDN);
    world.connect(CDN, 443, OWN);
    world.accepted(CDN, 443, OWN);
    assert.equal(world.say(CDN, good), "pass");
    const behind = (START + 1 + good.length) >>> 0;
    world.passesIn(toVm({ source: CDN, sequence: 9000, acknowledgement: behind, own: OWN, port: 443 }));
    assert.equal(world.connect(CDN, 443, OWN), "pass");
    world.accepted(CDN, 443, OWN);
    assert.equal(world.say(CDN, evil), "name.denied");
  }
});
