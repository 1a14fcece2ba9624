/** What signals ask of a running softnet: to stop, or, where there is a policy file, to read it again. */

/** Resolved with the name of the first signal that asks to stop. */
export type Stopped = Promise<{ readonly signal: string }>;

export class Signals {
  readonly stopped: Stopped;
  #reload: (() => void) | undefined;
  #asked = false;

  /** Listens from now on. `reloads`: SIGHUP does not stop it. */
  constructor(reloads: boolean) {
    const stopping = reloads ? (["SIGINT", "SIGTERM"] as const) : (["SIGINT", "SIGTERM", "SIGHUP"] as const);
    this.stopped = new Promise((resolve) => {
      for (const signal of stopping) process.on(signal, () => resolve({ signal }));
    });
    if (!reloads) return;
    process.on("SIGHUP", () => {
      if (this.#reload === undefined) this.#asked = true;
      else this.#reload();
    });
  }

  /** Calls `reload` for each SIGHUP, also for one that came already. */
  onReload(reload: () => void): void {
    this.#reload = reload;
    if (this.#asked) reload();
  }
}
