/**
 * What the demo made and has to take away again, last made first: on the ordinary way, after a failure, and when it is
 * interrupted in the middle, while something else is still being made.
 */

/** The demo is being taken away: nothing may be made any more. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

/** A stack of steps that can be interrupted: whoever asks for the end waits for the same one. */
export class Cleanup {
  readonly #steps = new AsyncDisposableStack();
  #running: Promise<void> | undefined;

  /** True from the moment on at which `run` was called. */
  get begun(): boolean {
    return this.#steps.disposed;
  }

  /** Throws Interrupted once the cleanup has begun: to be asked before something is made. */
  check(): void {
    if (this.begun) throw new Interrupted();
  }

  /** Adds how to take away what is there now. */
  add(step: () => void | Promise<void>): void {
    this.#steps.defer(step);
  }

  /**
   * Takes everything away; a step that fails does not keep the others from their turn. Returns the same promise when
   * called again. It rejects with the steps' errors in one message.
   */
  run(): Promise<void> {
    this.#running ??= this.#steps.disposeAsync().catch((error) => {
      throw new Error(`could not be taken away: ${messagesOf(error).join("; ")}`, { cause: error });
    });
    return this.#running;
  }
}

function messagesOf(error: unknown): string[] {
  if (error instanceof SuppressedError) return [...messagesOf(error.suppressed), ...messagesOf(error.error)];
  return [String(error)];
}
