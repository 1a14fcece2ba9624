/** The VM's socket: how large batches of recvmsg_x and sendmsg_x get, full receivers, and a peer that goes away. */
import { type DarwinLibc, SO_RCVBUF, SO_SNDBUF, SOCK_DGRAM, SOL_SOCKET } from "../../src/native/darwin/libc.ts";
import type { DarwinFeatures } from "../../src/native/darwin/release.ts";
import { DarwinDatagramPort } from "../../src/ports/darwin-datagram.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import type { Batch } from "../../src/relay/batch.ts";
import { PortClosed } from "../../src/relay/port.ts";
import { type Finding, failed, leftOut, open, type Point } from "./points.ts";
import { socketPair } from "./socket-pair.ts";

const FRAMES = 20_000;
const LENGTH = 1514;
const PATIENCE = 20_000; // milliseconds
/** As Tart gives them to both ends. */
const RECEIVE_BUFFER = 4 << 20;
const SEND_BUFFER = 1 << 20;

/** `path` is the library's. */
export function socketPoints(libc: DarwinLibc, features: DarwinFeatures, path: string): Point[] {
  return [
    { name: "sockets: how large batches get, and that nothing is lost", run: () => measure(libc, features, path) },
  ];
}

function measure(libc: DarwinLibc, features: DarwinFeatures, path: string): Finding {
  if (!features.sendsBatches && !features.receivesBatches) return leftOut("this kernel is trusted with no batch call");
  const [one, other] = pairOf(libc, path);
  const sender = new DarwinDatagramPort(libc, features, "sender", one);
  const receiver = new DarwinDatagramPort(libc, features, "receiver", other);
  const slabs = [allocateSlab(LENGTH), allocateSlab(LENGTH)] as const;
  try {
    const { received, reads, largest, full } = transfer(sender, receiver, slabs[0].batch, slabs[1].batch);
    if (received < FRAMES) return failed(`frame ${received} of ${FRAMES} did not come as it was sent`);
    const average = (FRAMES / reads).toFixed(1);
    const batches = features.receivesBatches ? `${average} at once on average, ${largest} at the most` : "one by one";
    const details = `sent ${FRAMES} frames in order; received ${batches}; ENOBUFS ${full} times`;
    sender.close();
    return seesEnd(receiver) ? open(details) : failed(`${details}\na peer that has closed is not noticed`);
  } finally {
    sender.close();
    receiver.close();
    for (const { free } of slabs) free();
  }
}

/** Sends until the receiver is full, receives until nothing is there, and so on. Ends with the first wrong frame. */
function transfer(sender: DarwinDatagramPort, receiver: DarwinDatagramPort, outgoing: Batch, incoming: Batch) {
  const counts = { sent: 0, received: 0, reads: 0, largest: 0, full: 0 };
  const deadline = performance.now() + PATIENCE;
  while (counts.received < FRAMES && performance.now() < deadline) {
    for (let isFull = false; counts.sent < FRAMES && !isFull; ) {
      fill(outgoing, counts.sent);
      const taken = sender.send(outgoing, 0);
      isFull = taken < outgoing.count;
      if (isFull) counts.full++;
      counts.sent += taken;
    }
    for (let count = receiver.receive(incoming); count > 0; count = receiver.receive(incoming)) {
      counts.reads++;
      counts.largest = Math.max(counts.largest, count);
      for (let index = 0; index < count; index++) {
        if (numberOf(incoming, index) !== counts.received || incoming.length[index] !== LENGTH) return counts;
        counts.received++;
      }
    }
  }
  return counts;
}

/** A batch of frames with these numbers. */
function fill(batch: Batch, first: number): void {
  batch.count = Math.min(batch.capacity, FRAMES - first);
  for (let index = 0; index < batch.count; index++) {
    batch.offset[index] = batch.slotOffset(index);
    batch.length[index] = LENGTH;
    viewOf(batch, index).setUint32(0, first + index);
  }
}

function numberOf(batch: Batch, index: number): number {
  return viewOf(batch, index).getUint32(0);
}

function viewOf({ bytes, offset }: Batch, index: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + offset[index]!);
}

function seesEnd(port: DarwinDatagramPort): boolean {
  try {
    port.check();
    return false;
  } catch (error) {
    if (error instanceof PortClosed) return true;
    throw error;
  }
}

function pairOf(libc: DarwinLibc, path: string): readonly [number, number] {
  const ends = socketPair(libc, path, SOCK_DGRAM);
  for (const fd of ends) {
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, [RECEIVE_BUFFER], 4);
    libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, [SEND_BUFFER], 4);
  }
  return ends;
}
