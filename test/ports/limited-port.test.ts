/** A limit in front of a port: what waits, what is dropped, what waits for nothing. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { verdictOf } from "../../src/guard/reasons.ts";
import { type Limits, parseLimits } from "../../src/policy/limits.ts";
import { LimitedPort } from "../../src/ports/limited-port.ts";
import { Batch, HEADROOM, strideFor } from "../../src/relay/batch.ts";
import { EGRESS } from "../../src/relay/direction.ts";
import { FakePort } from "../relay/fakes.ts";

const LIMIT_RATE = verdictOf("limit.rate");
const SIZE = 1000;
const ARP = [...Array(12).fill(2), 0x08, 0x06];

/** So many frames of SIZE bytes, numbered in their first two bytes; `control`: those at these places are ARP. */
function frames(count: number, from = 0, control: readonly number[] = []): Batch {
  const stride = strideFor(SIZE);
  const batch = new Batch(new Uint8Array(count * stride + HEADROOM), 0, count, stride);
  for (let index = 0; index < count; index++) {
    const at = batch.slotOffset(index);
    if (control.includes(index)) batch.bytes.set(ARP, at);
    batch.bytes[at] = (from + index) >> 8;
    batch.bytes[at + 1] = (from + index) & 255;
    batch.offset[index] = at;
    batch.length[index] = SIZE;
  }
  batch.count = count;
  return batch;
}

function setUp(t: TestContext, limit: string) {
  const port = new FakePort("network");
  const time = { now: 0 };
  const limits = (text: string): Limits["out"] => parseLimits(text).out;
  const limited = new LimitedPort({ port, direction: EGRESS, verdict: LIMIT_RATE, clock: () => time.now });
  limited.setLimit(limits(limit));
  t.after(() => limited.close());
  const numbers = (): number[] => port.taken.map(([high, low]) => high! * 256 + low!);
  const drops = (): number => {
    let count = 0;
    limited.countDrops((direction, verdict, added) => {
      if (direction === EGRESS && verdict === LIMIT_RATE) count += added;
    });
    return count;
  };
  return { port, limited, time, limits, numbers, drops };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    assert.ok(waited < 20_000, "it never came");
    await sleep(5);
  }
}

test("without a limit frames pass as they are", (t) => {
  const { limited, numbers } = setUp(t, "");
  assert.equal(limited.send(frames(5), 2), 3);
  assert.deepEqual(numbers(), [2, 3, 4]);
});

test("what is beyond the limit waits, in order, and leaves as time passes", async (t) => {
  const { limited, time, numbers, drops } = setUp(t, "out 10p/s burst 3");
  assert.equal(limited.send(frames(6), 0), 6);
  assert.deepEqual(numbers(), [0, 1, 2]);
  time.now = 150_000; // one and a half tokens more
  await until(() => numbers().length === 5);
  assert.equal(limited.send(frames(1, 6), 0), 1);
  time.now = 10_000_000;
  await until(() => numbers().length === 7);
  assert.deepEqual(numbers(), upTo(7));
  assert.equal(limited.delayed, 4);
  assert.equal(drops(), 0);
});

test("L15 what finds no place to wait is dropped and counted once, and what waits stays bounded", (t) => {
  const { limited, numbers, drops } = setUp(t, "out 1K/s burst 1000");
  assert.equal(limited.send(frames(400), 0), 400);
  assert.deepEqual(numbers(), [0]);
  assert.equal(limited.delayed, Math.floor(131_072 / SIZE));
  assert.equal(drops(), 400 - 1 - 131);
  assert.equal(drops(), 0);
  assert.equal(limited.dropped, 268);
});

test("L15 control frames wait for nothing and are not charged", (t) => {
  const { limited, numbers } = setUp(t, "out 1p/s burst 1");
  limited.send(frames(5, 0, [1, 3]), 0);
  assert.deepEqual(numbers(), [0, 1, 3]);
  limited.send(frames(1, 9, [0]), 0);
  assert.deepEqual(numbers(), [0, 1, 3, 9]);
});

