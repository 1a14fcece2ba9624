/** The first bytes of a connection that was opened by name: whom they ask for, however they are cut and repeated. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { DNS, LENIENT, STRICT, WATCHED } from "../../../src/guard/names/inspection.ts";
import { Inspections, MOST_INSPECTIONS } from "../../../src/guard/names/inspections.ts";
import type { NameJudge } from "../../../src/guard/names/name-judge.ts";
import { DROP_REASONS, PASS, verdictOf } from "../../../src/guard/reasons.ts";
import { NAME_ALLOWED, NAME_BLOCKED, NAME_UNSAID } from "../../../src/policy/name-table.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { ACK_FLAG, FIN, RST, SYN } from "../segment.ts";
import { checked, fromVm, helloFor, START, syn, text, toVm } from "./segments.ts";

const wire = (name: string): string =>
  name
    .split(".")
    .map((label) => String.fromCharCode(label.length) + label)
    .join("");
const textOf = (labels: Uint8Array, length: number): string => String.fromCharCode(...labels.subarray(0, length - 1));

class World implements NameJudge {
  readonly told: string[] = [];
  readonly cut: number[] = [];
  now = 1_000_000;
  readonly inspections = new Inspections(this, (flow) => this.cut.push(flow));
  slot = 0;

  open(mode = STRICT, flow = 1): void {
    assert.equal(this.inspections.refusal(this.now), PASS);
    this.slot = this.inspections.open(mode, flow, 7, FrameView.of(syn()), this.now);
    // DNS has its own tests of how the other side takes a SYN.
    if (mode !== DNS) this.taken();
  }

  /** The other side takes a SYN. */
  taken(start = START): void {
    const words = { flags: SYN | ACK_FLAG, sequence: 8999, acknowledgement: (start + 1) >>> 0 };
    assert.equal(this.in(toVm(words)), "pass");
  }

  /** The verdict's name. */
  out(frame: Uint8Array): string {
    return named(this.inspections.egress(this.slot, FrameView.of(frame), this.now));
  }

  in(frame: Uint8Array): string {
    return named(this.inspections.ingress(this.slot, FrameView.of(frame), this.now));
  }

  ask(labels: Uint8Array, length: number): number {
    const name = textOf(labels, length);
    if (name === wire("good.example.com") || name === wire("elsewhere.example.com")) return NAME_ALLOWED;
    return name === wire("evil.example.com") ? NAME_BLOCKED : NAME_UNSAID;
  }

  hasPair(labels: Uint8Array, length: number, remote: number): boolean {
    return remote === 7 && textOf(labels, length) === wire("good.example.com");
  }

  judgeQuestion(bytes: Uint8Array, at: number): number {
    return bytes[at + 12] === 1 ? PASS : verdictOf("dns.denied");
  }

  judgeAnswer(): number {
    return PASS;
  }

  putAnswer(bytes: Uint8Array, at: number, length: number, _verdict: number, out: Uint8Array, to: number): number {
    out.set(bytes.subarray(at, at + length), to);
    return length;
  }

  tellConnection(_remote: number, _port: number, labels: Uint8Array, length: number, verdict: number): void {
    this.told.push(`${length > 0 ? textOf(labels, length) : ""} ${named(verdict)}`);
  }
}

const named = (verdict: number): string => (verdict === PASS ? "pass" : DROP_REASONS[verdict - 1]!.name);

const GOOD = await helloFor("good.example.com");
const EVIL = await helloFor("evil.example.com");
const FOREIGN = await helloFor("elsewhere.example.com");
const UNHEARD = await helloFor("unheard.example.net");
const CHANGE_CIPHER_SPEC = [20, 3, 3, 0, 1, 1];
/** The beginning of a server's first message, as far as it says whether it asks for another hello. */
const serverHello = (random: Uint8Array): Uint8Array => Uint8Array.of(22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3, ...random, 0);
const SERVER_HELLO = serverHello(new Uint8Array(32).fill(7));
const RETRY = serverHello(new Uint8Array(createHash("sha256").update("HelloRetryRequest").digest()));
const REQUEST = text("GET /x HTTP/1.1\r\nHost: good.example.com\r\n\r\n");

