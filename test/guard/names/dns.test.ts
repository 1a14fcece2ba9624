/** Questions and answers by UDP while a policy has names: what goes to the server, what softnet answers itself, what is learned. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DROP_REASONS, PASS } from "../../../src/guard/reasons.ts";
import { parseIPv4 } from "../../../src/wire/address.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { PARTIAL_UDP } from "../../../src/wire/virtio-net.ts";
import { collectUncaught } from "../../support/uncaught.ts";
import { ADDRESS, GATEWAY_MAC, join, udp, VM } from "../support.ts";
import { A, AAAA, answer, CNAME, dataOf, HTTPS, ONLY, question, RESOLVER, World } from "./world.ts";

const NAME = "registry.npmjs.org";
const CDN = "104.16.0.1";
const toServer = (message: Uint8Array, port = 5453): Uint8Array => udp(port, 53, { destination: RESOLVER }, message);

test("N1 a question for an allowed name passes; any other one gets NXDOMAIN, which nobody keeps", () => {
  const world = new World([NAME, "*.example.com"]);
  for (const name of [NAME, "ReGiStRy.NPMJS.org", "a.example.com", "a.b.example.com"])
    assert.equal(world.ask(name), "pass");
  for (const name of ["example.com", "npmjs.org", "evil.net", "xregistry.npmjs.org", "a.registry.npmjs.org"]) {
    const { reason, answer: reply } = world.refused(toServer(question(name, { id: 99, opt: true })));
    assert.equal(reason, "dns.denied");
    const message = dataOf(reply!);
    assert.deepEqual([...message.subarray(0, 12)], [0, 99, 0x81, 0x83, 0, 1, 0, 0, 0, 1, 0, 1]);
    assert.deepEqual(message.slice(12, -33 - 11), question(name).slice(12));
    assert.equal(reply!.source, parseIPv4(RESOLVER));
    assert.equal(reply!.destinationPort, 5453);
    assert.equal(reply!.udpChecksumIsRight, true);
  }
});

test("types that softnet does not read get an empty answer, not NXDOMAIN", () => {
  const world = new World([NAME]);
  for (const type of [AAAA, HTTPS, 64, 255, 252, 10, 65_280]) {
    const { reason, answer: reply } = world.refused(toServer(question(NAME, { type })));
    assert.equal(reason, "dns.type");
    assert.deepEqual([...dataOf(reply!).subarray(2, 4)], [0x81, 0x80]);
  }
  for (const type of [A, 2, 5, 6, 12, 15, 16, 33, 43, 257]) assert.equal(world.ask(NAME, { type }), "pass");
});

test("what is no question of one name drops: every field of the header, trailing bytes, a compressed name", () => {
  const world = new World([NAME]);
  const good = question(NAME);
  const changed = (at: number, value: number): Uint8Array => {
    const copy = good.slice();
    copy[at] = value;
    return copy;
  };
  const wrong = [
    good.subarray(0, 11),
    changed(2, 0x81),
    changed(2, 0x29),
    changed(5, 2),
    changed(5, 0),
    changed(7, 1),
    changed(9, 1),
    changed(11, 1),
    changed(12, 0xc0),
    changed(good.length - 1, 3),
    Uint8Array.from([...good, 0]),
  ];
  for (const message of wrong) assert.equal(world.out(toServer(message)), "dns.format");
  assert.equal(world.out(toServer(good)), "pass");
});

test("N7 an answer passes only to its own question: server, port, id and question byte for byte, once", () => {
  const world = new World([NAME]);
  const records = [[NAME, A, 60, CDN]] as const;
  const from = (source: string, message: Uint8Array, port = 5453): string =>
    world.in(udp(53, port, { source, destination: ADDRESS, from: GATEWAY_MAC, to: VM }, message));
  assert.equal(from(RESOLVER, answer(NAME, records)), "dns.answer");
  assert.equal(world.ask(NAME), "pass");
  assert.equal(from(RESOLVER, answer(NAME, records, { id: 8 })), "dns.answer");
  assert.equal(from(RESOLVER, answer("Registry.npmjs.org", records)), "dns.answer");
  assert.equal(from(RESOLVER, answer(NAME, records, { type: 16 })), "dns.answer");
  assert.equal(from(RESOLVER, answer(NAME, records), 5454), "dns.answer");
  assert.equal(from(RESOLVER, answer(NAME, records, { flags: 0x0100 })), "dns.answer");
  assert.equal(from(RESOLVER, answer(NAME, records)), "pass");
  assert.equal(from(RESOLVER, answer(NAME, records)), "dns.answer");
  assert.equal(world.ask(NAME), "pass");
  world.wait(10_000_001);
  assert.equal(from(RESOLVER, answer(NAME, records)), "dns.answer");
});

test("N6 aliases are followed inside one answer; what stands beside them teaches nothing", () => {
  const world = new World([NAME]);
  assert.equal(world.ask(NAME), "pass");
  const records = [
    ["edge.cdn.net", A, 60, "104.16.0.2"],
    [NAME, CNAME, 60, "www.cdn.net"],
    ["www.cdn.net", CNAME, 60, "edge.cdn.net"],
    ["other.net", A, 60, "104.16.0.9"],
    [NAME, A, 60, "104.16.0.8"],
  ] as const;
  assert.equal(world.answered(NAME, records), "pass");
  assert.equal(world.connect("104.16.0.2"), "pass");
  assert.equal(world.connect("104.16.0.9"), "name.unpinned");
  assert.equal(world.connect("104.16.0.8"), "name.unpinned");
});

test("N2 an address that no name opens is not pinned, and the drop says so", () => {
  const world = new World([NAME]);
  for (const address of ["192.168.64.9", "169.254.169.254", "10.0.0.1", "127.0.0.1", "0.0.0.0"]) {
    world.resolve(NAME, address);
    const said = world.connect(address);
    assert.equal(said, address.startsWith("127") || address.startsWith("0.") ? "ipv4.loopback" : "name.rebind");
  }
});

test("20 questions a second after 100; 500 new names under a wildcard", () => {
  const world = new World(["*.example.com", NAME]);
  for (let index = 0; index < 100; index++) assert.equal(world.ask(NAME), "pass");
  assert.equal(world.ask(NAME), "dns.budget");
  world.wait(50_000);
  assert.equal(world.ask(NAME), "pass");
  assert.equal(world.ask(NAME), "dns.budget");
  let passed = 0;
  let verdict = "pass";
  for (; passed < 1200 && verdict === "pass"; passed++) {
    world.wait(50_000);
    verdict = world.ask(`n${passed}.example.com`);
  }
  assert.equal(verdict, "dns.budget");
  assert.ok(passed > 500 && passed < 560, String(passed));
  assert.equal(world.ask(NAME), "dns.budget");
  world.wait(50_000);
  assert.equal(world.ask(NAME), "pass");
});

test("N5 other ways to resolve are refused at once, each by its name", () => {
  const world = new World([NAME]);
  const elsewhere = { destination: "9.9.9.9" };
  for (const port of [53, 853, 5353, 5355]) assert.equal(world.out(udp(4000, port, elsewhere)), "name.resolver");
  assert.equal(world.out(udp(4000, 137, elsewhere)), "name.resolver");
  for (const port of [53, 853]) assert.equal(world.connect("9.9.9.9", port), "name.resolver");
  const { reason, answer: reply } = world.refused(udp(4000, 443, elsewhere));
  assert.equal(reason, "name.quic");
  assert.equal(reply!.icmpType, 3);
  assert.equal(reply!.icmpCode, 3);
});

test("in an open policy only the lookup of a blocked name is denied", () => {
  const world = new World([], { block: ["evil.example.com", "*.bad.net"] });
  assert.equal(world.ask("anything.org"), "pass");
  assert.equal(world.ask("anything.org", { type: 255 }), "pass");
  assert.equal(world.ask("anything.org", { type: HTTPS }), "dns.type");
  assert.equal(world.ask("evil.example.com"), "dns.denied");
  assert.equal(world.ask("x.bad.net"), "dns.denied");
  assert.equal(world.ask("bad.net"), "pass");
});

test("fragments and DNS to a server that the rules close", () => {
  const world = new World([NAME]);
  assert.equal(world.out(udp(5453, 53, { destination: RESOLVER, more: true }, question(NAME))), "dns.fragment");
  const closed = new World([NAME], { block: ["out 0.0.0.0/0"] });
  assert.equal(closed.ask(NAME), "name.resolver");
});

test("what is asked and said is told and counted by name", () => {
  const world = new World([NAME]);
  world.resolve(NAME, CDN);
  world.ask("evil.net");
  assert.deepEqual(world.events, [
    { kind: "question", name: NAME, type: 1, decision: "passed" },
    { kind: "learned", name: NAME, addresses: 1 },
    { kind: "question", name: "evil.net", type: 1, decision: "dns.denied" },
  ]);
  assert.deepEqual(
    [...world.guard.names],
    [
      { name: NAME, asked: 1, denied: 0, addresses: 1, passed: 0, refused: 0 },
      { name: "evil.net", asked: 1, denied: 1, addresses: 0, passed: 0, refused: 0 },
    ],
  );
  assert.deepEqual(
    [...world.guard.namePairs].map(({ name, address }) => [name, address]),
    [[NAME, parseIPv4(CDN)]],
  );
  const later = new World([NAME], { ...ONLY, restoredNames: [...world.guard.namePairs] });
  assert.equal(later.connect(CDN), "pass");
});

test("what onName throws does not reach the frame; it is an uncaught exception later", async (t) => {
  const thrown = collectUncaught(t);
  const guard = new World([NAME]);
  guard.events.push = () => {
    throw new Error("of the program around it");
  };
  assert.equal(guard.ask(NAME), "pass");
  await new Promise((resolve) => setImmediate(resolve));
  assert.match(String(thrown[0]), /of the program around it/);
});

test("a type that is answered with nothing is no denial of its name", () => {
  const world = new World([NAME]);
  assert.equal(world.ask(NAME, { type: AAAA }), "dns.type");
  assert.deepEqual([...world.guard.names], [{ name: NAME, asked: 1, denied: 0, addresses: 0, passed: 0, refused: 0 }]);
});

/** A frame that leaves as datagrams of `size` bytes (UDP_SEGMENT): DROP_REASONS' name or "pass". */
function cut(world: World, way: "judgeEgress" | "judgeIngress", frame: Uint8Array, size: number): string {
  world.guard.advance(world.now);
  const verdict = world.guard[way](FrameView.of(frame, 0, frame.length, PARTIAL_UDP | size));
  return verdict === PASS ? "pass" : DROP_REASONS[verdict - 1]!.name;
}

