/**
 * A network's port with a service of softnet's own in it, which is the only one of its kind: what it says comes from the
 * network, and what others say of that kind is not let in.
 *
 *   receive   softnet's own frames first, in a batch of their own; then what the wrapped port has, without foreign ones
 *
 * An own frame is an ordinary one from the network: the relay shows it to the guard, which learns from it as from any other.
 *
 * The relay takes a batch that is not full for the end of what waits (relay/port.ts), but a batch of own frames tells
 * nothing about the wrapped port, and one that was full is not any more when frames were refused. After both, as when an own
 * frame is due, the port wakes the relay by itself, in the event loop's next turn.
 *
 * Own frames are written over the batch's slots, so the wrapped port must be one that keeps no bytes in the slab between
 * calls: a TAP, not a stream.
 */

import { WrappedPort } from "../ports/wrapped-port.ts";
import type { Batch } from "../relay/batch.ts";
import { INGRESS } from "../relay/direction.ts";
import type { DropCounter, FramePort, Interest } from "../relay/port.ts";
import { COMPLETE } from "../wire/virtio-net.ts";

export abstract class InsertingPort extends WrappedPort {
  /** Frames of others that were not let in. */
  refused = 0;
  /** How many of them the relay's counters have. */
  #countedRefused = 0;
  /** Under which reason they are counted. */
  readonly #foreign: number;
  /** The wrapped port may have frames that no event reports. */
  #maybeMore = false;
  #readable = false;
  #wake: (readable: boolean, writable: boolean) => void = () => {};
  #soon: NodeJS.Immediate | undefined;

  /** Takes over `port`. `foreign`: the drop reason's number for others' frames. */
  constructor(port: FramePort, foreign: number) {
    super(port);
    this.#foreign = foreign;
  }

  /** Whether an own frame is due. */
  protected abstract get hasOwn(): boolean;

  /** The next own frame, or undefined. */
  protected abstract takeOwn(): Uint8Array | undefined;

  /** An own frame was longer than a slot. */
  protected abstract discardOwn(): void;

  /** Whether a frame from the network is another's, of the service's kind. */
  protected abstract isForeign(bytes: Uint8Array, frame: number, length: number): boolean;

  override receive(batch: Batch): number {
    if (this.hasOwn) return this.#handOut(batch);
    this.#maybeMore = false;
    const received = this.port.receive(batch);
    const kept = this.#refuse(batch);
    if (kept < received) this.#expectMore();
    return kept;
  }

  override watch(interest: Interest, wake: (readable: boolean, writable: boolean) => void): void {
    this.port.watch(interest, wake);
    this.#wake = wake;
    this.#readable = interest.readable;
    if (!this.#readable) this.#cancelWake();
    else if (this.#hasMore()) this.wakeSoon();
  }

  override countDrops(count: DropCounter): void {
    count(INGRESS, this.#foreign, this.refused - this.#countedRefused);
    this.#countedRefused = this.refused;
    super.countDrops(count);
  }

  override close(): void {
    this.#readable = false;
    this.#cancelWake();
    super.close();
  }

  /** An own frame is due from now on. */
  protected wakeSoon(): void {
    if (this.#readable && this.#soon === undefined) this.#soon = setImmediate(this.#onSoon);
  }

  #handOut(batch: Batch): number {
    let count = 0;
    while (count < batch.capacity) {
      const frame = this.takeOwn();
      if (frame === undefined) break;
      if (frame.length > batch.slotSize) {
        this.discardOwn();
        continue;
      }
      const at = batch.slotOffset(count);
      batch.bytes.set(frame, at);
      batch.offset[count] = at;
      batch.length[count] = frame.length;
      batch.offload[count] = COMPLETE;
      count++;
    }
    batch.count = count;
    this.#expectMore();
    return count;
  }

  /** Takes others' frames out of what was received; returns how many are left. */
  #refuse(batch: Batch): number {
    const { bytes, offset, length, count } = batch;
    let kept = 0;
    for (let index = 0; index < count; index++) {
      if (this.isForeign(bytes, offset[index]!, length[index]!)) {
        this.refused++;
        continue;
      }
      if (kept !== index) batch.keep(index, kept);
      kept++;
    }
    batch.count = kept;
    return kept;
  }

  #hasMore(): boolean {
    return this.#maybeMore || this.hasOwn;
  }

  #expectMore(): void {
    this.#maybeMore = true;
    this.wakeSoon();
  }

  /** The relay may have come by itself in the meantime. */
  readonly #onSoon = (): void => {
    this.#soon = undefined;
    if (this.#hasMore()) this.#wake(true, false);
  };

  #cancelWake(): void {
    clearImmediate(this.#soon);
    this.#soon = undefined;
  }
}
