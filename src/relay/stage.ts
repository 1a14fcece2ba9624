/**
 * What may stand between verdict and send, in one direction: a rate limit, for example. The relay knows no more of it
 * than this: how many of the frames that passed may be sent now, and when to ask about the rest. While a stage holds
 * frames back, the lane's source is not read, so what comes meanwhile waits there.
 */
import type { Batch } from "./batch.ts";

export interface Stage {
  /**
   * Returns up to which frame of `batch` may be sent at `time` (microseconds): those from `first` on and before that
   * one. Asked about no frame twice once it was admitted. It may take frames out of the batch from `first` on
   * (Batch.keep, `count`), which it counts itself. Must not allocate.
   */
  admit(batch: Batch, first: number, time: number): number;
  /** When more of what it held back may be sent, microseconds on the relay's clock. */
  readonly holdsUntil: number;
}
