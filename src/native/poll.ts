/**
 * Waits on a descriptor in Node's own event loop (koffi.node.poll is libuv's uv_poll), so that one thread owns frames,
 * signals and timers. The watch is level-triggered: it calls again while the condition holds.
 *
 * - koffi silently ends a watch when its handle is garbage-collected. Here koffi references the callback, the callback
 *   this object, and this object the handle, so none is collected before `close`.
 * - libuv stops a watch when the descriptor reports an error, and passes only a negative status. Then `wake` is called
 *   with both true, so that the next receive or send returns the error. The watch stays off until `rearm`, called on a
 *   tick: so an error that no call returns cannot make the event loop spin.
 * - Node does not run microtasks after such a callback. A promise must be resolved in setImmediate there, or the code
 *   that awaits it would run only after another event.
 * - What `wake` throws must not leave the callback: throw-later.ts.
 */
import koffi, { type node } from "koffi";
import { throwLater } from "./throw-later.ts";

/** The callback's true signature; koffi's declarations omit the status. */
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

  /** Watches for the given conditions, for none when both are false; replaces the previous watch. */
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
