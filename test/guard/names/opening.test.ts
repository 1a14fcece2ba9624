/** Connections by name: pinned addresses, first bytes, what happens to them when rules change, and who gets a RST. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRules } from "../../../src/policy/rule.ts";
import { parseIPv4 } from "../../../src/wire/address.ts";
import { ACK_FLAG, FIN, RST } from "../segment.ts";
import { DNS_SERVER, GATEWAY, SECOND, udp } from "../support.ts";
import { checked, fromVm, helloFor, START, syn, text, toVm } from "./segments.ts";
import { A, CNAME, ONLY, World } from "./world.ts";

const NAME = "registry.npmjs.org";
const CDN = "104.16.0.1";
const HELLO = await helloFor(NAME);
const EVIL = await helloFor("evil.example.net");

test("a SYN passes only to an address that an allowed name had, to its ports, while the answer holds", () => {
  const world = new World([NAME]);
  assert.equal(world.connect(CDN), "name.unpinned");
  world.resolve(NAME, CDN, 30);
  assert.equal(world.connect(CDN), "pass");
  assert.equal(world.connect(CDN, 80, 40_001), "pass");
  assert.equal(world.connect(CDN, 22, 40_002), "policy.block");
  assert.equal(world.connect("104.16.0.2"), "name.unpinned");
  world.wait(3600 * SECOND + 1);
  assert.equal(world.connect(CDN, 443, 40_003), "name.unpinned");
});

test("an allowed name may have the address of a DNS server (a resolver's own HTTPS), but not the gateway's", () => {
  const other = "9.9.9.9";
  const world = new World([NAME], ONLY, [DNS_SERVER, other]);
  world.resolve(NAME, other);
  assert.equal(world.connect(other), "pass");
  world.resolve(NAME, GATEWAY);
  assert.equal(world.connect(GATEWAY), "name.rebind");
});

test("a port that the rule names opens by the pair alone, for the TTL, and by UDP too, but not QUIC", () => {
  const world = new World([`${NAME}:22`, `${NAME}:443`]);
  world.resolve(NAME, CDN, 90);
  assert.equal(world.connect(CDN, 22), "pass");
  world.accepted(CDN, 22);
  assert.equal(world.say(CDN, text("SSH-2.0-x\r\n"), 0, 22), "pass");
  assert.equal(world.out(udp(4000, 22, { destination: CDN })), "pass");
  assert.equal(world.out(udp(4000, 443, { destination: CDN })), "name.quic");
  world.wait(90 * SECOND + 1);
  assert.equal(world.connect(CDN, 443, 40_001), "pass");
  // Its own flow holds the pair.
  assert.equal(world.connect(CDN, 22, 40_002), "pass");
});

test("other ports than 80 and 443 are open for the TTL only, a minute at least", () => {
  const world = new World([`${NAME}:22`, NAME]);
  world.resolve(NAME, CDN, 5);
  world.wait(60 * SECOND + 1);
  assert.equal(world.connect(CDN, 22), "name.unpinned");
  assert.equal(world.connect(CDN, 443, 40_001), "pass");
});

test("an address behind aliases is open for the smallest TTL on the way", () => {
  const records = [
    [NAME, CNAME, 3600, "www.cdn.net"],
    ["www.cdn.net", CNAME, 90, "edge.cdn.net"],
    ["edge.cdn.net", A, 3600, CDN],
  ] as const;
  for (const [seconds, verdict] of [
    [89, "pass"],
    [91, "name.unpinned"],
  ] as const) {
    const world = new World([`${NAME}:22`]);
    assert.equal(world.ask(NAME), "pass");
    assert.equal(world.answered(NAME, records), "pass");
    world.wait(seconds * SECOND);
    assert.equal(world.connect(CDN, 22), verdict);
  }
});

test("the hello decides: an allowed name goes on, another one is broken off both ways", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  assert.equal(world.connect(CDN), "pass");
  world.accepted(CDN);
  assert.equal(world.say(CDN, HELLO), "pass");
  assert.equal(
    world.in(toVm({ source: CDN, sequence: 9000, acknowledgement: (START + 1 + HELLO.length) >>> 0 })),
    "pass",
  );
  assert.equal(world.say(CDN, text("more"), HELLO.length), "pass");

  assert.equal(world.connect(CDN, 443, 40_001), "pass");
  world.accepted(CDN, 443, 40_001);
  assert.equal(world.say(CDN, EVIL.subarray(0, 50), 0, 443, 40_001), "pass");
  const rest = fromVm(50, EVIL.subarray(50), { destination: CDN, own: 40_001, acknowledgement: 9000 });
  const { reason, answer } = world.refused(rest);
  assert.equal(reason, "name.denied");
  assert.equal(answer!.tcpFlags, RST);
  assert.equal(answer!.tcpSequence, 9000);
  const reset = world.toNetwork()!;
  assert.equal(reset.tcpFlags, RST);
  assert.equal(reset.tcpSequence, (START + 51) >>> 0);
  assert.equal(reset.destinationPort, 443);
  assert.equal(world.toNetwork(), undefined);
  assert.equal(world.say(CDN, text("x"), EVIL.length, 443, 40_001), "flow.cut");
  assert.equal(world.in(toVm({ source: CDN, own: 40_001, data: text("x") })), "flow.cut");
  assert.deepEqual(
    world.events.flatMap((event) => (event.kind === "connection" ? [[event.name, event.decision]] : [])),
    [
      [NAME, "passed"],
      ["evil.example.net", "name.denied"],
    ],
  );
});

test("N3 a name that is allowed but has another address is denied", () => {
  const world = new World([NAME, "other.example.com"]);
  world.resolve(NAME, CDN);
  world.resolve("other.example.com", "104.16.0.7");
  world.connect(CDN);
  assert.equal(world.say(CDN, text("GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n")), "name.denied");
});

test("TCP Fast Open, a SYN again, and segments out of turn", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  assert.equal(world.out(syn({ destination: CDN, data: HELLO })), "name.segment");
  assert.equal(world.connect(CDN), "pass");
  assert.equal(world.connect(CDN), "pass");
  assert.equal(world.say(CDN, HELLO.subarray(100), 100), "name.order");
  assert.equal(world.say(CDN, HELLO), "pass");
});

/** A SYN with these bytes of options, and whether its form lets it pass. */
const withOptions = (options: readonly number[], own: number): Uint8Array => {
  const frame = syn({ destination: CDN, own, data: Uint8Array.from(options) });
  frame[34 + 12] = (5 + options.length / 4) << 4;
  return checked(frame);
};

