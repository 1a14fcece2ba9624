/** `--capture FILE`: the frames of a running softnet as pcapng, with each drop's reason as the packet's comment. */
import { CaptureWriter } from "../capture/writer.ts";
import { DROP_REASONS, PASS } from "../guard/reasons.ts";
import type { Log } from "../telemetry/log.ts";

/** Interfaces in the order of their numbers; `replay` knows a capture of ours by these names. */
export const CAPTURE_INTERFACES = [
  { name: "softnet-vm", description: "frames from the VM" },
  { name: "softnet-network", description: "frames from the network" },
] as const;

const EGRESS_INTERFACE = 0;
const INGRESS_INTERFACE = 1;

export interface RecordingOptions {
  readonly path: string;
  /** Bytes that the file may have. */
  readonly maximumSize: number;
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

  /** Creates the file. Throws CaptureError. */
  constructor(options: RecordingOptions) {
    const { path, maximumSize, maximumFrame, application, log } = options;
    this.#epoch = options.epoch;
    this.#comments = [undefined, ...DROP_REASONS.map(({ name }) => new TextEncoder().encode(name))];
    this.#writer = new CaptureWriter({
      path,
      maximumSize,
      maximumFrame,
      application,
      interfaces: CAPTURE_INTERFACES,
      onStop: ({ full, failure }) => {
        if (full)
          log.warn("the capture is full and ends here: raise --capture-size", { file: path, bytes: maximumSize });
        else if (failure) log.warn(failure.message);
      },
    });
  }

  /** Adds one judged frame; allocates nothing. `time` is the guard's. */
  add(egress: boolean, verdict: number, time: number, bytes: Uint8Array, offset: number, length: number): void {
    const comment = verdict === PASS ? undefined : this.#comments[verdict];
    const port = egress ? EGRESS_INTERFACE : INGRESS_INTERFACE;
    this.#writer.write(port, this.#epoch + time, bytes, offset, length, comment);
  }

  flush(): void {
    this.#writer.flush();
  }

  close(): void {
    this.#writer.close();
  }
}
