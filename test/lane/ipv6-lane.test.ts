/** What the express lane tells the kernel of IPv6's flows and addresses, and what it reads of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpressLane, VM_SIZE } from "../../src/lane/express-lane.ts";
import { FLOWS_SIZE } from "../../src/lane/flows-4.ts";
import { FLOWS6_SIZE } from "../../src/lane/flows-6.ts";
import { COUNTS_SIZE } from "../../src/lane/lane-counts.ts";
import { LanePlaces, OWN6_SIZE } from "../../src/lane/own-places.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { IN, OUT } from "../../src/policy/rule-tree.ts";
import { parseMac } from "../../src/wire/address.ts";
import { tcpSequence } from "../../src/wire/tcp.ts";
import * as policy from "../guard/ipv6/policy-support.ts";
import { Bench6, GLOBAL6, LINK, OWN, SECOND } from "../guard/ipv6/support.ts";
import { VM } from "../guard/support.ts";

/** Words of struct flow6, and of struct place (src/lane/bpf/admitted6.h). */
const WORDS = 12;
const [GENERATION, PLACE, PORTS, RIGHT, LAST, ACKNOWLEDGEMENT, IS_ACKNOWLEDGED, REMOTE] = [1, 2, 3, 4, 5, 6, 7, 8];
const PLACE_WORDS = 8;
const [EXPIRY, USED, ADDRESS] = [0, 2, 4];
/** Words of struct vm. */
const VM_GENERATION = 7;
const ALL = { allow: ["::/0"] };
const FLOW_PORTS = (443 << 16) | 40_000;

interface Made {
  readonly lane: ExpressLane;
  readonly bench: Bench6;
  readonly vm: Int32Array;
  readonly places: Int32Array;
  /** The words of the only flow with these ports and a right; undefined where there is none. */
  flow(): Int32Array | undefined;
  /** The words of the place of an address. */
  place(address: string): Int32Array | undefined;
}

function made(options = {}): Made {
  const shared = (size: number) => ({ buffer: new ArrayBuffer(size), free: () => {} });
  const [vm, flows, counts] = [shared(VM_SIZE), shared(FLOWS_SIZE), shared(COUNTS_SIZE)];
  const ipv6 = { own: shared(OWN6_SIZE), flows: shared(FLOWS6_SIZE) };
  const memory = { maps: {}, vm, flows, counts, ipv6, processors: 1, closeMaps: () => {}, free: () => {} };
  const lane = new ExpressLane({ memory, mac: parseMac(VM)!, mtu: 1500, clock: () => 0 });
  const bench = new Bench6({ ...ALL, reject: true, ...options }, lane).start();
  const words = new Int32Array(ipv6.flows.buffer);
  const places = new Int32Array(ipv6.own.buffer);
  const flow = (): Int32Array | undefined => {
    const at = words.findIndex((word, index) => index % WORDS === RIGHT && (word & 3) !== 0) - RIGHT;
    return at < 0 ? undefined : words.subarray(at, at + WORDS);
  };
  const place = (address: string): Int32Array | undefined => {
    const wanted = String(policy.wordsOf(address));
    for (let at = 0; at < places.length; at += PLACE_WORDS) {
      const one = places.subarray(at, at + PLACE_WORDS);
      const isBound = one[EXPIRY] !== 0 || one[EXPIRY + 1] !== 0;
      if (isBound && String(one.subarray(ADDRESS, ADDRESS + 4)) === wanted) return one;
    }
    return undefined;
  };
  return { lane, bench, vm: new Int32Array(vm.buffer), places, flow, place };
}

const tcp = (flags = policy.ACK, acknowledgement = 1000): Uint8Array => {
  const frame = policy.tcpOut({ source: OWN, destination: GLOBAL6, flags });
  new DataView(frame.buffer, frame.byteOffset).setUint32(62, acknowledgement);
  return frame;
};

const time64 = (words: Int32Array, at: number): number => (words[at]! >>> 0) + words[at + 1]! * 2 ** 32;

test("a flow has the place of the VM's address, the remote address, its ports, ways and generation", () => {
  const { bench, flow, place, places, vm } = made();
  for (let turn = 0; turn < 2; turn++) bench.passesOut(tcp());
  const words = flow()!;
  assert.deepEqual([...words.subarray(REMOTE, REMOTE + 4)], [...policy.wordsOf(GLOBAL6)]);
  assert.deepEqual([words[PORTS], words[RIGHT]! & 7], [FLOW_PORTS, 1 << OUT]);
  assert.equal(words[GENERATION], vm[VM_GENERATION]);
  assert.equal(words[PLACE], (place(OWN)!.byteOffset - places.byteOffset) / (PLACE_WORDS * 4));
});

