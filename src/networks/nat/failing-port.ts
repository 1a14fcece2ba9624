/** A port that passes no further frame once its network cannot be kept up any more. */

import { WrappedPort } from "../../ports/wrapped-port.ts";
import type { Batch } from "../../relay/batch.ts";
import { type Interest, PortFailed } from "../../relay/port.ts";

export class FailingPort extends WrappedPort {
  #failure: PortFailed | undefined;
  #wake: (readable: boolean, writable: boolean) => void = () => {};

  /** Ends it: from now on every use throws, and the relay is woken to meet that. */
  fail(how: string): void {
    this.#failure ??= new PortFailed(this.label, how);
    this.#wake(true, true);
  }

  override receive(batch: Batch): number {
    if (this.#failure !== undefined) throw this.#failure;
    return super.receive(batch);
  }

  override send(batch: Batch, first: number): number {
    if (this.#failure !== undefined) throw this.#failure;
    return super.send(batch, first);
  }

  override watch(interest: Interest, wake: (readable: boolean, writable: boolean) => void): void {
    this.#wake = wake;
    super.watch(interest, wake);
  }

  override check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    super.check();
  }
}
