/** The relay between real sockets: what a VM and a network see of it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { bootClock } from "../../src/native/linux/clock.ts";
import { SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { DatagramPort } from "../../src/ports/datagram.ts";
import { linuxUnix } from "../../src/ports/linux-unix.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { StreamPort } from "../../src/ports/stream.ts";
import { EGRESS, INGRESS } from "../../src/relay/direction.ts";
import { Relay, type RelayEnd, type RelayGuard } from "../../src/relay/relay.ts";
import { PATIENCE, until } from "../support/patience.ts";
import { type End, frame, libc, pair } from "../support/sockets.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

interface Scene {
  vm: End;
  vmFd: number;
  network: End;
  relay: Relay;
  ended: Promise<RelayEnd>;
}

/** Drops frames whose last byte is 0xee. */
const guard: RelayGuard = {
  advance: () => {},
  judgeEgress: ({ bytes, frame, length }) => (bytes[frame + length - 1] === 0xee ? 2 : 0),
  judgeIngress: ({ bytes, frame, length }) => (bytes[frame + length - 1] === 0xee ? 2 : 0),
};

function setUp(t: TestContext, networkType: number = SOCK_DGRAM): Scene {
  const vmPair = pair(SOCK_DGRAM);
  const networkPair = pair(networkType);
  const vm = new DatagramPort(libc, "--vm-fd", vmPair.fd);
  const network =
    networkType === SOCK_DGRAM
      ? new DatagramPort(libc, "--host-fd", networkPair.fd)
      : new StreamPort(linuxUnix(libc), "--host-fd", networkPair.fd);
  const slabs = [allocateSlab(1514), allocateSlab(1514)];
  let end: (end: RelayEnd) => void = () => {};
  const ended = new Promise<RelayEnd>((resolve) => {
    end = resolve;
  });
  const relay = new Relay({
    vm,
    network,
    guard,
    clock: bootClock(libc),
    batches: [slabs[0].batch, slabs[1].batch],
    onEnd: end,
  });
  t.after(() => {
    relay.stop();
    vm.close();
    network.close();
    vmPair.end.close();
    networkPair.end.close();
    for (const slab of slabs) slab.free();
  });
  relay.start();
  return { vm: vmPair.end, vmFd: vmPair.fd, network: networkPair.end, relay, ended };
}

/** Collects datagrams until there are as many as that. */
async function collect(end: End, count: number): Promise<Buffer[]> {
  const all: Buffer[] = [];
  return await until(`${count} datagrams`, () => {
    all.push(...end.receiveAll());
    return all.length >= count && all;
  });
}

test("ten thousand frames each way arrive unchanged and in order, without those that are dropped", async (t) => {
  const { vm, network, relay } = setUp(t);
  const count = 10_000;
  const make = (index: number): Buffer => {
    const bytes = frame(index, 60 + (index % 1455));
    bytes[bytes.length - 1] = index % 10 === 9 ? 0xee : 0;
    return bytes;
  };
  const received: [Buffer[], Buffer[]] = [[], []];
  const sent = [0, 0];
  const deadline = performance.now() + PATIENCE;
  while ((received[0].length < count * 0.9 || received[1].length < count * 0.9) && performance.now() < deadline) {
    while (sent[0] < count && vm.send(make(sent[0])) > 0) sent[0]++;
    while (sent[1] < count && network.send(make(sent[1])) > 0) sent[1]++;
    await sleep(0);
    received[0].push(...network.receiveAll());
    received[1].push(...vm.receiveAll());
  }
  const expected = Array.from({ length: count }, (_, index) => index).filter((index) => index % 10 !== 9);
  for (const direction of [EGRESS, INGRESS]) {
    assert.equal(received[direction].length, expected.length);
    for (const [at, index] of expected.entries()) assert.ok(received[direction][at].equals(make(index)));
    assert.equal(relay.counters.frames[direction], expected.length);
    assert.equal(relay.counters.drops[direction][2], count / 10);
    assert.equal(relay.counters.undelivered[direction], 0);
  }
});

