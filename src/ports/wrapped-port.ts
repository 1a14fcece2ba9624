/** A port around another one, which does everything: who extends it overrides what it does itself. */
import type { Batch } from "../relay/batch.ts";
import type { DropCounter, FramePort, Interest } from "../relay/port.ts";

export class WrappedPort implements FramePort {
  protected readonly port: FramePort;

  /** Takes over `port`: closes it when it is closed itself. */
  constructor(port: FramePort) {
    this.port = port;
  }

  get label(): string {
    return this.port.label;
  }

  get checkInterval(): number | undefined {
    return this.port.checkInterval;
  }

  get unsendable(): number {
    return this.port.unsendable;
  }

  get takesOffloads(): boolean {
    return this.port.takesOffloads ?? false;
  }

  enableOffloads(ipv6: boolean): boolean {
    return this.port.enableOffloads?.(ipv6) ?? false;
  }

  receive(batch: Batch): number {
    return this.port.receive(batch);
  }

  send(batch: Batch, first: number): number {
    return this.port.send(batch, first);
  }

  watch(interest: Interest, wake: (readable: boolean, writable: boolean) => void): void {
    this.port.watch(interest, wake);
  }

  check(): void {
    this.port.check();
  }

  countDrops(count: DropCounter): void {
    this.port.countDrops?.(count);
  }

  close(): void {
    this.port.close();
  }
}
