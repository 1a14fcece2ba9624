/** A vmnet interface as a port, against the stand-in for Apple's vmnet. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { VmnetInterface } from "../../src/networks/vmnet/interface.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import type { VmnetPort } from "../../src/ports/vmnet.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { PortFailed } from "../../src/relay/port.ts";
import { until } from "../support/running.ts";
import { frame } from "../support/sockets.ts";
import { assertNothingHeld, frames, inject, needsTwin, put, twin } from "../support/twin.ts";

interface Setup {
  readonly port: VmnetPort;
  readonly batch: Batch;
}

/** A started interface; it is stopped when the test ends, and then nothing is held. */
async function setUp(t: TestContext, capacity?: number): Promise<Setup> {
  const { batch, free } = allocateSlab(1514, capacity);
  const vmnet = await VmnetInterface.start(twin().native, { label: "vmnet", on: { mode: 1001 }, isolated: true });
  t.after(async () => {
    while (twin().control.take() !== undefined) {}
    assert.equal(await vmnet.stop(), undefined);
    free(); // not before: the stand-in overwrites at the stop whatever it was given
    await assertNothingHeld();
  });
  return { port: vmnet.port, batch };
}

function taken(): Buffer[] {
  const all: Buffer[] = [];
  for (let one = twin().control.take(); one !== undefined; one = twin().control.take()) all.push(Buffer.from(one));
  return all;
}

test("frames arrive unchanged and in order, more of them than a batch takes", needsTwin(), async (t) => {
  const { port, batch } = await setUp(t, 8);
  const sent = Array.from({ length: 20 }, (_, index) => frame(index, [60, 64, 342, 1514][index % 4]!));
  for (const one of sent) assert.ok(twin().control.deliver(one));
  const received: Buffer[] = [];
  const counts: number[] = [];
  for (let count = port.receive(batch); count > 0; count = port.receive(batch)) {
    counts.push(count);
    received.push(...frames(batch));
  }
  assert.deepEqual(counts, [8, 8, 4]);
  assert.deepEqual(received, sent);
  assert.equal(batch.count, 0);
});

test("reads in parts fill one batch, and what arrives between two reads is not left lying", needsTwin(), async (t) => {
  const { port, batch } = await setUp(t);
  inject(t, "read cap", 3);
  const sent = Array.from({ length: 10 }, (_, index) => frame(index, 100 + index));
  for (const one of sent) twin().control.deliver(one);
  assert.equal(port.receive(batch), 10);
  assert.deepEqual(frames(batch), sent);
});

test("frames are sent unchanged and in order, from wherever they lie in the slab", needsTwin(), async (t) => {
  const { port, batch } = await setUp(t);
  const all = Array.from({ length: 64 }, (_, index) => frame(index, 60 + index));
  put(batch, all);
  for (let index = 0; index < 32; index++) batch.keep(index * 2, index);
  batch.count = 32;
  const calls = twin().control.count("writes");
  assert.equal(port.send(batch, 0), 32);
  assert.equal(twin().control.count("writes") - calls, 1);
  assert.deepEqual(
    taken(),
    all.filter((_, index) => index % 2 === 0),
  );
  assert.equal(port.send(batch, 30), 2);
  assert.deepEqual(taken(), [all[60], all[62]]);
});

test(
  "frames that are no Ethernet frames, or longer than vmnet takes, never reach it and are counted",
  needsTwin(),
  async (t) => {
    const { port, batch } = await setUp(t);
    const good = [frame(1, 60), frame(2, 14), frame(3, 1514)];
    put(batch, [frame(9, 13), good[0]!, frame(9, 0), good[1]!, good[2]!, frame(9, 1515)]);
    assert.equal(port.send(batch, 0), 6);
    assert.deepEqual(taken(), good);
    assert.equal(port.unsendable, 3);
  },
);

test("a batch written in parts is written whole", needsTwin(), async (t) => {
  const { port, batch } = await setUp(t);
  const all = Array.from({ length: 40 }, (_, index) => frame(index, 200));
  put(batch, all);
  twin().control.inject("write partial", 7);
  assert.equal(port.send(batch, 0), 40);
  assert.deepEqual(taken(), all);
});

test("more frames than one write may have go in several", needsTwin(), async (t) => {
  inject(t, "write limit", 16);
  t.after(() => twin().control.inject("write limit", 256));
  const { port, batch } = await setUp(t);
  const all = Array.from({ length: 40 }, (_, index) => frame(index, 200));
  put(batch, all);
  assert.equal(port.send(batch, 0), 40);
  assert.deepEqual(taken(), all);
});

test("1008, too many for one write: fewer from then on, and none is lost", needsTwin(), async (t) => {
  const { port, batch } = await setUp(t);
  inject(t, "byte limit", 10_000);
  const all = Array.from({ length: 64 }, (_, index) => frame(index, 1000));
  put(batch, all);
  assert.equal(port.send(batch, 0), 64);
  assert.deepEqual(taken(), all);
});

