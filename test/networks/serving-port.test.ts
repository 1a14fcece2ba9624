/** The port with the DHCP server in it, by itself, between batches. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { DROP_REASONS } from "../../src/guard/reasons.ts";
import { type ReplySource, ServingPort } from "../../src/networks/dhcp/serving-port.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { INGRESS } from "../../src/relay/direction.ts";
import type { FramePort } from "../../src/relay/port.ts";
import type { FrameView } from "../../src/wire/frame-view.ts";
import { COMPLETE, PARTIAL_TCP } from "../../src/wire/virtio-net.ts";
import {
  arp,
  Client,
  dhcp,
  EVERYONE,
  icmp,
  patch,
  rawMessage,
  Server,
  tcp,
  udp,
  withChecksum,
} from "../guard/support.ts";
import { FakePort } from "../relay/fakes.ts";
import { emptyBatch, OWN, served } from "./serving-support.ts";

/** Answers every frame with its last byte, and keeps what it was asked. */
class Echo implements ReplySource {
  asked: number[] = [];
  answer({ bytes, frame, length }: FrameView): Uint8Array {
    const last = bytes[frame + length - 1];
    this.asked.push(last);
    return Uint8Array.of(0xee, last);
  }
}

const IMPATIENT = { readable: true, writable: false };
const DEAF = { readable: false, writable: true };

function batchOf(...frames: readonly Uint8Array[]): Batch {
  const batch = emptyBatch(Math.max(1, frames.length));
  for (const [index, frame] of frames.entries()) {
    batch.offset[index] = batch.slotOffset(index);
    batch.length[index] = frame.length;
    batch.bytes.set(frame, batch.offset[index]);
  }
  batch.count = frames.length;
  return batch;
}

function framesOf(batch: Batch): number[][] {
  return Array.from({ length: batch.count }, (_, index) => [
    ...batch.bytes.subarray(batch.offset[index], batch.offset[index] + batch.length[index]),
  ]);
}

/** A frame to the server, with a number as its last byte. */
const question = (number: number): Uint8Array => udp(68, 67, { destination: EVERYONE }, Uint8Array.of(number));
/** An ordinary frame, with a number as its last byte. */
const ordinary = (number: number): Uint8Array => udp(5353, 53, {}, Uint8Array.of(number));
const numberOf = (frame: readonly number[]): number => frame.at(-1)!;

function scene(server: ReplySource = new Echo()): { port: ServingPort; inner: FakePort } {
  const inner = new FakePort("tap");
  return { port: new ServingPort(inner, server), inner };
}

/* send */

test("frames to port 67 are asked and taken, the others are sent on in order", () => {
  const echo = new Echo();
  const { port, inner } = scene(echo);
  const batch = batchOf(question(1), ordinary(2), ordinary(3), question(4), question(5), ordinary(6), question(7));
  assert.equal(port.send(batch, 0), 7);
  assert.deepEqual(inner.taken.map(numberOf), [2, 3, 6]);
  assert.deepEqual(echo.asked, [1, 4, 5, 7]);
  assert.equal(batch.count, 7);
});

test("what only looks like DHCP is sent on", () => {
  const { port, inner } = scene();
  const frames = [
    udp(67, 68),
    udp(68, 66),
    udp(67, 1067),
    tcp(67),
    icmp(8),
    arp(),
    patch(question(1), 12, 0x86, 0xdd),
    udp(68, 67, { offset: 9 }, Uint8Array.of(1)), // a later fragment: these bytes are no ports
    question(1).subarray(0, 37), // cut in front of the ports' end
    Uint8Array.of(),
  ];
  assert.equal(port.send(batchOf(...frames), 0), frames.length);
  assert.deepEqual(
    inner.taken,
    frames.map((frame) => [...frame]),
  );
});

test("UDP to port 67 is never sent on, whatever its addresses, source port, fragments and IP options", () => {
  const { port, inner } = scene(served());
  const question = new Client().discover();
  const optioned = new Uint8Array(question.length + 4);
  optioned.set(question.subarray(0, 34));
  optioned.set(question.subarray(34), 38);
  optioned[14] = 0x46;
  const frames = [
    new Client().renew(OWN, "192.0.2.7"),
    udp(1024, 67),
    udp(68, 67, { more: true }),
    withChecksum(optioned),
    dhcp({ type: 1 }, rawMessage({ type: 1 }, Uint8Array.of())),
  ];
  assert.equal(port.send(batchOf(...frames), 0), frames.length);
  assert.deepEqual(inner.taken, []);
});

