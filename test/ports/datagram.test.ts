import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AF_INET, AF_UNIX, SO_SNDBUF, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET } from "../../src/native/linux/libc.ts";
import { DatagramPort } from "../../src/ports/datagram.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { PortClosed } from "../../src/relay/port.ts";
import { UserError } from "../../src/user-error.ts";
import { enterFreshNamespace } from "../support/namespace.ts";
import { type End, frame, libc, pair } from "../support/sockets.ts";
import { needsLoopback, needsRoot } from "../support/tools.ts";

function setUp(t: TestContext, capacity?: number): { port: DatagramPort; end: End; batch: Batch } {
  const { fd, end } = pair(SOCK_DGRAM);
  const port = new DatagramPort(libc, "--vm-fd", fd);
  const slab = allocateSlab(1514, capacity);
  t.after(() => {
    port.close();
    end.close();
    slab.free();
  });
  return { port, end, batch: slab.batch };
}

function frames(batch: Batch): Buffer[] {
  return Array.from({ length: batch.count }, (_, index) =>
    Buffer.from(batch.bytes.subarray(batch.offset[index], batch.offset[index] + batch.length[index])),
  );
}

function put(batch: Batch, all: readonly Buffer[]): void {
  for (const [index, one] of all.entries()) {
    batch.offset[index] = batch.slotOffset(index);
    batch.length[index] = one.length;
    batch.bytes.set(one, batch.offset[index]);
  }
  batch.count = all.length;
}

