/** Answers to what is denied, byte by byte: who gets which, and who gets none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { verdictOf } from "../../src/guard/reasons.ts";
import type { GuardOptions } from "../../src/index.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { addToSum, foldSum } from "../../src/wire/checksum.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import {
  ACK_FLAG,
  change,
  echoIn,
  echoOut,
  errorOut,
  FIN,
  flowsOf,
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
import {
  ADDRESS,
  address,
  Bench,
  bytes,
  Client,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  hex,
  join,
  mac,
  NEIGHBOUR,
  packet,
  padded,
  patch,
  SECOND,
  Server,
  udp,
  VM,
} from "./support.ts";

const BLOCKED = { reject: true, gateway: GATEWAY, block: ["93.0.0.0/8"] };
const SLOT = 16;

/** The answer that a frame of the VM's gets; undefined when there is none. Fails when it writes beside its bytes. */
function answerTo(bench: Bench, frame: Uint8Array): Uint8Array | undefined {
  const reason = bench.out(frame);
  const out = new Uint8Array(128).fill(0xee);
  const length = bench.guard.answer(FrameView.of(frame), reason === "pass" ? 0 : verdictOf(reason), out, SLOT);
  assert.ok([...out.subarray(0, SLOT), ...out.subarray(SLOT + length)].every((byte) => byte === 0xee));
  return length === 0 ? undefined : out.slice(SLOT, SLOT + length);
}

function resetOf(bench: Bench): Uint8Array | undefined {
  const out = new Uint8Array(128).fill(0xee);
  const length = bench.guard.takeReset(out, SLOT);
  assert.ok([...out.subarray(0, SLOT), ...out.subarray(SLOT + length)].every((byte) => byte === 0xee));
  return length === 0 ? undefined : out.slice(SLOT, SLOT + length);
}

/** Whether every checksum of an answer is right. */
function isWhole(frame: Uint8Array): boolean {
  const length = ((frame[16]! << 8) | frame[17]!) - 20;
  const pseudo = frame[23] === 6 ? addToSum(0, frame, 26, 8) + 6 + length : 0;
  return foldSum(addToSum(0, frame, 14, 20)) === 0xffff && foldSum(addToSum(pseudo, frame, 34, length)) === 0xffff;
}

test("L10 a frame that is cut short is not answered, whatever lies behind it in memory", () => {
  const bench = new Bench({ address: ADDRESS, ...BLOCKED });
  const frame = tcpOut({ destination: "93.184.216.34", flags: 2 });
  assert.notEqual(answerTo(bench, frame), undefined);
  const out = new Uint8Array(128);
  for (let length = 0; length < 54; length++) {
    const view = FrameView.of(frame, 0, length);
    assert.equal(bench.guard.answer(view, verdictOf("policy.block"), out, SLOT), 0, `${length} bytes`);
  }
});

test("a denied SYN gets RST and ACK from its destination, which acknowledges it", () => {
  const frame = tcpOut({ own: 40_000, port: 443, sequence: 0x01020304 });
  const answer = answerTo(tracking(BLOCKED), frame)!;
  const expected = join(
    mac(VM),
    mac(GATEWAY_MAC),
    hex("0800 4500 0028 0000 4000 4006"),
    answer.subarray(24, 26),
    address(REMOTE, ADDRESS),
    hex("01bb 9c40 00000000 01020305 5014 0000"),
    answer.subarray(50, 52),
    hex("0000"),
  );
  assert.deepEqual(answer, padded(expected, 60));
  assert.ok(isWhole(answer));
});

