/**
 * A port: something that frames are received from and sent to in batches. The relay knows no more about the VM's socket,
 * a TAP or a host-side socket than this. No method blocks, and none allocates per frame.
 */
import type { Batch } from "./batch.ts";
import type { Direction } from "./direction.ts";

/** Bytes of the longest large frame: Ethernet's header, IPv6's, and the longest payload that this can say. */
export const LARGEST_FRAME = 14 + 40 + 65_535;

/** What a port is watched for. */
export interface Interest {
  readonly readable: boolean;
  readonly writable: boolean;
}

/** Counts frames that were dropped with a verdict; `frames` may be 0. */
export type DropCounter = (direction: Direction, verdict: number, frames: number) => void;

export interface FramePort {
  /** What people call it, for log lines and errors: `--vm-fd 0`, `TAP softnet0 on bridge br0`. */
  readonly label: string;
  /** Frames that this port gave up on because they can never be sent (larger than the socket takes): counted drops. */
  readonly unsendable: number;
  /**
   * Whether frames with something left to do (Batch.offload) can be sent here, large ones among them. Missing: no. Such a
   * port brings them too, from `enableOffloads` on.
   */
  readonly takesOffloads?: boolean;
  /**
   * From now on frames may come with something left to do, in batches whose slots take LARGEST_FRAME bytes. Only where what
   * is received here goes to a port that takes them. `ipv6`: large TCP in IPv6, too. Returns false where the system does not
   * let it: then none come so.
   */
  enableOffloads?(ipv6: boolean): boolean;
  /**
   * Receives frames that wait here, at most `batch.most`; sets `batch.count`, offsets and lengths; returns the count,
   * 0 when nothing waits. A full batch means that more may wait, also where no event says so: ask again. A port may keep
   * bytes of frames to come in the rest of the slab until the next call, so a batch is received into by one port.
   * Throws PortClosed when the other side is gone, PortFailed on a framing or system error.
   */
  receive(batch: Batch): number;
  /**
   * Sends frames `first … batch.count - 1` in order and returns how many were taken; fewer means that the receiver is
   * full: ask again later, from there. What is taken is sent as a whole, if need be after the call. Throws as `receive`.
   */
  send(batch: Batch, first: number): number;
  /**
   * Calls `wake` from the event loop while what it is watched for holds; replaces the previous watch. An error on the
   * descriptor wakes with both true; receive, send or check then throw it.
   */
  watch(interest: Interest, wake: (readable: boolean, writable: boolean) => void): void;
  /** Asks whether the other side is still there, where no event says so; called on every tick. Throws as `receive`. */
  check(): void;
  /**
   * Milliseconds between two calls of `check` once nothing has happened for a while: Infinity where events report
   * everything. Missing: as often as while frames move.
   */
  readonly checkInterval?: number | undefined;
  /**
   * Counts what this port itself has dropped since the last call, under reasons of the closed list; absent where a port
   * drops nothing by itself. Called on every tick and at the end.
   */
  countDrops?(count: DropCounter): void;
  /** Ends the watch and closes the descriptor. Harmless when called twice. */
  close(): void;
}

/** The other side of a port is gone. */
export class PortClosed extends Error {
  readonly port: string;
  constructor(port: string, how: string) {
    super(`${port}: ${how}`);
    this.name = "PortClosed";
    this.port = port;
  }
}

/** A port broke: a system error, or bytes that follow no framing. */
export class PortFailed extends Error {
  readonly port: string;
  constructor(port: string, how: string) {
    super(`${port}: ${how}`);
    this.name = "PortFailed";
    this.port = port;
  }
}
