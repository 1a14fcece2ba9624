/**
 * IPv6's part of the express lane: what the programs are told of its flows and of the VM's addresses. When the lane is open,
 * and what holds still, both families have in common (express-lane.ts).
 */
import type { FlowSink, IPv6Observer, RemoteAddresses } from "../guard/flow-observer.ts";
import type { SharedMemory } from "../native/linux/shared-memory.ts";
import { AdmittedFlows6 } from "./flows-6.ts";
import { LanePlaces } from "./own-places.ts";

export interface IPv6Memory {
  readonly own: SharedMemory;
  readonly flows: SharedMemory;
}

/** What both families' flows pass by. */
export interface LaneDoor {
  /** What is admitted now is admitted under this. */
  readonly generation: number;
  /** Which of these ways may pass there now: none while it is off. */
  passing(ways: number): number;
  /** A flow was admitted. `isNew`: it was not before. */
  admitted(isNew: boolean): void;
  invalidate(): void;
}

export class IPv6Lane implements IPv6Observer {
  readonly #memory: IPv6Memory;
  readonly #secret: Int32Array;
  readonly #door: LaneDoor;
  readonly #places: LanePlaces;
  #flows: AdmittedFlows6 | undefined;
  #sink: FlowSink | undefined;

  /** `secret`: two numbers of the hash. */
  constructor(memory: IPv6Memory, secret: Int32Array, door: LaneDoor) {
    this.#memory = memory;
    this.#secret = secret;
    this.#door = door;
    this.#places = new LanePlaces(memory.own.buffer);
  }

  reportTo(sink: FlowSink): void {
    this.#sink = sink;
  }

  resolveBy(remotes: RemoteAddresses): void {
    this.#flows = new AdmittedFlows6(
      this.#memory.flows.buffer,
      this.#secret,
      remotes,
      (flow, second, acknowledgement) => this.#sink!.seen(flow, second, acknowledgement),
    );
  }

  admit(
    flow: number,
    kind: number,
    remote: number,
    ports: number,
    ways: number,
    patience: number,
    second: number,
  ): void {
    const passing = this.#door.passing(ways);
    if (passing === 0) return;
    const { generation } = this.#door;
    this.#door.admitted(this.#flows!.admit(flow, kind, remote, ports, passing, patience, second, generation));
  }

  report(flow: number): void {
    this.#flows!.report(flow);
  }

  withdraw(flow: number): void {
    this.#flows!.withdraw(flow);
  }

  end(flow: number): void {
    this.#flows!.end(flow);
  }

  endAll(): void {
    this.#flows!.endAll();
  }

  invalidate(): void {
    this.#door.invalidate();
  }

  bind(place: number, words: Int32Array, at: number, expiry: number): void {
    this.#places.bind(place, words, at, expiry);
  }

  unbind(place: number): void {
    this.#places.unbind(place);
  }

  lastUsed(place: number): number {
    return this.#places.lastUsed(place);
  }
}