/** Of an ordinary client: MSS, SACK permitted, timestamps, window scale, and an empty Fast Open cookie. */
const ORDINARY = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7, 34, 2, 1, 1];
/** MP_CAPABLE of version 1, and MP_JOIN (RFC 8684 3.1, 3.2). */
const CAPABLE = [30, 4, 1, 1];
const JOIN = [30, 12, 0x10, 1, 1, 2, 3, 4, 5, 6, 7, 8];

test("N4 a SYN that asks for Multipath TCP opens nothing that is read", () => {
  const world = new World([NAME, `${NAME}:8443`]);
  world.resolve(NAME, CDN);
  let own = 41_000;
  const said = (options: readonly number[]): string => world.out(withOptions(options, own++));
  assert.equal(said(ORDINARY), "pass");
  for (const options of [CAPABLE, JOIN, [...ORDINARY, ...CAPABLE], [1, 1, 1, 1, ...CAPABLE], [1, 30, 3, 0]])
    assert.equal(said(options), "name.segment", `${options}`);
  // Behind the end of the options nobody reads.
  assert.equal(said([0, 0, 0, 0, ...CAPABLE]), "pass");
  // In another option's data it is none.
  assert.equal(said([34, 6, ...CAPABLE, 1, 1]), "pass");
  for (const options of [
    [2, 1, 30, 4],
    [2, 0, 30, 4],
    [2, 9, 30, 4],
    [1, 1, 1, 2],
  ])
    assert.equal(said(options), "name.segment", `malformed: ${options}`);
});

