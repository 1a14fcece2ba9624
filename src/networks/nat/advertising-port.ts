/**
 * A TAP's port with softnet's router advertisements in it (advertiser.ts). What the VM solicits goes on to the TAP too: the
 * host's kernel makes no advertisements, and learns from it who is there. Advertisements of other programs on the TAP are
 * not heard: there is one router.
 */
import { verdictOf } from "../../guard/reasons.ts";
import type { Batch } from "../../relay/batch.ts";
import type { FramePort } from "../../relay/port.ts";
import { isRouterAdvertisement, solicitingSource } from "../../wire/router-advertisement.ts";
import { InsertingPort } from "../inserting-port.ts";
import type { Advertiser } from "./advertiser.ts";

const FOREIGN_ROUTER = verdictOf("nd.router");

export class AdvertisingPort extends InsertingPort {
  readonly #advertiser: Advertiser;

  /** Takes over both: closes them when it is closed itself. */
  constructor(port: FramePort, advertiser: Advertiser) {
    super(port, FOREIGN_ROUTER);
    this.#advertiser = advertiser;
    advertiser.onDue = () => this.wakeSoon();
  }

  override send(batch: Batch, first: number): number {
    const sent = super.send(batch, first);
    const { bytes, offset, length } = batch;
    for (let index = first; index < first + sent; index++) {
      const source = solicitingSource(bytes, offset[index]!, length[index]!);
      if (source !== undefined) this.#advertiser.solicited(source);
    }
    return sent;
  }

  override close(): void {
    this.#advertiser.close();
    super.close();
  }

  protected override get hasOwn(): boolean {
    return this.#advertiser.isDue;
  }

  protected override takeOwn(): Uint8Array | undefined {
    return this.#advertiser.take();
  }

  /** With an MTU that IPv6 has no link for, the VM gets no advertisement. */
  protected override discardOwn(): void {}

  protected override isForeign(bytes: Uint8Array, frame: number, length: number): boolean {
    return isRouterAdvertisement(bytes, frame, length);
  }
}
