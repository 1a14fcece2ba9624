import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SO_SNDBUF, SOCK_STREAM, SOL_SOCKET } from "../../src/native/linux/libc.ts";
import { linuxUnix } from "../../src/ports/linux-unix.ts";
import { allocateSlab, LONGEST_STREAM_FRAME } from "../../src/ports/slab.ts";
import { StreamPort } from "../../src/ports/stream.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { PortClosed } from "../../src/relay/port.ts";
import { until } from "../support/patience.ts";
import { type End, frame, libc, pair } from "../support/sockets.ts";

interface Scene {
  port: StreamPort;
  fd: number;
  end: End;
  batch: Batch;
}

function setUp(t: TestContext, capacity?: number): Scene {
  const { fd, end } = pair(SOCK_STREAM);
  const port = new StreamPort(linuxUnix(libc), "--host-fd", fd);
  const slab = allocateSlab(1514, capacity);
  t.after(() => {
    port.close();
    end.close();
    slab.free();
  });
  return { port, fd, end, batch: slab.batch };
}

function framed(...all: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    all.flatMap((one) => {
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(one.length);
      return [prefix, one];
    }),
  );
}

function frames(batch: Batch): Buffer[] {
  return Array.from({ length: batch.count }, (_, index) =>
    Buffer.from(batch.bytes.subarray(batch.offset[index], batch.offset[index] + batch.length[index])),
  );
}

function drain(port: StreamPort, batch: Batch): Buffer[] {
  const all: Buffer[] = [];
  while (port.receive(batch) > 0) all.push(...frames(batch));
  return all;
}

function put(batch: Batch, all: readonly Buffer[]): void {
  for (const [index, one] of all.entries()) {
    batch.offset[index] = batch.slotOffset(index);
    batch.length[index] = one.length;
    batch.bytes.set(one, batch.offset[index]);
  }
  batch.count = all.length;
}

test("frames arrive unchanged wherever the stream is cut", (t) => {
  const { port, end, batch } = setUp(t);
  const sent = [frame(1, 60), frame(2, 1), frame(3, 1514)];
  const bytes = framed(...sent);
  for (let cut = 1; cut < bytes.length; cut++) {
    end.send(bytes.subarray(0, cut));
    const first = drain(port, batch);
    end.send(bytes.subarray(cut));
    assert.deepEqual([...first, ...drain(port, batch)], sent);
  }
});

test("frames arrive unchanged byte by byte", (t) => {
  const { port, end, batch } = setUp(t);
  const sent = [frame(1, 60), frame(2, 342)];
  const received: Buffer[] = [];
  for (const byte of framed(...sent)) {
    end.send(Uint8Array.of(byte));
    received.push(...drain(port, batch));
  }
  assert.deepEqual(received, sent);
});

test("frames arrive in order, many more than a batch takes, with little left over for an event to tell", (t) => {
  const { port, end, batch } = setUp(t, 8);
  const received: Buffer[] = [];
  const sent: Buffer[] = [];
  for (let round = 0; round < 200; round++) {
    const some = Array.from({ length: 37 }, (_, index) =>
      frame(round * 100 + index, 1 + ((round * 37 + index * 211) % 1514)),
    );
    sent.push(...some);
    assert.ok(end.send(framed(...some)) > 0);
    // A batch that is not full promises that no whole frame waits where no event would tell.
    let count = 0;
    do {
      count = port.receive(batch);
      received.push(...frames(batch));
    } while (count === batch.capacity);
    if (round % 3 === 0) received.push(...drain(port, batch));
  }
  received.push(...drain(port, batch));
  assert.deepEqual(received, sent);
});

test("another batch takes over what waits in the last one's slab", (t) => {
  const { port, end, batch } = setUp(t, 2);
  const other = allocateSlab(1514, 2);
  t.after(() => other.free());
  const sent = Array.from({ length: 7 }, (_, index) => frame(index, 100 + index));
  end.send(framed(...sent));
  const received: Buffer[] = [];
  for (let round = 0; round < 4; round++) {
    const use = round % 2 === 0 ? batch : other.batch;
    port.receive(use);
    received.push(...frames(use));
  }
  assert.deepEqual(received, sent);
});

test("the longest frame that the framing allows is handed on, for the guard to judge", (t) => {
  const { port, end, batch } = setUp(t, 4);
  const sent = [frame(1, 60), frame(2, LONGEST_STREAM_FRAME), frame(3, 60)];
  const bytes = framed(...sent);
  const received: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 10_000) {
    assert.ok(end.send(bytes.subarray(at, at + 10_000)) > 0);
    received.push(...drain(port, batch));
  }
  assert.deepEqual(received, sent);
});