test("a hello and a request for an allowed name with this address pass; any other name is denied", () => {
  for (const [bytes, verdict] of [
    [GOOD, "pass"],
    [REQUEST, "pass"],
    [EVIL, "name.denied"],
    [FOREIGN, "name.denied"],
    [text("GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n"), "name.denied"],
    [text("GET / HTTP/1.1\r\n\r\n"), "name.missing"],
    [text("CONNECT good.example.com:443 HTTP/1.1\r\nHost: good.example.com\r\n\r\n"), "name.missing"],
    [text("SSH-2.0-OpenSSH_9.2\r\n"), "name.format"],
  ] as const) {
    const world = new World();
    world.open();
    assert.equal(world.out(fromVm(0, bytes)), verdict);
    assert.equal(world.told.length, 1);
  }
});

test("every cut of a hello in two, and bytes one by one: the segment that completes it decides", () => {
  for (const [hello, verdict] of [
    [GOOD, "pass"],
    [EVIL, "name.denied"],
  ] as const) {
    for (let cut = 1; cut < hello.length; cut++) {
      const world = new World();
      world.open();
      assert.equal(world.out(fromVm(0, hello.subarray(0, cut))), "pass");
      assert.deepEqual(world.told, []);
      assert.equal(world.out(fromVm(cut, hello.subarray(cut))), verdict);
    }
    const world = new World();
    world.open();
    for (let at = 0; at < hello.length - 1; at++)
      assert.equal(world.out(fromVm(at, hello.subarray(at, at + 1))), "pass");
    assert.equal(world.out(fromVm(hello.length - 1, hello.subarray(-1))), verdict);
  }
});

test("N4 however segments are cut, swapped and repeated with bytes of two hellos, no forbidden hello gets through", () => {
  const piece = fc.record({ at: fc.nat(GOOD.length), length: fc.integer({ min: 1, max: 400 }), evil: fc.boolean() });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const world = new World();
      world.open();
      /** What the other side can have got at each place: first come, first served. */
      const received: number[] = [];
      let open = true;
      for (const { at, length, evil } of pieces) {
        const data = (evil ? EVIL : GOOD).slice(at, at + length);
        if (!open || data.length === 0) continue;
        const verdict = world.out(fromVm(at, data));
        if (verdict === "pass") for (const [index, byte] of data.entries()) received[at + index] ??= byte;
        else open = !world.inspections.breaksOff(verdictOf(verdict));
      }
      const whole = Array.from({ length: EVIL.length }, (_, index) => received[index] ?? -1);
      assert.notDeepEqual(whole, [...EVIL]);
    }),
    { numRuns: 2000 },
  );
});

test("other bytes in the place of those that were read break off, until the other side has acknowledged them", () => {
  const world = new World();
  world.open();
  assert.equal(world.out(fromVm(0, GOOD)), "pass");
  assert.equal(world.out(fromVm(0, GOOD)), "pass");
  assert.equal(world.in(toVm({ acknowledgement: START + 10 })), "pass");
  assert.equal(world.inspections.isDone(world.slot), false);
  const other = GOOD.slice();
  other[60]! ^= 1;
  assert.equal(world.out(fromVm(0, other)), "name.changed");
  assert.equal(world.out(fromVm(GOOD.length, Uint8Array.of(21, 3, 3, 0, 2, 1, 0))), "pass");
  const acknowledgement = (START + 1 + GOOD.length + 7) >>> 0;
  assert.equal(world.in(toVm({ acknowledgement })), "pass");
  assert.equal(world.inspections.isDone(world.slot), false, "a second hello may be asked for");
  assert.equal(world.in(toVm({ acknowledgement, sequence: 9000, data: SERVER_HELLO })), "pass");
  assert.equal(world.inspections.isDone(world.slot), true);
});

