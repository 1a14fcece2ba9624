/** What the flow table is made of, each against the obvious thing it stands for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FLOW_ECHO_FROM_VM, FLOW_TCP, FLOW_UDP } from "../../src/guard/flow-state.ts";
import { FlowTable, NO_FLOW } from "../../src/guard/flow-table.ts";
import { KeyedHash } from "../../src/guard/keyed-hash.ts";
import { PASS, verdictOf } from "../../src/guard/reasons.ts";
import { RemoteCounts } from "../../src/guard/remote-counts.ts";
import { NO_SLOT, TimeWheel } from "../../src/guard/time-wheel.ts";
import { put16 } from "../../src/wire/bytes.ts";
import { FrameView } from "../../src/wire/frame-view.ts";
import { ACK_FLAG, FIN, middle, RST, remote, SYN, tcpOut, tracking, udpIn, udpOut } from "./flow-support.ts";

const FULL = verdictOf("flow.full");
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
      const wheel = new TimeWheel(slots, 9, 0);
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

test("lists beside the wheel keep the order in which slots came, and what is taken out is in none", () => {
  const slots = 8;
  const act = fc.record({
    slot: fc.nat({ max: slots - 1 }),
    to: fc.constantFrom("first", "second", "wheel", "nowhere"),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
      const wheel = new TimeWheel(slots, 9, 2);
      const lists = { first: [] as number[], second: [] as number[], wheel: [] as number[] };
      for (const { slot, to } of acts) {
        for (const list of Object.values(lists)) {
          if (!list.includes(slot)) continue;
          wheel.remove(slot);
          list.splice(list.indexOf(slot), 1);
        }
        if (to === "wheel") wheel.place(slot, 1 + slot);
        else if (to !== "nowhere") wheel.append(slot, to === "first" ? 0 : 1);
        if (to !== "nowhere") lists[to].push(slot);
        assert.equal(wheel.first(0), lists.first[0] ?? NO_SLOT);
        assert.equal(wheel.first(1), lists.second[0] ?? NO_SLOT);
      }
      const due: number[] = [];
      wheel.turn(9, (slot) => due.push(slot));
      assert.deepEqual(due.toSorted(), lists.wheel.toSorted());
      for (const [list, expected] of [lists.first, lists.second].entries()) {
        for (const slot of expected) {
          assert.equal(wheel.first(list), slot);
          wheel.remove(slot);
        }
        assert.equal(wheel.first(list), NO_SLOT);
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

interface Model {
  kind: number;
  byOther: boolean;
  last: number;
  /** What a TCP flow waits for, as in docs/guard.md. */
  awaits: "answer" | "opener" | "vm" | "nothing";
  finOfVm: boolean;
  finOfOther: boolean;
  reset: boolean;
  resetByVm: boolean;
  answered: boolean;
}

const isClosedModel = (flow: Model): boolean =>
  flow.kind === FLOW_TCP && flow.awaits === "nothing" && (flow.reset || (flow.finOfVm && flow.finOfOther));

const isEndedModel = (flow: Model): boolean => isClosedModel(flow) && (flow.finOfVm || flow.resetByVm);

function patienceOf(flow: Model): number {
  if (flow.kind === FLOW_UDP) return flow.answered ? 120 : 30;
  if (flow.kind !== FLOW_TCP) return 60;
  if (flow.awaits !== "nothing") return 60;
  return isClosedModel(flow) ? 240 : 7440;
}

/** By the letter of docs/guard.md; returns whether the flow is over. */
function followModel(flow: Model, fromOther: boolean, flags: number, opening: boolean): boolean {
  const reset = (flags & RST) !== 0;
  const fromOpener = fromOther === flow.byOther;
  if (!opening && flow.awaits !== "nothing") {
    if (reset && !fromOpener) return true;
    if (flow.awaits === "answer") {
      if (!fromOpener && (flags & (SYN | ACK_FLAG)) === (SYN | ACK_FLAG)) flow.awaits = "opener";
    } else if (flow.awaits === "vm") {
      if (!fromOther && !reset) flow.awaits = "nothing";
    } else if (fromOpener && !reset && (flags & SYN) === 0) {
      flow.awaits = "nothing";
    }
  }
  flow.reset = reset;
  flow.resetByVm = reset && (flow.resetByVm || !fromOther);
  if ((flags & FIN) !== 0 && !reset && fromOther) flow.finOfOther = true;
  if ((flags & FIN) !== 0 && !reset && !fromOther) flow.finOfVm = true;
  return false;
}

/** Which flows are over so that there is room for one more; undefined where there is none. */
function madeRoom(map: ReadonlyMap<string, Model>, byOther: boolean, now: number, most: number): string[] | undefined {
  const all = [...map];
  const fromOther = all.filter(([, flow]) => flow.byOther);
  const among = byOther && fromOther.length >= most / 2 ? fromOther : all.length >= most ? all : [];
  if (among.length === 0) return [];
  const ended = among.filter(([, flow]) => isEndedModel(flow) && now - flow.last > 1);
  const resting = ended.length > 0 ? ended : among.filter(([, { last }]) => now - last > 300);
  const oldest = Math.min(...resting.map(([, { last }]) => last));
  return resting.length > 0 ? resting.filter(([, { last }]) => last === oldest).map(([name]) => name) : undefined;
}

