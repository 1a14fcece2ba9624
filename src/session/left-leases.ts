/**
 * Leases that the VM has left: when it moves to another address under another client identifier, or its lease ends
 * because it declined another address, the server still keeps the one before. A VM could collect addresses that way (threat rows
 * D2, D6), so softnet gives it back.
 */
import { randomBytes } from "node:crypto";
import type { BindingChange, BoundIPv4Address } from "../guard/types.ts";
import { isReleasable, releaseFrame } from "../networks/dhcp/release.ts";

/** That wait to be sent; a VM can leave no more than its client identifiers allow. */
const MOST_WAITING = 4;

export class LeftLeases {
  readonly #mac: number;
  readonly #waiting: BoundIPv4Address[] = [];
  #replaced: BoundIPv4Address | undefined;

  constructor(mac: number) {
    this.#mac = mac;
  }

  /** Follows the binding. One client's lease that moves is the server's own doing: then there is nothing to give back. */
  follow(change: BindingChange): void {
    const { bound } = change;
    if (bound.family !== "ipv4") return;
    if (change.kind === "lost") {
      this.#replaced = change.why === "replaced" ? bound : undefined;
      if (change.declined !== undefined) this.#giveBack(bound);
      return;
    }
    const left = this.#replaced;
    this.#replaced = undefined;
    if (left !== undefined && !isSameClient(left, bound)) this.#giveBack(left);
  }

  #giveBack(bound: BoundIPv4Address): void {
    if (isReleasable(bound) && this.#waiting.length < MOST_WAITING) this.#waiting.push(bound);
  }

  /** Writes the next RELEASE to `out` at `at` and returns its length; 0 = none. */
  take(out: Uint8Array, at: number): number {
    const bound = this.#waiting.shift();
    if (bound === undefined) return 0;
    const frame = releaseFrame(this.#mac, bound, randomBytes(4).readUInt32BE());
    out.set(frame, at);
    return frame.length;
  }
}

/** Some servers look a lease up by the client alone: a RELEASE of the old address would end the new one. */
function isSameClient(one: BoundIPv4Address, other: BoundIPv4Address): boolean {
  const before = one.acknowledged?.clientIdentifier ?? new Uint8Array(0);
  const after = other.acknowledged?.clientIdentifier ?? new Uint8Array(0);
  return before.length === after.length && before.every((byte, index) => byte === after[index]);
}
