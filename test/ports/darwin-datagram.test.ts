/** The VM's port on macOS, against the stand-in for Darwin's libc: what is sent and received goes through real sockets. */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { loadDarwinLibc } from "../../src/native/darwin/libc.ts";
import { type DarwinFeatures, darwinFeatures } from "../../src/native/darwin/release.ts";
import { SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { DarwinDatagramPort } from "../../src/ports/darwin-datagram.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { PortClosed, PortFailed } from "../../src/relay/port.ts";
import { UserError } from "../../src/user-error.ts";
import { until } from "../support/running.ts";
import { type End, frame, pair } from "../support/sockets.ts";
import { frames, inject, needsTwin, put, twin } from "../support/twin.ts";

const KERNELS: Readonly<Record<string, DarwinFeatures>> = {
  "batches both ways": { sendsBatches: true, receivesBatches: true },
  "batches out alone": { sendsBatches: true, receivesBatches: false },
  "one by one": { sendsBatches: false, receivesBatches: false },
};

interface Setup {
  readonly port: DarwinDatagramPort;
  readonly end: End;
  readonly batch: Batch;
}

function setUp(t: TestContext, features: DarwinFeatures, capacity?: number): Setup {
  const { fd, end } = pair(SOCK_DGRAM);
  const libc = loadDarwinLibc(twin().libraries.system);
  const port = new DarwinDatagramPort(libc, features, "--vm-fd", fd);
  const slab = allocateSlab(1514, capacity);
  t.after(() => {
    port.close();
    end.close();
    slab.free();
  });
  return { port, end, batch: slab.batch };
}

test("which kernel is trusted with which batch call", () => {
  const none = { sendsBatches: false, receivesBatches: false };
  const out = { sendsBatches: true, receivesBatches: false };
  const both = { sendsBatches: true, receivesBatches: true };
  for (const [release, features] of [
    ["22.6.0", none], // macOS 13
    ["23.0.0", out],
    ["24.5.0", out], // 15.5: recvmsg_x could hang
    ["24.6.0", both],
    ["24.10.1", both],
    ["25.0.0", both],
    ["26.1.0", both],
    ["", none],
    ["nonsense", none],
  ] as const) {
    assert.deepEqual(darwinFeatures(release), features, release);
  }
});

for (const [kernel, features] of Object.entries(KERNELS)) {
  test(`${kernel}: frames arrive unchanged and in order, more of them than a batch takes`, needsTwin(), (t) => {
    const { port, end, batch } = setUp(t, features, 8);
    const sent = Array.from({ length: 20 }, (_, index) => frame(index, [60, 64, 342, 1514][index % 4]!));
    for (const one of sent) assert.equal(end.send(one), one.length);
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

  test(`${kernel}: a frame longer than a slot shows as longer than the MTU allows`, needsTwin(), (t) => {
    const { port, end, batch } = setUp(t, features);
    end.send(frame(1, 9000));
    end.send(frame(2, 60));
    assert.equal(port.receive(batch), 2);
    assert.ok(batch.length[0]! > 1514);
    assert.deepEqual(frames(batch)[1], frame(2, 60));
  });

  test(`${kernel}: frames are sent unchanged and in order, from wherever they lie in the slab`, needsTwin(), (t) => {
    const { port, end, batch } = setUp(t, features);
    const all = Array.from({ length: 64 }, (_, index) => frame(index, 60 + index));
    put(batch, all);
    for (let index = 0; index < 32; index++) batch.keep(index * 2, index);
    batch.count = 32;
    assert.equal(port.send(batch, 0), 32);
    assert.deepEqual(
      end.receiveAll(),
      all.filter((_, index) => index % 2 === 0),
    );
  });

  test(
    `${kernel}: an empty frame, and one longer than the socket takes, are counted and passed over`,
    needsTwin(),
    (t) => {
      const { port, end, batch } = setUp(t, features);
      put(batch, [frame(1, 60), frame(2, 0), frame(3, 60), frame(4, 61)]);
      twin().control.inject("send errno", 40); // EMSGSIZE
      assert.equal(port.send(batch, 0), 4);
      assert.equal(port.unsendable, 2);
      assert.deepEqual(end.receiveAll(), [frame(3, 60), frame(4, 61)]);
    },
  );

  test(`${kernel}: ENOBUFS keeps the rest, and the port wakes by itself until it is taken`, needsTwin(), async (t) => {
    const { port, end, batch } = setUp(t, features);
    const all = Array.from({ length: 10 }, (_, index) => frame(index, 200));
    put(batch, all);
    twin().control.inject("send full", 12);
    assert.equal(port.send(batch, 0), 0);
    let sent = 0;
    let wakes = 0;
    port.watch({ readable: false, writable: true }, (readable, writable) => {
      assert.deepEqual([readable, writable], [false, true]);
      wakes++;
      sent += port.send(batch, sent);
      if (sent === all.length) port.watch({ readable: false, writable: false }, () => {});
    });
    await until("all are sent", () => sent === all.length);
    assert.equal(wakes, 12);
    assert.deepEqual(end.receiveAll(), all);
  });

  test(`${kernel}: while the receiver is full, frames of the other direction are received`, needsTwin(), async (t) => {
    const { port, end, batch } = setUp(t, features);
    const other = allocateSlab(1514);
    t.after(() => other.free());
    put(batch, [frame(1, 60)]);
    inject(t, "send full", 1_000_000);
    assert.equal(port.send(batch, 0), 0);
    const received: Buffer[] = [];
    port.watch({ readable: true, writable: true }, (readable) => {
      if (readable && port.receive(other.batch) > 0) received.push(...frames(other.batch));
    });
    end.send(frame(2, 80));
    await until("a frame of the other direction", () => received.length === 1);
    assert.deepEqual(received, [frame(2, 80)]);
    assert.equal(port.send(batch, 0), 0);
    port.watch({ readable: false, writable: false }, () => {});
  });

  for (const [errno, name] of [
    [54, "ECONNRESET"],
    [39, "EDESTADDRREQ"],
    [57, "ENOTCONN"],
  ] as const) {
    test(`${kernel}: ${name} means that the VM is gone, in both directions`, needsTwin(), (t) => {
      const { port, batch } = setUp(t, features);
      twin().control.inject("receive errno", errno);
      assert.throws(() => port.receive(batch), PortClosed);
      put(batch, [frame(1, 60)]);
      twin().control.inject("send errno", errno);
      assert.throws(() => port.send(batch, 0), PortClosed);
    });
  }

  test(`${kernel}: an error that nothing explains ends the port with its name`, needsTwin(), (t) => {
    const { port, batch } = setUp(t, features);
    const failed = (error: unknown): boolean => error instanceof PortFailed && /EBADF/.test(error.message);
    twin().control.inject("receive errno", 9);
    assert.throws(() => port.receive(batch), failed);
    put(batch, [frame(1, 60)]);
    twin().control.inject("send errno", 9);
    assert.throws(() => port.send(batch, 0), failed);
  });

  test(`${kernel}: interruptions and a lack of memory are no end`, needsTwin(), (t) => {
    const { port, end, batch } = setUp(t, features);
    end.send(frame(1, 60));
    for (const errno of [4, 12, 55]) {
      twin().control.inject("receive errno", errno);
      assert.equal(port.receive(batch), 0);
    }
    assert.equal(port.receive(batch), 1);
    put(batch, [frame(2, 60)]);
    twin().control.inject("send errno", 4);
    assert.equal(port.send(batch, 0), 1);
  });

  test(`${kernel}: a VM that goes away without a word is noticed by the next check`, needsTwin(), (t) => {
    const { port, end, batch } = setUp(t, features);
    port.check();
    end.close();
    assert.throws(() => port.check(), PortClosed);
    assert.throws(() => port.receive(batch), PortClosed);
  });
}

test("a batch call that moves a part only is called again", needsTwin(), (t) => {
  const { port, end, batch } = setUp(t, KERNELS["batches both ways"]!);
  inject(t, "send cap", 3);
  inject(t, "receive cap", 3);
  const all = Array.from({ length: 10 }, (_, index) => frame(index, 200));
  put(batch, all);
  assert.equal(port.send(batch, 0), 10);
  assert.deepEqual(end.receiveAll(), all);
  for (const one of all) end.send(one);
  const received: Buffer[] = [];
  while (port.receive(batch) > 0) received.push(...frames(batch));
  assert.deepEqual(received, all);
});

test("what is no connected unix datagram socket is refused with one line", needsTwin(), (t) => {
  const libc = loadDarwinLibc(twin().libraries.system);
  const features = darwinFeatures("25.0.0");
  const refused = (fd: number, why: RegExp): void =>
    assert.throws(
      () => new DarwinDatagramPort(libc, features, "--vm-fd", fd),
      (error) => error instanceof UserError && why.test(error.message) && error.message.startsWith(`--vm-fd ${fd}: `),
    );
  refused(999, /this descriptor is not open/);
  const file = openSync("/dev/null", "r");
  t.after(() => closeSync(file));
  refused(file, /not a socket/);
  const stream = pair(SOCK_STREAM);
  t.after(() => {
    stream.end.close();
    closeSync(stream.fd);
  });
  refused(stream.fd, /not a datagram socket/);
});