test("N4 a second hello, which the other side asks for, says the same name", () => {
  for (const [second, verdict] of [
    [GOOD, "pass"],
    [EVIL, "name.denied"],
    [FOREIGN, "name.denied"],
    [Uint8Array.of(...GOOD.subarray(0, 5), 1, 0, 0, 0), "name.format"],
  ] as const) {
    const world = new World();
    world.open();
    assert.equal(world.out(fromVm(0, GOOD)), "pass");
    const acknowledgement = (START + 1 + GOOD.length) >>> 0;
    // Byte by byte, as a server with small segments sends it.
    for (const [at, byte] of RETRY.entries())
      assert.equal(world.in(toVm({ acknowledgement, sequence: 9000 + at, data: Uint8Array.of(byte) })), "pass");
    assert.equal(world.inspections.isDone(world.slot), false);
    const behind = Uint8Array.of(...CHANGE_CIPHER_SPEC, ...second);
    assert.equal(world.out(fromVm(GOOD.length, behind)), verdict);
    if (verdict !== "pass") continue;
    const end = (acknowledgement + behind.length) >>> 0;
    assert.equal(world.in(toVm({ acknowledgement: end, sequence: 9000 + RETRY.length })), "pass");
    assert.equal(world.inspections.isDone(world.slot), true);
  }
});

test("N4 a second hello is read before the other side has asked for it, in the same segment, and behind early data", () => {
  const early = Uint8Array.of(23, 3, 3, 0, 4, 1, 1, 1, 1);
  for (const [before, second, verdict] of [
    [[], EVIL, "name.denied"],
    [[...early, ...CHANGE_CIPHER_SPEC, ...early], EVIL, "name.denied"],
    [early, GOOD, "pass"],
  ] as const) {
    const world = new World();
    world.open();
    assert.equal(world.out(fromVm(0, Uint8Array.of(...GOOD, ...before, ...second))), verdict);
    const cut = new World();
    cut.open();
    const all = Uint8Array.of(...GOOD, ...before, ...second);
    const said = Array.from(all, (byte, at) => cut.out(fromVm(at, Uint8Array.of(byte)))).filter(
      (one) => one !== "pass",
    );
    assert.deepEqual(said.slice(0, 1), verdict === "pass" ? [] : [verdict]);
  }
});

test("what follows the hello in an ordinary handshake passes: TLS 1.2 goes on, an alert, and other protocols' answers", () => {
  const keys = Uint8Array.of(22, 3, 3, 0, 5, 16, 0, 0, 1, 7);
  const resumed = Uint8Array.of(...CHANGE_CIPHER_SPEC, 22, 3, 3, 0, 4, 200, 1, 2, 3);
  for (const [reply, next] of [
    [SERVER_HELLO, keys],
    [SERVER_HELLO, resumed],
    [text("HTTP/1.1 400 Bad Request\r\n"), text("x")],
    [Uint8Array.of(21, 3, 3, 0, 2, 2, 40), Uint8Array.of(21, 3, 3, 0, 2, 1, 0)],
  ] as const) {
    const world = new World();
    world.open();
    assert.equal(world.out(fromVm(0, GOOD)), "pass");
    const acknowledgement = (START + 1 + GOOD.length) >>> 0;
    assert.equal(world.in(toVm({ acknowledgement, sequence: 9001, data: reply.subarray(1) })), "name.order");
    assert.equal(world.in(toVm({ acknowledgement, sequence: 9000, data: reply })), "pass");
    assert.equal(world.inspections.isDone(world.slot), true);
    assert.equal(world.out(fromVm(GOOD.length, next)), "pass");
  }
});

