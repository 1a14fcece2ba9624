/**
 * `--capture FILE`: the frames of a running softnet as pcapng, with each drop's reason as the packet's comment, and behind
 * it what a large frame's sender left to do (offload-notes.ts).
 *
 * With `--capture-files N` the last minutes are always there. So that a flood does not push them out, of each drop reason
 * only so many frames a second are written then; the counters count them all.
 */

import { CaptureWriter } from "../capture/writer.ts";
import { DROP_REASONS, PASS } from "../guard/reasons.ts";
import { TokenBucket } from "../guard/token-bucket.ts";
import type { Direction } from "../relay/direction.ts";
import type { Log } from "../telemetry/log.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { OffloadNote } from "./offload-notes.ts";

/** Interfaces in the order of the directions; `replay` knows a capture of ours by these names. */
export const CAPTURE_INTERFACES = [
  { name: "softnet-vm", description: "frames from the VM" },
  { name: "softnet-network", description: "frames from the network" },
] as const;

/** Dropped frames of one reason a second, and at once, that go into several files. */
const DROPS_PER_SECOND = 100;
const DROPS_AT_ONCE = 1000;

export interface RecordingOptions {
  readonly path: string;
  /** Bytes that a file may have. */
  readonly maximumSize: number;
  /** Files that are written in turn. */
  readonly files: number;
  readonly maximumFrame: number;
  readonly application: string;
  /** Microseconds since 1970 at the guard's time 0. */
  readonly epoch: number;
  readonly log: Log;
}

export class Recording {
  readonly #writer: CaptureWriter;
  readonly #epoch: number;
  /** By verdict: what the packet's comment says. */
  readonly #comments: readonly (Uint8Array | undefined)[];
  readonly #note = new OffloadNote();
  readonly #log: Log;
  /** By verdict; undefined with one file. */
  readonly #limits: readonly TokenBucket[] | undefined;
  #leftOut = 0;

  /** Creates the file. Throws CaptureError. */
  constructor(options: RecordingOptions) {
    const { path, maximumSize, maximumFrame, application, files, log } = options;
    this.#log = log;
    if (files > 1) {
      this.#limits = [PASS, ...DROP_REASONS].map(() => new TokenBucket(DROPS_PER_SECOND, DROPS_AT_ONCE));
    }
    this.#epoch = options.epoch;
    this.#comments = [undefined, ...DROP_REASONS.map(({ name }) => new TextEncoder().encode(name))];
    this.#writer = new CaptureWriter({
      path,
      files,
      maximumSize,
      maximumFrame,
      application,
      interfaces: CAPTURE_INTERFACES,
      onStop: ({ full, failure }) => {
        if (full)
          log.warn(
            "the capture is full and ends here: raise --capture-size, or let --capture-files keep the last part",
            {
              file: path,
              bytes: maximumSize,
            },
          );
        else if (failure) log.warn(failure.message);
      },
    });
  }

  /** Adds one judged frame; allocates nothing. `time` is the guard's. */
  add(direction: Direction, verdict: number, time: number, { bytes, frame, length, offload }: FrameView): void {
    if (verdict !== PASS && this.#limits !== undefined && !this.#limits[verdict]!.take(time)) {
      if (this.#leftOut++ === 0)
        this.#log.info("the capture leaves out most of a flood", { reason: reasonOf(verdict) });
      return;
    }
    const comment = verdict === PASS ? undefined : this.#comments[verdict];
    const note = this.#note.write(offload, verdict);
    this.#writer.write(direction, this.#epoch + time, bytes, frame, length, comment, this.#note.bytes, note);
  }

  flush(): void {
    this.#writer.flush();
  }

  /** After files were moved away. */
  reopen(): void {
    const failure = this.#writer.reopen();
    if (failure !== undefined) this.#log.warn(`${failure.message}; the capture goes on in the file of before`);
  }

  close(): void {
    this.#writer.close();
    if (this.#leftOut > 0) this.#log.info("the capture left out frames of floods", { frames: this.#leftOut });
    this.#leftOut = 0;
  }
}

function reasonOf(verdict: number): string {
  return DROP_REASONS[verdict - 1]!.name;
}
