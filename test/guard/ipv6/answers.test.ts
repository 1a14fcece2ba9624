/** Answers to what is denied (docs/guard-ipv6.md, Answers), byte by byte. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST_ANSWER_6 } from "../../../src/guard/ipv6/answers.ts";
import { get16, get32 } from "../../../src/wire/bytes.ts";
import { FrameView } from "../../../src/wire/frame-view.ts";
import { formatIPv6, getIPv6 } from "../../../src/wire/ipv6-address.ts";
import { mac, VM } from "../support.ts";
import {
  ACK,
  checksumFault,
  errorOut,
  FIN,
  LINK_LOCAL,
  OWN,
  PolicyBench,
  pieceOut,
  REMOTE,
  ROUTER,
  ROUTER_MAC,
  RST,
  SECOND_OWN,
  SYN,
  tcpIn,
  tcpOut,
  udpIn,
  udpOut,
} from "./policy-support.ts";

const BLOCKED = { reject: true, block: ["2600::/16"] };

/** What every answer is: to the VM from where its frame went, plain, with 64 hops and a right checksum. */
function plain(answer: Uint8Array | undefined, source: string, next: number, destination = OWN): Uint8Array {
  assert.ok(answer !== undefined);
  assert.deepEqual(answer.subarray(0, 12), Uint8Array.from([...mac(VM), ...mac(ROUTER_MAC)]));
  assert.equal(get32(answer, 14), 0x60000000);
  assert.equal(get16(answer, 18), answer.length - 54);
  assert.deepEqual([answer[20], answer[21]], [next, 64]);
  assert.equal(formatIPv6(getIPv6(answer, 22)), source);
  assert.equal(formatIPv6(getIPv6(answer, 38)), destination);
  assert.equal(checksumFault(answer), 0);
  assert.equal(FrameView.of(answer).malformed, 0);
  return answer.subarray(54);
}

test("a bare SYN gets a RST that acknowledges it, its data and a FIN", () => {
  const bench = new PolicyBench(BLOCKED);
  const segment = plain(
    bench.answerTo(tcpOut({ flags: SYN | FIN, sequence: 0xfffffffe, data: new Uint8Array(3) })),
    REMOTE,
    6,
  );
  assert.equal(segment.length, 20);
  assert.deepEqual([get16(segment, 0), get16(segment, 2)], [443, 40_000]);
  assert.deepEqual([get32(segment, 4), get32(segment, 8), segment[13]], [0, 3, RST | ACK]);
});

test("anything else gets administratively prohibited from the router, quoting what fits into 1,280 bytes", () => {
  const bench = new PolicyBench(BLOCKED);
  const small = udpOut({ data: new Uint8Array(10).fill(7) });
  const message = plain(bench.answerTo(small), ROUTER, 58);
  assert.deepEqual([...message.subarray(0, 2), ...message.subarray(4, 8)], [1, 1, 0, 0, 0, 0]);
  assert.deepEqual(message.subarray(8), small.subarray(14));
  const large = udpOut({ data: new Uint8Array(1400).fill(7) });
  const cut = bench.answerTo(large)!;
  assert.equal(cut.length, LONGEST_ANSWER_6);
  assert.deepEqual(plain(cut, ROUTER, 58).subarray(8), large.subarray(14, 14 + 1232));
});

test("what pads a frame is not quoted", () => {
  const bench = new PolicyBench(BLOCKED);
  const frame = udpOut();
  const message = plain(bench.answerTo(Uint8Array.from([...frame, 1, 2, 3])), ROUTER, 58);
  assert.deepEqual(message.subarray(8), frame.subarray(14));
});

test("where there is no router the packet's destination says so", () => {
  const bench = new PolicyBench(BLOCKED);
  bench.network({}, "::");
  plain(bench.answerTo(udpOut({ source: SECOND_OWN })), REMOTE, 58, SECOND_OWN);
  plain(bench.answerTo(udpOut({ source: LINK_LOCAL })), REMOTE, 58, LINK_LOCAL);
});

