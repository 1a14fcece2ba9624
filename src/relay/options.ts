/** What a relay is given, and what it reports. */

import type { FrameView } from "../wire/frame-view.ts";
import type { MakeAlarm } from "./alarm.ts";
import type { Batch } from "./batch.ts";
import type { Direction } from "./direction.ts";
import type { OwnFrameSource } from "./own-frames.ts";
import type { FramePort } from "./port.ts";
import type { Stage } from "./stage.ts";

/** The guard as the relay sees it. A verdict of 0 passes, any other is a drop reason's number. */
export interface RelayGuard {
  /** When `advance` has something to do even if no frame comes, in microseconds; Infinity or missing: never. */
  readonly deadline?: number;
  /** Moves the guard's clock, in microseconds, to the time of the frames that follow. */
  advance(time: number): void;
  judgeEgress(view: FrameView): number;
  judgeIngress(view: FrameView): number;
}

/** A guard that sends frames to the VM. All write a frame to `out` at `at` and return its length; 0 = none. */
export interface Answerer {
  /** The answer to a frame from the VM that was dropped with this verdict. */
  answer(view: FrameView, verdict: number, out: Uint8Array, at: number): number;
  /** The next RST for a flow that has ended. */
  takeReset(out: Uint8Array, at: number): number;
  /** The next question to the VM, whether it still has an address. */
  takeProbe?(out: Uint8Array, at: number): number;
}

/** Sees a frame with its verdict; `time` is in microseconds on the relay's clock. The view is the frame's during the call. */
export type FrameObserver = (direction: Direction, verdict: number, time: number, view: FrameView) => void;

/** Why the relay ended. `side` is missing when neither port was at fault. */
export interface RelayEnd {
  readonly side?: "vm" | "network";
  readonly error: Error;
}

export interface RelayOptions {
  readonly vm: FramePort;
  readonly network: FramePort;
  readonly guard: RelayGuard & Partial<Answerer>;
  /** Returns the time in microseconds; never goes back. */
  readonly clock: () => number;
  /** For a tick that is far away; without it a tick comes every 30 s. */
  readonly makeAlarm?: MakeAlarm | undefined;
  /** One batch for each direction: what the VM sends, what the network sends. */
  readonly batches: readonly [egress: Batch, ingress: Batch];
  /**
   * What the guard answers to dropped frames, and asks the VM, goes to the VM through this batch, whose slots take
   * LONGEST_ANSWER bytes (answering.ts); without it the guard is not asked. A few slots do: it fills anew each turn.
   */
  readonly answers?: Batch;
  /** Frames of softnet's own for the network (own-frames.ts), through a batch whose slots take LONGEST_OWN_FRAME bytes. */
  readonly ownFrames?: { readonly batch: Batch; readonly take: OwnFrameSource };
  /** What stands between verdict and send, by direction; undefined: nothing. */
  readonly stages?: readonly [egress: Stage | undefined, ingress: Stage | undefined];
  /** Called for every frame. */
  readonly onFrame?: FrameObserver;
  /** Asked once a batch whether `onFrame` is called for its frames; missing: it always is. */
  readonly observesFrames?: () => boolean;
  /** Called for every frame that the guard drops. */
  readonly onDrop?: FrameObserver;
  /**
   * Asked whenever both sources are drained, with the time: whether they are read on for READ_ON microseconds after the last
   * frame, since waiting for an event would take longer than the next one does; missing: never.
   */
  readonly readsOn?: (time: number) => boolean;
  /** Called between two batches, at the latest after 128 frames, however busy the lanes keep the event loop. */
  readonly onSlice?: () => void;
  /** Called within 50 ms of whatever happens (frames, `tickSoon`), at `deadline`, and every 5 minutes at the latest. */
  readonly onTick?: (time: number) => void;
  /** When `onTick` has something to do even if nothing happens, on the clock; Infinity or missing: never. */
  readonly deadline?: () => number;
  /** Called at most once, and not after `stop`. */
  readonly onEnd: (end: RelayEnd) => void;
}