test("N4 a SYN that is sent again with Multipath TCP drops, too, and so does one to a DNS server", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  assert.equal(world.out(withOptions(ORDINARY, 41_000)), "pass");
  assert.equal(world.out(withOptions(CAPABLE, 41_000)), "name.segment");
  assert.equal(world.connect(CDN, 443, 41_000), "pass");
  const toServer = syn({ destination: DNS_SERVER, port: 53, own: 41_001, data: Uint8Array.from(CAPABLE) });
  toServer[34 + 12] = 0x60;
  assert.equal(world.out(checked(toServer)), "name.segment");
});

test("a connection that nothing is read of may use Multipath TCP", () => {
  const world = new World([NAME], { ...ONLY, allow: [...ONLY.allow, "104.16.0.0/16:443"] });
  assert.equal(world.out(withOptions(CAPABLE, 41_000)), "pass");
});

test("rules that take a name away end its flows; a name that was learned opens at once when it is allowed again", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  world.connect(CDN);
  world.accepted(CDN);
  world.say(CDN, HELLO);
  const other = parseRules([...ONLY.allow, "other.example.com"], ONLY.block);
  assert.equal(world.guard.setRules(other), 1);
  const out = new Uint8Array(200);
  assert.equal(world.guard.takeReset(out, 0), 60);
  assert.equal(world.say(CDN, text("x"), HELLO.length), "policy.block");
  assert.equal(world.connect(CDN, 443, 40_001), "name.unpinned");
  assert.equal(world.guard.setRules(parseRules([...ONLY.allow, NAME], ONLY.block)), 0);
  assert.equal(world.connect(CDN, 443, 40_002), "pass");
});

test("a flow goes on while the name that it said is allowed, whatever becomes of the others with its address", () => {
  const world = new World([NAME, "other.example.com"]);
  world.resolve(NAME, CDN);
  world.resolve("other.example.com", CDN);
  world.connect(CDN);
  world.say(CDN, HELLO);
  assert.equal(world.guard.setRules(parseRules([...ONLY.allow, NAME], ONLY.block)), 0);
  assert.equal(world.guard.setRules(parseRules([...ONLY.allow, "other.example.com"], ONLY.block)), 1);
});

test("what was broken off stays so, also when its name becomes allowed", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  world.connect(CDN);
  world.accepted(CDN);
  assert.equal(world.say(CDN, EVIL), "name.denied");
  world.guard.setRules(parseRules([...ONLY.allow, NAME, "evil.example.net"], ONLY.block));
  assert.notEqual(world.say(CDN, text("x"), EVIL.length), "pass");
});

test("a block by name in an open policy refuses the hello, and nothing else", () => {
  const world = new World([], { block: ["evil.example.net"] });
  for (const [own, data, verdict] of [
    [40_001, HELLO, "pass"],
    [40_002, EVIL, "name.denied"],
    [40_003, text("SSH-2.0-x\r\n"), "pass"],
  ] as const) {
    assert.equal(world.connect(CDN, 443, own), "pass");
    assert.equal(world.say(CDN, data, 0, 443, own), verdict);
  }
});

test("a block rule with a port for the very address ranks before a name", () => {
  const world = new World([NAME], { ...ONLY, block: [...ONLY.block, `out ${CDN}/32:443`] });
  world.resolve(NAME, CDN);
  assert.equal(world.connect(CDN, 443), "name.unpinned");
  assert.equal(world.connect(CDN, 80), "pass");
});

test("ends of connections: FIN and RST pass before anything was said", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  world.connect(CDN);
  assert.equal(world.out(fromVm(0, text(""), { destination: CDN, flags: ACK_FLAG | FIN })), "pass");
  assert.equal(world.out(fromVm(0, text(""), { destination: CDN, flags: RST })), "pass");
});