test("a neighbour on the link is answered, too; multicast, RST, errors and later fragments never", () => {
  const bench = new PolicyBench({ ...BLOCKED, block: ["2600::/16", "ff00::/8"] });
  bench.network({ onLink: [{ address: 0x2a00_0000_0000_0000_0000_0000_0000_0000n, length: 64 }] });
  plain(bench.answerTo(udpOut({ destination: "2a00::7" })), ROUTER, 58);
  assert.equal(bench.answerTo(udpOut({ destination: "ff02::fb" })), undefined);
  assert.equal(bench.answerTo(udpOut({ destination: "ff05::fb", to: "33:33:00:00:00:fb" })), undefined);
  assert.equal(bench.answerTo(udpOut({ to: "33:33:00:00:00:fb" })), undefined);
  assert.equal(bench.answerTo(tcpOut({ flags: RST })), undefined);
  assert.equal(bench.answerTo(errorOut(udpIn())), undefined);
  assert.equal(bench.answerTo(pieceOut({ offset: 64 })), undefined);
  assert.ok(bench.answerTo(pieceOut()) !== undefined);
  assert.equal(bench.answerTo(udpOut({ destination: "2a01::1" })), undefined, "it passes");
});

test("without `reject` nothing is answered", () => {
  assert.equal(new PolicyBench({ block: ["2600::/16"] }).answerTo(udpOut()), undefined);
});

test("a flow that other rules cut sends a RST to the VM, once, and its segments get one", () => {
  const bench = new PolicyBench({ allow: ["out 2001:db8:ffff::/128"], reject: true });
  assert.equal(bench.out(tcpOut({ source: SECOND_OWN })), "pass");
  assert.equal(bench.in(tcpIn({ flags: SYN | ACK, destination: SECOND_OWN })), "pass");
  assert.equal(bench.out(tcpOut({ source: SECOND_OWN, flags: ACK, acknowledgement: 0x89abcdef })), "pass");
  assert.equal(bench.rules(["out 2001:db8:ffff::/128"], ["2600::/16"]), 1);
  const reset = bench.reset();
  assert.equal(reset?.length, 74);
  const segment = plain(reset, REMOTE, 6, SECOND_OWN);
  assert.deepEqual([get16(segment, 0), get16(segment, 2)], [443, 40_000]);
  assert.deepEqual([get32(segment, 4), get32(segment, 8), segment[13]], [0x89abcdef, 0, RST]);
  assert.equal(bench.reset(), undefined);
  const again = bench.answerTo(tcpOut({ source: SECOND_OWN, flags: ACK, acknowledgement: 77 }));
  const answer = plain(again, REMOTE, 6, SECOND_OWN);
  assert.deepEqual([get32(answer, 4), answer[13]], [77, RST]);
});

test("no RST for a flow whose address has ended before its turn", () => {
  const bench = new PolicyBench({ allow: ["out 2001:db8:ffff::/128"], reject: true });
  for (const own of [1, 2]) {
    assert.equal(bench.out(tcpOut({ own })), "pass");
    assert.equal(bench.in(tcpIn({ own, flags: SYN | ACK })), "pass");
    assert.equal(bench.out(tcpOut({ own, flags: ACK })), "pass");
  }
  assert.equal(bench.rules(["out 2001:db8:ffff::/128"], ["2600::/16"]), 2);
  bench.policy.ownAddressEnded(4);
  assert.equal(bench.reset(), undefined);
});

test("a segment of a connection that is not known gets a RST", () => {
  const bench = new PolicyBench({ block: ["out ::/0", "out 0.0.0.0/0"], reject: true });
  const segment = plain(bench.answerTo(tcpOut({ flags: ACK, acknowledgement: 5 })), REMOTE, 6);
  assert.deepEqual([get32(segment, 4), segment[13]], [5, RST]);
});

test("200 answers at once, then 100 a second", () => {
  const bench = new PolicyBench(BLOCKED);
  for (let index = 0; index < 200; index++) assert.ok(bench.answerTo(udpOut()) !== undefined);
  assert.equal(bench.answerTo(udpOut()), undefined);
  bench.wait(1);
  for (let index = 0; index < 100; index++) assert.ok(bench.answerTo(udpOut()) !== undefined);
  assert.equal(bench.answerTo(udpOut()), undefined);
});
