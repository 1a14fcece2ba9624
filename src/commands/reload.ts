/** SIGHUP: opens the log and capture files anew, reads the policy again and notifies the service manager. */
import type { Session } from "../session/session.ts";
import type { Log } from "../telemetry/log.ts";
import type { LogFile } from "../telemetry/log-file.ts";
import type { ServiceManager } from "../telemetry/service-manager.ts";

export interface ReloadOptions {
  readonly log: Log;
  readonly logFile: LogFile | undefined;
  readonly session: Session;
  readonly service: ServiceManager | undefined;
}

export class Reload {
  readonly #options: ReloadOptions;
  #status = "";

  constructor(options: ReloadOptions) {
    this.#options = options;
  }

  /** Frames are forwarded from now on. */
  started(status: string): void {
    this.#status = status;
    this.#options.service?.ready(status);
  }

  run(): void {
    const { log, logFile, session, service } = this.#options;
    service?.reloading();
    const failure = logFile?.reopen();
    if (failure !== undefined) log.warn(`the log's file is not opened anew: ${failure}; the old file stays in use`);
    const hasPolicyFile = session.reload();
    if (!hasPolicyFile) log.info("SIGHUP: files are opened anew; there is no policy file to read");
    service?.ready(this.#status);
  }

  ended(): void {
    this.#options.service?.stopping();
  }
}