test("a SYN's data (TCP Fast Open) and FIN count, its options do not, in what is acknowledged, modulo 2^32", () => {
  const bench = tracking(BLOCKED);
  const acknowledged = (frame: Uint8Array) => Buffer.from(answerTo(bench, frame)!).readUInt32BE(42);
  assert.equal(acknowledged(tcpOut({ sequence: 100, data: bytes(1, 2, 3) })), 104);
  assert.equal(acknowledged(tcpOut({ sequence: 0xffffffff })), 0);
  assert.equal(acknowledged(patch(tcpOut({ sequence: 100, data: bytes(1, 1, 1, 0, 9) }), 46, 0x60)), 102);
  assert.equal(acknowledged(tcpOut({ sequence: 100, flags: SYN | FIN, data: bytes(1) })), 103);
});

test("a SYN whose header length does not fit gets no answer", () => {
  const bench = tracking(BLOCKED);
  for (const offset of [0x00, 0x40, 0x60, 0xf0]) {
    assert.equal(answerTo(bench, patch(tcpOut(), 46, offset)), undefined);
  }
});

test("everything else gets an ICMP error, prohibited, from the gateway, with its header and 8 bytes", () => {
  const frame = udpOut({ data: bytes(1, 2, 3, 4) });
  const answer = answerTo(tracking(BLOCKED), frame)!;
  const expected = join(
    mac(VM),
    mac(GATEWAY_MAC),
    hex("0800 4500 0038 0000 4000 4001"),
    answer.subarray(24, 26),
    address(GATEWAY, ADDRESS),
    hex("030d"),
    answer.subarray(36, 38),
    hex("00000000"),
    frame.subarray(14, 14 + 28),
  );
  assert.deepEqual(answer, expected);
  assert.ok(isWhole(answer));
});

test("without a gateway the packet's destination says so", () => {
  const answer = answerTo(tracking({ reject: true, block: ["93.0.0.0/8"] }), udpOut())!;
  assert.deepEqual(answer.subarray(26, 34), address(REMOTE, ADDRESS));
});

test("what has fewer than 8 bytes behind its header is quoted as it is", () => {
  const frame = packet(47, bytes(1, 2, 3), { destination: REMOTE });
  const answer = answerTo(tracking(BLOCKED), padded(frame, 60))!;
  assert.equal((answer[16]! << 8) | answer[17]!, 20 + 8 + 23);
  assert.deepEqual(answer.subarray(42, 65), frame.subarray(14, 37));
  assert.ok(isWhole(answer));
  const empty = answerTo(tracking(BLOCKED), packet(47, bytes(), { destination: REMOTE }))!;
  assert.ok(empty.length === 62 && isWhole(empty));
});

const isRst = (answer: Uint8Array | undefined): boolean => answer?.[23] === 6;
const isProhibited = (answer: Uint8Array | undefined): boolean => answer?.[34] === 3 && answer[35] === 13;

test("which packets get which answer", () => {
  const bench = tracking(BLOCKED);
  for (const frame of [tcpOut(), tcpOut({ flags: SYN | 0x08 }), tcpOut({ more: true })]) {
    assert.ok(isRst(answerTo(bench, frame)));
  }
  const others = [
    tcpOut(middle),
    tcpOut({ flags: SYN | ACK_FLAG }),
    tcpOut({ flags: FIN }),
    udpOut(),
    echoOut(8),
    echoOut(0),
  ];
  for (const frame of others) assert.ok(isProhibited(answerTo(bench, frame)));
});

test("no answer to a RST, an ICMP error, a later fragment, and to what goes to many", () => {
  const bench = tracking({ reject: true, gateway: GATEWAY, subnet: "192.168.64.0/24", block: ["0.0.0.0/0"] });
  assert.ok(isProhibited(answerTo(bench, udpOut())));
  const silent = [
    tcpOut({ flags: RST }),
    tcpOut({ flags: RST | ACK_FLAG }),
    tcpOut({ flags: RST | SYN }),
    ...[3, 4, 11, 12].map((type) => errorOut(udpIn(), {}, type)),
    udpOut({ destination: "224.0.0.1" }),
    udpOut({ destination: "255.255.255.255" }),
    udpOut({ destination: "192.168.64.255" }),
  ];
  for (const frame of silent) {
    bench.dropsOut("policy.block", frame);
    assert.equal(answerTo(bench, frame), undefined);
  }
  bench.dropsOut("ipv4.fragment-unknown", udpOut({ offset: 4 }));
  assert.equal(answerTo(bench, udpOut({ offset: 4 })), undefined);
  for (const to of [EVERYONE_MAC, "01:00:5e:00:00:01"]) {
    bench.dropsOut("ipv4.group-frame", tcpOut({ to }));
    assert.equal(answerTo(bench, tcpOut({ to })), undefined);
  }
});