test("in an open policy, too, a connection that was broken off does not go on", () => {
  const world = new World([], { block: ["evil.example.net"] });
  world.connect(CDN);
  world.accepted(CDN);
  assert.equal(world.say(CDN, EVIL), "name.denied");
  assert.equal(world.say(CDN, EVIL), "flow.cut");
  assert.equal(world.in(toVm({ source: CDN, data: text("x") })), "flow.cut");
  assert.equal(world.connect(CDN), "pass");
});

test("a SYN that a name allowed and a limit refused leaves nothing for the next packet", () => {
  const world = new World([NAME], {
    block: ["out 0.0.0.0/0"],
    allow: ["out @dns:53", "out 104.17.0.0/16"],
  });
  world.resolve(NAME, CDN);
  for (let own = 1000; own < 1256; own++) assert.equal(world.connect(CDN, 443, own), "pass");
  assert.equal(world.connect(CDN, 443, 1256), "flow.half-open");
  // By address: nothing of it is inspected.
  assert.equal(world.connect("104.17.0.1", 443, 2000), "pass");
  assert.equal(world.say("104.17.0.1", text("SSH-2.0-x\r\n"), 0, 443, 2000), "pass");
});

test("explain says of an address what the data path does, and by which name it is open", () => {
  const world = new World([NAME]);
  const explain = (remote: string, port: number, protocol: "tcp" | "udp" = "tcp") =>
    world.guard.explain({ direction: "out", protocol, remote: parseIPv4(remote)!, port });
  assert.equal(explain(CDN, 443).reason, "name.unpinned");
  world.resolve(NAME, CDN);
  assert.deepEqual(explain(CDN, 443), { verdict: "pass", byName: NAME, rule: { action: "allow", text: NAME } });
  assert.equal(world.connect(CDN), "pass");
  for (const [remote, port, protocol] of [
    [CDN, 22, "tcp"],
    [CDN, 443, "udp"],
    ["9.9.9.9", 443, "tcp"],
    ["9.9.9.9", 853, "tcp"],
    ["10.1.2.3", 443, "tcp"],
  ] as const) {
    const said = explain(remote, port, protocol).reason;
    const done =
      protocol === "tcp" ? world.connect(remote, port, 41_000) : world.out(udp(4000, port, { destination: remote }));
    assert.equal(said, done, `${remote} ${protocol} ${port}`);
  }
});

test("a connection that has said nothing while names were away goes on by its address alone", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  world.connect(CDN);
  world.connect(CDN, 443, 40_001);
  assert.equal(world.say(CDN, HELLO, 0, 443, 40_001), "pass");
  world.guard.setRules(parseRules(["out 0.0.0.0/0"], []));
  assert.equal(world.guard.setRules(parseRules([...ONLY.allow, NAME], ONLY.block)), 1);
  assert.notEqual(world.say(CDN, EVIL), "pass");
  assert.equal(world.say(CDN, text("more"), HELLO.length, 443, 40_001), "pass");
});

test("a connection that was broken off, and that addresses let go on while names were away, is not the name's when they come back", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  world.connect(CDN);
  world.accepted(CDN);
  assert.equal(world.say(CDN, EVIL), "name.denied");
  world.guard.setRules(parseRules(["out 0.0.0.0/0"], []));
  assert.equal(world.say(CDN, EVIL), "pass", "by its address");
  assert.equal(world.guard.setRules(parseRules([...ONLY.allow, NAME], ONLY.block)), 1);
  assert.notEqual(world.say(CDN, text("more"), EVIL.length), "pass");
});

test("a hello to another port needs a pair that holds there: for the TTL, a minute at least, not for the hour", () => {
  const other = "other.example.net";
  for (const [seconds, verdict] of [
    [50, "pass"],
    [61, "name.denied"],
  ] as const) {
    const world = new World([`${NAME}:8443`, `${other}:8443`]);
    world.resolve(NAME, CDN, 5);
    world.wait(seconds * SECOND);
    world.resolve(other, CDN, 5);
    assert.equal(world.connect(CDN, 8443), "pass");
    assert.equal(world.say(CDN, HELLO, 0, 8443), verdict, `${seconds} s`);
  }
});
