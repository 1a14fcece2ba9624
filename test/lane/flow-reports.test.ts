/** What the programs in the kernel have seen of a flow reaches the guard, and never makes it forget what it knows better. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard, type Guard } from "../../src/guard/guard.ts";
import { FLOWS_SIZE } from "../../src/lane/admitted-flows.ts";
import { ExpressLane, VM_SIZE } from "../../src/lane/express-lane.ts";
import { COUNTS_SIZE } from "../../src/lane/lane-counts.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { parseMac } from "../../src/wire/address.ts";
import { tcpSequence } from "../../src/wire/tcp.ts";
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
  /** Does what a program does with a packet of the flow with these ports, remote one first. */
  pass(remotePort: number, ownPort: number, second: number, acknowledgement?: number): void;
}

function bench(): Bench {
  const shared = (size: number) => ({ buffer: new ArrayBuffer(size), free: () => {} });
  const flows = shared(FLOWS_SIZE);
  const counts = shared(COUNTS_SIZE);
  const memory = { maps: {}, vm: shared(VM_SIZE), flows, counts, processors: 1, closeMaps: () => {}, free: () => {} };
  const lane = new ExpressLane({ memory, mac: parseMac(VM)!, mtu: 1500, clock: () => 0 });
  const guard = createGuard({ macAddress: VM, address: ADDRESS, allow: ["0.0.0.0/0"], reject: true }, lane);
  const words = new Int32Array(flows.buffer);
  const pass: Bench["pass"] = (remotePort, ownPort, second, acknowledgement) => {
    const ports = (remotePort << 16) | ownPort;
    const at = words.findIndex((word, index) => index % WORDS === PORTS && word === ports) - PORTS;
    assert.ok(at >= 0 && words[at + RIGHT] !== 0, "the flow is admitted");
    words[at + LAST] = second;
    if (acknowledgement === undefined) return;
    words[at + ACKNOWLEDGEMENT] = acknowledgement;
    words[at + IS_ACKNOWLEDGED] = 1;
  };
  return { guard, pass };
}

/** A segment of the VM's to GLOBAL's port 443. */
const segment = (acknowledgement: number, flags = ACK): Uint8Array =>
  patch(patch(tcp(443), 34 + 8, ...word(acknowledgement)), 34 + 13, flags);
const OWN_PORT = 0xc000;

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