test("each reason of the policy is answered that is not about many, and nothing that failed another check", () => {
  const answered: [Partial<GuardOptions>, Uint8Array, string][] = [
    [{}, tcpOut({ destination: NEIGHBOUR }), "policy.destination"],
    [{}, tcpOut({ destination: "169.254.169.254" }), "policy.metadata"],
    [{}, packet(47, new Uint8Array(8), { destination: GATEWAY }), "policy.gateway"],
    [{ block: ["93.0.0.0/8"] }, tcpOut(), "policy.block"],
  ];
  for (const [options, frame, reason] of answered) {
    const bench = tracking({ reject: true, gateway: GATEWAY, ...options });
    bench.dropsOut(reason, frame);
    assert.ok(answerTo(bench, frame), reason);
  }
  const silent: [Uint8Array, string][] = [
    [tcpOut({ source: NEIGHBOUR }), "ipv4.source"],
    [patch(tcpOut(), 6, 2), "ethernet.source"],
    [tcpOut({ destination: "127.0.0.1" }), "ipv4.loopback"],
    [udp(68, 69, { destination: NEIGHBOUR }), "dhcp.ports"],
    [patch(tcpOut({ destination: NEIGHBOUR }), 24, 0, 0), "ipv4.checksum"],
    [udpOut({ destination: "224.0.0.1" }), "policy.multicast"],
    [tcpOut().subarray(0, 40), "ipv4.format"],
    [bytes(1, 2, 3), "frame.short"],
  ];
  for (const [frame, reason] of silent) {
    const bench = tracking({ reject: true, gateway: GATEWAY });
    bench.dropsOut(reason, frame);
    assert.equal(answerTo(bench, frame), undefined, reason);
  }
});

test("I13 a refused flow is answered", () => {
  const bench = tracking({ reject: true, block: ["in 0.0.0.0/0"] });
  for (let index = 0; index < 256; index++) bench.passesOut(tcpOut({ own: 1 + index }));
  bench.dropsOut("flow.half-open", tcpOut());
  assert.ok(isRst(answerTo(bench, tcpOut())));
  for (let index = 0; bench.out(udpOut({ destination: remote(index) })) === "pass"; index++);
  bench.dropsOut("flow.full", udpOut());
  assert.ok(isProhibited(answerTo(bench, udpOut())));
});

test("without reject nothing is answered, and what passes is not either", () => {
  assert.equal(answerTo(tracking({ ...BLOCKED, reject: false }), tcpOut()), undefined);
  assert.equal(answerTo(tracking(BLOCKED), tcpOut({ destination: "1.1.1.1" })), undefined);
});

test("200 answers at once, then 100 a second; what gets none takes no token", () => {
  const bench = tracking(BLOCKED);
  for (let index = 0; index < 500; index++) assert.equal(answerTo(bench, tcpOut({ flags: RST })), undefined);
  for (let index = 0; index < 200; index++) assert.ok(answerTo(bench, tcpOut()));
  assert.equal(answerTo(bench, tcpOut()), undefined);
  bench.wait(SECOND);
  for (let index = 0; index < 100; index++) assert.ok(answerTo(bench, tcpOut()));
  assert.equal(answerTo(bench, tcpOut()), undefined);
});

/* RSTs for flows that end */

const LIVE = { reject: true, live: true, gateway: GATEWAY };

