/**
 * TCP flows that wait for their RST: those that a change of the rules cut. A flow waits once, however often it is cut,
 * and what it says is read when its turn comes: it may have been allowed, and have gone on, meanwhile.
 */
import { isGroupMac } from "../wire/address.ts";
import { FLOW_TCP, withPlace } from "./flow-state.ts";
import { type FlowTable, MOST_FLOWS, NO_FLOW } from "./flow-table.ts";

export class Resets {
  /** Remote address's number, remote and own port: a flow's place in the table goes to others. */
  readonly #ring = new Uint32Array(MOST_FLOWS * 2);
  /** Of the VM's address. */
  readonly #places = new Uint8Array(MOST_FLOWS);
  #first = 0;
  #count = 0;

  clear(): void {
    this.#count = 0;
  }

  /** A TCP flow was cut. Further ones than there is room for are left out. */
  add(flows: FlowTable, flow: number): void {
    if (this.#count === MOST_FLOWS || !flows.queue(flow)) return;
    const last = (this.#first + this.#count) % MOST_FLOWS;
    const at = last * 2;
    this.#places[last] = flows.placeOf(flow);
    this.#ring[at] = flows.remoteOf(flow);
    this.#ring[at + 1] = flows.remotePortOf(flow) * 65536 + flows.ownPortOf(flow);
    this.#count++;
  }

  /** The next flow that gets a RST, which waits no longer; NO_FLOW = none. */
  take(flows: FlowTable): number {
    while (this.#count > 0) {
      const remote = this.#ring[this.#first * 2]!;
      const ports = this.#ring[this.#first * 2 + 1]!;
      const kind = withPlace(FLOW_TCP, this.#places[this.#first]!);
      this.#first = (this.#first + 1) % MOST_FLOWS;
      this.#count--;
      const flow = flows.find(kind, remote, ports);
      if (flow === NO_FLOW || !flows.dequeue(flow) || !flows.hasAcknowledgement(flow)) continue;
      if (!isGroupMac(flows.macOf(flow))) return flow;
    }
    return NO_FLOW;
  }
}
