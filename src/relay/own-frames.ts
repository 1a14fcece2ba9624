/**
 * Frames that softnet itself sends to the network in the VM's name: who has the gateway's address, its REBINDING once more as
 * INIT-REBOOT, and the RELEASE of an address that the VM has left. Few and small; they wait in a batch of their own while the VM's frames wait
 * for the network.
 */
import type { Batch } from "./batch.ts";
import type { FramePort } from "./port.ts";

/** Writes the next frame to `out` at `at` and returns its length; 0 = none. */
export type OwnFrameSource = (out: Uint8Array, at: number) => number;

/** Bytes of the longest of them: a RELEASE with a client identifier of 255 bytes. */
export const LONGEST_OWN_FRAME = 640;

export class OwnFrames {
  readonly #batch: Batch;
  readonly #take: OwnFrameSource;
  readonly #network: FramePort;
  /** Frames before this one were sent. */
  #sent = 0;

  constructor(batch: Batch, take: OwnFrameSource, network: FramePort) {
    if (batch.slotSize < LONGEST_OWN_FRAME) throw new RangeError("the batch is too small for softnet's own frames");
    this.#batch = batch;
    this.#take = take;
    this.#network = network;
    batch.count = 0;
  }

  /** Whether there is something to send. */
  collect(): boolean {
    const batch = this.#batch;
    while (batch.count < batch.capacity) {
      const at = batch.slotOffset(batch.count);
      const length = this.#take(batch.bytes, at);
      if (length === 0) break;
      batch.offset[batch.count] = at;
      batch.length[batch.count] = length;
      batch.count++;
    }
    return batch.count > 0;
  }

  send(): void {
    const batch = this.#batch;
    this.#sent += this.#network.send(batch, this.#sent);
    if (this.#sent < batch.count) return;
    batch.count = 0;
    this.#sent = 0;
  }
}