test("a segment ahead of its turn or before the start waits for TCP to send it again", () => {
  const world = new World();
  world.open();
  assert.equal(world.out(fromVm(10, GOOD.subarray(10))), "name.order");
  assert.equal(world.out(fromVm(-1, GOOD)), "name.order");
  assert.equal(world.out(fromVm(0, GOOD.subarray(0, 10))), "pass");
  assert.equal(world.out(fromVm(10, GOOD.subarray(10))), "pass");
});

test("what can be read in two ways drops: data in a SYN, urgent data, a wrong checksum, a wrong header length", () => {
  const world = new World();
  world.open();
  assert.equal(world.out(syn({ data: text("x") })), "name.segment");
  assert.equal(world.out(fromVm(0, GOOD, { flags: 0x30 })), "name.segment");
  const spoiled = fromVm(0, GOOD);
  spoiled[50]! ^= 1;
  assert.equal(world.out(spoiled), "name.segment");
  const long = fromVm(0, text("xx"));
  long[46] = 0xf0;
  assert.equal(world.out(checked(long)), "name.segment");
  assert.equal(named(world.inspections.judgeSyn(FrameView.of(syn({ data: text("x") })))), "name.segment");
  assert.equal(world.out(fromVm(0, GOOD)), "pass");
});

test("another SYN begins anew only while nothing was read", () => {
  const world = new World();
  world.open();
  assert.equal(world.out(syn()), "pass");
  assert.equal(world.out(syn({ sequence: 5000 })), "pass");
  // The other side may have taken the first one: it would read the same bytes from another place.
  assert.equal(world.out(fromVm(0, GOOD.subarray(0, 3), { sequence: 5001 })), "name.order");
  world.taken();
  assert.equal(world.out(fromVm(0, GOOD.subarray(0, 3), { sequence: 5001 })), "name.order");
  world.taken(5000);
  assert.equal(world.out(fromVm(0, GOOD)), "name.order");
  assert.equal(world.out(fromVm(0, GOOD.subarray(0, 3), { sequence: 5001 })), "pass");
  assert.equal(world.out(syn()), "name.segment");
  assert.equal(world.out(syn({ sequence: 5000 })), "pass");
});

test("segments without data pass", () => {
  const world = new World();
  world.open();
  for (const flags of [0x10, 0x10 | FIN, RST]) assert.equal(world.out(fromVm(0, text(""), { flags })), "pass");
});

test("16,384 bytes without an end are too many", () => {
  const world = new World();
  world.open();
  const head = text(`GET / HTTP/1.1\r\nX: ${"x".repeat(20_000)}`);
  let at = 0;
  for (; at + 1400 < 16_384; at += 1400) assert.equal(world.out(fromVm(at, head.subarray(at, at + 1400))), "pass");
  assert.equal(world.out(fromVm(at, head.subarray(at, at + 1400))), "name.format");
});

test("to other ports what is not TLS passes; TLS must say an allowed name there, too", () => {
  for (const [bytes, verdict] of [
    [text("SSH-2.0-OpenSSH\r\n"), "pass"],
    [GOOD, "pass"],
    [EVIL, "name.denied"],
  ] as const) {
    const world = new World();
    world.open(LENIENT);
    assert.equal(world.out(fromVm(0, bytes)), verdict);
  }
});

test("what an address rule lets pass is refused only for a name that is blocked", () => {
  for (const [bytes, verdict] of [
    [text("SSH-2.0-OpenSSH\r\n"), "pass"],
    [FOREIGN, "pass"],
    [UNHEARD, "pass"],
    [EVIL, "name.denied"],
  ] as const) {
    const world = new World();
    world.open(WATCHED);
    assert.equal(world.out(fromVm(0, bytes)), verdict);
  }
});