test("I12 a TCP flow that a changed policy ends sends the VM a RST, from the remote side, where the VM's stack expects it", () => {
  const bench = tracking(LIVE);
  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut({ ...middle, acknowledgement: 0x11121314 }));
  bench.passesOut(tcpOut({ ...middle, acknowledgement: 0xa1a2a3a4 }));
  assert.equal(resetOf(bench), undefined);
  assert.equal(change(bench, [], ["93.0.0.0/8"]), 1);
  const reset = resetOf(bench)!;
  const expected = join(
    mac(VM),
    mac(GATEWAY_MAC),
    hex("0800 4500 0028 0000 4000 4006"),
    reset.subarray(24, 26),
    address(REMOTE, ADDRESS),
    hex("01bb 9c40 a1a2a3a4 00000000 5004 0000"),
    reset.subarray(50, 52),
    hex("0000"),
  );
  assert.deepEqual(reset, padded(expected, 60));
  assert.ok(isWhole(reset));
  assert.equal(resetOf(bench), undefined);
  assert.equal(flowsOf(bench), 0);
});

test("I12 a segment of a cut flow is answered with a RST that its sender's stack takes, and no other segment is", () => {
  const bench = tracking({ ...LIVE, block: ["in 10.0.0.0/8"] });
  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut({ ...middle, acknowledgement: 1 }));
  change(bench, [], ["out 93.0.0.0/8"]);
  const late = tcpOut({ ...middle, acknowledgement: 0xa1a2a3a4 });
  bench.dropsOut("policy.block", late);
  const answer = answerTo(bench, late)!;
  const words = hex("01bb 9c40 a1a2a3a4 00000000 5004 0000");
  assert.deepEqual(answer.subarray(34, 50), words);
  assert.deepEqual(answer.subarray(26, 34), address(REMOTE, ADDRESS));
  assert.ok(isWhole(answer));
  assert.equal(answerTo(bench, tcpOut({ flags: RST | ACK_FLAG })), undefined);
  assert.ok(isProhibited(answerTo(bench, udpOut())));
});

test("G12 a segment of a connection that was forgotten is answered with a RST, so that its program hears of it", () => {
  const bench = tracking({ reject: true, gateway: GATEWAY, allow: ["in 93.184.216.34/32:22"], block: ["out @global"] });
  const late = tcpOut({ own: 22, port: 50_000, flags: ACK_FLAG | 0x08, acknowledgement: 0xa1a2a3a4, data: bytes(1) });
  bench.dropsOut("flow.unknown", late);
  const answer = answerTo(bench, late)!;
  assert.deepEqual(answer.subarray(34, 50), hex("c350 0016 a1a2a3a4 00000000 5004 0000"));
  assert.ok(isWhole(answer));
  assert.ok(isRst(answerTo(bench, tcpOut({ flags: SYN | ACK_FLAG, acknowledgement: 1 }))));
  // Without ACK there is no number that its stack would take.
  assert.ok(isProhibited(answerTo(bench, tcpOut({ flags: FIN }))));
  // A RST is never answered, and what is denied to begin with is no forgotten connection.
  assert.equal(answerTo(bench, tcpOut({ flags: RST | ACK_FLAG })), undefined);
  bench.dropsOut("policy.block", tcpOut(), udpOut());
  for (let index = 0; index < 300; index++) answerTo(bench, late);
  assert.equal(answerTo(bench, late), undefined); // the rate of all answers
});

test("I12 a flow that the other side opened gets its RST from the MAC address that it came from", () => {
  const bench = tracking({ ...LIVE, block: ["in 10.0.0.0/8"] });
  const other = { source: NEIGHBOUR, own: 22, port: 50_000, from: "02:00:00:00:00:99" };
  bench.passesIn(tcpIn(other));
  bench.passesOut(tcpOut({ destination: NEIGHBOUR, own: 22, port: 50_000, flags: SYN | ACK_FLAG, acknowledgement: 2 }));
  assert.equal(change(bench, [], ["in 0.0.0.0/0"]), 1);
  const reset = resetOf(bench)!;
  assert.deepEqual(reset.subarray(0, 12), join(mac(VM), mac("02:00:00:00:00:99")));
  assert.deepEqual(reset.subarray(34, 42), hex("c350 0016 00000002"));
});