test("a receiver that is full keeps the relay waiting, and nothing is charged for what it did not take", (t) => {
  const { port, limited, numbers } = setUp(t, "out 10p/s burst 3");
  port.room = 1;
  const batch = frames(3);
  assert.equal(limited.send(batch, 0), 1);
  assert.equal(limited.send(batch, 1), 0);
  port.room = 10;
  assert.equal(limited.send(batch, 1), 2);
  assert.deepEqual(numbers(), upTo(3));
  assert.equal(limited.delayed, 0);
});

test("what waits and meets a full receiver leaves once that has room, before what comes later", async (t) => {
  const { port, limited, time, numbers } = setUp(t, "out 10p/s burst 1");
  limited.watch({ readable: true, writable: false }, () => {});
  limited.send(frames(3), 0);
  port.room = 0;
  time.now = 1_000_000;
  await until(() => port.interest.writable);
  assert.equal(limited.send(frames(1, 3), 0), 0, "the relay waits, too");
  port.room = 10;
  port.wake(false, true);
  assert.deepEqual(numbers(), [0, 1]); // the burst is one packet
  assert.deepEqual(port.interest, { readable: true, writable: false });
});

test("a limit that is taken away lets what waits go, and another one holds for it", async (t) => {
  const { limited, time, limits, numbers } = setUp(t, "out 1p/s burst 1");
  limited.send(frames(4), 0);
  limited.setLimit(limits("out 1p/s burst 2"));
  assert.deepEqual(numbers(), [0, 1, 2]);
  limited.setLimit(limits(""));
  assert.deepEqual(numbers(), upTo(4));
  limited.setLimit(limits("out 1K/s"));
  time.now = 1e9;
  assert.equal(limited.send(frames(2, 4), 0), 2);
  assert.deepEqual(numbers(), upTo(6));
});

test("bytes stay as they are over thousands of frames that wait, of every size", async (t) => {
  const { port, limited, time } = setUp(t, "out 200K/s burst 131072");
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed % below;
  };
  const sent: string[] = [];
  for (let round = 0; round < 300; round++) {
    const batch = frames(8);
    for (let index = 0; index < 8; index++) {
      const size = 20 + random(SIZE - 20);
      batch.length[index] = size;
      const at = batch.offset[index]!;
      for (let byte = 0; byte < size; byte++) batch.bytes[at + byte] = random(256);
      batch.bytes[at + 12] = 0xff; // no control frame
      sent.push(batch.bytes.subarray(at, at + size).join());
    }
    limited.send(batch, 0);
    time.now += random(30_000);
  }
  assert.ok(limited.dropped > 0 && limited.delayed > 500);
  time.now += 60_000_000;
  await until(() => port.taken.length === sent.length - limited.dropped);
  // In order, each as it was; between them those that found no place.
  let at = -1;
  for (const frame of port.taken) {
    at = sent.indexOf(frame.join(), at + 1);
    assert.ok(at >= 0, "a frame came that was not sent, or out of order");
  }
});

test("a port that fails while what waits is sent ends the relay at its next call", async (t) => {
  const { port, limited, time } = setUp(t, "out 10p/s burst 1");
  let woken = 0;
  limited.watch({ readable: true, writable: false }, () => woken++);
  limited.send(frames(2), 0);
  port.failSend = new Error("it broke");
  time.now = 1_000_000;
  await until(() => woken > 0);
  assert.throws(() => limited.send(frames(1), 0), /it broke/);
});

test("after release nothing waits, and no timer keeps the process", (t) => {
  const { limited, numbers } = setUp(t, "out 1p/s burst 1");
  limited.send(frames(4), 0);
  limited.release();
  limited.release();
  assert.deepEqual(numbers(), [0]);
  assert.ok(!process.getActiveResourcesInfo().includes("Timeout"));
});
