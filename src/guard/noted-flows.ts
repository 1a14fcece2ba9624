/**
 * The flows of one family, from when they are needed first, and the RSTs of those that a change cut. Both families' policies
 * are made with it.
 */
import type { FrameView } from "../wire/frame-view.ts";
import type { FlowFamily } from "./flow-family.ts";
import { FlowGuard } from "./flow-guard.ts";
import type { FlowObserver } from "./flow-observer.ts";
import { type FlowTable, NO_FLOW } from "./flow-table.ts";
import type { NameFamily } from "./names/name-family.ts";
import { NameFlows } from "./names/name-flows.ts";
import type { NameGuard } from "./names/name-guard.ts";
import type { Openings } from "./openings.ts";
import { Resets } from "./resets.ts";
import { TokenBucket } from "./token-bucket.ts";

const ECHOES_PER_SECOND = 100;
const ECHO_BURST = 200;

export class NotedFlows {
  /** For echoes from the VM. */
  readonly echoBucket = new TokenBucket(ECHOES_PER_SECOND, ECHO_BURST);
  readonly #family: FlowFamily & NameFamily;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #observer: FlowObserver | undefined;
  readonly #reject: boolean;
  readonly #names: NameGuard;
  readonly #openings: Openings;
  /** Made where they are needed first. */
  #resets: Resets | undefined;
  #nameFlows: NameFlows | undefined;
  /** Kept from when it was needed first. */
  #guard: FlowGuard | undefined;
  #second = 0;

  /** `reject`: flows that are cut leave RSTs. */
  constructor(
    family: FlowFamily & NameFamily,
    reject: boolean,
    clock: Float64Array,
    names: NameGuard,
    openings: Openings,
    observer?: FlowObserver,
  ) {
    this.#names = names;
    this.#openings = openings;
    this.#reject = reject;
    this.#family = family;
    this.#clock = clock;
    this.#observer = observer;
  }

  /** Whether what is denied is answered: as asked for, and while the policy has names. */
  get answersDenied(): boolean {
    return this.#reject || this.#names.table?.any === true;
  }

  /** Undefined while there never was a need for flows. */
  get table(): FlowTable | undefined {
    return this.#guard?.flows;
  }

  /** Who judges packets by flows from now on; made where there is none yet. */
  needed(): FlowGuard {
    if (this.#guard === undefined) {
      this.#guard = new FlowGuard(
        this.#family,
        this.echoBucket,
        this.#clock,
        this.#names.hits,
        this.#openings,
        this.#observer,
      );
      this.#guard.flows.advance(this.#second);
    }
    this.#followNames(this.#guard);
    return this.#guard;
  }

  #followNames(guard: FlowGuard): void {
    if (this.#names.table === undefined) {
      if (guard.names !== undefined) guard.names.release();
      guard.names = undefined;
    } else {
      const resets = (): Resets | undefined => this.#resetsNow();
      this.#nameFlows ??= new NameFlows(this.#names, this.#family, guard.flows, this.#clock, resets);
      guard.names = this.#nameFlows;
    }
  }

  #resetsNow(): Resets | undefined {
    if (!this.answersDenied) return undefined;
    this.#resets ??= new Resets();
    return this.#resets;
  }

  /** What names say where the policy has some. */
  get names(): NameFlows | undefined {
    return this.#guard?.names;
  }

  /** Ends what is over. To be called whenever the clock was moved. */
  advance(): void {
    const second = Math.floor(this.#clock[0]! / 1_000_000);
    if (second === this.#second) return;
    this.#second = second;
    this.#guard?.flows.advance(second);
  }

  /** Ends all flows. */
  clear(): void {
    this.#guard?.flows.clear();
    this.#resets?.clear();
  }

  /** Judges all flows again; returns how many were cut. `withResets`: the cut ones get a RST, where there are any. */
  judgeAgain(withResets: boolean): number {
    return this.#guard?.judgeAgain(withResets ? this.#resetsNow() : undefined) ?? 0;
  }

  /** Whether a packet from the VM's address in `place` is a TCP segment of a flow that is cut. */
  isOfCutFlow(view: FrameView, place: number): boolean {
    return this.#guard?.isOfCutFlow(view, place) ?? false;
  }

  /** The next flow that gets a RST, which waits no longer; NO_FLOW = none. */
  nextReset(): number {
    const flows = this.table;
    return this.#resets === undefined || flows === undefined ? NO_FLOW : this.#resets.take(flows);
  }
}
