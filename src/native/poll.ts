/**
 * Waits on a descriptor in Node's own event loop (koffi.node.poll is libuv's uv_poll), so that one thread owns frames,
 * signals and timers. The watch is level-triggered: it calls again while the condition holds.
 *
 * - koffi ends a watch silently once its handle is garbage. Here the callback, which koffi holds, holds this object,
 *   which holds the handle: nothing is garbage before `close`.
 * - libuv stops a watch when the descriptor reports an error, and tells nothing but a negative status. Then `wake` is
 *   called with both true, so that the next receive or send meets the error itself. The watch stays off until
 *   `rearm`, called on a tick: an error that no call explains cannot spin the event loop.
 * - Node does not run microtasks behind such a callback: who resolves a promise there does it in setImmediate, or what is
 *   awaited goes on only when something else happens.
 * - What `wake` throws must not leave the callback: throw-later.ts.
 */
import koffi, { type node } from "koffi";
import { throwLater } from "./throw-later.ts";

/** What koffi calls back with; its declarations leave the status out. */
type PollCallback = (status: number, events: { readable: boolean; writable: boolean }) => void;

const start = koffi.node.poll as unknown as (fd: number, options: object, callback: PollCallback) => node.PollHandle;

export type Wake = (readable: boolean, writable: boolean) => void;

export class Poll {
  readonly #fd: number;
  #handle: node.PollHandle | undefined;
  #readable = false;
  #writable = false;
  #wake: Wake = () => {};
  #failed = false;
  #closed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Watches for what is true, and for nothing when both are false; replaces the previous watch. */
  watch(readable: boolean, writable: boolean, wake: Wake): void {
    this.#wake = wake;
    if (this.#closed || (!this.#failed && readable === this.#readable && writable === this.#writable)) return;
    this.#readable = readable;
    this.#writable = writable;
    this.#start();
  }

  /** Starts the watch again after the descriptor reported an error. */
  rearm(): void {
    if (this.#failed && !this.#closed) this.#start();
  }

  /** Ends the watch; must come before the descriptor is closed. */
  close(): void {
    this.#closed = true;
    this.#handle?.close();
    this.#handle = undefined;
  }

  #start(): void {
    this.#failed = false;
    const options = { readable: this.#readable, writable: this.#writable };
    if (!this.#readable && !this.#writable) this.#handle?.stop();
    else if (this.#handle === undefined) this.#handle = start(this.#fd, options, this.#event);
    else (this.#handle.start as (options: object, callback: PollCallback) => void)(options, this.#event);
  }

  readonly #event: PollCallback = (status, events) => {
    if (this.#closed) return;
    this.#failed = status < 0;
    try {
      this.#wake(this.#failed || events.readable, this.#failed || events.writable);
    } catch (error) {
      throwLater(error);
    }
  };
}