for (const status of [1003, 1006]) {
  test(
    `${status} for a batch: its frames go one by one, and only a frame refused alone is given up`,
    needsTwin(),
    async (t) => {
      const { port, batch } = await setUp(t);
      const all = Array.from({ length: 5 }, (_, index) => frame(index, 200));
      put(batch, all);
      twin().control.inject("write status", status);
      assert.equal(port.send(batch, 0), 5);
      assert.deepEqual(taken(), all);
      assert.equal(port.unsendable, 0);
      put(batch, all.slice(0, 1));
      twin().control.inject("write status", status);
      assert.equal(port.send(batch, 0), 1);
      assert.equal(port.unsendable, 1);
      assert.deepEqual(taken(), []);
    },
  );
}

test(
  "1007, buffers exhausted: the rest is kept, and the port wakes by itself until there is room",
  needsTwin(),
  async (t) => {
    const { port, batch } = await setUp(t);
    const all = Array.from({ length: 10 }, (_, index) => frame(index, 200));
    put(batch, all);
    twin().control.inject("write exhausted", 20);
    assert.equal(port.send(batch, 0), 0);
    let sent = 0;
    let wakes = 0;
    port.watch({ readable: false, writable: true }, (_readable, writable) => {
      assert.ok(writable);
      wakes++;
      sent += port.send(batch, sent);
      if (sent === all.length) port.watch({ readable: false, writable: false }, () => {});
    });
    await until("all are sent", () => sent === all.length);
    assert.equal(wakes, 20);
    assert.deepEqual(taken(), all);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(wakes, 20, "no wake once nothing is waited for");
  },
);

for (const [status, name] of [
  [1001, "VMNET_FAILURE"],
  [1004, "VMNET_SETUP_INCOMPLETE"],
  [1005, "VMNET_INVALID_ACCESS"],
] as const) {
  test(`${status} from a read or a write ends the port with its name`, needsTwin(), async (t) => {
    const { port, batch } = await setUp(t);
    const failed = (error: unknown): boolean => error instanceof PortFailed && error.message.includes(name);
    twin().control.inject("read status", status);
    assert.throws(() => port.receive(batch), failed);
    put(batch, [frame(1, 60)]);
    twin().control.inject("write status", status);
    assert.throws(() => port.send(batch, 0), failed);
  });
}

test("1007 from a read is no end: the frames come with the next one", needsTwin(), async (t) => {
  const { port, batch } = await setUp(t);
  twin().control.deliver(frame(1, 60));
  twin().control.inject("read status", 1007);
  assert.equal(port.receive(batch), 0);
  assert.equal(port.receive(batch), 1);
});

test(
  "an event wakes on the event loop; every frame is read, though events come once, empty and in storms",
  needsTwin(),
  async (t) => {
    const { port, batch } = await setUp(t, 8);
    inject(t, "empty every", 2);
    t.after(() => twin().control.inject("empty every", 8));
    const received: Buffer[] = [];
    port.watch({ readable: true, writable: false }, (readable) => {
      assert.ok(readable);
      // As the relay does: what was not a full batch was all.
      for (let count = 8; count === 8; received.push(...frames(batch))) count = port.receive(batch);
    });
    const sent: Buffer[] = [];
    for (let round = 0; round < 30; round++) {
      if (round % 10 === 5) twin().control.inject("event storm", 20);
      for (let index = 0; index < 1 + (round % 7) * 5; index++) {
        sent.push(frame(sent.length, 80));
        assert.ok(twin().control.deliver(sent.at(-1)!));
      }
      await until("the frames of this round", () => received.length === sent.length);
    }
    assert.deepEqual(received, sent);
    assert.ok(twin().control.count("events") > 0);
  },
);

test(
  "frames that the relay could not read while it was blocked wake it again, without an event",
  needsTwin(),
  async (t) => {
    const { port, batch } = await setUp(t, 8);
    let wakes = 0;
    port.watch({ readable: true, writable: false }, () => {
      wakes++;
      port.watch({ readable: false, writable: false }, () => {});
    });
    for (let index = 0; index < 12; index++) twin().control.deliver(frame(index, 80));
    await until("an event", () => wakes === 1);
    assert.equal(port.receive(batch), 8);
    let woken = false;
    port.watch({ readable: true, writable: false }, () => {
      woken = true;
    });
    await until("the rest is told of", () => woken);
    assert.equal(port.receive(batch), 4);
  },
);

test("a check finds frames whose event got lost", needsTwin(), async (t) => {
  const { port, batch } = await setUp(t);
  assert.equal(port.receive(batch), 0);
  let wakes = 0;
  port.watch({ readable: true, writable: false }, () => wakes++);
  port.check();
  await until("a wake", () => wakes === 1);
});

test("a slot that is too small for vmnet's frames is refused before vmnet writes into it", needsTwin(), async (t) => {
  inject(t, "max packet size", 9014);
  t.after(() => twin().control.inject("max packet size", 1514));
  const { port, batch } = await setUp(t);
  assert.throws(() => port.receive(batch), /too few/);
});
