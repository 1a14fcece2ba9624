/** A port that passes no further frame once its network cannot be kept up any more. */
import type { Batch } from "../../relay/batch.ts";
import { type DropCounter, type FramePort, type Interest, PortFailed } from "../../relay/port.ts";

export class FailingPort implements FramePort {
  readonly #port: FramePort;
  #failure: PortFailed | undefined;
  #wake: (readable: boolean, writable: boolean) => void = () => {};

  /** Takes over `port`: closes it when it is closed itself. */
  constructor(port: FramePort) {
    this.#port = port;
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

  /** Ends it: from now on every use throws, and the relay is woken to meet that. */
  fail(how: string): void {
    this.#failure ??= new PortFailed(this.label, how);
    this.#wake(true, true);
  }

  receive(batch: Batch): number {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#port.receive(batch);
  }

  send(batch: Batch, first: number): number {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#port.send(batch, first);
  }

  watch(interest: Interest, wake: (readable: boolean, writable: boolean) => void): void {
    this.#wake = wake;
    this.#port.watch(interest, wake);
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#port.check();
  }

  countDrops(count: DropCounter): void {
    this.#port.countDrops?.(count);
  }

  close(): void {
    this.#port.close();
  }
}
