/** G24: what a port makes for a batch is made once, however often frames and answers take turns. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { DatagramPort } from "../../src/ports/datagram.ts";
import { linuxUnix } from "../../src/ports/linux-unix.ts";
import { PerBatch } from "../../src/ports/per-batch.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { StreamPort } from "../../src/ports/stream.ts";
import { Batch, strideFor } from "../../src/relay/batch.ts";
import type { FramePort } from "../../src/relay/port.ts";
import { type End, frame, libc, pair } from "../support/sockets.ts";

function batches(count: number): Batch[] {
  const stride = strideFor(60);
  return Array.from({ length: count }, () => new Batch(new Uint8Array(4096), 0, 4, stride));
}

class Made {
  readonly batch: Batch;
  freed = 0;

  constructor(batch: Batch) {
    this.batch = batch;
  }

  free(): void {
    this.freed++;
  }
}

test("G24 each batch has its own, made when it is first needed and freed once", () => {
  const made: Made[] = [];
  const all = new PerBatch((batch) => {
    made.push(new Made(batch));
    return made.at(-1)!;
  });
  const [one, other] = batches(2);
  for (let turn = 0; turn < 100; turn++) {
    assert.equal(all.of(one!).batch, one);
    assert.equal(all.of(other!).batch, other);
  }
  assert.equal(made.length, 2);
  all.free();
  all.free();
  assert.deepEqual(
    made.map(({ freed }) => freed),
    [1, 1],
  );
});

test("G24 with more batches than that, the one made first gives way", () => {
  const made: Made[] = [];
  const all = new PerBatch((batch) => {
    made.push(new Made(batch));
    return made.at(-1)!;
  }, 2);
  const [first, second, third] = batches(3);
  for (const batch of [first, second, third, second, third, first]) assert.equal(all.of(batch!).batch, batch);
  assert.deepEqual(
    made.map(({ batch, freed }) => [batch === first ? 1 : batch === second ? 2 : 3, freed]),
    [
      [1, 1],
      [2, 1],
      [3, 0],
      [1, 0],
    ],
  );
});

/** Two batches that a port sends from in turn: frames of 100 bytes, and answers of 60. */
function inTurn(t: TestContext, port: FramePort, receive: () => Buffer | undefined): void {
  const slabs = [allocateSlab(1514), allocateSlab(70, 8)];
  t.after(() => {
    port.close();
    for (const slab of slabs) slab.free();
  });
  for (let turn = 0; turn < 50; turn++) {
    for (const [index, { batch }] of slabs.entries()) {
      const bytes = frame(turn, index === 0 ? 100 : 60);
      batch.offset[0] = batch.slotOffset(0);
      batch.length[0] = bytes.length;
      batch.bytes.set(bytes, batch.slotOffset(0));
      batch.count = 1;
      assert.equal(port.send(batch, 0), 1);
      assert.deepEqual(receive(), bytes);
    }
  }
}

function ends(t: TestContext, type: number): { fd: number; end: End } {
  const { fd, end } = pair(type);
  t.after(() => end.close());
  return { fd, end };
}

test("G24 a datagram port keeps the headers of both batches", (t) => {
  const { fd, end } = ends(t, SOCK_DGRAM);
  const used: number[] = [];
  const port = new DatagramPort(
    {
      ...libc,
      sendmmsg: (socket, address, count, flags) => {
        used.push(address);
        return libc.sendmmsg(socket, address, count, flags);
      },
    },
    "--vm-fd",
    fd,
  );
  inTurn(t, port, () => end.receive());
  const [frames, answers] = used;
  assert.notEqual(frames, answers);
  assert.deepEqual(
    used,
    used.map((_, index) => (index % 2 === 0 ? frames : answers)),
  );
});

test("G24 a stream port does too", (t) => {
  const { fd, end } = ends(t, SOCK_STREAM);
  const used: number[] = [];
  const system = linuxUnix({
    ...libc,
    sendmsg: (socket, address, flags) => {
      used.push(address);
      return libc.sendmsg(socket, address, flags);
    },
  });
  inTurn(t, new StreamPort(system, "--vm-socket", fd), () => end.receive()?.subarray(4));
  const [frames, answers] = used;
  assert.notEqual(frames, answers);
  assert.deepEqual(
    used,
    used.map((_, index) => (index % 2 === 0 ? frames : answers)),
  );
});
