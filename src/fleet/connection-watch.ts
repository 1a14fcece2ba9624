/** Whether the agent's connection to NATS holds, since when, and how often it came back. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { Log } from "../telemetry/log.ts";

export class ConnectionWatch {
  readonly #log: Log;
  #connection: NatsConnection | undefined;
  #isConnected = false;
  #reconnects = 0;
  /** Milliseconds of performance.now(), and by this host's clock for people. */
  #since = performance.now();
  #sinceDate = new Date();

  constructor(log: Log) {
    this.#log = log;
  }

  get isConnected(): boolean {
    return this.#isConnected && this.#connection?.isClosed() === false;
  }

  /** `connectionAge`: seconds since it is so. */
  get counts(): { readonly connected: boolean; readonly reconnects: number; readonly connectionAge: number } {
    const connectionAge = (performance.now() - this.#since) / 1000;
    return { connected: this.isConnected, reconnects: this.#reconnects, connectionAge };
  }

  /** In words, for a service manager. */
  get text(): string {
    const since = this.#sinceDate.toISOString().replace(/\.\d+/, "");
    return this.isConnected ? `connected since ${since}` : `NATS is away since ${since}`;
  }

  /** Called with `text` when it has changed. */
  onChange: (text: string) => void = () => {};

  /** Looks at this connection from now on, which is there. */
  follow(connection: NatsConnection): void {
    if (this.#connection !== undefined) this.#reconnects++;
    this.#connection = connection;
    this.#become(true);
    void this.#follow(connection);
  }

  async #follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") {
        this.#become(false);
        this.#log.warn("NATS is away: every VM keeps the policy that it has");
      }
      if (status.type === "reconnect") {
        this.#reconnects++;
        this.#become(true);
        this.#log.info("NATS is there again");
      }
      if (status.type === "error") this.#log.warn("NATS refuses something", { why: String(status.error) });
    }
    if (this.#connection === connection) this.#become(false);
  }

  #become(connected: boolean): void {
    if (connected !== this.#isConnected) {
      this.#since = performance.now();
      this.#sinceDate = new Date();
    }
    this.#isConnected = connected;
    this.onChange(this.text);
  }
}
