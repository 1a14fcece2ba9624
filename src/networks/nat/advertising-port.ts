/**
 * A TAP's port with softnet's router advertisements in it (advertiser.ts). What the VM solicits goes on to the TAP too: the
 * host's kernel makes no advertisements, and learns from it who is there. Advertisements of other programs on the TAP are
 * not heard: there is one router.
 *
 * What was said of serving-port.ts about batches that are not full holds here: after an advertisement, and after frames
 * were refused, the port wakes the relay by itself.
 */
import { verdictOf } from "../../guard/reasons.ts";
import type { Batch } from "../../relay/batch.ts";
import { INGRESS } from "../../relay/direction.ts";
import type { DropCounter, FramePort, Interest } from "../../relay/port.ts";
import { isRouterAdvertisement, solicitingSource } from "../../wire/router-advertisement.ts";
import { COMPLETE } from "../../wire/virtio-net.ts";
import type { Advertiser } from "./advertiser.ts";

/** Under which reason this port's drops are counted. */
const FOREIGN_ROUTER = verdictOf("nd.router");

export class AdvertisingPort implements FramePort {
  /** Advertisements of others that were not let in. */
  refused = 0;
  #countedRefused = 0;
  readonly #port: FramePort;
  readonly #advertiser: Advertiser;
  /** The wrapped port may have frames that no event reports. */
  #maybeMore = false;
  #readable = false;
  #wake: (readable: boolean, writable: boolean) => void = () => {};
  #soon: NodeJS.Immediate | undefined;

  /** Takes over both: closes them when it is closed itself. */
  constructor(port: FramePort, advertiser: Advertiser) {
    this.#port = port;
    this.#advertiser = advertiser;
    advertiser.onDue = () => this.#wakeSoon();
  }

  get label(): string {
    return this.#port.label;
  }

  get checkInterval(): number | undefined {
    return this.#port.checkInterval;
  }

  get unsendable(): number {
    return this.#port.unsendable;
  }

  get takesOffloads(): boolean {
    return this.#port.takesOffloads ?? false;
  }

  enableOffloads(): boolean {
    return this.#port.enableOffloads?.() ?? false;
  }

  receive(batch: Batch): number {
    if (this.#advertiser.isDue) return this.#handOut(batch);
    this.#maybeMore = false;
    const received = this.#port.receive(batch);
    const kept = this.#refuse(batch);
    if (kept < received && received === batch.capacity) this.#expectMore();
    return kept;
  }

  send(batch: Batch, first: number): number {
    const sent = this.#port.send(batch, first);
    const { bytes, offset, length } = batch;
    for (let index = first; index < first + sent; index++) {
      const source = solicitingSource(bytes, offset[index]!, length[index]!);
      if (source !== undefined) this.#advertiser.solicited(source);
    }
    return sent;
  }

  watch(interest: Interest, wake: (readable: boolean, writable: boolean) => void): void {
    this.#port.watch(interest, wake);
    this.#wake = wake;
    this.#readable = interest.readable;
    if (!this.#readable) this.#cancelWake();
    else if (this.#hasMore()) this.#wakeSoon();
  }

  check(): void {
    this.#port.check();
  }

  countDrops(count: DropCounter): void {
    count(INGRESS, FOREIGN_ROUTER, this.refused - this.#countedRefused);
    this.#countedRefused = this.refused;
    this.#port.countDrops?.(count);
  }

  close(): void {
    this.#readable = false;
    this.#cancelWake();
    this.#advertiser.close();
    this.#port.close();
  }

  #handOut(batch: Batch): number {
    let count = 0;
    while (count < batch.capacity) {
      const frame = this.#advertiser.take();
      if (frame === undefined) break;
      if (frame.length > batch.slotSize) continue;
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

  /** Takes advertisements of others out of what was received; returns how many frames are left. */
  #refuse(batch: Batch): number {
    const { bytes, offset, length, count } = batch;
    let kept = 0;
    for (let index = 0; index < count; index++) {
      if (isRouterAdvertisement(bytes, offset[index]!, length[index]!)) {
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
    return this.#maybeMore || this.#advertiser.isDue;
  }

  #expectMore(): void {
    this.#maybeMore = true;
    this.#wakeSoon();
  }

  #wakeSoon(): void {
    if (this.#readable && this.#soon === undefined) this.#soon = setImmediate(this.#onSoon);
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