for (const [name, length] of [
  ["0", 0],
  ["one more than allowed", LONGEST_STREAM_FRAME + 1],
  ["2^31", 2 ** 31],
  ["2^32 - 1", 2 ** 32 - 1],
] as const) {
  test(`L12: a length of ${name} ends the port, after the frames before it`, (t) => {
    const { port, end, batch } = setUp(t);
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(length);
    end.send(Buffer.concat([framed(frame(1, 60)), prefix, Buffer.alloc(100)]));
    assert.equal(port.receive(batch), 1);
    const expected = {
      name: "PortFailed",
      message: `--host-fd: framing error: a frame of ${length} bytes was announced`,
    };
    assert.throws(() => port.check(), expected);
    assert.throws(() => port.receive(batch), expected);
  });
}

test("the other side closing is noticed, in the middle of a frame too", (t) => {
  const { port, end, batch } = setUp(t);
  end.send(Buffer.concat([framed(frame(1, 60)), Uint8Array.of(0, 0)]));
  end.close();
  assert.equal(port.receive(batch), 1);
  assert.throws(() => port.receive(batch), { name: "PortClosed", message: /in the middle of a frame/ });
  put(batch, [frame(1, 60)]);
  assert.throws(() => port.send(batch, 0), PortClosed);
});

test("each frame is sent with its length in front, from wherever it lies", (t) => {
  const { port, end, batch } = setUp(t);
  const all = Array.from({ length: 64 }, (_, index) => frame(index, 1 + index * 23));
  put(batch, all);
  assert.equal(port.send(batch, 0), 64);
  assert.deepEqual(end.receive(), framed(...all));
  assert.equal(port.send(batch, 62), 2);
  assert.deepEqual(end.receive(), framed(all[62], all[63]));
});

test("frames that were received side by side can be sent on from there", (t) => {
  const { port, end, batch } = setUp(t);
  const onward = setUp(t);
  const all = Array.from({ length: 40 }, (_, index) => frame(index, 60 + index));
  end.send(framed(...all));
  assert.equal(port.receive(batch), 40);
  assert.equal(onward.port.send(batch, 0), 40);
  assert.deepEqual(onward.end.receive(), framed(...all));
});

test("an empty frame is left out and counted: its length would be no framing", (t) => {
  const { port, end, batch } = setUp(t);
  put(batch, [Buffer.alloc(0), frame(1, 60), Buffer.alloc(0), frame(2, 60)]);
  assert.equal(port.send(batch, 0), 4);
  assert.deepEqual(end.receive(), framed(frame(1, 60), frame(2, 60)));
  assert.equal(port.unsendable, 2);
});

test("partial writes keep the framing, whatever piece the socket takes", (t) => {
  const { port, fd, end, batch } = setUp(t);
  assert.equal(libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, [1], 4), 0);
  const sent: Buffer[] = [];
  const received: Buffer[] = [];
  let partial = 0;
  for (let round = 0; round < 40; round++) {
    const some = Array.from({ length: 16 }, (_, index) => frame(round * 100 + index, 1514 - ((round + index) % 7)));
    sent.push(...some);
    put(batch, some);
    for (let next = 0; next < 16; ) {
      next += port.send(batch, next);
      if (next < 16) partial++;
      const piece = end.receive(1000 + ((round * 317) % 3000));
      if (piece !== undefined) received.push(piece);
    }
  }
  put(batch, []);
  for (let piece = end.receive(); piece !== undefined; piece = end.receive()) {
    received.push(piece);
    port.send(batch, 0); // what is left of a frame goes out first
  }
  assert.ok(partial > 0);
  assert.deepEqual(Buffer.concat(received), framed(...sent));
});

test("the rest of a frame goes out by itself as soon as there is room", async (t) => {
  const { port, fd, end, batch } = setUp(t, 1);
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, [1], 4);
  port.watch({ readable: true, writable: false }, () => {});
  const big = frame(1, 60_000);
  const slab = allocateSlab(60_000, 1);
  t.after(() => slab.free());
  put(slab.batch, [big]);
  assert.equal(port.send(slab.batch, 0), 1);
  put(batch, [frame(2, 60)]);
  assert.equal(port.send(batch, 0), 0);
  const received: Buffer[] = [];
  await until("the whole frame", () => {
    const piece = end.receive(8000);
    if (piece !== undefined) received.push(piece);
    return Buffer.concat(received).length >= 60_004;
  });
  assert.deepEqual(Buffer.concat(received), framed(big));
});

test("a reader that dies while the rest of a frame waits is noticed by check", async (t) => {
  const { port, fd, end } = setUp(t);
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, [1], 4);
  port.watch({ readable: false, writable: false }, () => {});
  const slab = allocateSlab(60_000, 1);
  t.after(() => slab.free());
  put(slab.batch, [frame(1, 60_000)]);
  port.send(slab.batch, 0);
  end.close();
  await sleep(20);
  assert.throws(() => port.check(), PortClosed);
});

test("frames of a network that never ends one stay within memory", (t) => {
  const { port, end, batch } = setUp(t);
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(LONGEST_STREAM_FRAME);
  end.send(prefix);
  for (let round = 0; round < 60; round++) {
    end.send(Buffer.alloc(1000));
    assert.equal(port.receive(batch), 0);
  }
});
