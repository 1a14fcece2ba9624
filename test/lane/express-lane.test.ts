/** What the express lane tells the kernel, and when: how long it is open, whose address it is, and what ends all at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FLOW_TCP, FLOW_UDP } from "../../src/guard/flow-state.ts";
import { ExpressLane, VM_SIZE } from "../../src/lane/express-lane.ts";
import { FLOWS_SIZE } from "../../src/lane/flows-4.ts";
import { COUNTS_SIZE } from "../../src/lane/lane-counts.ts";
import { IN, OUT } from "../../src/policy/rule-tree.ts";
import { Counters } from "../../src/relay/counters.ts";
import { EGRESS, INGRESS } from "../../src/relay/direction.ts";

const MAC = 0x7e1a_0000_0001;
const SECOND = 1_000_000;
const REMOTE = 0x09090909;
const PORTS = (443 << 16) | 50_000;
const PROCESSORS = 2;
/** Words of struct vm and of a flow (src/lane/bpf/admitted.h). */
const [ADDRESS, GENERATION, MAC_HIGH, MAC_LOW, MTU] = [6, 7, 8, 9, 10];
const [STAMP, FLOW_GENERATION, FLOW_REMOTE, FLOW_PORTS, RIGHT] = [0, 1, 2, 3, 4];
const WORDS = 8;

interface Bench {
  readonly lane: ExpressLane;
  readonly counters: Counters;
  readonly vm: Int32Array;
  readonly counts: BigUint64Array;
  /** Nanoseconds. */
  openUntil(): bigint;
  expiry(): bigint;
  /** The words of the only flow that has a right; undefined where there is none. */
  flow(): Int32Array | undefined;
  now: number;
}

function bench(): Bench {
  const shared = (size: number) => ({ buffer: new ArrayBuffer(size), free: () => {} });
  const [vm, flows, counts] = [shared(VM_SIZE), shared(FLOWS_SIZE), shared(COUNTS_SIZE * PROCESSORS)];
  const memory = { maps: {}, vm, flows, counts, processors: PROCESSORS, closeMaps: () => {}, free: () => {} };
  const times = new BigInt64Array(vm.buffer, 0, VM_SIZE / 8);
  const words = new Int32Array(flows.buffer);
  const made: Bench = {
    now: 100 * SECOND,
    lane: new ExpressLane({ memory, mac: MAC, mtu: 1500, clock: () => made.now }),
    counters: new Counters(),
    vm: new Int32Array(vm.buffer),
    counts: new BigUint64Array(counts.buffer),
    openUntil: () => times[0]!,
    expiry: () => times[1]!,
    flow: () => {
      const at = words.findIndex((word, index) => index % WORDS === RIGHT && word !== 0) - RIGHT;
      return at < 0 ? undefined : words.subarray(at, at + WORDS);
    },
  };
  return made;
}

const admit = ({ lane, now }: Bench, way: 0 | 1, kind: number = FLOW_TCP, patience = 300): void =>
  lane.admit(7, kind, REMOTE, PORTS, 1 << way, patience, Math.floor(now / SECOND));

test("it is told who the VM is", () => {
  const { vm } = bench();
  assert.deepEqual([vm[MAC_HIGH], vm[MAC_LOW]! >>> 0, vm[MTU]], [0x7e1a, 1, 1500]);
});

test("it opens with the first admitted flow, for a second, and goes on while something passes", () => {
  const made = bench();
  assert.equal(made.openUntil(), 0n);
  assert.equal(made.lane.deadline, Number.POSITIVE_INFINITY);
  admit(made, OUT);
  assert.equal(made.openUntil(), BigInt(made.now + SECOND) * 1000n);
  const { deadline } = made.lane;
  assert.ok(deadline > made.now && deadline < made.now + SECOND / 2);
  made.counts[0] = 1n;
  made.lane.tick(made.now + 50_000, made.counters);
  assert.equal(made.lane.deadline, deadline, "before its time nothing changes");
  made.lane.tick(deadline, made.counters);
  assert.equal(made.openUntil(), BigInt(deadline + SECOND) * 1000n);
  made.lane.tick(made.lane.deadline, made.counters);
  assert.equal(made.lane.deadline, Number.POSITIVE_INFINITY, "nothing passed: it closes by itself");
  made.now += 10 * SECOND;
  admit(made, OUT);
  assert.equal(made.openUntil(), BigInt(made.now + SECOND) * 1000n);
});

