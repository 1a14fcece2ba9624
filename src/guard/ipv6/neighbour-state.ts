/** What the parts of IPv6's guard share: one VM's addresses, its router, and what they count. */
import type { NdMessage } from "../../wire/neighbor-discovery.ts";
import type { TokenBucket } from "../token-bucket.ts";
import type { Addresses } from "./addresses.ts";
import type { RouterWatch } from "./router-watch.ts";

export interface NeighbourState {
  /** The VM's MAC as views have it. */
  readonly macHigh: number;
  readonly macLow: number;
  readonly addresses: Addresses;
  readonly router: RouterWatch;
  /** Of ND and MLD from the VM. */
  readonly bucket: TokenBucket;
  /** Of answers to the VM's duplicate address detection. */
  readonly answers: TokenBucket;
  /** Read into for each message, one at a time. */
  readonly message: NdMessage;
  /** What policy knows of the network is another now. */
  readonly networkChanged: () => void;
}
