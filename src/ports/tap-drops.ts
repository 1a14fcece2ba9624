/**
 * What the kernel drops at a TAP: frames that found its queue full before softnet read them, and frames that softnet or the
 * express lane gave to the kernel, which had no room for them (threat row L14).
 */
import { verdictOf } from "../guard/reasons.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { LinkDrops } from "../native/linux/link-drops.ts";
import { type Direction, EGRESS, INGRESS } from "../relay/direction.ts";
import type { DropCounter } from "../relay/port.ts";

const QUEUE = verdictOf("host.queue");
const BACKLOG = verdictOf("host.backlog");

export class TapDrops {
  readonly #drops: LinkDrops | undefined;
  /** Which way frames go that softnet receives from the TAP. */
  readonly #direction: Direction;
  #received: number;
  #sent: number;

  /** `index`: the TAP's, in this network namespace. */
  constructor(libc: LinuxLibc, index: number, direction: Direction) {
    this.#drops = LinkDrops.open(libc, index);
    this.#direction = direction;
    this.#received = this.#drops?.received ?? 0;
    this.#sent = this.#drops?.sent ?? 0;
  }

  /** Counts what was dropped since the last call. The kernel's sides are the other way round: it sends what softnet receives. */
  count(count: DropCounter): void {
    const drops = this.#drops;
    if (drops === undefined || !drops.update()) return;
    const direction = this.#direction;
    if (drops.sent > this.#sent) count(direction, QUEUE, drops.sent - this.#sent);
    if (drops.received > this.#received) {
      count(direction === EGRESS ? INGRESS : EGRESS, BACKLOG, drops.received - this.#received);
    }
    this.#received = drops.received;
    this.#sent = drops.sent;
  }

  close(): void {
    this.#drops?.close();
  }
}