test("I12 no RST where the VM has acknowledged nothing, for UDP, and for what stays", () => {
  const bench = tracking(LIVE);
  bench.passesOut(tcpOut({ acknowledgement: 9 }), udpOut(), echoOut(8), tcpOut({ ...middle, destination: "1.1.1.1" }));
  assert.equal(change(bench, [], ["93.0.0.0/8"]), 3);
  assert.equal(resetOf(bench), undefined);
});

test("I12 what ends by itself, or because the gateway or the VM's address changed, sends no RST", () => {
  const bench = tracking(LIVE);
  bench.passesOut(tcpOut(middle));
  bench.wait(7441 * SECOND);
  assert.equal(flowsOf(bench), 0);
  change(bench, [], ["93.0.0.0/8"]);
  assert.equal(resetOf(bench), undefined);

  const roaming = new Bench({ reject: true, live: true });
  const client = new Client();
  roaming.bind(ADDRESS, client);
  roaming.passesOut(tcpOut({ destination: GATEWAY, ...middle }), tcpOut(middle));
  roaming.passesOut(client.renew(ADDRESS, GATEWAY));
  roaming.passesIn(new Server({ router: "192.168.64.2" }).ack(client, ADDRESS));
  assert.equal(flowsOf(roaming), 1);
  roaming.bind("192.168.64.6", client);
  assert.equal(flowsOf(roaming), 0);
  assert.equal(resetOf(roaming), undefined);
});

test("I12 a flow that is cut twice before its RST is sent gets one, with what the VM acknowledged last", () => {
  const bench = tracking(LIVE);
  bench.passesOut(tcpOut({ ...middle, acknowledgement: 1 }));
  change(bench, [], ["93.0.0.0/8"]);
  change(bench, []);
  bench.passesOut(tcpOut({ ...middle, acknowledgement: 0xa1a2a3a4 }));
  change(bench, [], ["93.0.0.0/8"]);
  assert.deepEqual(resetOf(bench)!.subarray(38, 42), hex("a1a2a3a4"));
  assert.equal(resetOf(bench), undefined);
});

test("I12 RSTs that wait when the VM gets another address are forgotten", () => {
  const bench = new Bench({ reject: true, live: true });
  const client = new Client();
  bench.bind(ADDRESS, client);
  bench.passesOut(tcpOut(middle));
  assert.equal(change(bench, [], ["93.0.0.0/8"]), 1);
  bench.bind("192.168.64.6", client);
  assert.equal(resetOf(bench), undefined);
});

test("I12 thousands of flows that end at once leave their RSTs in a queue of bounded size, each once", () => {
  const bench = tracking(LIVE);
  for (let index = 0; index < 32_768; index++) bench.out(tcpOut({ destination: remote(index), ...middle }));
  for (let times = 0; times < 2; times++) {
    assert.equal(bench.guard.setRules(parseRules([], ["93.0.0.0/8"])), 32_768);
    assert.equal(bench.guard.setRules(parseRules([], [])), 0);
  }
  assert.equal(resetOf(bench), undefined); // they live
  for (let times = 0; times < 3; times++) {
    bench.guard.setRules(parseRules([], []));
    assert.equal(bench.guard.setRules(parseRules([], ["93.0.0.0/8"])), 32_768);
  }
  const seen = new Set<string>();
  for (let reset = resetOf(bench); reset !== undefined; reset = resetOf(bench)) {
    seen.add(reset.subarray(26, 30).join("."));
  }
  assert.equal(seen.size, 32_768);
  bench.passesIn(echoIn(8));
});
