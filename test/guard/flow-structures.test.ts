/** What the flow table is made of, each against the obvious thing it stands for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FLOW_TCP, FLOW_UDP, FlowTable, NO_FLOW } from "../../src/guard/flow-table.ts";
import { KeyedHash } from "../../src/guard/keyed-hash.ts";
import { RemoteCounts } from "../../src/guard/remote-counts.ts";
import { TimeWheel } from "../../src/guard/time-wheel.ts";
import { put16 } from "../../src/wire/bytes.ts";
import { middle, remote, tcpOut, tracking, udpIn, udpOut } from "./flow-support.ts";

const NUM_RUNS = process.env.SOFTNET_TEST_ALL === "1" ? 1000 : 150;

test("a time wheel hands out each slot when it is due, once, however it is turned", () => {
  const slots = 12;
  const act = fc.oneof(
    fc.record({ place: fc.nat({ max: slots - 1 }), delay: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ remove: fc.nat({ max: slots - 1 }) }),
    fc.record({ turn: fc.nat({ max: 25 }), again: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
      const wheel = new TimeWheel(slots, 9);
      const due = new Map<number, number>();
      let now = 0;
      for (const one of acts) {
        if ("place" in one) {
          if (due.has(one.place)) wheel.remove(one.place);
          wheel.place(one.place, one.delay);
          due.set(one.place, now + one.delay);
        } else if ("remove" in one) {
          if (due.delete(one.remove)) wheel.remove(one.remove);
        } else {
          now += one.turn;
          const expected = [...due].filter(([, second]) => second <= now).map(([slot]) => slot);
          const told: number[] = [];
          wheel.turn(one.turn, (slot) => {
            told.push(slot);
            due.delete(slot);
            if (one.again) {
              wheel.place(slot, 9);
              due.set(slot, now + 9);
            }
          });
          // What was placed again for a later second may be looked at once more on the way there, never missed.
          assert.deepEqual([...new Set(told)].toSorted(), expected.toSorted());
          if (!one.again) assert.equal(told.length, expected.length);
        }
      }
    }),
    { numRuns: NUM_RUNS },
  );
});

test("counts by remote address are those of a map", () => {
  const address = fc.integer({ min: 0, max: 40 }).map((index) => (0xfffffff0 + index * 0x1000193) >>> 0);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), address), { maxLength: 300 }), (acts) => {
      const counts = new RemoteCounts(new KeyedHash(), 41);
      const map = new Map<number, number>();
      for (const [adds, at] of acts) {
        const before = map.get(at) ?? 0;
        if (adds) counts.add(at);
        else if (before > 0) counts.subtract(at);
        map.set(at, adds ? before + 1 : Math.max(0, before - 1));
        for (const [key, count] of map) assert.equal(counts.of(key), count);
      }
    }),
    { numRuns: NUM_RUNS },
  );
});

test("as many remote addresses as there may be are counted, given back and counted again", () => {
  const counts = new RemoteCounts(new KeyedHash(), 32_768);
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 32_768; at++) counts.add(at * 7);
    for (let at = 0; at < 32_768; at += 999) assert.equal(counts.of(at * 7), 1);
    for (let at = 0; at < 32_768; at++) counts.subtract(at * 7);
    assert.equal(counts.of(7), 0);
  }
});

test("I13 a hash of its own for each guard: what collides in one does not in another, and nothing collides always", () => {
  const [one, other] = [new KeyedHash(), new KeyedHash()];
  const inputs = Array.from({ length: 20_000 }, (_, index) => index);
  const chain = (hash: KeyedHash, ports: (index: number) => number): number => {
    const counts = new Map<number, number>();
    for (const index of inputs) {
      const value = hash.of(0x01010101, ports(index), 0);
      assert.ok(value >= 0 && value < 65_536 && Number.isInteger(value));
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    return Math.max(...counts.values());
  };
  const same = inputs.filter((index) => one.of(0x01010101, index, 0) === other.of(0x01010101, index, 0));
  assert.ok(same.length < 200, `${same.length} of 20,000 in the same place`);
  // Patterns that fold onto each other in weak hashes.
  for (const ports of [(i: number) => i, (i: number) => i << 16, (i: number) => Math.imul(i, 0x10001)]) {
    assert.ok(chain(new KeyedHash(), ports) < 2000);
  }
});

test("the flow table equals a map over openings, uses, endings and times", () => {
  const key = fc.tuple(fc.constantFrom(FLOW_TCP, FLOW_UDP), fc.nat({ max: 5 }), fc.nat({ max: 5 }));
  const act = fc.oneof(
    { weight: 6, arbitrary: fc.record({ open: key, syn: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ touch: key }) },
    { weight: 1, arbitrary: fc.record({ end: key }) },
    { weight: 3, arbitrary: fc.record({ wait: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 400 })) }) },
    { weight: 1, arbitrary: fc.constant({ clear: true }) },
  );
  const mac = new Uint8Array([0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54]);
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
      const table = new FlowTable();
      const map = new Map<string, { last: number; patience: number }>();
      let now = 1_700_000_000;
      table.advance(now);
      const remoteOf = (index: number) => (0xffffff00 + index) >>> 0;
      const find = ([kind, at, ports]: readonly number[]) => table.find(kind!, remoteOf(at!), ports! * 0x2aaa_aaab);
      for (const one of acts) {
        if ("wait" in one) {
          now += one.wait;
          table.advance(now);
          for (const [name, { last, patience }] of map) if (now - last > patience) map.delete(name);
        } else if ("clear" in one) {
          table.clear();
          map.clear();
        } else if ("open" in one) {
          const [kind, at, ports] = one.open;
          if (map.has(`${one.open}`)) continue;
          const syn = one.syn && kind === FLOW_TCP;
          const flow = table.open(kind, remoteOf(at), ports * 0x2aaa_aaab, false, syn, mac, 0);
          assert.equal(table.macOf(flow), 0xfedcba987654);
          assert.equal(table.remoteOf(flow), remoteOf(at));
          map.set(`${one.open}`, { last: now, patience: kind === FLOW_UDP ? 30 : syn ? 60 : 300 });
        } else if ("touch" in one) {
          const flow = find(one.touch);
          if (flow === NO_FLOW) continue;
          table.touch(flow);
          map.set(`${one.touch}`, { ...map.get(`${one.touch}`)!, last: now });
        } else {
          const flow = find(one.end);
          if (flow === NO_FLOW) continue;
          table.end(flow);
          map.delete(`${one.end}`);
        }
        assert.equal(table.size, map.size);
        for (let kind = 0; kind < 2; kind++) {
          for (let at = 0; at <= 5; at++) {
            for (let ports = 0; ports <= 5; ports++) {
              const flow = find([kind, at, ports]);
              assert.equal(flow !== NO_FLOW, map.has(`${[kind, at, ports]}`));
              assert.ok(flow === NO_FLOW || (table.isInUse(flow) && flow < table.extent));
            }
          }
        }
      }
    }),
    { numRuns: NUM_RUNS },
  );
});

test("judging by flows and rules leaves nothing on the heap", () => {
  const block = Array.from({ length: 1000 }, (_, index) => `in 10.${index >> 8}.${index & 255}.0/24:${1 + index}`);
  const bench = tracking({ block: [...block, "in 0.0.0.0/0"], reject: true });
  const { guard } = bench;
  const frames: [Uint8Array, boolean][] = [];
  for (let index = 0; index < 200; index++) {
    const destination = remote(index);
    frames.push([udpOut({ destination }), true], [udpIn({ source: destination }), false]);
    frames.push([tcpOut({ destination, ...middle }), true], [udpIn({ source: "10.0.3.1", own: index }), false]);
  }
  const out = new Uint8Array(128);
  const judge = (rounds: number): void => {
    for (let round = 0; round < rounds; round++) {
      bench.now += 1000;
      guard.advance(bench.now);
      for (const [frame, leaves] of frames) {
        // New connections come and go, too.
        put16(frame, 34, 20_000 + (round % 500));
        if (leaves) guard.judgeEgress(frame, 0, frame.length);
        else guard.judgeIngress(frame, 0, frame.length);
      }
      guard.takeReset(out, 0);
    }
  };
  const collect = (globalThis as { gc?: () => void }).gc;
  assert.ok(collect, "run with --expose-gc, as scripts/test.ts does");
  judge(200);
  collect();
  const before = process.memoryUsage().heapUsed;
  judge(1000);
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 500_000, `${grown} bytes more after ${1000 * frames.length} frames`);
});
