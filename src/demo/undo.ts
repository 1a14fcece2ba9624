/**
 * What the demo made and has to take away again, last made first: on the ordinary way, after a failure, and when it is
 * interrupted in the middle, while something else is still being made.
 */

/** The demo is being undone: nothing may be made any more. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

export class Undo {
  readonly #steps: (() => void | Promise<void>)[] = [];
  #running: Promise<void> | undefined;

  /** True from the moment on at which `run` was called. */
  get begun(): boolean {
    return this.#running !== undefined;
  }

  /** Throws Interrupted once undoing has begun: to be asked before something is made. */
  check(): void {
    if (this.begun) throw new Interrupted();
  }

  /** Notes how to undo what is there now. */
  add(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Undoes everything; a step that fails does not keep the others from their turn. Answers the same when called again. */
  run(): Promise<void> {
    this.#running ??= this.#undo();
    return this.#running;
  }

  async #undo(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `could not be taken away: ${failures.join("; ")}`);
  }
}