test("frames arrive unchanged and in order, more of them than a batch takes", (t) => {
  const { port, end, batch } = setUp(t, 8);
  const sent = Array.from({ length: 20 }, (_, index) => frame(index, [60, 64, 342, 1514][index % 4]));
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

test("a frame longer than a slot shows as longer than the MTU allows", (t) => {
  const { port, end, batch } = setUp(t);
  end.send(frame(1, 9000));
  end.send(frame(2, 60));
  assert.equal(port.receive(batch), 2);
  assert.ok(batch.length[0] > 1514);
  assert.deepEqual(frames(batch)[1], frame(2, 60));
});

test("frames are sent unchanged and in order, from wherever they lie in the slab", (t) => {
  const { port, end, batch } = setUp(t);
  const all = Array.from({ length: 64 }, (_, index) => frame(index, 60 + index));
  put(batch, all);
  for (let index = 0; index < 32; index++) batch.keep(index * 2, index);
  batch.count = 32;
  assert.equal(port.send(batch, 0), 32);
  assert.deepEqual(
    end.receiveAll(),
    all.filter((_, index) => index % 2 === 0),
  );
  assert.equal(port.send(batch, 30), 2);
  assert.deepEqual(end.receiveAll(), [all[60], all[62]]);
});

test("one port sends from several batches and receives into several", (t) => {
  const { port, end, batch } = setUp(t);
  const other = allocateSlab(1514);
  t.after(() => other.free());
  for (let round = 0; round < 4; round++) {
    const use = round % 2 === 0 ? batch : other.batch;
    end.send(frame(round, 100));
    assert.equal(port.receive(use), 1);
    assert.deepEqual(frames(use), [frame(round, 100)]);
    put(use, [frame(round, 200)]);
    assert.equal(port.send(use, 0), 1);
    assert.deepEqual(end.receiveAll(), [frame(round, 200)]);
  }
});

test("a full receiver takes a part, and the rest once it has read", (t) => {
  const { port, end, batch } = setUp(t);
  put(
    batch,
    Array.from({ length: 64 }, (_, index) => frame(index, 1514)),
  );
  let taken = 64;
  let total = 0;
  for (; taken === 64; total += taken) taken = port.send(batch, 0);
  assert.ok(taken < 64 && total > 0);
  assert.equal(port.send(batch, taken), 0);
  assert.equal(end.receiveAll().length, total);
  assert.equal(port.send(batch, taken), 64 - taken);
  assert.deepEqual(
    end.receiveAll(),
    Array.from({ length: 64 - taken }, (_, index) => frame(taken + index, 1514)),
  );
  assert.equal(port.unsendable, 0);
});

test("the send buffer holds some hundred frames, where the kernel lets it", (t) => {
  const { port, batch } = setUp(t);
  put(
    batch,
    Array.from({ length: 64 }, (_, index) => frame(index, 1514)),
  );
  let total = 0;
  for (let taken = 64; taken === 64; total += taken) taken = port.send(batch, 0);
  assert.ok(total >= (process.getuid?.() === 0 ? 500 : 60), `${total} frames`);
});

test("a frame that the socket can never take, and an empty one, are left out and counted", (t) => {
  const { port, end } = setUp(t);
  const slab = allocateSlab(60_000, 8);
  t.after(() => slab.free());
  // The smallest send buffer that Linux gives is about 4 KiB (socket(7)).
  assert.equal(libc.setsockopt(Number(port.label.split(" ")[1]), SOL_SOCKET, SO_SNDBUF, [1], 4), 0);
  put(slab.batch, [frame(0, 60), frame(1, 50_000), Buffer.alloc(0), frame(3, 61), Buffer.alloc(0)]);
  let sent = 0;
  const received: Buffer[] = [];
  for (let round = 0; sent < 5 && round < 10; round++) {
    sent += port.send(slab.batch, sent);
    received.push(...end.receiveAll());
  }
  assert.equal(sent, 5);
  assert.deepEqual(received, [frame(0, 60), frame(3, 61)]);
  assert.equal(port.unsendable, 3);
});

test("an empty datagram is a frame without bytes, not the end", (t) => {
  const { port, end, batch } = setUp(t);
  end.send(Buffer.alloc(0));
  assert.equal(port.receive(batch), 1);
  assert.equal(batch.length[0], 0);
});

test("a peer that has closed is noticed by check, and by send", (t) => {
  const { port, end, batch } = setUp(t);
  port.check();
  assert.equal(port.seesPeer, true);
  put(batch, [frame(1, 60)]);
  end.close();
  assert.throws(() => port.check(), PortClosed);
  assert.throws(() => port.send(batch, 0), PortClosed);
});

test("a peer that has closed is noticed although another process holds a copy of our end", async (t) => {
  const { port, end } = setUp(t);
  const fd = Number(port.label.split(" ")[1]);
  const holder = spawn("sleep", ["3600"], { stdio: ["ignore", "ignore", "ignore", fd] });
  t.after(() => holder.kill());
  await sleep(50);
  port.check();
  end.close();
  assert.throws(() => port.check(), { name: "PortClosed", message: `--vm-fd ${fd}: the other side is gone` });
});

test("programs that softnet starts do not inherit the socket", async (t) => {
  const { port } = setUp(t);
  const fd = Number(port.label.split(" ")[1]);
  const child = spawn("sh", ["-c", `test -e /proc/self/fd/${fd}`]);
  const status = await new Promise((resolve) => child.on("exit", resolve));
  assert.equal(status, 1);
});

test("a socket of another network namespace is not asked about, but its death is noticed by send", {
  ...needsRoot(),
}, (t) => {
  const { fd, end } = pair(SOCK_DGRAM);
  const leave = enterFreshNamespace();
  t.after(leave);
  const port = new DatagramPort(libc, "--vm-fd", fd);
  const slab = allocateSlab(1514);
  t.after(() => {
    port.close();
    slab.free();
  });
  assert.equal(port.seesPeer, false);
  end.close();
  port.check();
  put(slab.batch, [frame(1, 60)]);
  assert.throws(() => port.send(slab.batch, 0), PortClosed);
});

test("a port that was closed, also twice, throws instead of touching another file", (t) => {
  const { port, batch } = setUp(t);
  port.receive(batch);
  port.close();
  port.close();
  assert.throws(() => port.receive(batch));
  put(batch, [frame(1, 60)]);
  assert.throws(() => port.send(batch, 0));
});

function refused(fd: number, why: RegExp): void {
  assert.throws(
    () => new DatagramPort(libc, "--vm-fd", fd),
    (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, new RegExp(`^--vm-fd ${fd}: .*; pass a connected unix datagram socket.*$`));
      assert.match(error.message, why);
      return true;
    },
  );
}

test("a descriptor of the wrong kind is one line that names option, value and remedy", (t) => {
  refused(9999, /not open/);
  const file = openSync("/dev/null", "r");
  t.after(() => closeSync(file));
  refused(file, /not a socket/);
  const stream = pair(SOCK_STREAM);
  refused(stream.fd, /not a datagram socket/);
  stream.end.close();
  libc.close(stream.fd);
  const lonely = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
  refused(lonely, /not connected/);
  libc.close(lonely);
});

test("so is a socket of the internet's", needsLoopback(), async (t) => {
  const internet = libc.socket(AF_INET, SOCK_DGRAM, 0);
  const server = createServer();
  t.after(() => {
    libc.close(internet);
    server.close();
  });
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
  );
  const address = Buffer.from([AF_INET, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(libc.connect(internet, address, 16), 0);
  refused(internet, /not a unix socket/);
});
