/** What the programs in the kernel have seen of a flow reaches the guard, and never makes it forget what it knows better. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard, type Guard } from "../../src/guard/guard.ts";
import type { GuardOptions } from "../../src/guard/types.ts";
import { ExpressLane, VM_SIZE } from "../../src/lane/express-lane.ts";
import { FLOWS_SIZE } from "../../src/lane/flows-4.ts";
import { COUNTS_SIZE } from "../../src/lane/lane-counts.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { parseMac } from "../../src/wire/address.ts";
import { tcpSequence } from "../../src/wire/tcp.ts";
import { middle, SYN, tcpIn, tcpOut, udpOut } from "../guard/flow-support.ts";
import { ADDRESS, patch, SECOND, tcp, udp, VM, word } from "../guard/support.ts";

/** Words of a flow (src/lane/bpf/admitted.h). */
const WORDS = 8;
const PORTS = 3;
const RIGHT = 4;
const LAST = 5;
const ACKNOWLEDGEMENT = 6;
const IS_ACKNOWLEDGED = 7;

const FIN = 1;
const ACK = 16;

interface Bench {
  readonly guard: Guard;
  /** Bits of the ways on which the flow with these ports passes in the kernel, remote one first. */
  ways(remotePort: number, ownPort: number): number;
  /** Does what a program does with a packet of the flow with these ports, remote one first. */
  pass(remotePort: number, ownPort: number, second: number, acknowledgement?: number): void;
}

function bench(policy: Pick<GuardOptions, "allow" | "block"> = { allow: ["0.0.0.0/0"] }): Bench {
  const shared = (size: number) => ({ buffer: new ArrayBuffer(size), free: () => {} });
  const flows = shared(FLOWS_SIZE);
  const counts = shared(COUNTS_SIZE);
  const memory = { maps: {}, vm: shared(VM_SIZE), flows, counts, processors: 1, closeMaps: () => {}, free: () => {} };
  const lane = new ExpressLane({ memory, mac: parseMac(VM)!, mtu: 1500, clock: () => 0 });
  const guard = createGuard({ macAddress: VM, address: ADDRESS, ...policy, reject: true }, lane);
  const words = new Int32Array(flows.buffer);
  const find = (remotePort: number, ownPort: number): number => {
    const ports = (remotePort << 16) | ownPort;
    return words.findIndex((word, index) => index % WORDS === PORTS && word === ports) - PORTS;
  };
  const ways: Bench["ways"] = (remotePort, ownPort) => {
    const at = find(remotePort, ownPort);
    return at < 0 ? 0 : words[at + RIGHT]! & 3;
  };
  const pass: Bench["pass"] = (remotePort, ownPort, second, acknowledgement) => {
    const at = find(remotePort, ownPort);
    assert.ok(at >= 0 && words[at + RIGHT] !== 0, "the flow is admitted");
    words[at + LAST] = second;
    if (acknowledgement === undefined) return;
    words[at + ACKNOWLEDGEMENT] = acknowledgement;
    words[at + IS_ACKNOWLEDGED] = 1;
  };
  return { guard, ways, pass };
}

/** A segment of the VM's to GLOBAL's port 443. */
const segment = (acknowledgement: number, flags = ACK): Uint8Array =>
  patch(patch(tcp(443), 34 + 8, ...word(acknowledgement)), 34 + 13, flags);
const OWN_PORT = 0xc000;

const [TO_NETWORK, TO_VM] = [1, 2];
const BLOCK_IN = { allow: ["out 0.0.0.0/0"], block: ["in 0.0.0.0/0"] };

for (const [what, policy] of [
  ["stateless", undefined],
  ["stateful", BLOCK_IN],
] as const) {
  test(`with its handshake a connection of the VM's passes both ways, ${what}`, () => {
    const { guard, ways } = bench(policy);
    guard.egress(tcpOut(), 0);
    guard.ingress(tcpIn({ flags: SYN | ACK }), 0);
    assert.equal(ways(443, 40_000), 0);
    guard.egress(tcpOut(middle), 0);
    assert.equal(ways(443, 40_000), TO_NETWORK | TO_VM);
  });
}

test("a connection that others opened passes to the VM, and from the VM once the rules were asked", () => {
  const { guard, ways } = bench();
  guard.ingress(tcpIn({ flags: SYN, port: 5000, own: 80 }), 0);
  guard.egress(tcpOut({ flags: SYN | ACK, port: 5000, own: 80 }), 0);
  guard.ingress(tcpIn({ port: 5000, own: 80, ...middle }), 0);
  assert.equal(ways(5000, 80), TO_VM);
  guard.egress(tcpOut({ port: 5000, own: 80, ...middle }), 0);
  assert.equal(ways(5000, 80), TO_NETWORK | TO_VM);
});

test("what was seen from one side only passes on its way alone: TCP from the middle on, and UDP", () => {
  const { guard, ways } = bench(BLOCK_IN);
  for (let count = 0; count < 2; count++) {
    guard.egress(tcpOut(middle), 0);
    guard.egress(udpOut({ port: 444 }), 0);
  }
  assert.equal(ways(443, 40_000), TO_NETWORK);
  assert.equal(ways(444, 40_000), TO_NETWORK);
});

test("a flow whose last packet passed in the kernel after the guard's last look at the clock is not over", () => {
  const { guard, pass } = bench();
  const packet = udp(40_000, 443);
  guard.egress(packet, 0);
  guard.egress(packet, 0);
  assert.equal(guard.flows, 1);
  pass(443, 40_000, 33);
  // The table looks at the flow in each second by itself: at 31, 32 and so on.
  guard.advance(34 * SECOND);
  assert.equal(guard.flows, 1);
  guard.advance(63 * SECOND);
  assert.equal(guard.flows, 1, "in the last of its 30 seconds");
  guard.advance(64 * SECOND);
  assert.equal(guard.flows, 0);
});

for (const [what, flags] of [
  ["a segment", ACK],
  ["a FIN", ACK | FIN],
] as const) {
  test(`the acknowledgement number of ${what} that the guard has judged is newer than what passed in the kernel before`, () => {
    const { guard, pass } = bench();
    guard.egress(segment(1000), 0);
    guard.egress(segment(1000), 0);
    pass(443, OWN_PORT, 0, 2000);
    guard.egress(segment(3000, flags), 0);
    assert.equal(resetOf(guard), 3000);
  });
}

test("the acknowledgement number of what passed in the kernel last is that of the reset", () => {
  const { guard, pass } = bench();
  guard.egress(segment(1000), 0);
  guard.egress(segment(1000), 0);
  pass(443, OWN_PORT, 0, 2000);
  assert.equal(resetOf(guard), 2000);
});

/** The sequence number of the reset when the flow is cut. */
function resetOf(guard: Guard): number {
  assert.equal(guard.setRules(parseRules([], ["0.0.0.0/0"])), 1);
  const out = new Uint8Array(60);
  assert.equal(guard.takeReset(out, 0), 60);
  return tcpSequence(out, 34);
}