test("a flow that is broken off resets the other side behind the last byte that passed", () => {
  const world = new World();
  world.open();
  world.out(fromVm(0, EVIL.subarray(0, 100)));
  assert.equal(world.out(fromVm(100, EVIL.subarray(100))), "name.denied");
  world.inspections.reset(world.slot);
  const out = new Uint8Array(200);
  assert.equal(world.inspections.takeReset(out, 0), 60);
  const view = FrameView.of(out, 0, 60);
  assert.equal(view.tcpFlags, RST);
  assert.equal(view.tcpSequence, (START + 101) >>> 0);
  assert.equal(view.tcpChecksumIsRight, true);
  assert.equal(view.destinationPort, 443);
  assert.equal(world.inspections.takeReset(out, 0), 0);
});

test("N10 256 that read nothing: the idlest makes room after 5 s, before that there is none", () => {
  const world = new World();
  for (let flow = 0; flow < MOST_INSPECTIONS; flow++) {
    world.open(STRICT, flow);
    world.now += 1000;
  }
  assert.equal(named(world.inspections.refusal(world.now)), "name.full");
  world.now = 1_000_000 + 5_000_001;
  world.open(STRICT, 999);
  assert.deepEqual(world.cut, [0]);
  assert.equal(named(world.inspections.refusal(world.now)), "name.full");
});

test("DNS by TCP: messages in parts and several in one segment; a denied one is answered, and the stream ends", () => {
  const message = (first: number, length = 30): Uint8Array => {
    const bytes = new Uint8Array(2 + length);
    bytes[1] = length;
    bytes[14] = first;
    return bytes;
  };
  const world = new World();
  world.open(DNS);
  assert.equal(world.in(toVm({ flags: SYN | 0x10, sequence: 9000, acknowledgement: START + 1 })), "pass");
  const allowed = message(1);
  assert.equal(world.out(fromVm(0, allowed.subarray(0, 1))), "pass");
  assert.equal(world.out(fromVm(1, allowed.subarray(1))), "pass");
  assert.equal(world.out(fromVm(0, message(2))), "name.changed");
  assert.equal(world.in(toVm({ sequence: 9002, data: message(1) })), "name.order");
  assert.equal(world.in(toVm({ sequence: 9001, acknowledgement: START + 33, data: message(1) })), "pass");
  // Acknowledged bytes are not held any more: they cannot be compared, and nobody needs them.
  assert.equal(world.out(fromVm(0, allowed)), "name.order");
  const denied = message(0);
  const both = Uint8Array.from([...allowed, ...denied]);
  assert.equal(world.out(fromVm(32, both, { acknowledgement: 9033 })), "dns.denied");
  const out = new Uint8Array(700);
  const length = world.inspections.takeAnswer(out, 0);
  const view = FrameView.of(out, 0, length);
  assert.equal(view.tcpSequence, 9033);
  assert.equal(view.tcpAcknowledgement, (START + 1 + 32 + 64) >>> 0);
  assert.equal(view.tcpFlags, 0x10 | 0x08 | FIN);
  assert.equal(view.tcpChecksumIsRight, true);
  assert.deepEqual(out.slice(54, 54 + 32), denied);
  world.inspections.reset(world.slot);
  world.inspections.takeReset(out, 0);
  assert.equal(FrameView.of(out, 0, 60).tcpSequence, (START + 1 + 32) >>> 0);
});

test("DNS by TCP: a question of more than 512 bytes, and more than can be held, drop", () => {
  const world = new World();
  world.open(DNS);
  world.taken();
  assert.equal(world.out(fromVm(0, Uint8Array.from([2, 1]))), "dns.format");
  const other = new World();
  other.open(DNS);
  other.taken();
  const many = new Uint8Array(1400);
  for (let at = 0; at + 40 <= 1400; at += 40) many.set([0, 38, ...new Uint8Array(12), 1], at);
  let verdict = "pass";
  let at = 0;
  for (; verdict === "pass"; at += 1400) verdict = other.out(fromVm(at, many));
  assert.equal(verdict, "name.order");
  assert.ok(at > 12_000 && at <= 16_800);
});
