/** One direction of a relay: from where, to where, and what waits in between. The relay moves it. */
import type { Batch } from "./batch.ts";
import { type Direction, EGRESS } from "./direction.ts";
import type { RelayOptions } from "./options.ts";
import type { FramePort } from "./port.ts";

/** Whose code is running, for telling who is to blame when it throws. */
export const INSIDE = 0;
export const VM = 1;
export const NETWORK = 2;
export type Party = typeof INSIDE | typeof VM | typeof NETWORK;

export class Lane {
  readonly direction: Direction;
  readonly batch: Batch;
  readonly source: FramePort;
  readonly destination: FramePort;
  readonly from: Party;
  readonly to: Party;
  /** Frames `sent … batch.count - 1` wait for the destination to have room. */
  blocked = false;
  sent = 0;
  /** When the destination last took a frame, or became full; microseconds. */
  progress = 0;
  /** How often it has been asked for room since then, in vain. */
  tries = 0;
  /** Fires SEND_PATIENCE after the lane was blocked; kept, and started again by `refresh`. */
  patience: NodeJS.Timeout | undefined;
  /** Its source may have frames, or its destination room again. */
  ready = false;

  constructor(options: RelayOptions, direction: Direction) {
    const egress = direction === EGRESS;
    this.direction = direction;
    this.batch = options.batches[direction];
    this.source = egress ? options.vm : options.network;
    this.destination = egress ? options.network : options.vm;
    this.from = egress ? VM : NETWORK;
    this.to = egress ? NETWORK : VM;
  }
}
