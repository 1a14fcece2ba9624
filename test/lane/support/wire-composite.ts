/** Frames with virtio-net headers through the lane at real interfaces, each beside the same frame without the lane. */
import { createGuard, type Guard } from "../../../src/guard/guard.ts";
import { DROP_REASONS, PASS } from "../../../src/guard/reasons.ts";
import type { GuardOptions } from "../../../src/guard/types.ts";
import type { ExpressLane } from "../../../src/lane/express-lane.ts";
import { bootClock } from "../../../src/native/linux/clock.ts";
import { Counters } from "../../../src/relay/counters.ts";
import { parseMac } from "../../../src/wire/address.ts";
import { ADDRESS, NEIGHBOUR, VM } from "../../guard/support.ts";
import type { Offered } from "../../ports/offload-talk.ts";
import { libc } from "../../support/sockets.ts";
import type { Outcome, Wires } from "./wires.ts";

const HOUR = 3_600_000_000;

const OPTIONS = {
  macAddress: VM,
  address: ADDRESS,
  allow: ["out 0.0.0.0/0:443", "in 0.0.0.0/0:80"],
  block: [`${NEIGHBOUR}/32`],
  live: true,
};

export class WireComposite {
  readonly #wires: Wires;
  readonly #clock = bootClock(libc);
  readonly #lane: ExpressLane;
  readonly #reference: Guard;
  readonly #guard: Guard;
  readonly #counters = new Counters();
  frames = 0;
  express = 0;
  /** Frames to be cut that passed in the kernel. */
  large = 0;

  constructor(wires: Wires, options: Partial<GuardOptions> = {}) {
    this.#wires = wires;
    this.#lane = wires.kernel.open(parseMac(VM)!, options.mtu ?? 1500, this.#clock);
    this.#reference = createGuard({ ...OPTIONS, ...options });
    this.#guard = createGuard({ ...OPTIONS, ...options }, this.#lane);
  }

  /** Shows the frame to both. Returns whether the kernel passed it. Throws Error where something else arrives. */
  step({ direction, header, frame }: Offered): boolean {
    const fromVm = direction === "egress";
    const { kernel } = this.#wires;
    this.frames++;
    const time = this.#clock();
    for (const guard of [this.#reference, this.#guard]) guard.advance(time);
    kernel.shut();
    const wanted = this.#wires.pass(fromVm, header, frame, this.#reference);
    kernel.keepOpen(time + HOUR);
    const said = this.#wires.pass(fromVm, header, frame, this.#guard);
    if (said.express) this.express++;
    const [one, other] = [wanted, said].map(describe);
    if (one !== other)
      throw new Error(`${said.express ? "the lane" : "the guard"}: ${other}; without the lane: ${one}`);
    const { flows } = this.#reference;
    if (flows !== this.#guard.flows) throw new Error(`${this.#guard.flows} flows; without the lane ${flows}`);
    if (said.express && said.arrived.length !== 1) this.large++;
    return said.express;
  }

  /** Throws Error where the lane has counted something else than passed. */
  checkCounts(): void {
    this.#lane.count(this.#counters);
    const { frames, large } = this.#counters;
    const [counted, countedLarge] = [frames[0]! + frames[1]!, large[0]! + large[1]!];
    if (counted !== this.express) throw new Error(`the lane counts ${counted} frames; ${this.express} passed`);
    if (countedLarge !== this.large)
      throw new Error(`the lane counts ${countedLarge} large ones; ${this.large} passed`);
  }
}

function describe({ verdict, arrived }: Outcome): string {
  const name = verdict === PASS ? "pass" : DROP_REASONS[verdict - 1]!.name;
  return `${name}, ${arrived.length} arrive: ${arrived.join(" ")}`;
}
