/**
 * One direction of a relay: from where, to where, what waits in between, and the one state that it is in. The relay moves
 * it; here stand its states and which may follow which.
 */
import { FrameView } from "../wire/frame-view.ts";
import type { Batch } from "./batch.ts";
import { type Direction, EGRESS } from "./direction.ts";
import { type FaultOrigin, NETWORK_PORT, VM_PORT } from "./fault-origin.ts";
import type { RelayOptions } from "./options.ts";
import type { FramePort } from "./port.ts";
import type { Stage } from "./stage.ts";

/** No frame waits in the lane; an event will say that its source has some. */
export const IDLE = 0;
/** No frame waits in the lane; its source may have some, and is read in the next turn. */
export const READY = 1;
/** Frames wait, because the destination is full. */
export const BLOCKED = 2;
/** Frames wait; the destination is asked again, or the stage, in the next turn. */
export const RETRY = 3;
/** Frames wait, because the lane's stage holds them back. */
export const HELD = 4;
/** The relay has ended. */
export const STOPPED = 5;
export type LaneState = typeof IDLE | typeof READY | typeof BLOCKED | typeof RETRY | typeof HELD | typeof STOPPED;

/** For errors. */
const NAMES = ["idle", "ready", "blocked", "retry", "held", "stopped"] as const;

const set = (...states: readonly LaneState[]): number => states.reduce<number>((bits, state) => bits | (1 << state), 0);

/** By state: those that may follow. Everything else is a fault of the relay's, which ends it. */
const FOLLOWING: readonly number[] = [
  set(READY, STOPPED), // IDLE: the source has frames
  set(IDLE, BLOCKED, HELD, STOPPED), // READY: the source is drained, or the frames could not all be sent
  set(RETRY, READY, STOPPED), // BLOCKED: there may be room, or the frames were sent or dropped after SEND_TIMEOUT
  set(BLOCKED, HELD, READY, STOPPED), // RETRY: still full, held back now, or all frames were sent
  set(RETRY, STOPPED), // HELD: its time has come
  set(STOPPED), // STOPPED
];

export class Lane {
  readonly direction: Direction;
  readonly batch: Batch;
  /** What each of the batch's frames is read into, one after the other. */
  readonly view = new FrameView();
  readonly source: FramePort;
  readonly destination: FramePort;
  readonly sourceOrigin: FaultOrigin;
  readonly destinationOrigin: FaultOrigin;
  /** What stands between verdict and send; undefined: nothing. */
  readonly stage: Stage | undefined;
  #state: LaneState = IDLE;

  constructor(options: RelayOptions, direction: Direction) {
    const egress = direction === EGRESS;
    this.direction = direction;
    this.batch = options.batches[direction];
    this.source = egress ? options.vm : options.network;
    this.destination = egress ? options.network : options.vm;
    this.sourceOrigin = egress ? VM_PORT : NETWORK_PORT;
    this.destinationOrigin = egress ? NETWORK_PORT : VM_PORT;
    this.stage = options.stages?.[direction];
  }

  get state(): LaneState {
    return this.#state;
  }

  /** Goes over to another state. Throws where that may not follow this one. */
  enter(next: LaneState): void {
    if (((FOLLOWING[this.#state]! >>> next) & 1) === 0) {
      throw new Error(`a lane that is ${NAMES[this.#state]} cannot become ${NAMES[next]}`);
    }
    this.#state = next;
  }

  /** Whether it has something to do in the next turn. */
  get isDue(): boolean {
    return this.#state === READY || this.#state === RETRY;
  }

  /** Whether frames wait in it; its source is not read then. */
  get hasFrames(): boolean {
    return this.#state === BLOCKED || this.#state === RETRY || this.#state === HELD;
  }

  /** Whether the destination is watched for room. */
  get wantsRoom(): boolean {
    return this.#state === BLOCKED || this.#state === RETRY;
  }

  /** Its source may have frames. */
  sourceHasFrames(): void {
    if (this.#state === IDLE) this.enter(READY);
  }

  /** Its destination may have room. */
  destinationHasRoom(): void {
    if (this.#state === BLOCKED) this.enter(RETRY);
  }
}