test("a receiver that reads nothing does not stop the other direction, and what it misses is counted", async (t) => {
  const { vm, network, relay } = setUp(t);
  for (let round = 0; round < 40; round++) {
    while (vm.send(frame(round, 1500)) > 0);
    network.send(frame(round, 100));
    await sleep(5);
  }
  assert.equal((await collect(vm, 40)).length, 40);
  await until("a frame that is not delivered", () => relay.counters.undelivered[EGRESS] > 0);
  assert.equal(relay.counters.undelivered[INGRESS], 0);
});

test("a full receiver that begins to read gets everything", async (t) => {
  const { vm, network, relay } = setUp(t);
  let sent = 0;
  for (; sent < 3000 && vm.send(frame(sent, 1500)) > 0; sent++);
  const all = await collect(network, sent);
  assert.deepEqual(
    all.map((one) => one.readUInt32BE()),
    Array.from({ length: sent }, (_, index) => index),
  );
  assert.equal(relay.counters.undelivered[EGRESS], 0);
});

test("the VM's end closing is noticed on an idle link while another process holds a copy of ours", async (t) => {
  const { vm, vmFd, ended } = setUp(t);
  const holder = spawn("sleep", ["3600"], { stdio: ["ignore", "ignore", "ignore", vmFd] });
  t.after(() => holder.kill());
  await sleep(50);
  vm.close();
  const { side, error } = await ended;
  assert.equal(side, "vm");
  assert.equal(error.name, "PortClosed");
});

test("the network's end closing is noticed, for datagrams and for streams", async (t) => {
  for (const type of [SOCK_DGRAM, SOCK_STREAM]) {
    const { network, ended } = setUp(t, type);
    network.close();
    const { side, error } = await ended;
    assert.equal(side, "network");
    assert.equal(error.name, "PortClosed");
  }
});

test("L12: bytes that follow no framing end the relay, naming the network", async (t) => {
  const { network, ended } = setUp(t, SOCK_STREAM);
  network.send(Uint8Array.of(0, 0, 0, 0, 1, 2, 3));
  const { side, error } = await ended;
  assert.equal(side, "network");
  assert.equal(error.name, "PortFailed");
  assert.match(error.message, /framing error/);
});

test("frames pass between datagrams and a stream", async (t) => {
  const { vm, network } = setUp(t, SOCK_STREAM);
  vm.send(frame(1, 60));
  vm.send(frame(2, 1514));
  const bytes: Buffer[] = [];
  await until("both frames", () => {
    bytes.push(network.receive() ?? Buffer.alloc(0));
    return Buffer.concat(bytes).length >= 60 + 1514 + 8;
  });
  network.send(Buffer.concat(bytes));
  assert.deepEqual(await collect(vm, 2), [frame(1, 60), frame(2, 1514)]);
});

test("frames still move after garbage collections", async (t) => {
  const { vm, network } = setUp(t);
  for (let round = 0; round < 5; round++) {
    collectGarbage();
    await sleep(10);
  }
  vm.send(frame(1, 60));
  network.send(frame(2, 60));
  assert.deepEqual(await collect(network, 1), [frame(1, 60)]);
  assert.deepEqual(await collect(vm, 1), [frame(2, 60)]);
});

test("moving frames leaves nothing on the heap", async (t) => {
  const { vm, network } = setUp(t);
  const move = async (count: number): Promise<void> => {
    const one = frame(1, 60);
    for (let moved = 0; moved < count; ) {
      for (let index = 0; index < 64; index++) if (vm.send(one) > 0) moved++;
      await turn();
      network.receiveAll();
    }
  };
  await move(20_000);
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  await move(100_000);
  collectGarbage();
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 1_000_000, `${grown} bytes more after 100,000 frames`);
});