test("when the wrapped port is full in front of a question, it is asked later, once", () => {
  const echo = new Echo();
  const { port, inner } = scene(echo);
  const batch = batchOf(ordinary(1), ordinary(2), question(3), ordinary(4));
  inner.room = 1;
  assert.equal(port.send(batch, 0), 1);
  assert.deepEqual(echo.asked, []);
  assert.equal(port.send(batch, 1), 0);
  inner.room = 1;
  assert.equal(port.send(batch, 1), 2); // the second frame and the question
  assert.deepEqual(echo.asked, [3]);
  assert.equal(port.send(batch, 3), 0);
  inner.room = 9;
  assert.equal(port.send(batch, 3), 1);
  assert.deepEqual(echo.asked, [3]);
  assert.deepEqual(inner.taken.map(numberOf), [1, 2, 4]);
});

test("any mixture, taken in any pieces: every question is asked once, every other frame sent once, in order", () => {
  const kinds = fc.array(fc.boolean(), { maxLength: 24 });
  const rooms = fc.array(fc.nat(3), { maxLength: 40 });
  fc.assert(
    fc.property(kinds, rooms, (questions, pieces) => {
      const echo = new Echo();
      const { port, inner } = scene(echo);
      const batch = batchOf(...questions.map((asks, index) => (asks ? question(index) : ordinary(index))));
      const before = framesOf(batch);
      let sent = 0;
      for (const room of [...pieces, 1000]) {
        inner.room = room;
        sent += port.send(batch, sent);
        assert.ok(sent <= batch.count);
        // What was taken, and nothing behind it.
        const taken = [...inner.taken.map(numberOf), ...echo.asked].toSorted((a, b) => a - b);
        assert.deepEqual(
          taken,
          Array.from({ length: sent }, (_, index) => index),
        );
        assert.deepEqual(framesOf(batch), before);
      }
      assert.equal(sent, questions.length);
      assert.deepEqual(
        inner.taken.map(numberOf),
        inner.taken.map(numberOf).toSorted((a, b) => a - b),
      );
      assert.deepEqual(
        echo.asked,
        echo.asked.toSorted((a, b) => a - b),
      );
    }),
    { numRuns: 300 },
  );
});

test("the batch is whole again when the wrapped port throws", () => {
  const { port, inner } = scene();
  const batch = batchOf(ordinary(1), question(2), ordinary(3));
  inner.failSend = new Error("gone");
  assert.throws(() => port.send(batch, 0), /gone/);
  assert.equal(batch.count, 3);
});

/* receive */

test("replies come before the wrapped port's frames, in the order of the questions", () => {
  const { port, inner } = scene();
  inner.waiting = [[1], [2]];
  port.send(batchOf(question(7), question(8)), 0);
  const batch = emptyBatch();
  assert.equal(port.receive(batch), 2);
  assert.deepEqual(framesOf(batch), [
    [0xee, 7],
    [0xee, 8],
  ]);
  assert.equal(port.receive(batch), 2);
  assert.deepEqual(framesOf(batch), [[1], [2]]);
  assert.equal(port.receive(batch), 0);
});

test("a batch takes as many replies as it has slots for, the others come next", () => {
  const { port } = scene();
  port.send(batchOf(question(1), question(2), question(3)), 0);
  const batch = emptyBatch(2);
  assert.equal(port.receive(batch), 2);
  assert.equal(port.receive(batch), 1);
  assert.deepEqual(framesOf(batch), [[0xee, 3]]);
});

