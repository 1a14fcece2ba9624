/**
 * What softnet itself sends to the VM: refusals of dropped frames and RSTs of flows that a new policy ended, in the
 * network's place, and questions whether the VM still has an address. They wait in a small batch of their own, which never
 * grows: where it is full, the VM has no room for more answers and gets none. Frames come first: nothing is sent here while frames wait for the VM.
 */
import type { FrameView } from "../wire/frame-view.ts";
import type { Batch } from "./batch.ts";
import type { Answerer } from "./options.ts";
import type { FramePort } from "./port.ts";

/** Bytes of the longest answer without IPv6: Ethernet, IPv4 and ICMP headers, and the IPv4 header and 8 bytes that it quotes. */
export const LONGEST_ANSWER = 14 + 20 + 8 + 20 + 8;

export class Answering {
  readonly #batch: Batch;
  readonly #guard: Answerer;
  readonly #vm: FramePort;
  /** Answers before this one were sent. */
  #sent = 0;

  constructor(batch: Batch, guard: Answerer, vm: FramePort) {
    if (batch.slotSize < LONGEST_ANSWER) throw new RangeError("the batch is too small for answers");
    this.#batch = batch;
    this.#guard = guard;
    this.#vm = vm;
    batch.count = 0;
  }

  /** A frame of the VM's was dropped. */
  answer(view: FrameView, verdict: number): void {
    const batch = this.#batch;
    const { count } = batch;
    if (count === batch.capacity) return;
    this.#add(this.#guard.answer(view, verdict, batch.bytes, batch.slotOffset(count)));
  }

  /** Fills the batch up with RSTs and questions; returns whether there is something to send. */
  collect(): boolean {
    const batch = this.#batch;
    while (batch.count < batch.capacity) {
      const at = batch.slotOffset(batch.count);
      const reset = this.#guard.takeReset(batch.bytes, at);
      if (!this.#add(reset === 0 ? (this.#guard.takeProbe?.(batch.bytes, at) ?? 0) : reset)) break;
    }
    return batch.count > 0;
  }

  /** Sends the batch; returns whether there was room for all of it and more may wait. */
  send(): boolean {
    const batch = this.#batch;
    const full = batch.count === batch.capacity;
    this.#sent += this.#vm.send(batch, this.#sent);
    if (this.#sent < batch.count) return false;
    batch.count = 0;
    this.#sent = 0;
    return full;
  }

  #add(length: number): boolean {
    if (length === 0) return false;
    const batch = this.#batch;
    batch.offset[batch.count] = batch.slotOffset(batch.count);
    batch.length[batch.count] = length;
    batch.count++;
    return true;
  }
}
