/**
 * A started vmnet interface as a port. Frames move in batches of one call, straight between vmnet and the batch's slab.
 *
 * - vmnet reports frames with an event, once, and maybe not again while some are left: after it the interface is read
 *   until it is empty. `#owed` says that it may not be; where the relay could not empty it, this port wakes it again. An
 *   event that got lost costs no more than a tick: `check` wakes too.
 * - When the kernel's buffers are full, nothing tells when they have room: the unsent rest stays with the relay, and this
 *   port wakes it to try again (retry.ts).
 * - vmnet refuses a whole batch for one frame that it does not like. Such frames are kept from it as far as they are
 *   known; after a refusal the frames are sent one by one, and the one that is refused alone is counted as unsendable.
 *
 * The port knows nothing of starting and stopping: networks/vmnet/interface.ts owns the interface, calls `arrived`, and
 * calls `free` when vmnet has let go of all memory.
 */

import {
  VMNET_BUFFER_EXHAUSTED,
  VMNET_INVALID_ARGUMENT,
  VMNET_MEM_FAILURE,
  VMNET_PACKET_TOO_BIG,
  VMNET_SUCCESS,
  VMNET_TOO_MANY_PACKETS,
  type Vmnet,
} from "../native/darwin/vmnet.ts";
import { describeStatus } from "../native/darwin/vmnet-status.ts";
import type { Wake } from "../native/poll.ts";
import type { Batch } from "../relay/batch.ts";
import { type FramePort, type Interest, PortFailed } from "../relay/port.ts";
import { ETHERNET_HEADER } from "../wire/ethernet.ts";
import { PacketDescriptors } from "./packet-descriptors.ts";
import { PerBatch } from "./per-batch.ts";
import { Retry } from "./retry.ts";

/** Bytes of one write at the most (Apple's documentation of vmnet). */
const MOST_BYTES = 256 * 1024;

/** The receiver is full. */
const FULL = -1;

export interface VmnetPortOptions {
  /** The interface's address. */
  readonly vmnetInterface: number;
  readonly label: string;
  /** Longest frame in bytes. */
  readonly maxPacketSize: number;
  /** Frames of one read and of one write, at the most. */
  readonly readLimit: number;
  readonly writeLimit: number;
}

export class VmnetPort implements FramePort {
  readonly label: string;
  unsendable = 0;
  readonly #vmnet: Vmnet;
  readonly #interface: number;
  readonly #maxPacketSize: number;
  readonly #readLimit: number;
  readonly #retry: Retry;
  #writeLimit: number;
  // None is freed before the end: vmnet has been given their memory.
  readonly #incoming = new PerBatch((batch) => new PacketDescriptors(batch), Number.POSITIVE_INFINITY);
  readonly #outgoing = new PerBatch((batch) => new PacketDescriptors(batch), Number.POSITIVE_INFINITY);
  #readable = false;
  #wake: Wake = () => {};
  /** Frames may wait that no event reports any more. */
  #owed = false;
  #soon: NodeJS.Immediate | undefined;
  /** Frames that are sent one by one: those before this place in the batch. */
  #singlyBefore = 0;
  #closed = false;

  constructor(vmnet: Vmnet, options: VmnetPortOptions) {
    this.label = options.label;
    this.#vmnet = vmnet;
    this.#interface = options.vmnetInterface;
    this.#maxPacketSize = options.maxPacketSize;
    this.#readLimit = options.readLimit;
    this.#writeLimit = Math.max(1, Math.min(options.writeLimit, Math.floor(MOST_BYTES / options.maxPacketSize)));
    this.#retry = new Retry(() => this.#wake(false, true));
  }

