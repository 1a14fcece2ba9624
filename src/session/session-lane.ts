/** A session's express lane, or why it has none: what `status` says, and what `softnet ctl PATH lane` changes. */
import { AttachedPort } from "../attach/port.ts";
import { ExpressLane } from "../lane/express-lane.ts";
import type { LaneMemory } from "../lane/lane-memory.ts";
import type { FramePort } from "../relay/port.ts";

const ONLY_ATTACHED = "only an interface that softnet is attached to has one";

export class SessionLane {
  /** The guard's observer, once `open` was called; undefined where there is no lane. */
  lane: ExpressLane | undefined;
  #joined: LaneMemory | string = ONLY_ATTACHED;

  /** To be called as root, when the VM's port and the network are open. */
  join(vm: FramePort | undefined): void {
    if (vm instanceof AttachedPort) this.#joined = vm.joinNetwork();
  }

  /** `mac`: the VM's, 48 bits; `mtu`: bytes of the longest packet; `clock`: microseconds since boot. */
  open(mac: number, mtu: number, clock: () => number): ExpressLane | undefined {
    const memory = this.#joined;
    if (typeof memory !== "string") this.lane = new ExpressLane({ memory, mac, mtu, clock });
    return this.lane;
  }

  /** Whether admitted flows pass there from now on. Returns why there is no lane where there is none. */
  turn(on: boolean): string | undefined {
    if (this.lane === undefined) return typeof this.#joined === "string" ? this.#joined : "it is not open yet";
    this.lane.turn(on);
    return undefined;
  }

  /** For `status`. */
  describe(): object {
    if (this.lane !== undefined) return this.lane.state;
    return { state: "none", why: this.#joined };
  }

  /** Nothing passes there from then on. Harmless when called twice. */
  close(): void {
    this.lane?.close();
    if (typeof this.#joined !== "string") this.#joined.free();
    this.#joined = "closed";
  }
}
