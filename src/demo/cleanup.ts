/**
 * Removes all that the demo made, in reverse order: at its end, after an error, and after a signal, also while
 * something is still being made.
 */

/** The cleanup has begun: nothing may be made any more. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

/** A stack of cleanup steps; all callers of `run` get the same promise. */
export class Cleanup {
  readonly #steps = new AsyncDisposableStack();
  #running: Promise<void> | undefined;

  /** True once `run` was called. */
  get begun(): boolean {
    return this.#steps.disposed;
  }

  /** Throws Interrupted once the cleanup has begun: to be called before something is made. */
  check(): void {
    if (this.begun) throw new Interrupted();
  }

  /** Adds the step that removes what was just made. */
  add(step: () => void | Promise<void>): void {
    this.#steps.defer(step);
  }

  /**
   * Runs all steps, also after one has failed. Returns the same promise when called again. It rejects with the steps'
   * errors in one message.
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
