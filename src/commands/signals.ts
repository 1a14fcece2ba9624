/**
 * Signals of a running softnet. SIGINT and SIGTERM stop it. SIGHUP has two meanings. If the controlling terminal was
 * closed, SIGHUP stops softnet. If there is no controlling terminal, or it is still open, SIGHUP is a request to open
 * files anew, for example by logrotate. With a policy file SIGHUP never stops softnet.
 */
import { closeSync, constants, openSync } from "node:fs";

/** Resolved with the name of the first signal that asks to stop. */
export type Stopped = Promise<{ readonly signal: string }>;

export interface SignalOptions {
  /** There is a policy file: SIGHUP reads it again, also after the terminal was closed. */
  readonly reloads: boolean;
  /** Whether there is a controlling terminal now; tests pass their own. */
  readonly hasTerminal?: () => boolean;
}

export class Signals {
  readonly stopped: Stopped;
  #reload: (() => void) | undefined;
  #asked = false;

  /** Listens from now on. */
  constructor({ reloads, hasTerminal = hasControllingTerminal }: SignalOptions) {
    const begunOnTerminal = hasTerminal();
    this.stopped = new Promise((resolve) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => resolve({ signal }));
      process.on("SIGHUP", () => {
        if (!reloads && begunOnTerminal && !hasTerminal()) resolve({ signal: "SIGHUP" });
        else if (this.#reload === undefined) this.#asked = true;
        else this.#reload();
      });
    });
  }

  /** Calls `reload` for each SIGHUP that does not stop softnet, also for one that was received already. */
  onReload(reload: () => void): void {
    this.#reload = reload;
    if (this.#asked) reload();
  }
}

/** /dev/tty is the process's controlling terminal; without one it cannot be opened (tty(4)). */
function hasControllingTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}
