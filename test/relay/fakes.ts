/** Stand-ins for the relay's tests: a port whose both ends the test holds, a guard that is told what to say, a clock. */
import { Batch, HEADROOM, strideFor } from "../../src/relay/batch.ts";
import type { FramePort, Interest } from "../../src/relay/port.ts";
import type { Answerer, RelayGuard } from "../../src/relay/relay.ts";
import type { FrameView } from "../../src/wire/frame-view.ts";

export const plainBatch = (capacity = 4): Batch => {
  const stride = strideFor(100);
  return new Batch(new Uint8Array(capacity * stride + HEADROOM), 0, capacity, stride);
};

export class FakePort implements FramePort {
  readonly label: string;
  unsendable = 0;
  /** Frames that wait to be received. */
  waiting: number[][] = [];
  /** Frames that were sent here. */
  taken: number[][] = [];
  /** How many more frames it takes. */
  room = Number.POSITIVE_INFINITY;
  /** What each frame that is received has left to do, in turn; 0 where there is none any more. */
  left: number[] = [];
  /** The same of those that were sent here. */
  takenLeft: number[] = [];
  receives = 0;
  checks = 0;
  interest: Interest = { readable: false, writable: false };
  failReceive: Error | undefined;
  failSend: Error | undefined;
  failCheck: Error | undefined;
  /** Milliseconds; what events tell of this port. */
  checkInterval = 50;
  #wake: (readable: boolean, writable: boolean) => void = () => {};

  constructor(label: string) {
    this.label = label;
  }

  receive(batch: Batch): number {
    this.receives++;
    if (this.failReceive !== undefined) throw this.failReceive;
    batch.count = 0;
    let at = batch.slotOffset(0);
    // One a slot; side by side where a batch takes more than it has slots, as a TAP does.
    const isPacked = batch.most > batch.capacity;
    while (batch.count < batch.most && batch.hasRoom(at) && this.waiting.length > 0) {
      const frame = this.waiting.shift()!;
      batch.offset[batch.count] = at;
      batch.length[batch.count] = frame.length;
      batch.bytes.set(frame, at);
      at = isPacked ? batch.behind(at, frame.length) : batch.slotOffset(batch.count + 1);
      batch.offload[batch.count] = this.left.shift() ?? 0;
      batch.count++;
    }
    return batch.count;
  }

  send(batch: Batch, first: number): number {
    if (this.failSend !== undefined) throw this.failSend;
    let next = first;
    for (; next < batch.count && this.room > 0; next++, this.room--) {
      const at = batch.offset[next];
      this.taken.push([...batch.bytes.subarray(at, at + batch.length[next])]);
      this.takenLeft.push(batch.offload[next]);
    }
    return next - first;
  }

  watch(interest: Interest, wake: (readable: boolean, writable: boolean) => void): void {
    this.interest = interest;
    this.#wake = wake;
  }

  check(): void {
    this.checks++;
    if (this.failCheck !== undefined) throw this.failCheck;
  }

  close(): void {}

  /** What the event loop does. */
  wake(readable: boolean, writable: boolean): void {
    this.#wake(readable, writable);
  }
}

/** Drops a frame whose first byte is not 0, for the reason of that number. */
export class FakeGuard implements RelayGuard {
  deadline = Number.POSITIVE_INFINITY;
  times: number[] = [];
  offloads: number[] = [];
  judged: string[] = [];
  fail = false;

  advance(time: number): void {
    this.times.push(time);
  }

  judgeEgress(view: FrameView): number {
    this.offloads.push(view.offload);
    return this.#judge("egress", view);
  }

  judgeIngress(view: FrameView): number {
    this.offloads.push(view.offload);
    return this.#judge("ingress", view);
  }

  #judge(direction: string, { bytes, frame, length }: FrameView): number {
    if (this.fail) throw new TypeError("a fault in the guard");
    this.judged.push(`${direction} ${bytes.subarray(frame, frame + length).join(",")}`);
    return bytes[frame];
  }
}

/** Answers a dropped frame of more than one byte with 0xa and that frame, and tells of as many ended flows as it is told. */
export class AnsweringGuard extends FakeGuard implements Answerer {
  resets = 0;
  /** How many questions to the VM are due. */
  probes = 0;
  asked = 0;

  answer({ bytes, frame, length }: FrameView, verdict: number, out: Uint8Array, at: number): number {
    this.asked++;
    if (length < 2) return 0;
    out.set([0xa, verdict, ...bytes.subarray(frame + 1, frame + length)], at);
    return length + 1;
  }

  takeReset(out: Uint8Array, at: number): number {
    this.asked++;
    if (this.resets === 0) return 0;
    out.set([0xb, this.resets--], at);
    return 2;
  }

  takeProbe(out: Uint8Array, at: number): number {
    if (this.probes === 0) return 0;
    out.set([0xc, this.probes--], at);
    return 2;
  }
}
