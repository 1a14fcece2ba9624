/**
 * Logs the VM's addresses as they come, are renewed and go, and warns once of what will surprise its user.
 *
 * A guest decides how often that happens, not how long the log becomes: a renewal that changes nothing is logged once an
 * hour, and of all else a burst of LINES, then one line a minute. What is left out is logged at debug level, and counted in
 * the next line.
 */
import type { Guard } from "../guard/guard.ts";
import { TokenBucket } from "../guard/token-bucket.ts";
import type { BindingChange, BoundAddress } from "../guard/types.ts";
import { isolationAdvice } from "../policy/advice.ts";
import { subnetOf } from "../policy/rule.ts";
import type { Log, LogFields, LogValue } from "../telemetry/log.ts";
import { formatIPv4 } from "../wire/address.ts";
import { formatAddress, formatIPv6 } from "../wire/ipv6-address.ts";

/** Microseconds between two lines about an address that is only renewed. */
const RENEWAL_INTERVAL = 3_600_000_000;
const LINES = 20;
const LINES_PER_SECOND = 1 / 60;

export class BindingLog {
  readonly #log: Log;
  readonly #isolated: boolean;
  readonly #clock: () => number;
  readonly #lines = new TokenBucket(LINES_PER_SECOND, LINES);
  /** What the log said last of each address that the VM has, and when. As many as a binding has addresses. */
  readonly #logged = new Map<string, { readonly text: string; readonly at: number }>();
  #leftOut = 0;
  #warnedOfGateway = false;
  #warnedOfIsolation = false;

  constructor(log: Log, isolated: boolean, clock: () => number) {
    this.#log = log;
    this.#isolated = isolated;
    this.#clock = clock;
  }

  follow(change: BindingChange, guard: Guard): void {
    const { kind, bound } = change;
    const address = formatAddress(bound.address);
    if (kind === "lost") {
      this.#logged.delete(address);
      this.#line("binding lost", { address, why: change.why }, true);
      return;
    }
    const time = this.#clock();
    const fields = describe(bound, guard);
    const text = JSON.stringify(fields);
    const last = this.#logged.get(address);
    const news = kind !== "renewed" || text !== last?.text || time - last.at >= RENEWAL_INTERVAL;
    const seconds = Math.round((bound.expiry - time) / 1e6);
    const logged = this.#line(
      `binding ${kind}`,
      { ...fields, seconds: Number.isFinite(seconds) ? seconds : "forever" },
      news,
    );
    if (logged) this.#logged.set(address, { text, at: time });
    if (bound.family === "ipv4") this.#warn(guard, subnetOf(bound.address, bound.netmask));
  }

  /** Returns whether it was logged for those who do not debug. */
  #line(message: string, fields: LogFields, news: boolean): boolean {
    if (news && this.#lines.take(this.#clock())) {
      this.#log.info(message, this.#leftOut > 0 ? { ...fields, "left-out": this.#leftOut } : fields);
      this.#leftOut = 0;
      return true;
    }
    if (news) this.#leftOut++;
    this.#log.debug(message, fields);
    return false;
  }

  #warn(guard: Guard, subnet: ReturnType<typeof subnetOf>): void {
    if (guard.gateway === 0 && !this.#warnedOfGateway) {
      this.#warnedOfGateway = true;
      this.#log.warn("no gateway is known, so @host matches nothing: give --gateway ADDRESS if there is one");
    }
    const advice =
      this.#isolated && subnet && !this.#warnedOfIsolation ? isolationAdvice(guard.rules, subnet) : undefined;
    if (advice !== undefined) {
      this.#warnedOfIsolation = true;
      this.#log.warn(advice);
    }
  }
}

/** What makes it another address to people; its end moves with every renewal. */
function describe(bound: BoundAddress, guard: Guard): Record<string, LogValue> {
  if (bound.family === "ipv6") return { address: formatIPv6(bound.address), origin: bound.origin };
  return {
    address: formatIPv4(bound.address),
    origin: bound.origin,
    server: formatIPv4(bound.server),
    gateway: guard.gateway === 0 ? "none" : formatIPv4(guard.gateway),
    dns: bound.dnsServers.map(formatIPv4).join(",") || "none",
  };
}