test("G12 the flow table equals a map over openings, segments, times and room, whatever the clock does", () => {
  const MOST = 8;
  const kinds = fc.constantFrom(FLOW_TCP, FLOW_TCP, FLOW_TCP, FLOW_UDP, FLOW_ECHO_FROM_VM);
  const key = fc.tuple(kinds, fc.nat({ max: 3 }), fc.nat({ max: 2 }));
  const flags = fc.constantFrom(0, ACK_FLAG, ACK_FLAG, SYN | ACK_FLAG, FIN | ACK_FLAG, RST, RST | FIN);
  const wait = fc.oneof(
    fc.nat({ max: 3 }),
    fc.nat({ max: 400 }),
    fc.constantFrom(60, 61, 240, 241, 300, 301),
    fc.nat({ max: 7500 }),
  );
  const act = fc.oneof(
    { weight: 6, arbitrary: fc.record({ open: key, byOther: fc.boolean(), syn: fc.boolean(), flags }) },
    { weight: 6, arbitrary: fc.record({ packet: key, fromOther: fc.boolean(), flags }) },
    { weight: 1, arbitrary: fc.record({ end: key }) },
    { weight: 4, arbitrary: fc.record({ wait }) },
  );
  fc.assert(
    fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
      const table = new FlowTable(MOST);
      const map = new Map<string, Model>();
      let now = 1_700_000_000;
      table.advance(now);
      const remoteOf = (index: number) => (0xffffff00 + index) >>> 0;
      const find = ([kind, at, ports]: readonly number[]) => table.find(kind!, remoteOf(at!), ports! * 0x2aaa_aaab);
      for (const one of acts) {
        if ("wait" in one) {
          now += one.wait;
          table.advance(now);
          for (const [name, flow] of map) if (now - flow.last > patienceOf(flow)) map.delete(name);
        } else if ("open" in one) {
          const [kind, at, ports] = one.open;
          if (map.has(`${one.open}`)) continue;
          const { byOther } = one;
          const syn = one.syn && kind === FLOW_TCP;
          const room = madeRoom(map, byOther, now, MOST);
          assert.equal(table.refusal(kind, byOther, syn, remoteOf(at)), room === undefined ? FULL : PASS);
          if (room === undefined) continue;
          for (const name of room) map.delete(name);
          const flow = table.open(kind, remoteOf(at), ports * 0x2aaa_aaab, byOther, syn);
          table.noteMac(flow, 0xfedc, 0xba987654);
          assert.equal(table.macOf(flow), 0xfedcba987654);
          assert.equal(table.remoteOf(flow), remoteOf(at));
          const awaits = kind !== FLOW_TCP ? "nothing" : syn ? "answer" : byOther ? "vm" : "nothing";
          const none = { finOfVm: false, finOfOther: false, reset: false, resetByVm: false, answered: false };
          const model: Model = { kind, byOther, last: now, awaits, ...none };
          map.set(`${one.open}`, model);
          if (kind === FLOW_TCP && !syn) {
            assert.equal(table.follow(flow, byOther, one.flags, true), false);
            followModel(model, byOther, one.flags, true);
          }
        } else if ("packet" in one) {
          const flow = find(one.packet);
          if (flow === NO_FLOW) continue;
          const model = map.get(`${one.packet}`)!;
          table.touch(flow);
          model.last = now;
          if (model.kind === FLOW_UDP) {
            table.followUdp(flow, one.fromOther);
            model.answered ||= one.fromOther !== model.byOther;
          } else if (model.kind === FLOW_TCP) {
            const over = followModel(model, one.fromOther, one.flags, false);
            assert.equal(table.follow(flow, one.fromOther, one.flags, false), over);
            if (over) map.delete(`${one.packet}`);
            else assert.equal(table.isClosed(flow), isClosedModel(model));
          }
        } else {
          const flow = find(one.end);
          if (flow === NO_FLOW) continue;
          table.end(flow);
          map.delete(`${one.end}`);
        }
        assert.equal(table.size, map.size);
        for (const kind of [FLOW_TCP, FLOW_UDP, FLOW_ECHO_FROM_VM]) {
          for (let at = 0; at <= 3; at++) {
            for (let ports = 0; ports <= 2; ports++) {
              const flow = find([kind, at, ports]);
              assert.equal(flow !== NO_FLOW, map.has(`${[kind, at, ports]}`), `${[kind, at, ports]}`);
              assert.ok(flow === NO_FLOW || (table.isInUse(flow) && flow < table.extent));
            }
          }
        }
      }
      table.clear();
      assert.equal(table.size, 0);
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
  const view = new FrameView();
  const judge = (rounds: number): void => {
    for (let round = 0; round < rounds; round++) {
      bench.now += 1000;
      guard.advance(bench.now);
      for (const [frame, leaves] of frames) {
        // New connections come and go, too.
        put16(frame, 34, 20_000 + (round % 500));
        view.read(frame, 0, frame.length);
        if (leaves) guard.judgeEgress(view);
        else guard.judgeIngress(view);
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