test("what passes is counted once, from all processors, by direction", () => {
  const { lane, counters, counts } = bench();
  const [frames, bytes, large, next] = [0, 2, 4, COUNTS_SIZE / 8];
  counts[frames + OUT] = 5n;
  counts[next + frames + OUT] = 2n;
  counts[next + frames + IN] = 2n ** 32n + 3n;
  counts[bytes + OUT] = 700n;
  counts[large + IN] = 1n;
  assert.equal(lane.count(counters), 2 ** 32 + 10);
  assert.deepEqual([...counters.frames], [7, 2 ** 32 + 3]);
  assert.equal(counters.bytes[EGRESS], 700);
  assert.equal(counters.large[INGRESS], 1);
  assert.equal(lane.count(counters), 0);
  counts[frames + OUT] = 6n;
  assert.equal(lane.count(counters), 1);
  assert.equal(counters.frames[EGRESS], 8);
  assert.equal(lane.state.egress.frames, 8);
});

test("a flow has the ways on which it was admitted, its protocol and its patience; withdrawn it has none", () => {
  const made = bench();
  admit(made, OUT);
  const flow = made.flow()!;
  assert.deepEqual([flow[FLOW_REMOTE], flow[FLOW_PORTS]], [REMOTE, PORTS]);
  assert.equal(flow[RIGHT], (300 << 16) | 1);
  admit(made, IN);
  assert.equal(flow[RIGHT], (300 << 16) | 3);
  assert.equal(flow[STAMP]! & 1, 0);
  const stamp = flow[STAMP]!;
  made.lane.withdraw(7);
  assert.equal(made.flow(), undefined);
  assert.notEqual(flow[STAMP], stamp);
  admit(made, IN, FLOW_UDP, 120);
  assert.equal(made.flow()![RIGHT], (120 << 16) | 4 | 2);
});

test("another generation: what was admitted before is not, and comes back with the ways of its next packets", () => {
  const made = bench();
  admit(made, OUT);
  admit(made, IN);
  const before = made.vm[GENERATION];
  made.lane.invalidate();
  assert.notEqual(made.vm[GENERATION], before);
  assert.notEqual(made.flow()![FLOW_GENERATION], made.vm[GENERATION]);
  admit(made, IN);
  assert.equal(made.flow()![FLOW_GENERATION], made.vm[GENERATION]);
  assert.equal(made.flow()![RIGHT], (300 << 16) | 2);
});

test("the address and its end; a static one has none", () => {
  const { lane, vm, expiry } = bench();
  lane.bind(0xc0a84005, 500 * SECOND);
  assert.equal(vm[ADDRESS]! >>> 0, 0xc0a84005);
  assert.equal(expiry(), 500_000_000_000n);
  lane.bind(0, Number.POSITIVE_INFINITY);
  assert.equal(vm[ADDRESS], 0);
  lane.bind(1, Number.POSITIVE_INFINITY);
  assert.equal(expiry(), 2n ** 63n - 1n);
});

test("turned off it closes at once, and nothing opens it until it is on again", () => {
  const made = bench();
  admit(made, OUT);
  made.lane.turn(false);
  assert.equal(made.openUntil(), 0n);
  assert.equal(made.lane.state.state, "off");
  assert.notEqual(made.flow()![FLOW_GENERATION], made.vm[GENERATION]);
  admit(made, OUT);
  assert.equal(made.openUntil(), 0n);
  made.lane.turn(true);
  admit(made, OUT);
  assert.equal(made.openUntil(), BigInt(made.now + SECOND) * 1000n);
});

test("closed it is off, and to ask it or to close it again does no harm", () => {
  const made = bench();
  admit(made, OUT);
  made.counts[0] = 3n;
  made.lane.count(made.counters);
  made.lane.close();
  assert.equal(made.openUntil(), 0n);
  made.lane.close();
  assert.equal(made.lane.count(made.counters), 0);
  assert.equal(made.lane.state.egress.frames, 3);
  made.lane.turn(true);
  assert.equal(made.openUntil(), 0n);
});

test("flows that come newly, many at once, are a burst; packets of the same ones are none, nor is any while it is off", () => {
  const made = bench();
  const { lane, now } = made;
  const come = (flow: number): void =>
    lane.admit(flow, FLOW_TCP, REMOTE, PORTS + flow, 1 << OUT, 300, Math.floor(now / SECOND));
  for (let packet = 0; packet < 100; packet++) come(packet % 15);
  assert.ok(!lane.isBurst(now));
  lane.invalidate();
  for (let flow = 0; flow < 15; flow++) come(flow);
  assert.ok(!lane.isBurst(now), "they come back under another generation");
  come(15);
  assert.ok(lane.isBurst(now));
  assert.ok(!lane.isBurst(now + SECOND));
  lane.turn(false);
  assert.ok(!lane.isBurst(now));
});