test("N1 L11 a frame that becomes several datagrams is no question: the second one would be read by the server alone", () => {
  const world = new World([NAME]);
  // An allowed question whose OPT record has another question in its data, just where the frame is cut.
  const head = question(NAME, { opt: true });
  const hidden = question("secret.evil.net", { id: 8 });
  const size = head.length + 4;
  const whole = join(head, Uint8Array.of(0, 10, 0, hidden.length), hidden);
  whole.set([0, 4 + hidden.length], head.length - 2);
  assert.equal(world.out(toServer(whole)), "pass", "as one datagram it asks for the allowed name");
  assert.equal(cut(world, "judgeEgress", toServer(whole), size), "dns.format");
  assert.equal(cut(world, "judgeEgress", toServer(question(NAME)), 1200), "dns.format");
});

test("N7 L11 a frame that becomes several datagrams is no answer", () => {
  const world = new World([NAME]);
  const records = [[NAME, A, 60, CDN]] as const;
  assert.equal(world.ask(NAME), "pass");
  const message = join(answer(NAME, records), answer("evil.net", [["evil.net", A, 60, CDN]], { id: 9 }));
  const frame = udp(53, 5453, { source: RESOLVER, destination: ADDRESS, from: GATEWAY_MAC, to: VM }, message);
  assert.equal(cut(world, "judgeIngress", frame, message.length / 2), "dns.format");
  assert.equal(world.answered(NAME, records), "pass", "the question still waits for its answer");
});