test("either family's change ends what was admitted, and so do one way alone and off", () => {
  const { lane, bench, flow, vm } = made();
  const admit = (): void => {
    for (let turn = 0; turn < 2; turn++) bench.passesOut(tcp());
    assert.equal(flow()?.[GENERATION], vm[VM_GENERATION]);
  };
  const isStale = (): boolean => flow()?.[GENERATION] !== vm[VM_GENERATION];
  admit();
  lane.invalidate();
  assert.ok(isStale());
  admit();
  bench.guard.setRules(parseRules(["::/0"], ["10.0.0.0/8"]));
  assert.ok(isStale());
  admit();
  lane.confine(1 << IN);
  bench.passesOut(tcp());
  assert.ok(isStale(), "the way out is closed");
  lane.confine((1 << IN) | (1 << OUT));
  admit();
  lane.turn(false);
  bench.passesOut(tcp());
  assert.ok(isStale());
});

test("the last acknowledgement number that passed there is that of the reset", () => {
  const { bench, flow } = made();
  for (let turn = 0; turn < 2; turn++) bench.passesOut(tcp());
  const words = flow()!;
  words[LAST] = Math.floor(bench.now / SECOND);
  words[ACKNOWLEDGEMENT] = 2000;
  words[IS_ACKNOWLEDGED] = 1;
  assert.equal(bench.guard.setRules(parseRules([], ["::/0"])), 1);
  const out = new Uint8Array(74);
  assert.equal(bench.guard.takeReset(out, 0), 74);
  assert.equal(tcpSequence(out, 54), 2000);
});

test("S5 addresses are there with their ends, in nanoseconds, and are gone when they are over; use there counts", () => {
  const { bench, place } = made();
  const idle = 300 * SECOND;
  const begin = bench.now;
  assert.equal(time64(place(OWN)!, EXPIRY), (begin + idle) * 1000);
  bench.wait(100 * SECOND);
  const used = BigInt(bench.now) * 1000n;
  const words = place(OWN)!;
  words[USED] = Number(BigInt.asIntN(32, used));
  words[USED + 1] = Number(used >> 32n);
  bench.wait(200 * SECOND);
  assert.ok(bench.addresses.includes(OWN));
  assert.equal(time64(place(OWN)!, EXPIRY), (begin + 100 * SECOND + idle) * 1000);
  bench.wait(100 * SECOND);
  assert.deepEqual(bench.addresses, [LINK]);
  assert.equal(place(OWN), undefined);
});

test("another address in a place has no use yet, and the same one keeps its own", () => {
  const memory = new ArrayBuffer(OWN6_SIZE);
  const words = new Int32Array(memory);
  const places = new LanePlaces(memory);
  places.bind(3, policy.wordsOf(OWN), 0, 100);
  words[3 * PLACE_WORDS + USED] = 5_000;
  places.bind(3, policy.wordsOf(OWN), 0, Number.POSITIVE_INFINITY);
  assert.equal(places.lastUsed(3), 5);
  assert.equal(new BigInt64Array(memory)[(3 * PLACE_WORDS) / 2], 2n ** 63n - 1n);
  places.bind(3, policy.wordsOf(GLOBAL6), 0, 100);
  assert.equal(places.lastUsed(3), 0);
  places.unbind(3);
  assert.equal(new BigInt64Array(memory)[(3 * PLACE_WORDS) / 2], 0n);
});

test("where the programs pass IPv4 alone, nobody is told of IPv6, and its packets pass as before", () => {
  const shared = (size: number) => ({ buffer: new ArrayBuffer(size), free: () => {} });
  const [vm, flows, counts] = [shared(VM_SIZE), shared(FLOWS_SIZE), shared(COUNTS_SIZE)];
  const memory = { maps: {}, vm, flows, counts, processors: 1, closeMaps: () => {}, free: () => {} };
  const lane = new ExpressLane({ memory, mac: parseMac(VM)!, mtu: 1500, clock: () => 0 });
  assert.equal(lane.ipv6, undefined);
  const bench = new Bench6(ALL, lane).start();
  for (let turn = 0; turn < 3; turn++) bench.passesOut(tcp());
  assert.equal(bench.guard.flowsByFamily.ipv6, 0);
});