test("the ninth reply that waits is dropped and counted", () => {
  const { port } = scene();
  port.send(batchOf(...Array.from({ length: 11 }, (_, index) => question(index))), 0);
  const batch = emptyBatch();
  assert.equal(port.receive(batch), 8);
  assert.deepEqual(framesOf(batch).map(numberOf), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.equal(port.dropped, 3);
});

test("a reply longer than a slot is dropped and counted", () => {
  const { port } = scene(served());
  port.send(batchOf(new Client().discover()), 0);
  assert.equal(port.receive(emptyBatch(4, 200)), 0);
  assert.equal(port.dropped, 1);
});

test("D25 another DHCP server behind the wrapped port is not heard, all else is", () => {
  const { port, inner } = scene();
  const client = new Client();
  const rogue = new Server();
  const others = [udp(53, 68), udp(67, 67), udp(68, 67), arp(), icmp(0)].map((frame) => [...frame]);
  inner.waiting = [
    [...rogue.offer(client, OWN)],
    ...others.slice(0, 2),
    [...rogue.ack(client, OWN)],
    [...rogue.nak(client)],
    ...others.slice(2),
  ];
  const batch = emptyBatch();
  assert.equal(port.receive(batch), others.length);
  assert.deepEqual(framesOf(batch), others);
  assert.equal(port.refused, 3);
});

test("what the port drops is counted under reasons of the list, once, and what the wrapped port drops with it", () => {
  const { port, inner } = scene();
  const counted: unknown[] = [];
  const count = (): unknown[] => {
    counted.length = 0;
    port.countDrops((direction, verdict, frames) => {
      if (frames > 0) counted.push([direction, DROP_REASONS[verdict - 1]!.name, frames]);
    });
    return counted;
  };
  assert.deepEqual(count(), []);
  port.send(batchOf(...Array.from({ length: 11 }, (_, index) => question(index))), 0);
  port.receive(emptyBatch()); // the replies
  inner.waiting = [[...new Server().offer(new Client(), OWN)]];
  port.receive(emptyBatch());
  assert.deepEqual(count(), [
    [INGRESS, "dhcp.server", 1],
    [INGRESS, "dhcp.pending", 3],
  ]);
  assert.deepEqual(count(), []);
  (inner as FramePort).countDrops = (add) => add(INGRESS, 1, 2);
  assert.deepEqual(count(), [[INGRESS, DROP_REASONS[0]!.name, 2]]);
});

/* watch */

/** Counts wakes; they are for reading only. */
function counter(): { wakes: number; wake: (readable: boolean, writable: boolean) => void } {
  const count = {
    wakes: 0,
    wake: (readable: boolean, writable: boolean) => {
      assert.deepEqual([readable, writable], [true, false]);
      count.wakes++;
    },
  };
  return count;
}

test("replies wake who watches for reading, once for all, and nobody when they were fetched already", async () => {
  const { port } = scene();
  const count = counter();
  port.watch(IMPATIENT, count.wake);
  await turn();
  assert.equal(count.wakes, 0);
  port.send(batchOf(question(1)), 0);
  port.send(batchOf(question(2)), 0);
  assert.equal(count.wakes, 0, "not from within send");
  await turn();
  assert.equal(count.wakes, 1);
  port.receive(emptyBatch());
  port.receive(emptyBatch());
  await turn();
  assert.equal(count.wakes, 1);
});

test("after a batch of replies it wakes again, for what the wrapped port had to say before", async () => {
  const { port } = scene();
  const count = counter();
  port.watch(IMPATIENT, count.wake);
  port.send(batchOf(question(1)), 0);
  port.receive(emptyBatch());
  await turn();
  assert.equal(count.wakes, 1);
});

test("after a full batch that lost frames to the filter it wakes again", async () => {
  const { port, inner } = scene();
  const count = counter();
  port.watch(IMPATIENT, count.wake);
  const rogue = [...new Server().offer(new Client(), OWN)];
  inner.waiting = [rogue, rogue, [1]];
  assert.equal(port.receive(emptyBatch(2)), 0);
  await turn();
  assert.equal(count.wakes, 1);
  assert.equal(port.receive(emptyBatch(2)), 1);
  await turn();
  assert.equal(count.wakes, 1);
});

test("it wakes nobody while reading is not wanted, and at once when it is again", async () => {
  const { port, inner } = scene();
  const count = counter();
  port.send(batchOf(question(1)), 0); // before any watch
  port.watch(IMPATIENT, count.wake);
  port.watch(DEAF, count.wake);
  port.send(batchOf(question(2)), 0);
  await turn();
  assert.equal(count.wakes, 0);
  assert.deepEqual(inner.interest, DEAF);
  port.watch(IMPATIENT, count.wake);
  await turn();
  assert.equal(count.wakes, 1);
});

test("nothing happens after close", async () => {
  const { port } = scene();
  const count = counter();
  port.watch(IMPATIENT, count.wake);
  port.send(batchOf(question(1)), 0);
  port.close();
  port.close();
  port.send(batchOf(question(2)), 0);
  await turn();
  assert.equal(count.wakes, 0);
});

test("label, unsendable frames, checks, events and errors are the wrapped port's", () => {
  const { port, inner } = scene();
  inner.unsendable = 3;
  assert.deepEqual([port.label, port.unsendable], ["tap", 3]);
  inner.failCheck = new Error("gone");
  assert.throws(() => port.check(), /gone/);
  inner.failReceive = new Error("broken");
  assert.throws(() => port.receive(emptyBatch()), /broken/);
  const woken: boolean[][] = [];
  port.watch(IMPATIENT, (...events) => woken.push(events));
  inner.wake(false, true);
  assert.deepEqual(woken, [[false, true]]);
});

test("a reply is complete, whatever the frame before it in that slot had left to do", () => {
  const { port, inner } = scene();
  const batch = emptyBatch();
  inner.waiting = [[...tcp(443)]];
  inner.left = [PARTIAL_TCP];
  port.receive(batch);
  assert.equal(batch.offload[0], PARTIAL_TCP);
  port.send(batchOf(question(1)), 0);
  assert.equal(port.receive(batch), 1);
  assert.equal(batch.offload[0], COMPLETE);
});

test("it takes offloads where the wrapped port does", () => {
  const inner = Object.assign(new FakePort("tap"), { takesOffloads: true, enableOffloads: () => true });
  const port = new ServingPort(inner, served());
  assert.deepEqual([port.takesOffloads, port.enableOffloads(false)], [true, true]);
  const without = new ServingPort(new FakePort("socket"), served());
  assert.deepEqual([without.takesOffloads, without.enableOffloads(false)], [false, false]);
});
