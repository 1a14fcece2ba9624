/** The limit of flows that a VM opens, of both families together (docs/limits.md). */
import type { Rate } from "../policy/limits.ts";
import { TokenBucket } from "./token-bucket.ts";

export class Openings {
  /** Undefined while there is no limit. */
  bucket: TokenBucket | undefined;

  limit(rate: Rate | undefined): void {
    this.bucket = rate && new TokenBucket(rate.rate, rate.burst);
  }
}
