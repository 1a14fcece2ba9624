/**
 * What log and controllers are told of names: each name that was denied, once, with what denied it. A hostile VM may invent
 * names without end; beyond MOST_NAMES nothing is logged one by one, and `softnet ctl PATH names` counts.
 */
import type { NameEvent } from "../guard/types.ts";
import type { Log } from "../telemetry/log.ts";
import { formatAddress } from "../wire/ipv6-address.ts";

const MOST_NAMES = 1024;

export class NameLog {
  readonly #log: Log;
  readonly #tell: (fields: Record<string, string | number>) => void;
  readonly #seen = new Set<string>();

  /** `tell`: gets each line's fields, for controllers. */
  constructor(log: Log, tell: (fields: Record<string, string | number>) => void) {
    this.#log = log;
    this.#tell = tell;
  }

  readonly note = (event: NameEvent): void => {
    if (event.kind === "learned" || event.kind === "opened" || event.decision === "passed") return;
    // Every guest asks for AAAA and HTTPS of allowed names, too.
    if (event.decision === "dns.type") return;
    const name = event.name ?? "";
    const key = `${event.decision} ${name}`;
    if (this.#seen.has(key) || this.#seen.size === MOST_NAMES) return;
    this.#seen.add(key);
    const where =
      event.kind === "question" ? { type: event.type } : { remote: formatAddress(event.remote), port: event.port };
    const fields = { name, reason: event.decision, ...where };
    this.#log.info(event.kind === "question" ? "lookup denied" : "connection denied", fields);
    this.#tell(fields);
  };

  /** The policy is another one: what is denied now is worth a line again. */
  policyChanged(): void {
    this.#seen.clear();
  }
}
