/**
 * What signals ask of a running softnet. SIGINT and SIGTERM: to stop. SIGHUP has two meanings (termio and daemons have
 * shared it for decades): the controlling terminal was closed, which stops softnet; or whoever runs it as a service wants
 * files opened anew, as logrotate does, which it does where there is no terminal, or the terminal is still there. With a
 * policy file it never stops.
 */
import { closeSync, constants, openSync } from "node:fs";

/** Resolved with the name of the first signal that asks to stop. */
export type Stopped = Promise<{ readonly signal: string }>;

export interface SignalOptions {
  /** There is a policy file: SIGHUP reads it again, whatever has become of the terminal. */
  readonly reloads: boolean;
  /** Whether there is a controlling terminal now; a test's may say something else. */
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

  /** Calls `reload` for each SIGHUP that does not stop, also for one that came already. */
  onReload(reload: () => void): void {
    this.#reload = reload;
    if (this.#asked) reload();
  }
}

/** /dev/tty is the process' own terminal; nobody who has none can open it (tty(4)). */
function hasControllingTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}