  /** vmnet says that frames are there. Throws nothing. */
  arrived(): void {
    this.#owed = true;
    if (this.#readable && !this.#closed) this.#wake(true, false);
  }

  receive(batch: Batch): number {
    batch.count = 0;
    if (this.#closed) return 0;
    if (batch.slotSize < this.#maxPacketSize) throw new Error(`a slot takes ${batch.slotSize} bytes: too few`);
    const packets = this.#incoming.of(batch);
    let count = 0;
    this.#owed = true;
    while (count < batch.capacity) {
      const status = this.#read(packets, batch, count);
      if (status !== VMNET_SUCCESS) {
        // What came before goes first: the next call meets the failure again.
        if (count > 0 || status === VMNET_BUFFER_EXHAUSTED) break;
        throw new PortFailed(this.label, `cannot receive: ${describeStatus(status)}`);
      }
      const received = packets.count;
      if (received === 0) {
        this.#owed = false;
        break;
      }
      for (let index = count; index < count + received; index++) {
        batch.offset[index] = batch.slotOffset(index);
        batch.length[index] = packets.size(index);
      }
      count += received;
    }
    batch.count = count;
    return count;
  }

  send(batch: Batch, first: number): number {
    if (this.#closed) return 0;
    const packets = this.#outgoing.of(batch);
    const { offset, length, count } = batch;
    this.#singlyBefore = 0;
    let next = first;
    while (next < count) {
      const limit = next < this.#singlyBefore ? 1 : this.#writeLimit;
      let run = 0;
      for (let index = next; index < count && run < limit && this.#isSendable(length[index]); index++) {
        packets.set(run, offset[index], length[index]);
        run++;
      }
      if (run === 0) {
        this.unsendable++;
        next++;
        continue;
      }
      packets.count = run;
      const status = this.#vmnet.vmnet_write(this.#interface, packets.address, packets.countAddress);
      const step = status === VMNET_SUCCESS ? packets.count || FULL : this.#afterRefusal(status, next, run);
      if (step < 0) break;
      next += step; // after a part of them the next call shows what stopped it
    }
    return next - first;
  }

  watch(interest: Interest, wake: Wake): void {
    this.#wake = wake;
    this.#readable = interest.readable;
    if (interest.writable && !this.#closed) this.#retry.start();
    else this.#retry.stop();
    if (this.#readable && this.#owed) this.#wakeSoon();
  }

  check(): void {
    if (this.#readable) this.#wakeSoon();
  }

  /** Ends all use of the interface; its memory stays until `free`. */
  close(): void {
    this.#closed = true;
    this.#readable = false;
    this.#retry.stop();
    clearImmediate(this.#soon);
    this.#soon = undefined;
  }

  /** Gives the memory back: vmnet must have stopped. */
  free(): void {
    this.#incoming.free();
    this.#outgoing.free();
  }

  #read(packets: PacketDescriptors, batch: Batch, first: number): number {
    const room = Math.min(batch.capacity - first, this.#readLimit);
    for (let index = first; index < first + room; index++) {
      packets.set(index, batch.slotOffset(index), this.#maxPacketSize);
    }
    packets.count = room;
    return this.#vmnet.vmnet_read(this.#interface, packets.at(first), packets.countAddress);
  }

  /** A frame that vmnet takes: a whole Ethernet header, and not too long. */
  #isSendable(length: number): boolean {
    return length >= ETHERNET_HEADER && length <= this.#maxPacketSize;
  }

  /** After a write of `run` frames from `next` on that failed: how many frames to step over, or FULL. */
  #afterRefusal(status: number, next: number, run: number): number {
    if (status === VMNET_BUFFER_EXHAUSTED || status === VMNET_MEM_FAILURE) return FULL;
    const isFrame = status === VMNET_INVALID_ARGUMENT || status === VMNET_PACKET_TOO_BIG;
    if (!isFrame && status !== VMNET_TOO_MANY_PACKETS) {
      throw new PortFailed(this.label, `cannot send: ${describeStatus(status)}`);
    }
    if (run === 1) {
      this.unsendable++;
      return 1;
    }
    if (isFrame) this.#singlyBefore = next + run;
    else this.#writeLimit = run >> 1;
    return 0;
  }

  #wakeSoon(): void {
    if (!this.#closed && this.#soon === undefined) this.#soon = setImmediate(this.#onSoon);
  }

  readonly #onSoon = (): void => {
    this.#soon = undefined;
    if (this.#readable) this.#wake(true, false);
  };
}
